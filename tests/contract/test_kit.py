"""The contract suite itself: declarations are checked, nothing is skipped, and oracles are right."""

import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list
from click.testing import CliRunner

from metatomic_core.testing import Subject, problems_of, run_contract, standard_tests
from metatomic_core.testing.__main__ import main
from metatomic_core.testing.bench import Bench
from metatomic_core.testing.oracles import FORMULAS, Oracle, images
from metatomic_core.testing.pytest import ContractTests
from metatomic_core.testing.structures import STRUCTURES, trajectory, with_inputs
from metatomic_core.testing.subjects import EngineSubject, kernels

OUTSIDE = """
from metatomic_core.testing.pytest import ContractTests
from metatomic_core.testing.subjects import EngineSubject


class Wrong(EngineSubject):
    lacks = {"kernels": "there is one way to run"}
    left_out = {"forces": "it has its own", "forcess": "a name that does not exist"}

    def evaluate(self, request):
        raise OSError("no engine here")


class TestOutside(ContractTests):
    subject = Wrong("script")
"""


class Declared(Subject):
    name = "declared"

    def evaluate(self, request):
        return []


def test_declarations_have_reasons_and_names_that_exist():
    subject = Declared()
    subject.lacks = {"force": "it has no forces", "virial": ""}
    subject.left_out = {"energy_of_structure": "not yet"}
    wrong = problems_of(subject)
    assert len(wrong) == 3
    assert "got 'force'; did you mean 'forces'?" in wrong[0]
    assert "expected a reason for 'virial'" in wrong[1]
    assert "did you mean 'energy_of_structures'?" in wrong[2]
    with pytest.raises(ValueError, match="did you mean 'forces'"):
        run_contract(subject)


def test_tests_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match=r"expected names of standard tests in `tests`, got .'energies'"):
        run_contract(Declared(), ["energies"])


def test_answers_that_are_missing_fail():
    (outcome,) = run_contract(Declared(), ["energy_of_structures"])
    assert outcome.status == "failed"
    assert "expected an answer for each of 3 structures, got 0" in outcome.reason


def test_outcomes_that_do_not_apply_say_why():
    subject = Declared()
    subject.lacks = {"triclinic": "cells are boxes"}
    (outcome,) = run_contract(subject, ["oblique_cells"])
    assert (outcome.status, outcome.reason) == ("not applicable", "cells are boxes")
    with Bench(subject) as bench, pytest.raises(AssertionError, match="expected a structure that declared can do"):
        bench.structures("triclinic")


def test_tests_that_have_nothing_to_ask_say_what_to_declare():
    subject = Declared()
    subject.lacks = {"triclinic": "cells are boxes"}
    (outcome,) = run_contract(subject, ["atoms_outside_the_cell"])
    assert outcome.reason == (
        "expected a structure that declared can do among outside, got none, as it lacks triclinic; name the test in "
        "`left_out` of the subject, with the reason"
    )
    assert not outcome.meaning
    with Bench(subject) as bench, pytest.raises(pytest.fail.Exception) as failure:
        ContractTests().test_contract(bench, standard_tests()["atoms_outside_the_cell"])
    assert failure.value.msg == f"{outcome.reason}; its name is 'atoms_outside_the_cell'"
    # pytest would print an error that was being handled once more
    assert failure.value.__context__ is None


@pytest.mark.parametrize("name", ["test_contract", "test_declarations", "pytest_generate_tests", "bench"])
def test_standard_tests_can_not_be_replaced(name):
    with pytest.raises(TypeError, match=f"got its own {name}; name standard tests with the reason"):
        type("TestMine", (ContractTests,), {"subject": Declared(), name: None})


def test_items_of_an_outside_package(tmp_path):
    file = tmp_path / "test_outside.py"
    file.write_text(OUTSIDE)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(file)]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    without = [test for test in standard_tests().values() if test.name != "forces" and "kernels" not in test.needs]
    # errors whose message names what could not be done are not there either: nothing passes, and nothing is skipped
    failed = found.stdout.count("\nFAILED")
    assert f"{failed} failed" in found.stdout
    assert failed == len(without) + 1, found.stdout[-2000:]
    assert "skipped" not in found.stdout
    assert "did you mean 'forces'?" in found.stdout


def test_each_standard_test_says_what_a_failure_means():
    for test in standard_tests().values():
        assert len(test.meaning.split()) >= 8, test.name


@pytest.mark.parametrize("name", STRUCTURES)
def test_images_are_those_of_ase(name):
    structure = STRUCTURES[name].structure
    atoms = Atoms(structure.types, structure.positions, cell=structure.cell, pbc=structure.pbc)
    expected = {(i, j, *map(int, shift)) for i, j, shift in zip(*neighbor_list("ijS", atoms, 4.3), strict=True)}
    first, second, shifts = images(structure, 4.3)
    found = {(i, j, *map(int, shift)) for i, j, shift in zip(first, second, shifts, strict=True)}
    assert found == expected
    assert len(found) == len(first)


@pytest.mark.parametrize("formula", FORMULAS)
def test_derivatives_of_oracles_are_those_of_finite_differences(formula):
    structure = with_inputs({"box": STRUCTURES["triclinic"].structure}, 1, 0.2)["box"]
    structure.inputs["spin_multiplicity"] = np.array([2.0])
    oracle, step = Oracle(formula, structure), 1e-5
    atom, strain = np.zeros_like(structure.positions), np.zeros((3, 3))
    atom[3, 1] = strain[0, 2] = step
    energies, strained = (
        [FORMULAS[formula](geometry).sum() for geometry in geometries]
        for geometries in (
            [oracle.geometry(structure.positions + sign * atom) for sign in (-1, 1)],
            [oracle.geometry(strain=sign * strain) for sign in (-1, 1)],
        )
    )
    assert oracle.forces()[3, 1] == pytest.approx((energies[0] - energies[1]) / (2 * step), abs=1e-8)
    assert oracle.virial()[0, 2] == pytest.approx((strained[0] - strained[1]) / (2 * step), abs=1e-8)
    if formula != "field":
        np.testing.assert_allclose(oracle.atomic_virials().sum(0), oracle.virial(), rtol=0, atol=1e-10)


def test_trajectories_leave_every_list_behind():
    frames = list(trajectory(9).values())
    first, last = images(frames[0], 4.3), images(frames[4], 4.3)
    assert len(first[0]) != len(last[0])
    moves = np.linalg.norm(frames[4].positions - frames[0].positions, axis=1)
    assert moves.max() > 4.0
    assert moves.min() < 0.1
    sheared = trajectory(6, "sheared")
    assert not np.allclose(sheared["frame 3"].cell, np.diag(np.diag(sheared["frame 3"].cell)))


def test_command_shows_a_table():
    found = CliRunner().invoke(main, [f"{kernels.__name__}:script", "energy_of_structures", "unknown_kernel"])
    assert found.exit_code == 0
    assert [line.split() for line in found.stdout.splitlines()] == [
        ["test", "suite", "outcome", "why"],
        ["energy_of_structures", "energy", "passed"],
        ["unknown_kernel", "kernel", "passed"],
    ]


def test_command_says_what_a_failure_means(monkeypatch):
    monkeypatch.setattr(EngineSubject, "evaluate", lambda self, request: [])
    found = CliRunner().invoke(main, [f"{kernels.__name__}:script", "energy_of_structures"])
    assert found.exit_code == 1
    assert "failed" in found.stdout
    assert standard_tests()["energy_of_structures"].meaning in found.stdout


def test_command_names_subjects_that_do_not_exist():
    found = CliRunner().invoke(main, ["nothing"])
    assert found.exit_code == 1
    assert "expected a subject that is installed or 'module:name', got 'nothing'" in found.stderr
