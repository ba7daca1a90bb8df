"""Phonons: against ASE's own, elastic waves and limits of thermal properties, and files that other programs read."""

import importlib.util
import json
import re
import warnings

import ase.build
import ase.io
import numpy as np
import phonopy
import pytest
import yaml
from ase import units
from ase.phonons import Phonons as AsePhonons
from command_line import fail, load_models_once, succeed

from metatomic_ase import MetatomicCalculator
from metatomic_ase.properties.displacements import displaced_structures, repeats_for_length
from metatomic_ase.properties.elastic import elastic_constants
from metatomic_ase.properties.phonons import fit_phonons, phonons
from metatomic_ase.properties.points import Points
from metatomic_core.potentials import lennard_jones, stillinger_weber

SILICON_A = 5.43095
CENTER, X, L = [0, 0, 0], [0.5, 0, 0.5], [0.5, 0.5, 0.5]


@pytest.fixture(scope="module", autouse=True)
def _load_once():
    with load_models_once():
        yield


@pytest.fixture(scope="module")
def calculator():
    return MetatomicCalculator(stillinger_weber())


@pytest.fixture(scope="module")
def silicon(calculator):
    return phonons(ase.build.bulk("Si", a=SILICON_A), calculator, (4, 4, 4))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The model, the crystal, and what the command wrote of it, with its output."""
    folder = tmp_path_factory.mktemp("phonons")
    stillinger_weber().save(str(folder / "silicon.pt"))
    ase.io.write(folder / "silicon.xyz", ase.build.bulk("Si", a=SILICON_A))
    arguments = ["phonons", folder / "silicon.pt", folder / "silicon.xyz", "-o", folder / "out", "--picture", "png"]
    (folder / "stdout").write_text(succeed(*arguments, "--supercell", 3, 3, 3, "--json").stdout, "utf-8")
    return folder


def test_frequencies_are_those_of_ase(silicon, calculator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = AsePhonons(ase.build.bulk("Si", a=SILICON_A), calculator, supercell=(4, 4, 4), delta=0.01)
    other.run()
    other.read(acoustic=True)
    expected = other.band_structure([X, L], verbose=False) / (units._hplanck * 1e12 / units._e)
    np.testing.assert_allclose(silicon.frequencies([X, L]), expected, rtol=2e-4)


def test_center_has_still_acoustic_modes_and_the_known_optical_one(silicon):
    """That of Stillinger-Weber silicon is at 17.8 THz, above the 15.5 THz of experiment."""
    found = silicon.frequencies(CENTER)[0]
    np.testing.assert_allclose(found[:3], 0, atol=1e-4)
    np.testing.assert_allclose(found[3:], 17.83, atol=0.01)
    assert silicon.acoustic_sum < 1e-8
    assert silicon.residual_force < 1e-8


def test_slow_waves_have_the_speed_that_elastic_constants_say(silicon, calculator):
    crystal = ase.build.bulk("Si", a=SILICON_A)
    stiffness = elastic_constants(crystal, calculator).stiffness
    density = crystal.get_masses().sum() * units._amu / (crystal.get_volume() * 1e-30)
    speeds = np.sqrt(np.array([stiffness[3, 3], stiffness[3, 3], stiffness[0, 0]]) * 1e9 / density)
    small = 0.01
    wave_number = small * 2 * np.pi / (SILICON_A * 1e-10) * 2 * 0.5
    found = silicon.frequencies(np.array(X) * small)[0][:3] * 1e12 * 2 * np.pi / wave_number
    np.testing.assert_allclose(found, speeds, rtol=0.01)


def test_density_of_states_and_thermal_properties_have_their_limits(silicon):
    frequencies, density = silicon.density_of_states(40.0)
    assert np.trapezoid(density, frequencies) == pytest.approx(6, rel=0.01)
    thermal = silicon.thermal(np.array([0.0, 300.0, 5000.0]))
    gas_constant = units._Nav * units._k
    assert thermal.heat_capacity[0] == 0
    # Dulong and Petit; without the three motions of the whole at the center
    assert thermal.heat_capacity[2] == pytest.approx(6 * gas_constant, rel=0.01)
    zero_point = 0.5 * np.trapezoid(density * frequencies, frequencies) * 1e12 * units._hplanck * units._Nav / 1000
    assert thermal.free_energy[0] == pytest.approx(zero_point, rel=0.01)
    assert silicon.lowest()[2] == 0


def test_path_of_names_has_all_segments(silicon):
    bands = silicon.bands("GXK,LG", n_points=11)
    assert bands.labels == [("$\\Gamma$", "X"), ("X", "K"), ("L", "$\\Gamma$")]
    np.testing.assert_allclose(bands.frequencies[0][-1], silicon.frequencies(X)[0], atol=1e-8)
    np.testing.assert_allclose(bands.frequencies[2][0], silicon.frequencies(L)[0], atol=1e-8)
    # from the center to X is 2 pi / a, without 2 pi
    assert bands.distances[0][-1] == pytest.approx(1 / SILICON_A)
    with pytest.raises(ValueError, match=r"expected special points of this lattice in `path`, G K L U W X, got 'Q'"):
        silicon.bands("GQ")


@pytest.mark.parametrize("has_seekpath", [True, False])
def test_path_of_the_lattice_needs_no_name(silicon, monkeypatch, has_seekpath):
    if not has_seekpath:
        find = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "seekpath" else find(name))
    bands = silicon.bands(n_points=5)
    assert {"X", "L", "W", "K", "$\\Gamma$"} <= {name for ends in bands.labels for name in ends}
    np.testing.assert_allclose(bands.frequencies[0][-1], silicon.frequencies(X)[0], atol=1e-6)


def test_any_cell_of_a_crystal_has_the_same_phonons(silicon, calculator):
    found = phonons(ase.build.bulk("Si", a=SILICON_A, cubic=True), calculator, (2, 2, 2))
    assert len(found.phonopy.primitive) == 2
    np.testing.assert_allclose(found.frequencies([CENTER])[0][3:], silicon.frequencies([CENTER])[0][3:], rtol=1e-4)


def test_symmetry_saves_displacements_and_changes_nothing(calculator):
    crystal = ase.build.bulk("Si", a=SILICON_A)
    assert len(displaced_structures(crystal, (2, 2, 2))[1]) == 2
    assert len(displaced_structures(crystal, (2, 2, 2), symmetry=False)[1]) == 13
    without, with_symmetry = (phonons(crystal, calculator, (2, 2, 2), symmetry=one) for one in (False, True))
    np.testing.assert_allclose(without.frequencies([X]), with_symmetry.frequencies([X]), rtol=1e-4)


def test_limits_of_memory_are_told(silicon):
    with pytest.raises(ValueError, match="expected `mesh` to be at most 300, got 1e"):
        silicon.density_of_states(1e4)
    with pytest.raises(ValueError, match="expected `supercell` to have one atom to 200000, got 2e"):
        displaced_structures(ase.build.bulk("Si"), (100, 100, 100))


def test_forces_without_displacement_change_nothing(silicon, calculator):
    phonon, structures = displaced_structures(ase.build.bulk("Si", a=SILICON_A), (4, 4, 4))
    found = Points(calculator).evaluate(structures)
    more = np.random.default_rng(1).normal(size=(len(found[0]), 3), scale=0.05)
    for atoms in found:
        atoms.calc.results["forces"] = atoms.calc.results["forces"] + more
    np.testing.assert_allclose(fit_phonons(phonon, found).frequencies([X]), silicon.frequencies([X]), rtol=1e-6)


def test_supercells_are_as_wide_as_asked():
    crystal = ase.build.bulk("Si", a=5.4)
    repeats = repeats_for_length(crystal, 10.0)
    heights = 1 / np.linalg.norm(crystal.repeat(repeats).cell.reciprocal().array, axis=1)
    assert (heights >= 10).all()
    assert (heights * (np.array(repeats) - 1) / repeats < 10).all()
    assert repeats_for_length(ase.build.bulk("Si", a=5.0, cubic=True), 15.0) == (3, 3, 3)


def test_phonons_command_writes_what_phonopy_reads(files):
    data = json.loads((files / "stdout").read_text("utf-8"))
    assert json.loads((files / "out.json").read_text("utf-8")) == data
    assert data["n_displacements"] == 1
    assert data["imaginary"]["part_of_modes"] == 0
    other = phonopy.load(files / "out.phonopy.yaml", log_level=0)
    other.run_qpoints([X])
    with open(files / "out.band.yaml", encoding="utf-8") as file:
        bands = yaml.safe_load(file)
    at_x = [point["band"] for point in bands["phonon"] if np.allclose(point["q-position"], X)][0]
    np.testing.assert_allclose([one["frequency"] for one in at_x], other.qpoints.frequencies[0], atol=1e-4)
    assert bands["nqpoint"] == sum(len(one["points"]) for one in data["bands"])
    displaced = ase.io.read(files / "out.extxyz", ":")
    assert np.abs(displaced[1].positions - displaced[0].positions).max() == pytest.approx(0.01, abs=0.005)
    assert np.abs(displaced[0].get_forces()).max() < 1e-6
    assert (files / "out.png").read_bytes().startswith(b"\x89PNG")


def test_imaginary_modes_are_told(tmp_path):
    """A simple cubic crystal of pairs shears away."""
    lennard_jones(cutoff=6.0, shift="smooth").save(str(tmp_path / "argon.pt"))
    ase.io.write(tmp_path / "sc.xyz", ase.build.bulk("Ar", "sc", a=3.72))
    arguments = ["phonons", tmp_path / "argon.pt", tmp_path / "sc.xyz", "-o", tmp_path / "out", "--picture", "none"]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = succeed(*arguments, "--supercell", 3, 3, 3, "--path", "GXM")
    assert re.search(r"warning: expected real frequencies, got imaginary ones down to [\d.]+i THz, \d", result.stderr)
    imaginary = json.loads((tmp_path / "out.json").read_text("utf-8"))["imaginary"]
    assert imaginary["lowest_THz"] < -0.1
    assert 0.05 < imaginary["part_of_modes"] < 0.95


def test_forces_of_the_structure_are_a_warning(files, tmp_path):
    atoms = ase.build.bulk("Si", a=SILICON_A)
    atoms.rattle(0.02, seed=1)
    ase.io.write(tmp_path / "rattled.xyz", atoms)
    arguments = ["phonons", files / "silicon.pt", tmp_path / "rattled.xyz", "-o", tmp_path / "out", "--picture", "none"]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = succeed(*arguments, "--supercell", 2, 2, 2)
    assert "warning: expected a structure at its minimum, got a force of" in result.stderr


def test_phonons_refuses(files, tmp_path, monkeypatch):
    ase.io.write(tmp_path / "molecule.xyz", ase.Atoms("Si2", [[0, 0, 0], [0, 0, 2.3]]))
    command, out = ["phonons", files / "silicon.pt"], ["-o", tmp_path / "new"]
    assert "periodic in three directions for phonons" in fail(*command, tmp_path / "molecule.xyz", *out)
    assert "'0' is not a valid" not in fail(*command, files / "silicon.xyz", *out, "--supercell", 0, 1, 1, status=2)
    assert "such as '0.01 A', got '0 A'" in fail(
        *command, files / "silicon.xyz", *out, "--displacement", "0 A", status=2
    )
    error = fail(*command, files / "silicon.xyz", *out, "--supercell", 1, 1, 1, "--path", "GQ", "--picture", "none")
    assert "expected special points of this lattice in `path`" in error
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "phonopy" else find(name))
    error = fail(*command, files / "silicon.xyz", *out)
    assert error == ('metatomic: error: expected phonopy for phonons, got none; pip install "metatomic-ase[phonons]"')


def test_atoms_of_supercells_have_what_models_request():
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.6)
    atoms.set_initial_charges([0.8, -0.8])
    atoms.info["origin"] = "here"
    for one in displaced_structures(atoms, (2, 2, 2))[1]:
        np.testing.assert_array_equal(one.get_initial_charges(), np.where(one.numbers == 11, 0.8, -0.8))
        assert one.info == {"origin": "here"}


def test_charged_structures_are_refused_in_supercells():
    atoms = ase.build.bulk("Si")
    atoms.info["charge"] = 1
    with pytest.raises(
        ValueError, match="expected a structure without charge and spin for phonons in a supercell, got 1"
    ):
        displaced_structures(atoms, (2, 2, 2))
    supercell, *_ = displaced_structures(atoms, (1, 1, 1))[1]
    assert supercell.info["charge"] == 1
