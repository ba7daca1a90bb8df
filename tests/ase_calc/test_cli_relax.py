"""``metatomic relax``: known lattice constants, cells under pressure, and what happens without convergence."""

import json
import re
import warnings

import ase.build
import ase.filters
import ase.io
import numpy as np
import pytest
from ase import units
from ase_models import argon, argon_model
from command_line import fail, invoke, load_models_once, succeed

from metatomic_ase import MetatomicCalculator
from metatomic_core.potentials import stillinger_weber

# F. H. Stillinger and T. A. Weber, Phys. Rev. B 31, 5262 (1985): 5.431 angstrom is that of silicon, which sigma was
# chosen for, and the energy per atom is -2 epsilon = -4.3365 eV
SILICON_A, SILICON_E = 5.431, -4.3365


@pytest.fixture(scope="module", autouse=True)
def _load_once():
    with load_models_once():
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("relax")
    argon_model().save(str(folder / "argon.pt"))
    stillinger_weber().save(str(folder / "silicon.pt"))
    ase.io.write(folder / "argon.xyz", argon(1))
    silicon = ase.build.bulk("Si", a=5.6, cubic=True)
    silicon.set_cell(
        silicon.cell.array @ (np.eye(3) + [[0, 0.02, 0], [0, 0.01, 0], [0.01, 0, -0.02]]), scale_atoms=True
    )
    silicon.rattle(0.05, seed=3)
    ase.io.write(folder / "silicon.xyz", silicon)
    return folder


@pytest.mark.parametrize("optimizer", ["FIRE", "BFGS", "lbfgs"])
def test_relax_silicon_gives_the_published_lattice(files, tmp_path, optimizer):
    arguments = ["relax", files / "silicon.pt", files / "silicon.xyz", "-o", tmp_path / "out.extxyz"]
    result = succeed(*arguments, "--cell", "full", "--fmax", 1e-4, "--optimizer", optimizer, "--json")
    data = json.loads(result.stdout)
    assert data["converged"]
    assert data["fmax_eV_per_A"] < 1e-4
    atoms = ase.io.read(tmp_path / "out.extxyz")
    np.testing.assert_allclose(atoms.cell.lengths(), SILICON_A, atol=5e-4)
    np.testing.assert_allclose(atoms.cell.angles(), 90, atol=0.01)
    assert atoms.get_potential_energy() / 8 == pytest.approx(SILICON_E, abs=1e-4)
    assert data["after"]["energy_per_atom_eV"] == pytest.approx(SILICON_E, abs=1e-4)
    assert data["before"]["energy_eV"] > data["after"]["energy_eV"]
    np.testing.assert_allclose(data["after"]["stress_diagonal_GPa"], 0, atol=1e-3)


def test_relax_fixed_cell_moves_atoms_only(files, tmp_path):
    result = succeed("relax", files / "argon.pt", files / "argon.xyz", "-o", tmp_path / "out.traj")
    before, after = argon(1), ase.io.read(tmp_path / "out.traj")
    np.testing.assert_allclose(after.cell.array, before.cell.array)
    assert np.linalg.norm(after.get_forces(), axis=1).max() < 0.01
    assert "converged in" in result.stdout
    assert "\x1b" not in result.stdout + result.stderr
    for label in ("energy per atom [eV]", "largest force [eV/Å]", "stress xx yy zz [GPa]", "volume [Å^3]"):
        assert label in result.stdout


def test_progress_says_what_the_largest_force_is_of(files, tmp_path):
    """With a cell, that on the cell counts; the table has that on atoms."""
    relax = ["relax", files / "argon.pt", files / "argon.xyz", "--steps", 0, "--fmax", 1e-9, "-o"]
    fixed, cell = invoke(*relax, tmp_path / "fixed.traj"), invoke(*relax, tmp_path / "cell.traj", "--cell", "full")
    assert re.search(r"eV, largest force \S+ eV/Å", fixed.stderr)
    assert re.search(r"eV, largest force, on atoms and cell, \S+ eV/Å", cell.stderr)


def test_relax_under_pressure_reaches_it(files, tmp_path):
    arguments = ["relax", files / "argon.pt", files / "argon.xyz", "-o", tmp_path / "out.traj", "--fmax", 1e-4]
    succeed(*arguments, "--cell", "isotropic", "--pressure", "5 kbar")
    atoms = ase.io.read(tmp_path / "out.traj")
    atoms.calc = MetatomicCalculator(argon_model())
    assert -np.trace(atoms.get_stress(voigt=False)) / 3 / units.GPa == pytest.approx(0.5, abs=0.01)
    cell = atoms.cell.array
    np.testing.assert_allclose(cell, cell[0, 0] * np.eye(3), atol=1e-10)


@pytest.mark.parametrize("smax", ["0.001", "10 bar"])
def test_relax_to_a_stress(files, tmp_path, smax):
    arguments = ["relax", files / "silicon.pt", files / "silicon.xyz", "-o", tmp_path / "out.traj", "--json", "--force"]
    arguments += ["--cell", "full", "--pressure", "1 GPa", "--fmax", 0.2]
    found = []
    for more in ([], ["--smax", smax]):
        data = json.loads(succeed(*arguments, *more).stdout)
        atoms = ase.io.read(tmp_path / "out.traj")
        atoms.calc = MetatomicCalculator(stillinger_weber())
        found.append(np.abs(atoms.get_stress(voigt=False) / units.GPa + np.eye(3)).max())
        assert data["smax_GPa"] == pytest.approx(found[-1], abs=1e-6)
    assert found[1] < 0.001 < found[0]
    error = fail(*arguments, "--smax", smax, "--steps", 1)
    assert "expected forces below 0.2 eV/Å and stress below 0.001 GPa within 1 steps, got" in error
    assert " eV/Å and stress " in error.partition("got")[2]


def test_relax_shape_keeps_the_volume(files, tmp_path):
    arguments = ["relax", files / "silicon.pt", files / "silicon.xyz", "-o", tmp_path / "out.traj", "--cell", "shape"]
    succeed(*arguments, "--fmax", 1e-3)
    before, after = ase.io.read(files / "silicon.xyz"), ase.io.read(tmp_path / "out.traj")
    assert after.get_volume() == pytest.approx(before.get_volume(), rel=1e-9)
    np.testing.assert_allclose(after.cell.angles(), 90, atol=0.2)
    assert np.ptp(after.cell.lengths()) < 0.01


def test_relax_slab_keeps_its_vacuum(files, tmp_path):
    slab = argon(1, 0.01)
    slab.pbc = [True, True, False]
    slab.cell[2] = [0, 0, 20]
    ase.io.write(tmp_path / "slab.extxyz", slab)
    arguments = ["relax", files / "argon.pt", tmp_path / "slab.extxyz", "-o", tmp_path / "out.extxyz"]
    succeed(*arguments, "--cell", "full", "--fmax", 1e-3)
    relaxed = ase.io.read(tmp_path / "out.extxyz")
    np.testing.assert_allclose(relaxed.cell[2], [0, 0, 20], atol=1e-7)
    assert abs(relaxed.cell[0, 0] - slab.cell[0, 0]) > 0.01
    stress = relaxed.get_stress()
    assert np.abs(stress[[0, 1, 5]]).max() * relaxed.get_volume() / 4 < 1e-3
    assert "expected the cell 'full' without pressure" in fail(*arguments, "--cell", "isotropic", "--force")


def test_relax_without_convergence_writes_and_fails(files, tmp_path):
    arguments = ["relax", files / "silicon.pt", files / "silicon.xyz", "-o", tmp_path / "out.extxyz"]
    error = fail(*arguments, "--steps", 2, "--trajectory", tmp_path / "steps.traj")
    assert "expected forces below 0.01 eV/Å within 2 steps, got" in error
    assert f"'{tmp_path / 'out.extxyz'}' has the last structure" in error
    steps = ase.io.read(tmp_path / "steps.traj", index=":")
    assert len(steps) == 3
    last = ase.io.read(tmp_path / "out.extxyz")
    np.testing.assert_allclose(last.positions, steps[-1].positions, atol=1e-7)
    assert last.get_potential_energy() == pytest.approx(steps[-1].get_potential_energy(), abs=1e-7)


def test_relax_refuses(files, tmp_path):
    ase.io.write(tmp_path / "dimer.xyz", ase.Atoms("Ar2", [[0, 0, 0], [0, 0, 3.9]]))
    out = ["-o", tmp_path / "out.extxyz"]
    crystal = ["relax", files / "argon.pt", files / "argon.xyz", *out]
    molecule = ["relax", files / "argon.pt", tmp_path / "dimer.xyz", *out]
    assert "expected --pressure only with --cell isotropic or full, got fixed" in fail(
        *crystal, "--pressure", "1 bar", status=2
    )
    assert "expected --smax only with a --cell that relaxes, got fixed" in fail(*crystal, "--smax", 1, status=2)
    assert "expected a periodic structure with a volume for the cell 'full'" in fail(*molecule, "--cell", "full")
    assert "expected a value such as '0.01 eV/A', got '1 bar'" in fail(*crystal, "--fmax", "1 bar", status=2)
    assert "missing option '-o'" in fail(*crystal[:3], status=2)
    assert "got Si in structure 0" in fail("relax", files / "argon.pt", files / "silicon.xyz", *out)
    succeed(*molecule)
    assert "which exists" in fail(*molecule)


def test_relax_says_what_it_comes_from_and_how_to_go_on(files, tmp_path):
    out = tmp_path / "out.extxyz"
    arguments = ["relax", files / "silicon.pt", files / "silicon.xyz", "-o", out]
    error = fail(*arguments, "--steps", 2)
    assert f"go on with `metatomic relax {files / 'silicon.pt'} {out} -o FILE`" in error
    info = ase.io.read(out).info
    assert "fmax=0.01" in info["metatomic_options"]
    assert len(info["metatomic_sha256"]) == 64
    result = succeed("relax", files / "silicon.pt", out, "-o", tmp_path / "further.extxyz", "--json")
    assert json.loads(result.stdout)["origin"]["model"]["sha256"] == info["metatomic_sha256"]


def test_remarks_of_scipy_about_the_strain_are_not_shown(files, tmp_path, monkeypatch):
    """Errors of rounding are not; others are."""
    forces = ase.filters.FrechetCellFilter.get_forces

    def remarks(self, *arguments, **keywords):
        warnings.warn("logm result may be inaccurate, approximate err = 1.4e-12", RuntimeWarning, stacklevel=1)
        warnings.warn("logm result may be inaccurate, approximate err = 0.0014", RuntimeWarning, stacklevel=1)
        return forces(self, *arguments, **keywords)

    monkeypatch.setattr(ase.filters.FrechetCellFilter, "get_forces", remarks)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        out = ["-o", tmp_path / "out.traj", "--cell", "full"]
        result = succeed("relax", files / "argon.pt", files / "argon.xyz", *out)
    assert "err = 1.4e-12" not in result.stderr
    assert "metatomic: warning: logm result may be inaccurate, approximate err = 0.0014" in result.stderr
