"""Comparing results that should be the same up to rounding: differences, each beside its own limit."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from metatomic_core.engine import Evaluation, Structure

from .bench import Bench
from .finding import Finding, Grade, graded

UNITS = {
    "energy": "eV",
    "atomic_energies": "eV",
    "forces": "eV/angstrom",
    "virial": "eV",
    "stress": "eV/angstrom^3",
    "atomic_virials": "eV",
}
# what grows with the number of atoms, and is compared by that number
_EXTENSIVE = ("energy", "virial")


def named(quantity: str) -> str:
    """Give a quantity as it stands in a sentence."""
    return quantity.replace("_", " ")


def size(quantity: str, values: np.ndarray, n_atoms: int) -> float:
    """Give the size of the numbers in a result, of which rounding is a part.

    Forces and virials may cancel while their terms do not: a result is at least as large as those of a bond, 1 eV or
    1 eV/angstrom for each atom.

    Parameters
    ----------
    quantity
        Key of `UNITS`.
    values
        Its values.
    n_atoms
        Number of atoms of the structure.
    """
    largest = float(np.abs(values).max(initial=0.0))
    return max(largest, float(n_atoms) if quantity in _EXTENSIVE else 1.0)


def gap(found: np.ndarray | float | None, expected: np.ndarray | float | None) -> float:
    """Give the largest difference of two results: infinity if they have other shapes, or one has no number."""
    if found is None or expected is None:
        return np.inf
    one, two = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
    if one.shape != two.shape:
        return np.inf
    difference = np.abs(one - two).max(initial=0.0)
    return float(difference) if np.isfinite(difference) else np.inf


@dataclasses.dataclass
class _Difference:
    number: float
    limit: float
    quantity: str
    name: str
    structures: dict[str, Structure]


class Differences:
    """The worst of many differences, each measured by its own limit.

    Parameters
    ----------
    rounding
        How far results may differ, relative to their size.
    """

    def __init__(self, rounding: float):
        self.rounding = rounding
        self._worst: _Difference | None = None

    def add(
        self,
        quantity: str,
        name: str,
        structure: Structure,
        found: np.ndarray | float | None,
        expected: np.ndarray | float | None,
    ) -> None:
        """Compare one result.

        Parameters
        ----------
        quantity
            Key of `UNITS`.
        name, structure
            The structure that it is of, and its name.
        found, expected
            What came, and what should have come.
        """
        reference = np.zeros(0) if expected is None else np.asarray(expected, dtype=float)
        limit = self.rounding * size(quantity, reference, len(structure.types))
        self.add_gap(quantity, name, structure, gap(found, expected), limit)

    def add_gap(self, quantity: str, name: str, structure: Structure, number: float, limit: float) -> None:
        """Enter one difference that was measured elsewhere, with its limit; other parameters as for `add`."""
        if self._worst is None or not number / limit <= self._worst.number / self._worst.limit:
            self._worst = _Difference(number, limit, quantity, name, {name: structure})

    def __bool__(self) -> bool:
        return self._worst is not None

    def finding(self, check: str, right: str, wrong: str, part: str = "", *, wrong_is: Grade = Grade.FAIL) -> Finding:
        """Give what was found; there must have been at least one difference.

        Parameters
        ----------
        check
            Name of the check.
        right
            What it means if all differences are within their limits: a sentence without its end.
        wrong
            What it means if one is not: a sentence.
        part
            See `Finding`.
        wrong_is
            The grade of that.
        """
        if self._worst is None:
            raise ValueError("expected at least one difference, got none")
        worst = self._worst
        found = graded(check, worst.number, worst.limit, "", unit=UNITS[worst.quantity], part=part)
        where = f"{named(worst.quantity)} of '{worst.name}'"
        if found.grade is Grade.PASS:
            return dataclasses.replace(found, text=sentence(f"{right}; the largest difference is in the {where}"))
        text = sentence(f"{wrong}; the worst is the {where}")
        return dataclasses.replace(found, grade=wrong_is, text=text, structures=worst.structures)


def results_of(bench: Bench, *, per_atom: bool = False) -> tuple[str, ...]:
    """Give the results that a model can give, of energy, forces and virial, and energies of atoms."""
    names = ["energy", "forces", "virial", *(["atomic_energies"] if per_atom else [])]
    return tuple(name for name in names if bench.engine.can_give(name))


def evaluated(bench: Bench, results: Sequence[str]) -> Iterator[tuple[str, Structure, Evaluation]]:
    """Evaluate the structures of a bench one by one, but for those that the model refuses or has no numbers for.

    Whether it should refuse them is the question of another check; all of them is an error.

    Parameters
    ----------
    bench
        The bench.
    results
        What to compute.

    Yields
    ------
    str, Structure, Evaluation
        Name, structure, and results.
    """
    refused: Exception | None = None
    n_evaluated = 0
    for name, structure in bench.structures.items():
        try:
            evaluation = bench.evaluate(structure, *results)
        except Exception as error:  # noqa: BLE001  (whatever a model raises)
            refused = error
            continue
        if not all(np.isfinite(getattr(evaluation, result)).all() for result in results):
            refused = ValueError(f"expected finite results of '{name}' from the model, got nan or infinity")
            continue
        n_evaluated += 1
        yield name, structure, evaluation
    if n_evaluated == 0 and refused is not None:
        raise refused


def reason(error: Exception) -> str:
    """Give the message of an error in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def sentence(text: str) -> str:
    """Give words as a sentence: with a capital, unless a name stands first, and a full stop."""
    first = text.split(maxsplit=1)[0]
    start = text[:1].upper() if first.isalpha() else text[:1]
    return f"{start}{text[1:].rstrip('.')}."


def not_applicable(check: str, why: str, part: str = "") -> Finding:
    """Say that a check does not apply, and why."""
    return Finding(check, Grade.NOT_APPLICABLE, sentence(why), part=part)


NO_ENERGY = "the model gives no energy"
