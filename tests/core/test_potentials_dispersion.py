"""Dispersion: energies, forces and virials are those of the program s-dftd3; cutoffs, units, and refused parameters."""

import sys

import numpy as np
import pytest
from command_line import fail, succeed
from dftd3.interface import DispersionModel, RationalDampingParam
from models import through_file
from potential_cases import (
    ALL,
    NAMES,
    NONE,
    assert_close,
    make_engine,
    numerical_forces,
    numerical_virial,
    structures,
)

from metatomic_core import load_atomistic_model
from metatomic_core.engine import Engine, Structure
from metatomic_core.potentials import d3_dispersion

# CODATA 2018
BOHR, HARTREE = 0.529177210903, 27.211386245988
CUTOFF, COORDINATION_CUTOFF = 20.0, 14.0


def water_cluster():
    """Give three molecules of water, in bohr, turned and moved by hand."""
    one = np.array([[0, 0, 0.22], [0, 1.43, -0.88], [0, -1.43, -0.88]])
    quarter = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    tilted = one @ np.array([[1, 0, 0], [0, 0.8, 0.6], [0, -0.6, 0.8]])
    positions = np.concatenate([one, one @ quarter + [5.1, 0.4, 0.7], tilted + [1.0, 4.9, -3.2]])
    return Structure(np.tile([8, 1, 1], 3), positions, np.zeros((3, 3)), NONE)


def benzene_dimer():
    """Give two parallel, displaced molecules, atoms of carbon and hydrogen in turn."""
    angles = np.repeat(np.arange(6) * np.pi / 3, 2)
    radii = np.tile([2.63, 4.68], 6)
    one = np.stack([radii * np.cos(angles), radii * np.sin(angles), 0 * angles], 1)
    return Structure(np.tile([6, 1], 12), np.concatenate([one, one + [3.2, 0.3, 6.6]]), np.zeros((3, 3)), NONE)


def graphite():
    a, c = 4.65, 12.68
    cell = np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]])
    fractions = np.array([[0, 0, 0], [1 / 3, 2 / 3, 0], [0, 0, 0.5], [2 / 3, 1 / 3, 0.52]])
    return Structure(np.full(4, 6), fractions @ cell, cell, ALL)


def rock_salt():
    """Give the primitive cell of two atoms, far smaller than the cutoffs, moved and sheared."""
    cell = 5.33 * np.array([[0, 1, 1], [1.05, 0, 1], [1, 1, 0.02]])
    return Structure(np.array([17, 11]), np.array([[0.1, 0.2, 0.3], [5.9, 5.5, 5.2]]), cell, ALL)


def mixed():
    rng = np.random.default_rng(3)
    cell = np.array([[7.0, 0.3, -0.4], [1.0, 8.0, 0.5], [-0.6, 1.2, 7.5]])
    grid = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(-1, 3) / 2
    types = np.array([8, 1, 14, 8, 92, 8, 26, 1])
    return Structure(types, (grid + rng.uniform(-0.05, 0.05, grid.shape)) @ cell + [0, 30, -9], cell, ALL)


STRUCTURES = {
    "water": water_cluster(),
    "benzene": benzene_dimer(),
    "graphite": graphite(),
    "rock salt": rock_salt(),
    "mixed": mixed(),
    "one atom": Structure(np.array([18]), np.array([[1.0, 2.0, 3.0]]), graphite().cell + 2 * np.eye(3), ALL),
    # more neighbors than any reference has: the one with most of them has all the weight
    "crowded": Structure(np.array([1]), np.zeros((1, 3)), 1.6 * np.eye(3), ALL),
}


def reference(structure, parameters, cutoff=CUTOFF, coordination_cutoff=COORDINATION_CUTOFF):
    """Give energy, forces and virial of s-dftd3 for pairs, in atomic units."""
    periodic = bool(structure.pbc.all())
    cell = structure.cell if periodic else None
    model = DispersionModel(structure.types, structure.positions, cell, structure.pbc if periodic else None)
    model.set_realspace_cutoff(cutoff, cutoff, coordination_cutoff)
    found = model.get_dispersion(parameters, grad=True)
    # its virial has the sign of the strain derivative
    return float(found["energy"]), -found["gradient"], -found["virial"]


def atomic_units(species, functional, cutoff=CUTOFF, coordination_cutoff=COORDINATION_CUTOFF, width=0.0, **options):
    units = {"length_unit": "bohr", "energy_unit": "Hartree"}
    model = d3_dispersion(species, functional, cutoff, coordination_cutoff, width=width, **units, **options)
    return Engine(model, **units, neighbor_skin=0.0)


def close_to(result, expected):
    energy, forces, virial = expected
    assert result.energy[0] == pytest.approx(energy, rel=1e-10)
    assert_close(result.forces, forces, 1e-9, floor=1e-4)
    assert_close(result.virial[0], virial, 1e-9)


@pytest.mark.parametrize("name", STRUCTURES)
def test_agrees_with_s_dftd3(name):
    structure = STRUCTURES[name]
    # in another order than that of the atoms
    species = sorted(set(structure.types.tolist()), reverse=True)
    engine = atomic_units(species, "pbe")
    result = engine.evaluate([structure], ["energy", "forces", "virial", "atomic_energies"])
    expected = reference(structure, RationalDampingParam(method="pbe", atm=False))
    assert expected[0] < -1e-4
    close_to(result, expected)
    assert result.atomic_energies.sum() == pytest.approx(expected[0], rel=1e-10)


# r2SCAN-D3 has an s6 of 1 and few references; B2PLYP has another s6; PBEh is another name of PBE0
@pytest.mark.parametrize("functional", ["B3LYP", "r2scan", "b2plyp", "PBEh", "HF-3c", "wB97X", "skala-1.0"])
def test_functionals_are_those_of_s_dftd3(functional):
    expected = reference(mixed(), RationalDampingParam(method=functional, atm=False))
    result = atomic_units([1, 8, 14, 26, 92], functional).evaluate([mixed()], ["energy", "forces", "virial"])
    close_to(result, expected)


def test_parameters_may_be_given():
    given = {"s6": 0.9, "s8": 0.4, "a1": 0.3, "a2": 4.7}
    expected = reference(rock_salt(), RationalDampingParam(**given, s9=0.0))
    close_to(atomic_units([11, 17], given).evaluate([rock_salt()], ["energy", "forces", "virial"]), expected)


def test_coordination_cutoff_may_be_that_of_pairs():
    expected = reference(rock_salt(), RationalDampingParam(method="pbe", atm=False), 12.0, 12.0)
    engine = atomic_units([11, 17], "pbe", 12.0, 12.0)
    assert len(engine.model.requested_neighbor_lists()) == 1
    close_to(engine.evaluate([rock_salt()], ["energy", "forces", "virial"]), expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-5)])
def test_file_in_other_units_and_precision(dtype, tolerance):
    structure, length, energy = mixed(), BOHR / 10, HARTREE * 96.48533212331
    cutoffs = (CUTOFF * length, COORDINATION_CUTOFF * length)
    made = d3_dispersion(
        ["O", "U", "Fe", "H", "Si"], "pbe", *cutoffs, width=0.0, length_unit="nm", energy_unit="kJ/mol", dtype=dtype
    )
    model = through_file(made)
    engine = Engine(model, length_unit="bohr", energy_unit="Hartree", neighbor_skin=0.0)
    result = engine.evaluate([structure], ["energy", "forces", "virial"])
    expected = reference(structure, RationalDampingParam(method="pbe", atm=False))
    for got, wanted in zip((result.energy[0], result.forces, result.virial[0]), expected, strict=True):
        assert_close(got, np.asarray(wanted), tolerance)
    in_own = Engine(model, length_unit="nm", energy_unit="kJ/mol", neighbor_skin=0.0)
    moved = Structure(structure.types, structure.positions * length, structure.cell * length, ALL)
    assert in_own.evaluate([moved], ["energy"]).energy[0] == pytest.approx(expected[0] * energy, rel=tolerance)


def pair_of(engine, distance, number=18):
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, distance]])
    return engine.evaluate(
        [Structure(np.array([number, number]), positions, np.zeros((3, 3)), NONE)], ["energy", "forces"]
    )


def test_energy_and_force_go_to_zero_at_the_cutoff():
    engine = make_engine(d3_dispersion("Ar", "pbe", 9.0, 7.0))
    far = pair_of(make_engine(d3_dispersion("Ar", "pbe", 20.0, 7.0)), 6.9).energy[0]
    # the step begins 2 angstrom before the cutoff
    assert pair_of(engine, 6.9).energy[0] == pytest.approx(far, rel=1e-12)
    before, at = pair_of(engine, 8.5), pair_of(engine, 9 - 1e-6)
    assert far < before.energy[0] < 0
    assert abs(at.energy[0]) < 1e-14
    assert np.abs(at.forces).max() < 1e-8
    assert pair_of(engine, 9.1).energy[0] == 0


@pytest.mark.parametrize("name", NAMES)
def test_forces_and_virial_agree_with_finite_differences(name):
    """Pairs are within the steps of both cutoffs, several images of each other, and in any periodicity."""
    case = structures([17, 11], 3.0)[name]
    engine = make_engine(d3_dispersion(["Cl", "Na"], "pbe", 5.0, 4.0, width=2.0), check_consistency=True)
    found = engine.evaluate([case], ["forces", "virial", "atomic_virials"])
    assert_close(found.forces, numerical_forces(engine, case), 1e-8, floor=0.01)
    assert_close(found.virial[0], numerical_virial(engine, case), 1e-8, floor=0.01)
    assert_close(found.atomic_virials.sum(0), found.virial[0], 1e-12, floor=0.01)


def test_default_cutoffs_keep_what_matters():
    """Graphite, of which docs/combine.rst says what is lost."""
    structure = graphite()
    far = reference(structure, RationalDampingParam(method="pbe", atm=False), 80.0, 40.0)
    in_angstrom = Structure(structure.types, structure.positions * BOHR, structure.cell * BOHR, ALL)
    result = make_engine(d3_dispersion("C", "pbe")).evaluate([in_angstrom], ["energy", "forces"])
    assert abs(result.energy[0] / HARTREE - far[0]) < 0.01 * abs(far[0])
    assert np.abs(result.forces * BOHR / HARTREE - far[1]).max() < 2e-5


def test_range_and_lists_are_said():
    model = d3_dispersion(["H", "O"], "pbe", 12.0, 8.0)
    assert [(each.cutoff, each.full_list) for each in model.requested_neighbor_lists()] == [(12.0, False), (8.0, False)]
    # the coordination of neighbors counts
    assert model.capabilities().interaction_range == 20.0
    assert model.capabilities().atomic_types == [1, 8]
    cited = model.metadata().references
    assert "10.1002/jcc.21759" in cited["model"][0]
    assert any("10.1063/1.3382344" in each for each in cited["architecture"])


@pytest.mark.parametrize(
    ("arguments", "options", "error", "expected"),
    [
        (("H", "pbee"), {}, ValueError, "such as pbe, pbesol, r2scan, b3lyp, got 'pbee'; did you mean 'pbe'"),
        (("H", "qqqqq"), {}, ValueError, "give its s6, s8, a1, a2 instead"),
        (("H", 3), {}, TypeError, "expected `functional` to be the name of a functional, or a mapping"),
        (("H", {"s6": 1.0}), {}, ValueError, "expected `functional` to have s6, s8, a1, a2, got s6"),
        (("H", {"s6": 1, "s8": float("nan"), "a1": 0, "a2": 1}), {}, ValueError, "`s8`"),
        (("h", "pbe"), {}, ValueError, "did you mean 'H'"),
        ((["H", "Og"], "pbe"), {}, ValueError, "expected `species` up to Lr, the last that D3 knows, got Og"),
        ((0, "pbe"), {}, ValueError, "expected `species` to be atomic numbers between 1 and"),
        (("H", "pbe", -1.0), {}, ValueError, "expected `cutoff` to be a finite number above 0, got -1"),
        (("H", "pbe", 5.0, 6.0), {}, ValueError, "expected `coordination_cutoff` not above the cutoff, 5, got 6"),
        (("H", "pbe", 5.0, 4.0), {"width": 4.0}, ValueError, "expected `width` below both cutoffs, 5 and 4, got 4"),
        (("H", "pbe", 5.0, 4.0), {"width": -1.0}, ValueError, "expected `width` to be a finite number not below 0"),
    ],
)
def test_refuses(arguments, options, error, expected):
    with pytest.raises(error) as caught:
        d3_dispersion(*arguments, **options)
    assert expected in str(caught.value)


@pytest.mark.parametrize("functional", ["pbe", {"s6": 1.0, "s8": 0.8, "a1": 0.4, "a2": 4.4}])
def test_missing_tables_say_what_to_install(functional, monkeypatch):
    for name in ("tad_dftd3", "tad_dftd3.data", "tad_dftd3.param", "tad_dftd3.reference"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"run `pip install 'metatomic-core\[dispersion\]'`"):
        d3_dispersion("H", functional)


def test_saved_file_needs_no_tables(tmp_path, monkeypatch):
    path = tmp_path / "d3.pt"
    succeed("export", "d3", "-o", path, "--functional", "PBE", "--species", "Cl Na", "--cutoff", "9")
    for name in list(sys.modules):
        if name.partition(".")[0] in ("tad_dftd3", "tad_mctc"):
            monkeypatch.setitem(sys.modules, name, None)
    model = load_atomistic_model(path)
    assert model.capabilities().interaction_range == 18.0
    assert pair_of(make_engine(model), 4.0, 17).energy[0] < 0


def test_exported_program_gives_the_same(tmp_path):
    path = tmp_path / "d3.pt"
    d3_dispersion(["Cl", "Na"], "pbe", 9.0, 7.0).save(str(path), exported=True)
    case = Structure(rock_salt().types, rock_salt().positions * BOHR, rock_salt().cell * BOHR, ALL)
    results = ["energy", "forces", "virial"]
    scripted, eager = (make_engine(path, kernel=kernel).evaluate([case], results) for kernel in ("script", "eager"))
    assert np.abs(scripted.forces).max() > 1e-3
    for name in results:
        assert_close(getattr(eager, name), getattr(scripted, name), 1e-12)


PARAMETERS = {"s6": 1.0, "s8": 0.7875, "a1": 0.4289, "a2": 4.4407}


def test_command_takes_parameters(tmp_path):
    path = tmp_path / "d3.pt"
    given = [text for name, value in PARAMETERS.items() for text in ("--parameter", f"{name}={value}")]
    succeed("export", "d3", "-o", path, "--species", "Cl", *given)
    energies = [pair_of(make_engine(model), 4.0, 17).energy[0] for model in (path, d3_dispersion("Cl", "pbe"))]
    assert energies[0] == energies[1] < 0


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (["--species", "C", "--functional", "pbesoll"], 1, "did you mean 'pbesol'"),
        (
            ["--functional", "pbe"],
            2,
            "expected --species for each element of the model that this is added to, got none",
        ),
        (["--species", "C"], 2, "expected one of --functional and --parameter, got none"),
        (["--species", "C", "--functional", "pbe", "--parameter", "s6=1"], 2, "--functional and --parameter, got both"),
        (
            ["--species", "C", "--functional", "pbe", "--cutoff", "-3"],
            1,
            "expected `cutoff` to be a finite number above 0",
        ),
    ],
)
def test_command_says_what_is_wrong(arguments, status, expected, tmp_path):
    assert expected in fail("export", "d3", "-o", tmp_path / "d3.pt", *arguments, status=status)
    assert list(tmp_path.iterdir()) == []


def test_command_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tad_dftd3.data", None)
    arguments = ["--species", "C", "--functional", "pbe"]
    assert "pip install 'metatomic-core[dispersion]'" in fail("export", "d3", "-o", tmp_path / "d3.pt", *arguments)
