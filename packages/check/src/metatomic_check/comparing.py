"""Comparing what a model says about two structures that it should say the same about."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from metatomic_core.engine import Structure

from .asking import Said, ask, available, rounding, worst
from .finding import Finding, Grade, graded

if TYPE_CHECKING:
    from .bench import Bench

PARTS = ("energy", "forces", "virial", "atomic_energies")
_UNITS = {"energy": "eV/atom", "forces": "eV/angstrom", "virial": "eV/atom", "atomic_energies": "eV"}
# Virials add up products with distances, tens of angstroms in a model with several layers.
_FACTORS = {"virial": 10.0}
# Up to which part of typical forces a model may depend on how space is turned without being wrong: networks that learn
# it from data are about that good where they are good; those that are worse, or have a field, declare it.
LEARNED = 0.05


@dataclasses.dataclass(frozen=True)
class Case:
    """Two structures, and what is expected for the second from the answer for the first.

    Attributes
    ----------
    name
        What a user sees.
    first, second
        The structures.
    expected
        Gives the expected answer for the second from the one for the first.
    """

    name: str
    first: Structure
    second: Structure
    expected: Callable[[Said], Said]


def compare(
    bench: "Bench",
    check: str,
    cases: Sequence[Case],
    action: str,
    consequence: str,
    *,
    parts: Sequence[str] = PARTS,
    tolerated: float = 0.0,
) -> Iterator[Finding]:
    """Compare the answers for pairs of structures: a finding for each part of the answers, about the worst case.

    Parameters
    ----------
    bench
        The bench.
    check
        Name of the check.
    cases
        What to compare.
    action
        What makes the second structures from the first, for sentences: "atoms are given in another order".
    consequence
        What a failure means for a user: a sentence.
    parts
        What to compare.
    tolerated
        Relative deviations above rounding and below this one are warnings.
    """
    wanted = available(bench, *parts)
    first = ask(bench.engine, [case.first for case in cases], *wanted)
    second = ask(bench.engine, [case.second for case in cases], *wanted)
    answers = [(case.expected(a), b) for case, a, b in zip(cases, first, second, strict=True)]
    for part in wanted:
        entries = [
            (*_deviation(bench, part, *pair), (case, pair[0].size)) for case, pair in zip(cases, answers, strict=True)
        ]
        yield _finding((check, part), entries, (action, consequence), tolerated)


def _finding(
    named: tuple[str, str],
    entries: Sequence[tuple[float, float, tuple[Case, float]]],
    words: tuple[str, str],
    tolerated: float,
) -> Finding:
    (check, part), (action, consequence) = named, words
    number, limit, (case, size) = worst(entries)
    what = part.replace("_", " ")
    verb = "are" if what.endswith("s") else "is"
    if number <= limit:
        text = f"The {what} {verb} as expected if {action} ({len(entries)} comparisons)."
        return graded(check, number, limit, text, part=what, unit=_UNITS[part])
    is_small = number <= tolerated * size
    text = f"The {what} of '{case.name}' {verb} off if {action}: {consequence}"
    if is_small:
        text = (
            f"The {what} of '{case.name}' {verb} off by {100 * number / size:.2g} % of its size if {action}: not exact,"
            " as in networks that learn it; see that it does not matter to you."
        )
    return Finding(
        check,
        Grade.WARN if is_small else Grade.FAIL,
        text,
        part=what,
        number=number,
        limit=limit if is_small else max(limit, tolerated * size),
        unit=_UNITS[part],
        structures={case.name: case.second},
    )


def _deviation(bench: "Bench", part: str, expected: Said, got: Said) -> tuple[float, float]:
    """Give the largest difference, and how large rounding may make it."""
    n_atoms = max(len(expected.forces), 1)
    per_atom = n_atoms if part in {"energy", "virial"} else 1
    difference = np.abs(np.asarray(getattr(expected, part)) - np.asarray(getattr(got, part))).max(initial=0.0)
    size = max(expected.size, got.size)
    if part == "atomic_energies":
        size = max(size, float(np.abs(expected.atomic_energies).max(initial=0.0)))
    elif part == "virial":
        size = max(size, float(np.abs(expected.virial).max()) / n_atoms)
    return float(difference / per_atom), rounding(bench, _FACTORS.get(part, 1.0) * size)


def by_design(findings: Iterable[Finding], reason: str) -> Iterator[Finding]:
    """Turn failures and warnings into what they are where a user has asked for it."""
    for finding in findings:
        bad = finding.grade in {Grade.FAIL, Grade.WARN}
        yield dataclasses.replace(finding, grade=Grade.BY_DESIGN, text=f"{finding.text} {reason}") if bad else finding
