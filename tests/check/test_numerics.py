"""Checks of numbers: they pass what is right, and each fails for the model that is broken in its way."""

import numpy as np
import pytest
from models import Direct, FieldAndVolume, NoLists, SquaredGradient, WithInputs, structures, wrap
from numerics_cases import bench_of, flawed, grades

from metatomic_check.default_structures import default_structures
from metatomic_check.finding import Grade
from metatomic_check.table import all_checks
from metatomic_core import ModelOutput
from metatomic_core.potentials import lennard_jones, stillinger_weber

NUMERICS = {name: check.run for name, check in all_checks().items() if check.group == "numerics"}
# which parts of which check must fail for which flaw; others may, too
CAUGHT = [
    ("turned", "stress", {"symmetry": "warn"}),
    ("detached", "stress", {"pressure": "fail"}),
    ("detached", "conservation", {"": "fail"}),
    ("jump", "smoothness at the cutoff", {"3 angstrom": "fail"}),
    ("jump", "conservation", {"": "fail"}),
    ("kink", "smoothness at the cutoff", {"3 angstrom": "warn"}),
    ("batch", "batching", {"": "fail"}),
    ("selected", "selected atoms", {"": "fail"}),
    ("order", "order of pairs", {"": "fail"}),
    ("beyond the cutoff", "order of pairs", {"": "fail"}),
    ("state", "repeated calls", {"": "fail"}),
    ("state", "saving", {"upgraded": "fail"}),
    ("state", "first and tenth call", {"": "fail"}),
    ("random", "repeated calls", {"": "fail"}),
    ("memory", "growth of memory", {"": "fail"}),
    ("float32", "noise", {"": "fail"}),
    ("offset", "precision", {"energy": "warn"}),
]


def worst(bench, leave_out=()):
    """Give what is neither right nor not applicable, of all checks of numbers."""
    found = [finding for name, run in NUMERICS.items() if name not in leave_out for finding in run(bench)]
    return [
        (finding.check, finding.part, finding.text) for finding in found if finding.grade in (Grade.FAIL, Grade.WARN)
    ]


def of_potential(model, name):
    return bench_of(model, name, structures=default_structures(model.capabilities().atomic_types))


def test_all_checks_pass_the_right_model():
    assert worst(flawed()) == []


def test_all_checks_pass_argon_in_single_precision():
    assert worst(of_potential(lennard_jones(shift="smooth", dtype="float32"), "argon32")) == []


def test_all_checks_pass_silicon():
    assert worst(of_potential(stillinger_weber(), "silicon")) == []


def test_all_checks_pass_models_that_differentiate_by_themselves():
    # saving it, copying it and calling it often is the same as for others, and takes long
    slow = ("saving", "first and tenth call", "growth of memory")
    assert worst(bench_of(wrap(SquaredGradient()), "squared"), leave_out=slow) == []


@pytest.mark.parametrize(("flaw", "check", "expected"), CAUGHT, ids=[f"{flaw}-{check}" for flaw, check, _ in CAUGHT])
def test_check_catches_broken_twin(flaw, check, expected):
    found = grades(NUMERICS[check], flawed(flaw))
    assert {part: found[part] for part in expected} == expected


def test_failure_names_and_keeps_the_worst_structure():
    [finding] = NUMERICS["batching"](flawed("batch"))
    [name] = finding.structures
    assert name in finding.text
    assert name in structures()


def test_energy_of_truncated_argon_jumps_and_its_force_does_if_shifted():
    name = "smoothness at the cutoff"
    cut = [finding.grade for finding in NUMERICS[name](of_potential(lennard_jones(shift="none"), "cut"))]
    [shifted] = NUMERICS[name](of_potential(lennard_jones(), "shifted"))
    assert cut == [Grade.FAIL]
    assert shifted.grade is Grade.WARN
    # derivative of 4 eps (s^-12 - s^-6) at 2.5 sigma
    epsilon, sigma = 119.8 * 8.617333262e-5, 3.405
    assert shifted.number == pytest.approx(4 * epsilon / sigma * abs(12 / 2.5**13 - 6 / 2.5**7), rel=1e-2)


def test_virials_of_atoms_do_not_apply_to_fields():
    bench = bench_of(wrap(FieldAndVolume()), "field")
    assert grades(NUMERICS["virials of atoms"], bench) == {"": "not applicable"}


def test_checks_take_models_without_lists():
    bench = bench_of(wrap(NoLists()), "no lists")
    assert grades(NUMERICS["smoothness at the cutoff"], bench) == {"": "not applicable"}
    assert grades(NUMERICS["order of pairs"], bench) == {"": "not applicable"}
    assert grades(NUMERICS["batching"], bench) == {"": "pass"}
    assert grades(NUMERICS["conservation"], bench) == {"": "pass"}


def test_checks_take_models_with_inputs():
    given = {}
    for name, structure in structures().items():
        n_atoms = len(structure.types)
        structure.inputs.update(
            masses=np.arange(1.0, n_atoms + 1), charge=np.linspace(-1, 1, n_atoms), spin_multiplicity=np.array([2.0])
        )
        structure.inputs["tests::field"] = np.array([[0.1, -0.2, 0.3]])
        given[name] = structure
    bench = bench_of(wrap(WithInputs()), "inputs", structures=given)
    for name in ("batching", "repeated calls", "conservation", "selected atoms"):
        assert grades(NUMERICS[name], bench) == {"": "pass"}


def test_checks_take_direct_forces():
    outputs = {
        "energy": ModelOutput(unit="eV", sample_kind="atom"),
        "non_conservative_force": ModelOutput(unit="eV/angstrom", sample_kind="atom"),
        "non_conservative_stress": ModelOutput(unit="eV/angstrom^3", sample_kind="system"),
    }
    bench = bench_of(wrap(Direct(), outputs), "direct", options={"non_conservative": "forces"})
    # forces that are no derivative of the energy
    assert grades(NUMERICS["conservation"], bench) == {"": "fail"}
    assert grades(NUMERICS["batching"], bench) == {"": "pass"}


def test_checks_do_not_apply_without_energy():
    outputs = {"non_conservative_force": ModelOutput(unit="eV/angstrom", sample_kind="atom")}
    bench = bench_of(wrap(Direct(), outputs), "without energy")
    assert {grade for run in NUMERICS.values() for grade in grades(run, bench).values()} == {"not applicable"}


def test_kernels_catch_another_program(monkeypatch):
    right, wrong = flawed(), flawed("turned")
    monkeypatch.setattr(right, "new_engine", lambda **options: wrong.engine)
    assert grades(NUMERICS["kernels"], right) == {"eager": "fail", "compiled": "fail"}


def test_kernel_eager_of_a_file_is_compared(monkeypatch):
    monkeypatch.setenv("METATOMIC_EXPORTED", "1")
    bench = of_potential(lennard_jones(), "exported")
    assert grades(NUMERICS["kernels"], bench) == {"eager": "pass", "compiled": "not applicable"}
