"""Checks of physics: their numbers are those of the potentials, and broken ones are found."""

import numpy as np
import pytest
from physics_cases import CUTOFF, ask, bench_of, grades, twin

from metatomic_check.checks import heating
from metatomic_check.checks.continuity import Curve
from metatomic_check.checks.dimers import shape_of
from metatomic_core.potentials import embedded_atom, lennard_jones, stillinger_weber

# argon: epsilon of 119.8 K k_B, sigma of 3.405 angstrom
EPSILON, SIGMA = 0.0103236, 3.405


def test_dimers_of_argon_have_the_minimum_of_the_formula():
    finding = ask(bench_of(lennard_jones()), "dimer curves")["Ar-Ar"]
    assert finding.grade.value == "information"
    assert f"{2 ** (1 / 6) * SIGMA:.2f} angstrom" in finding.text
    energy = finding.plots[0].lines[0].y
    assert np.nanmin(energy) == pytest.approx(-EPSILON, rel=0.03)
    assert [label for _, label in finding.plots[0].marks] == ["cutoff"]


def test_shape_counts_minima_and_turns():
    r = np.linspace(1, 6, 400)
    # two wells of depth 1 and 0.5, a hill of 0.2 between: up and down 1 + 1.2 + 0.7 + 0.5, for 1 + 1 of one well
    energy = (
        -np.exp(-((r - 2.5) ** 2) / 0.05)
        - 0.5 * np.exp(-((r - 4.5) ** 2) / 0.05)
        + 0.2 * np.exp(-((r - 3.5) ** 2) / 0.02)
    )
    minima, turns, tortuosity = shape_of(Curve(r, energy, -np.gradient(energy, r)))
    assert (minima, turns) == (2, 3)
    assert tortuosity == pytest.approx((1 + 1.2 + 0.7 + 0.5) / 2, rel=0.01)


def test_dimers_with_holes_are_attractive_at_short_distances():
    assert grades(bench_of(twin()), "short distances") == {"repulsion": "pass"}
    found = grades(bench_of(twin("hole")), "short distances")
    assert found["repulsion"] == "warn"


def test_dimers_without_numbers_fail():
    found = ask(bench_of(twin("close")), "short distances")
    assert found["Si-Si"].grade.value == "fail"
    assert "no numbers" in found["Si-Si"].text


def test_long_distances_are_flat():
    assert grades(bench_of(twin()), "long distances") == {"": "pass"}
    assert grades(bench_of(twin("mean")), "long distances") == {"": "warn"}


def test_isolated_atoms_have_no_forces():
    assert grades(bench_of(twin()), "isolated atoms") == {"energies": "information"}
    assert grades(bench_of(twin("place")), "isolated atoms")["forces"] == "warn"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_range_of_two_layers_is_two_cutoffs(dtype):
    model = twin("layers", dtype=dtype, reach=2 * CUTOFF)
    found = ask(bench_of(model), "interaction range")
    assert {part: finding.grade.value for part, finding in found.items()} == {
        "stated": "information",
        "derivatives": "pass",
        "far atoms": "pass",
        "felt": "information",
    }
    # chains of 0.9 cutoffs reach twice that
    assert found["felt"].number == pytest.approx(1.8 * CUTOFF, rel=0.05)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_range_of_two_layers_fails_if_one_is_stated(dtype):
    found = grades(bench_of(twin("layers", dtype=dtype)), "interaction range")
    assert (found["derivatives"], found["far atoms"]) == ("fail", "fail")


def test_range_fails_for_a_count_of_atoms():
    found = grades(bench_of(twin("mean")), "interaction range")
    assert (found["derivatives"], found["far atoms"]) == ("pass", "fail")


def test_range_that_is_too_large_is_a_warning():
    assert grades(bench_of(twin(reach=5 * CUTOFF)), "interaction range")["felt"] == "warn"


def test_range_without_atoms_or_end_does_not_apply():
    assert grades(bench_of(twin(kind="system")), "interaction range")["felt"] == "not applicable"
    assert grades(bench_of(twin(reach=float("inf"))), "interaction range") == {"": "not applicable"}


@pytest.mark.parametrize(
    ("flaw", "reach", "grade"), [("", CUTOFF, "pass"), ("mean", CUTOFF, "fail"), ("mean", float("inf"), "warn")]
)
def test_extensivity_adds_clusters_and_slabs(flaw, reach, grade):
    found = grades(bench_of(twin(flaw, reach=reach)), "extensivity")
    assert found == {"clusters": grade, "slabs": grade}


def test_equation_of_state_gives_published_numbers():
    # Stillinger and Weber: 5.431 angstrom, 4.3366 eV; bulk modulus 101.4 GPa (Cowley, Phys. Rev. Lett. 60, 2379, 1988)
    finding = ask(bench_of(stillinger_weber()), "equation of state")["Si"]
    assert finding.grade.value == "information"
    assert finding.text.startswith("Si (diamond): ")
    assert float(finding.text.split()[2]) == pytest.approx(5.431**3 / 8, rel=3e-4)
    assert "-4.3366 eV/atom" in finding.text
    assert finding.number == pytest.approx(101.4, rel=0.01)


def test_equation_of_state_chooses_the_lattice_of_argon():
    # close-packed with all neighbors up to infinity: 0.971 of the distance of a pair, -8.61 epsilon; nearly so here
    finding = ask(bench_of(lennard_jones(cutoff=15.0)), "equation of state")["Ar"]
    volume = (0.9713 * 2 ** (1 / 6) * SIGMA) ** 3 / np.sqrt(2)
    assert finding.text.startswith("Ar (fcc): ")
    assert float(finding.text.split()[2]) == pytest.approx(volume, rel=3e-3)


def test_heating_keeps_copper_together(monkeypatch):
    # on a busy machine, too
    monkeypatch.setitem(heating._SECONDS, False, 600.0)
    finding = ask(bench_of(embedded_atom()), "heating")[""]
    assert finding.grade.value == "pass"
    assert finding.number > 1.9
    assert len(finding.plots[0].lines[0].x) == 200


def test_heating_breaks_what_has_holes():
    finding = ask(bench_of(twin("hole")), "heating")[""]
    assert finding.grade.value == "warn"
    assert finding.structures
