"""All checks of what a potential promises pass right models, and each says so of what is broken in its way."""

import numpy as np
import pytest
from models import Direct, TwoLists, WithInputs, wrap
from physics_cases import CUTOFF, ask, bench_of, grades, saved, twin

from metatomic_check.bench import Bench
from metatomic_check.table import all_checks
from metatomic_core import ModelOutput
from metatomic_core.engine import Structure
from metatomic_core.potentials import embedded_atom, lennard_jones, stillinger_weber

BY_GROUP = {
    group: [name for name, check in all_checks().items() if check.group == group] for group in ("contract", "physics")
}
# "threads" needs a file
PROMISES = [name for name in BY_GROUP["contract"] if name != "threads"]
RIGHT = {
    "two species": twin,
    "two species, float32": lambda: twin(dtype="float32"),
    "argon": lambda: lennard_jones(shift="smooth"),
    "argon, float32": lambda: lennard_jones(shift="smooth", dtype="float32"),
    "silicon": stillinger_weber,
    "silicon, float32": lambda: stillinger_weber(dtype="float32"),
}
# flaw, the check, and the parts of it that must fail; others may, too
BROKEN = [
    ("sign", "forces", ""),
    ("factor", "forces", ""),
    ("sign", "strain", ""),
    ("factor", "strain", ""),
    ("order", "permutation", "energy"),
    ("order", "permutation", "forces"),
    ("place", "translation", "energy"),
    ("direction", "rotation", "energy"),
    ("handed", "inversion", "forces"),
    ("no own images", "periodicity", "energy"),
    ("box", "free boundaries", "energy"),
    ("jump", "continuity", "energy"),
    ("oxygen", "species", "stated"),
]


def bad(bench, names):
    """Give what is neither right nor not applicable."""
    found = [finding for name in names for finding in all_checks()[name].run(bench)]
    return [(each.check, each.part, each.text) for each in found if each.grade.value in {"fail", "warn"}]


@pytest.mark.parametrize("name", RIGHT)
def test_promises_pass_right_models(name):
    assert bad(bench_of(RIGHT[name]()), PROMISES) == []


def test_promises_pass_argon_whose_force_ends_in_a_step_with_a_warning():
    # of 0.04 epsilon / sigma at 2.5 sigma, by the formula: 24 epsilon / sigma (2 / 2.5^13 - 1 / 2.5^7)
    bench = bench_of(lennard_jones())
    assert [each[:2] for each in bad(bench, PROMISES)] == [("continuity", "force")]
    step = ask(bench, "continuity")["force"].number
    assert step == pytest.approx(24 * 0.0103236 / 3.405 * (1 / 2.5**7 - 2 / 2.5**13), rel=1e-2)


def test_promises_pass_copper_whose_embedding_energy_is_a_root_with_a_warning():
    bench = bench_of(embedded_atom())
    assert [each[:2] for each in bad(bench, PROMISES)] == [("continuity", "force")]


@pytest.mark.parametrize(("flaw", "name", "part"), BROKEN)
def test_promises_fail_for_what_is_broken(flaw, name, part):
    finding = ask(bench_of(twin(flaw)), name)[part]
    assert finding.grade.value == "fail"
    assert finding.structures
    assert finding.number is None or finding.number > finding.limit


@pytest.mark.parametrize(("flaw", "said"), [("sign", "wrong sign"), ("factor", "times 2 they would be right")])
def test_forces_say_how_they_are_wrong(flaw, said):
    assert said in ask(bench_of(twin(flaw)), "forces")[""].text


def test_forces_of_a_noisy_energy_are_not_compared():
    found = ask(bench_of(twin("noise")), "forces")
    assert found["smoothness"].grade.value == "warn"


def test_forces_at_a_cutoff_give_no_alarm():
    # two atoms exactly at the cutoff of a potential with a step in its force there
    bench = bench_of(
        twin("kink"),
        {
            "pair": Structure(
                np.array([14, 14]), np.array([[0, 0, 0], [CUTOFF, 0, 0.0]]), np.zeros((3, 3)), np.zeros(3, bool)
            )
        },
    )
    assert grades(bench, "forces")[""] == "pass"


def test_direct_forces_are_by_design():
    outputs = {
        "energy": ModelOutput(unit="eV", sample_kind="atom"),
        "non_conservative_force": ModelOutput(unit="eV/angstrom", sample_kind="atom"),
    }
    bench = bench_of(wrap(Direct(), outputs))
    bench.engine._choices._direct = ("forces",)
    assert grades(bench, "forces")[""] == "by design"


def test_small_steps_in_the_energy_are_warnings():
    assert grades(bench_of(twin("small jump")), "continuity")["energy"] == "warn"


def test_continuity_finds_the_cutoff():
    # both shifted by 0.1 eV, half for each direction of the pair
    finding = ask(bench_of(twin("jump")), "continuity")["energy"]
    assert finding.number == pytest.approx(0.2, rel=1e-3)
    assert "5.0000 angstrom" in finding.text


def test_species_that_are_alike_are_a_warning():
    assert grades(bench_of(twin("alike")), "species") == {"stated": "pass", "not stated": "pass", "told apart": "warn"}


def test_species_that_are_not_stated_fail_if_they_are_taken(monkeypatch):
    bench = bench_of(twin())
    monkeypatch.setattr(Bench, "species", property(lambda self: [14]))
    # oxygen is known, and not stated
    monkeypatch.setattr("metatomic_check.checks.species._first_unknown", lambda known: 8)
    assert grades(bench, "species")["not stated"] == "fail"


def test_units_fail_for_another_factor(monkeypatch):
    from metatomic_check.checks import units

    bench = bench_of(lennard_jones())
    assert grades(bench, "units") == {"": "pass"}
    name = "kcal/mol, angstrom"
    energy_unit, factor, *length = units._OTHERS[name]
    monkeypatch.setitem(units._OTHERS, name, (energy_unit, 1.0001 * factor, *length))
    assert grades(bench, "units") == {"": "fail"}


@pytest.mark.filterwarnings("ignore:expected a unit of energy")
def test_units_do_not_apply_without_one():
    assert grades(bench_of(wrap(TwoLists(), energy_unit="")), "units") == {"": "not applicable"}


@pytest.mark.parametrize(("flaw", "grade"), [("", "pass"), ("noise", "fail")])
def test_threads_are_compared(flaw, grade):
    model = twin(flaw)
    bench = bench_of(model, file=saved(model, f"threads {flaw}"))
    assert grades(bench, "threads") == {"number": grade, "at once": grade}


def test_inputs_that_nobody_gives_are_a_reason():
    bench = bench_of(wrap(WithInputs()))
    # what metadata declare needs no inputs
    for name in {*BY_GROUP["contract"], *BY_GROUP["physics"]} - {"declarations"}:
        found = list(all_checks()[name].run(bench))
        assert [finding.grade.value for finding in found] == ["not applicable"]
        assert "charge" in found[0].text


def test_inputs_of_the_user_go_along_with_their_atoms():
    # energies of masses and charges: right in any order, and of the field, which depends on the place
    rng = np.random.default_rng(3)
    structure = Structure(
        np.array([8, 14, 6]),
        rng.uniform(0, 3, (3, 3)),
        np.array([[4.0, 0.3, 0.1], [0.2, 4.1, 0.0], [0.1, -0.2, 4.3]]),
        np.ones(3, bool),
        {
            "masses": np.array([16.0, 28.0, 12.0]),
            "charge": np.array([-1.0, 2.0, 0.5]),
            "spin_multiplicity": np.array(1.0),
            "tests::field": np.array([[0.0, 0.0, 0.0]]),
        },
    )
    bench = bench_of(wrap(WithInputs()), {"charged": structure})
    assert set(grades(bench, "permutation").values()) == {"pass"}
    # no box can be repeated with the inputs of a structure
    assert grades(bench, "periodicity") == {"": "not applicable"}
    # a field may turn along
    assert grades(bench, "rotation") == {"": "not applicable"}
