"""Files, copies and other processes: what is written is read again, whether the model is a file or in memory."""

import copy
import json
import pickle
import subprocess
import sys

import ase
import ase.db
import ase.io
import numpy as np
import pytest
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.checkpoint import CheckpointCalculator
from ase.calculators.loggingcalc import LoggingCalculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.jsonio import decode, encode
from ase.io.trajectory import Trajectory
from ase.optimize import BFGS
from ase_idioms import Counted, argon_model, cluster, crystal

from metatomic_ase import MetatomicCalculator

PROPERTIES = ("energy", "free_energy", "energies", "forces", "stress", "stresses")
# properties that each format keeps
FORMATS = {
    "traj": PROPERTIES,
    "json": ("energy", "free_energy", "forces", "stress"),
    "db": ("energy", "free_energy", "forces", "stress"),
    "extxyz": PROPERTIES,
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "argon.pt"
    argon_model().save(str(path))
    return path


@pytest.fixture(params=["file", "memory"], scope="module")
def loaded(request, path):
    return MetatomicCalculator(path if request.param == "file" else argon_model())


@pytest.fixture
def calculator(loaded):
    loaded.reset()
    return loaded


def evaluated(calculator, atoms=None):
    atoms = crystal() if atoms is None else atoms
    atoms.calc = calculator
    for name in PROPERTIES:
        if name[:6] != "stress" or atoms.pbc.any():
            calculator.get_property(name, atoms)
    return atoms


@pytest.mark.parametrize("kind", FORMATS)
def test_results_are_read_again(calculator, kind, tmp_path):
    atoms = evaluated(calculator)
    ase.io.write(tmp_path / f"atoms.{kind}", atoms)
    again = ase.io.read(tmp_path / f"atoms.{kind}")
    # eight digits after the point in extended XYZ
    tolerance = 1e-8 if kind == "extxyz" else 0
    for name in FORMATS[kind]:
        np.testing.assert_allclose(
            again.calc.results[name], calculator.get_property(name, atoms), rtol=0, atol=tolerance, err_msg=name
        )


def test_databases_keep_results_and_arguments(calculator, tmp_path):
    atoms = evaluated(calculator)
    with ase.db.connect(tmp_path / "atoms.db") as database:
        number = database.write(atoms, sample="argon")
    row = ase.db.connect(tmp_path / "atoms.db").get(number)
    assert row.calculator == "metatomic"
    assert row.calculator_parameters == calculator.todict()
    assert (row.energy, row.sample) == (atoms.get_potential_energy(), "argon")
    np.testing.assert_array_equal(row.forces, atoms.get_forces())
    np.testing.assert_array_equal(row.stress, atoms.get_stress())
    assert row.fmax == pytest.approx(np.linalg.norm(atoms.get_forces(), axis=1).max())
    molecule = evaluated(calculator, cluster())
    with ase.db.connect(tmp_path / "atoms.db") as database:
        number = database.write(molecule)
    assert "stress" not in ase.db.connect(tmp_path / "atoms.db").get(number).toatoms().calc.results


def test_trajectories_keep_each_step(calculator, tmp_path):
    atoms = crystal()
    atoms.calc = calculator
    with BFGS(atoms, trajectory=str(tmp_path / "run.traj"), logfile=None) as run:
        run.run(fmax=1e-9, steps=3)
    with Trajectory(tmp_path / "run.traj") as trajectory:
        assert len(trajectory) == 4
        last = trajectory[-1]
        assert last.calc.name == "metatomic"
        assert last.get_potential_energy() == atoms.get_potential_energy()
        np.testing.assert_array_equal(last.get_forces(), atoms.get_forces())
        np.testing.assert_array_equal(last.get_stress(), atoms.get_stress())
        energies = [one.get_potential_energy() for one in trajectory]
    assert energies == sorted(energies, reverse=True)


def test_writing_evaluates_nothing(tmp_path):
    counted = Counted(argon_model())
    atoms = evaluated(MetatomicCalculator(counted.model))
    with counted.calls(0):
        for kind in FORMATS:
            ase.io.write(tmp_path / f"atoms.{kind}", atoms)


def test_encoded_calculators_are_made_again(path):
    calculator = MetatomicCalculator(path, neighbor_skin=0.5)
    arguments = json.loads(encode(calculator))
    assert arguments["neighbor_skin"] == 0.5
    again = MetatomicCalculator.fromdict(decode(encode(calculator)))
    assert again.todict() == calculator.todict()


def test_single_points_hold_all_results(calculator):
    atoms = evaluated(calculator)
    alone = atoms.copy()
    alone.calc = SinglePointCalculator(alone, **calculator.results)
    for name in PROPERTIES:
        np.testing.assert_array_equal(alone.calc.get_property(name), calculator.get_property(name, atoms))
    exported = calculator.export_properties()
    assert set(exported) == {*PROPERTIES, "natoms"}
    assert exported["natoms"] == 4
    kept = exported["forces"].copy()
    atoms.rattle(0.1, seed=2)
    atoms.get_forces()
    np.testing.assert_array_equal(exported["forces"], kept)


def test_properties_are_given_together(calculator):
    atoms = crystal()
    atoms.calc = calculator
    found = atoms.get_properties(["energy", "forces", "stresses"])
    np.testing.assert_array_equal(found["stresses"], atoms.get_stresses())
    with pytest.raises(PropertyNotImplementedError, match="expected a property that this model has"):
        atoms.get_properties(["dipole"])


def test_copies_of_atoms_have_no_calculator_and_the_atoms_keep_theirs(calculator):
    atoms = evaluated(calculator)
    assert atoms.copy().calc is None
    assert atoms[[0, 1]].calc is None
    assert atoms.repeat(2).calc is None
    supercell = atoms.repeat((2, 1, 1))
    supercell.calc = calculator
    assert supercell.get_potential_energy() == pytest.approx(2 * calculator.get_property("energy", atoms), rel=1e-12)
    given = calculator.get_atoms()
    assert given.calc is calculator
    assert given == atoms


@pytest.mark.parametrize("duplicate", [copy.deepcopy, copy.copy, lambda one: pickle.loads(pickle.dumps(one))])
def test_duplicates_give_the_same_and_share_no_results(calculator, duplicate):
    atoms = evaluated(calculator)
    kept = {name: np.array(calculator.get_property(name, atoms)) for name in PROPERTIES}
    other = duplicate(calculator)
    assert other.todict() == calculator.todict()
    moved = atoms.copy()
    moved.rattle(0.1, seed=3)
    assert other.get_property("energy", moved) != kept["energy"]
    for name, expected in kept.items():
        np.testing.assert_array_equal(calculator.results[name], expected)
    for name, expected in kept.items():
        np.testing.assert_allclose(other.get_property(name, atoms), expected, rtol=0, atol=1e-14)


def test_atoms_are_copied_and_pickled_with_their_calculator(calculator):
    atoms = evaluated(calculator)
    for other in (copy.deepcopy(atoms), pickle.loads(pickle.dumps(atoms))):
        assert other.calc is not calculator
        assert other.get_potential_energy() == atoms.get_potential_energy()
        other.rattle(0.1, seed=3)
        assert other.get_potential_energy() != atoms.get_potential_energy()


ELSEWHERE = """
import pickle, sys
calculators, crystals = pickle.load(open(sys.argv[1], "rb"))
print(*(one.get_property("energy", atoms).hex() for one, atoms in zip(calculators, crystals)))
"""


def test_other_processes_give_the_same(path, tmp_path):
    """Processes that are not forked import everything anew, and get calculators as pickles."""
    crystals = [crystal(), crystal(2)]
    calculators = [MetatomicCalculator(path), MetatomicCalculator(argon_model())]
    expected = [one.get_property("energy", atoms) for one, atoms in zip(calculators, crystals, strict=True)]
    (tmp_path / "given.pickle").write_bytes(pickle.dumps((calculators, crystals)))
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "given.pickle")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert [float.fromhex(text) for text in done.stdout.split()] == pytest.approx(expected, abs=1e-13)


def test_checkpoints_and_logs_of_ase_work(calculator, tmp_path):
    atoms = crystal()
    expected = calculator.get_property("energy", atoms)
    atoms.calc = CheckpointCalculator(calculator, str(tmp_path / "checkpoints.db"))
    assert atoms.get_potential_energy() == expected
    atoms.calc = LoggingCalculator(calculator)
    assert atoms.get_potential_energy() == expected
    np.testing.assert_array_equal(atoms.get_forces(), calculator.get_property("forces", atoms))
