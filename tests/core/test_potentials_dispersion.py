"""D3 against ``dftd3``, the program of those who published it, in its units: energies, forces and virials."""

import sys

import numpy as np
import pytest
from command_line import fail, succeed
from dftd3.interface import DispersionModel, RationalDampingParam
from potential_cases import ALL, NONE, assert_close, numerical_forces, numerical_virial, structures

from metatomic_core import load_atomistic_model
from metatomic_core.engine import Engine, Structure
from metatomic_core.potentials import d3_dispersion

RESULTS = ["energy", "atomic_energies", "forces", "virial"]
# of the radii of elements, both packages have their own value of a bohr, hence 1e-8 and not less
# in bohr: nothing is cut off, or most of it
LONG, SHORT = (150.0, 150.0), (17.0, 11.0)
SPECIES = ["Cl", "Na", "H", "C", "O"]


def crystal():
    rng = np.random.default_rng(4)
    cell = np.array([[7.9, 0.0, 0.0], [2.1, 8.4, 0.0], [-1.2, 1.6, 9.1]])
    # outside of the cell, too
    return Structure(np.array([17, 11, 17, 11]), rng.uniform(-8.0, 16.0, (4, 3)), cell, ALL)


def molecules():
    """Give two rings of carbon with hydrogen above each other, and water beside them."""
    angles = np.arange(6) * np.pi / 3
    ring = np.stack([np.cos(angles), np.sin(angles), np.zeros(6)], axis=1)
    benzene = np.concatenate([2.63 * ring, 4.67 * ring])
    water = np.array([[9.0, 1.0, 3.0], [10.4, 1.9, 3.4], [8.6, 0.2, 4.7]])
    positions = np.concatenate([benzene, benzene + [1.1, 0.4, 6.6], water])
    return Structure(np.array([*([6] * 6 + [1] * 6) * 2, 8, 1, 1]), positions, np.zeros((3, 3)), NONE)


CASES = {
    "molecules": (molecules(), LONG),
    "cut off": (molecules(), SHORT),
    "crystal": (crystal(), SHORT),
    "atom": (Structure(np.array([8]), np.zeros((1, 3)), np.zeros((3, 3)), NONE), LONG),
    "lattice of atoms": (Structure(np.array([17]), np.ones((1, 3)), np.diag([7.1, 7.5, 8.2]), ALL), SHORT),
}


CASES_IN_ANGSTROM = structures([17, 11], 3.0).values()


def in_atomic_units(model, **options):
    return Engine(model, length_unit="bohr", energy_unit="Hartree", **options)


def by_dftd3(structure, cutoffs, **parameters):
    lattice, periodic = (structure.cell, structure.pbc) if structure.pbc.any() else (None, None)
    model = DispersionModel(structure.types, structure.positions, lattice, periodic)
    model.set_realspace_cutoff(cutoffs[0], cutoffs[0], cutoffs[1])
    # without the term of three atoms
    three = {"atm": False} if "method" in parameters else {"s9": 0.0}
    found = model.get_dispersion(RationalDampingParam(**three, **parameters), grad=True)
    return float(found["energy"]), -found["gradient"], -found["virial"]


def sharp(functional, cutoffs, **options):
    return d3_dispersion(SPECIES, functional, *cutoffs, width=0.0, length_unit="bohr", energy_unit="Hartree", **options)


@pytest.mark.parametrize("functional", ["pbe", "b3lyp", "r2scan"])
@pytest.mark.parametrize("case", CASES)
def test_results_are_those_of_dftd3(case, functional):
    structure, cutoffs = CASES[case]
    found = in_atomic_units(sharp(functional, cutoffs)).evaluate([structure], RESULTS)
    energy, forces, virial = by_dftd3(structure, cutoffs, method=functional)
    assert abs(energy) > 1e-4 or case == "atom"
    assert found.energy[0] == pytest.approx(energy, rel=1e-8)
    assert found.atomic_energies.sum() == pytest.approx(energy, rel=1e-8)
    np.testing.assert_allclose(found.forces, forces, rtol=0, atol=1e-8 * np.abs(forces).max())
    if structure.pbc.all():
        np.testing.assert_allclose(found.virial[0], virial, rtol=0, atol=1e-8 * np.abs(virial).max())


def test_parameters_may_be_given():
    structure, cutoffs = CASES["crystal"]
    parameters = {"s6": 0.9, "s8": 1.7, "a1": 0.4, "a2": 5.1}
    found = in_atomic_units(sharp(parameters, cutoffs)).evaluate([structure], ["energy", "forces"])
    energy, forces, _ = by_dftd3(structure, cutoffs, **parameters)
    assert found.energy[0] == pytest.approx(energy, rel=1e-8)
    np.testing.assert_allclose(found.forces, forces, rtol=0, atol=1e-8 * np.abs(forces).max())


def test_other_units_and_precision_are_the_same():
    structure, cutoffs = CASES["crystal"]
    energy, forces, _ = by_dftd3(structure, cutoffs, method="pbe")
    nm = 0.0529177210903
    model = d3_dispersion(
        SPECIES,
        "pbe",
        *(nm * each for each in cutoffs),
        width=0,
        length_unit="nm",
        energy_unit="kJ/mol",
        dtype="float32",
    )
    found = in_atomic_units(model).evaluate([structure], ["energy", "forces"])
    assert found.energy[0] == pytest.approx(energy, rel=1e-5)
    np.testing.assert_allclose(found.forces, forces, rtol=0, atol=1e-5 * np.abs(forces).max())


def test_smooth_cutoffs_are_differentiable():
    # several atoms are between onset and cutoff of both lists
    model = d3_dispersion(["Cl", "Na"], "pbe", 5.0, 4.0, width=2.0)
    engine = Engine(model, length_unit="angstrom", energy_unit="eV", check_consistency=True)
    for structure in CASES_IN_ANGSTROM:
        found = engine.evaluate([structure], RESULTS)
        assert_close(found.forces, numerical_forces(engine, structure), 1e-7, floor=0.01)
        assert_close(found.virial[0], numerical_virial(engine, structure), 1e-7, floor=0.01)


def test_energy_does_not_jump_at_the_cutoffs():
    model = d3_dispersion("Cl", "pbe", 5.0, 4.0)
    engine = Engine(model, length_unit="angstrom", energy_unit="eV")

    def energies(distances):
        pair = [
            Structure(np.array([17, 17]), np.array([[0.0, 0, 0], [0, 0, r]]), np.zeros((3, 3)), NONE) for r in distances
        ]
        return engine.evaluate(pair, ["energy"]).energy

    for cutoff in (4.0, 5.0):
        near, far = energies([cutoff - 1e-6, cutoff + 1e-6])
        assert abs(near - far) < 1e-7
    assert energies([5.0 + 1e-9])[0] == 0.0
    assert energies([4.5])[0] < -1e-4


def test_saved_file_needs_no_tables(tmp_path, monkeypatch):
    path = tmp_path / "d3.pt"
    succeed("export", "d3", "-o", path, "--functional", "PBE", "--species", "Cl Na O", "--cutoff", "9")
    for name in list(sys.modules):
        if name.partition(".")[0] in ("tad_dftd3", "tad_mctc"):
            monkeypatch.setitem(sys.modules, name, None)
    model = load_atomistic_model(path)
    assert model.capabilities().interaction_range == pytest.approx(9 + 20 * 0.529177210903)
    assert "https://doi.org/10.1002/jcc.21759" in " ".join(model.metadata().references["architecture"])
    assert (
        Engine(model, length_unit="angstrom", energy_unit="eV").evaluate(list(CASES_IN_ANGSTROM), ["energy"]).energy[0]
    )


def test_exported_program_gives_the_same(tmp_path):
    model = d3_dispersion(["Cl", "Na"], "pbe", 5.0, 4.0)
    model.save(str(tmp_path / "d3.pt"), exported=True)
    first, second = (
        Engine(tmp_path / "d3.pt", length_unit="angstrom", energy_unit="eV", kernel=kernel).evaluate(
            list(CASES_IN_ANGSTROM), ["energy", "forces", "virial"]
        )
        for kernel in ("script", "eager")
    )
    assert np.abs(first.forces).max() > 0.01
    for name in ("energy", "forces", "virial"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((["C"], "pbee"), ValueError, "got 'pbee'; did you mean 'pbe'"),
        ((["C"], "slaterdirac"), ValueError, "expected `functional` with parameters of Becke-Johnson damping"),
        ((["C"], 3), TypeError, "expected `functional` to be the name of a functional"),
        ((["C"], {"s6": 1.0}), ValueError, "expected `functional` to have s6, s8, a1, a2, got s6"),
        ((["Am"], "pbe"), ValueError, "expected `species` up to Pu, which D3 knows, got Am"),
        ((["C"], "pbe", -1.0), ValueError, "expected `cutoff` to be a finite number above 0, got -1"),
        ((["C"], "pbe", 5.0, 0.5), ValueError, "expected `width` below both cutoffs, 5 and 0.5, got 1.05835"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        d3_dispersion(*arguments)


def test_missing_tables_are_told(monkeypatch, tmp_path):
    for name in ("tad_dftd3", "tad_dftd3.data", "tad_dftd3.param", "tad_dftd3.reference"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="run `pip install tad-dftd3`"):
        d3_dispersion("C", "pbe")
    parameters = {"s6": 1.0, "s8": 0.8, "a1": 0.4, "a2": 4.4}
    with pytest.raises(ImportError, match="run `pip install tad-dftd3`"):
        d3_dispersion("C", parameters)


def test_command_says_what_is_wrong(tmp_path):
    message = fail("export", "d3", "-o", tmp_path / "d3.pt", "--functional", "pbesoll", "--species", "C")
    assert "did you mean 'pbesol'" in message
    assert not (tmp_path / "d3.pt").exists()
