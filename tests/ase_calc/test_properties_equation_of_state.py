"""Equation of state: published and analytic bulk moduli, and runs of ``metatomic eos`` that are killed and go on."""

import json
import signal

import ase.build
import ase.io
import numpy as np
import pytest
from ase import units
from ase.calculators.singlepoint import SinglePointCalculator
from command_line import fail, invoke, load_models_once, succeed

from metatomic_ase import MetatomicCalculator
from metatomic_ase.batched import Evaluator
from metatomic_ase.properties import points
from metatomic_ase.properties.equation_of_state import equation_of_state, fit_equation_of_state, scaled_structures
from metatomic_core.potentials import lennard_jones, stillinger_weber

# H. Balamane, T. Halicioglu and W. A. Tiller, Phys. Rev. B 46, 2250 (1992), doi:10.1103/PhysRevB.46.2250
SILICON_A, SILICON_BULK = 5.431, 101.4


@pytest.fixture(scope="module", autouse=True)
def _load_once():
    with load_models_once():
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("eos")
    stillinger_weber().save(str(folder / "silicon.pt"))
    atoms = ase.build.bulk("Si", a=5.45)
    atoms.rattle(0.01, seed=1)
    ase.io.write(folder / "silicon.xyz", atoms)
    return folder


def test_silicon_has_the_published_bulk_modulus(files, tmp_path):
    prefix = tmp_path / "eos"
    result = succeed("eos", files / "silicon.pt", files / "silicon.xyz", "-o", prefix, "--picture", "png", "--json")
    data = json.loads(result.stdout)
    assert data["volume_per_atom_A3"] == pytest.approx(SILICON_A**3 / 8, rel=2e-4)
    assert data["bulk_modulus_GPa"] == pytest.approx(SILICON_BULK, rel=2e-3)
    assert data["energy_per_atom_eV"] == pytest.approx(-4.3366, abs=1e-3)
    assert data["residual_meV_per_atom"] < 0.01
    np.testing.assert_allclose(data["cell_lengths_A"], SILICON_A / np.sqrt(2), rtol=1e-4)
    assert json.loads((tmp_path / "eos.json").read_text("utf-8")) == data
    images = ase.io.read(tmp_path / "eos.extxyz", ":")
    np.testing.assert_allclose([atoms.get_potential_energy() for atoms in images], data["points"]["energy_eV"])
    assert max(np.abs(atoms.get_forces()).max() for atoms in images) < 1e-3
    assert images[0].info["metatomic_sha256"] == data["origin"]["model"]["sha256"]
    assert (tmp_path / "eos.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["eos.extxyz", "eos.json", "eos.png"]


def test_pairs_of_lennard_jones_have_the_analytic_moduli():
    """E = a / V^4 - b / V^2, as long as no shell crosses the cutoff: B = -8 E / V, and dB/dp = 8."""
    # no pair of face-centered cubic crystals is sqrt(14) times as far as neighbors
    distance = 3.715
    model = lennard_jones(cutoff=np.sqrt(14) * distance, shift="none")
    crystal = ase.build.bulk("Ar", a=np.sqrt(2) * distance)
    found = equation_of_state(crystal, MetatomicCalculator(model), relax=False, strain=0.005)
    assert found.bulk_modulus * units.GPa == pytest.approx(-8 * found.energy / found.volume, rel=1e-3)
    assert found.derivative == pytest.approx(8, rel=0.01)
    # the pressure is minus the slope of the energy
    step = 1e-4
    slopes = (found.energy_at(found.volumes + step) - found.energy_at(found.volumes - step)) / (2 * step)
    np.testing.assert_allclose(found.pressure_at(found.volumes), -slopes / units.GPa, rtol=1e-5, atol=1e-6)


def test_equation_is_that_of_birch_and_murnaghan():
    """It is a polynomial of third order in V^(-2/3): least squares find the same one."""
    structures = scaled_structures(ase.build.bulk("Ar", a=5.3), 0.03, 9)
    calculator = MetatomicCalculator(lennard_jones(cutoff=8.0, shift="smooth"))
    found = fit_equation_of_state(points.Points(calculator).evaluate(structures))
    x = found.volumes ** (-2 / 3)
    polynomial = np.polynomial.Polynomial.fit(x, found.energies, 3)
    np.testing.assert_allclose(found.energy_at(found.volumes), polynomial(x), atol=1e-8)


@pytest.mark.parametrize("relax", ["--relax", "--no-relax"])
def test_killed_run_goes_on_with_what_is_done(files, tmp_path, monkeypatch, relax):
    for name, value in (("_FIRST", 3), ("_RELAXING", 3), ("_KEEP_EVERY", 0.0)):
        monkeypatch.setattr(points, name, value)
    command = ["eos", files / "silicon.pt", files / "silicon.xyz", "--points", 7, "--picture", "none", relax]
    whole = json.loads(succeed(*command, "-o", tmp_path / "whole", "--json").stdout)
    write = points.write_kept
    wrote = []

    def interrupted(*arguments):
        write(*arguments)
        wrote.append(len(arguments[-1]))
        if len(wrote) == 1:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(points, "write_kept", interrupted)
    stopped = invoke(*command, "-o", tmp_path / "part")
    assert stopped.exit_code == 143
    done = wrote[-1]
    assert 0 < done < 7
    text = f"metatomic: stopped after {done} of 7 structures; go on with the same command and --resume"
    assert stopped.stderr.splitlines()[-1] == text
    assert [path.name for path in tmp_path.glob("part*")] == ["part.unfinished"]
    assert "go on with it with --resume, or begin anew with --force" in fail(*command, "-o", tmp_path / "part")
    assert "expected a run of the same model, structure and options" in fail(
        *command, "-o", tmp_path / "part", "--strain", 0.01, "--resume"
    )
    evaluated = []
    call = Evaluator.__call__
    monkeypatch.setattr(
        Evaluator,
        "__call__",
        lambda self, some, with_stress: evaluated.append(len(some)) or call(self, some, with_stress),
    )
    rest = json.loads(succeed(*command, "-o", tmp_path / "part", "--resume", "--json").stdout)
    if relax == "--no-relax":
        assert sum(evaluated) == 7 - done
    assert rest["points"] == whole["points"]
    assert not (tmp_path / "part.unfinished").exists()


def test_eos_refuses(files, tmp_path):
    ase.io.write(tmp_path / "molecule.xyz", ase.Atoms("Si2", [[0, 0, 0], [0, 0, 2.3]]))
    ase.io.write(tmp_path / "stretched.xyz", ase.build.bulk("Si", a=6.0))
    model, out = files / "silicon.pt", ["-o", tmp_path / "out", "--picture", "none"]
    assert "expected a structure that is periodic in three directions for an equation of state" in fail(
        "eos", model, tmp_path / "molecule.xyz", *out
    )
    assert "got the lowest energy at the smallest" in fail("eos", model, tmp_path / "stretched.xyz", *out)
    assert "4 is not in the range 5<=x<=1000" in fail(
        "eos", model, files / "silicon.xyz", *out, "--points", 4, status=2
    )
    for prefix in ("", "/", f"{tmp_path}/"):
        assert f"expected `-o` to be the start of names of files, got '{prefix}'" in fail(
            "eos", model, files / "silicon.xyz", "-o", prefix
        )
    (tmp_path / "out.unfinished").write_text("something else", "utf-8")
    assert "got another kind of file" in fail("eos", model, files / "silicon.xyz", *out, "--resume")
    (tmp_path / "out.json").write_text("{}", "utf-8")
    assert "which exists" in fail("eos", model, files / "silicon.xyz", *out)


def test_atoms_that_do_not_relax_are_named(files, tmp_path):
    error = fail(
        "eos", files / "silicon.pt", files / "silicon.xyz", "-o", tmp_path / "out", "--steps", 1, "--fmax", 1e-9
    )
    assert "expected forces below 1e-09 eV/Å within 1 steps, got" in error
    assert "raise the number of steps or the largest force" in error


@pytest.mark.parametrize(("strain", "n_points", "what"), [(0.0, 9, "strain"), (0.7, 9, "strain"), (0.1, 4, "n_points")])
def test_scaled_structures_refuse(strain, n_points, what):
    with pytest.raises(ValueError, match=f"expected `{what}`"):
        scaled_structures(ase.build.bulk("Si"), strain, n_points)


def test_energies_without_one_minimum_are_refused():
    structures = scaled_structures(ase.build.bulk("Cu", cubic=True))
    places = np.linspace(-1, 1, len(structures))
    # two minima and a maximum between them
    for atoms, place in zip(structures, places, strict=True):
        atoms.calc = SinglePointCalculator(atoms, energy=abs(abs(place) - 0.8) - 0.001 * place)
    with pytest.raises(ValueError, match=r"^expected energies with one minimum .* bulk modulus -1.01e\+03 GPa"):
        fit_equation_of_state(structures)
