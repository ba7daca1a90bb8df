"""Errors of models on a set of structures, against stored values or another model."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import ase
import numpy as np
from ase import units
from ase.calculators.singlepoint import SinglePointCalculator

from metatomic_ase._convert import has_stress
from metatomic_ase.calculator import MetatomicCalculator
from metatomic_core.adapters import check_choice, symbols

SHIFTS = ("none", "mean", "species")


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A quantity that is compared.

    Attributes
    ----------
    name
        Of results of ASE.
    label
        For people.
    unit
        Unit of errors.
    """

    name: str
    label: str
    unit: str


# errors of energies are those of energies per atom
QUANTITIES = (
    Quantity("energy", "energy per atom", "meV"),
    Quantity("forces", "forces", "meV/Å"),
    Quantity("stress", "stress", "GPa"),
)
# from units of ASE
_FACTORS = {"energy": 1000.0, "forces": 1000.0, "stress": 1 / units.GPa}


@dataclasses.dataclass(frozen=True)
class Errors:
    """Errors of a quantity.

    Attributes
    ----------
    reference, predicted
        All numbers, in the unit of the quantity.
    structures
        The structure that each number belongs to.
    """

    reference: np.ndarray
    predicted: np.ndarray
    structures: np.ndarray

    @property
    def mean_absolute(self) -> float:
        """Mean of the absolute errors."""
        return float(np.abs(self.predicted - self.reference).mean())

    @property
    def root_mean_square(self) -> float:
        """Root of the mean of squared errors."""
        return float(np.sqrt(((self.predicted - self.reference) ** 2).mean()))

    @property
    def largest(self) -> float:
        """Largest absolute error."""
        return float(np.abs(self.predicted - self.reference).max())

    @property
    def worst(self) -> int:
        """Number of the structure with the largest error."""
        return int(self.structures[np.abs(self.predicted - self.reference).argmax()])


def known_structures(
    structures: Sequence[ase.Atoms], calculator: MetatomicCalculator
) -> tuple[list[int], dict[int, str]]:
    """Tell which structures a model can compute.

    Parameters
    ----------
    structures
        The structures.
    calculator
        Calculator of the model.

    Returns
    -------
    tuple of list and dict
        Numbers of those that it can, and the reason for each that it can not.
    """
    known = set(calculator.capabilities().atomic_types)
    can: list[int] = []
    not_known: dict[int, str] = {}
    for number, atoms in enumerate(structures):
        unknown = sorted(set(atoms.numbers.tolist()) - known)
        if len(atoms) == 0:
            not_known[number] = "no atoms"
        elif unknown:
            not_known[number] = f"species {' '.join(symbols(unknown))}"
        else:
            can.append(number)
    return can, not_known


def stored_results(atoms: ase.Atoms) -> dict[str, Any]:
    """Give energy, forces and stress that came with a structure, as far as there are any."""
    found = dict(atoms.calc.results) if isinstance(atoms.calc, SinglePointCalculator) else {}
    return {one.name: found[one.name] for one in QUANTITIES if found.get(one.name) is not None}


def compare(
    reference: Mapping[int, ase.Atoms], predicted: Mapping[int, ase.Atoms], *, shift: str = "none"
) -> dict[str, Errors]:
    """Compare results of the same structures.

    Parameters
    ----------
    reference, predicted
        Structures with results, by number; those that both have are compared.
    shift
        What of the energies is no error, as models count from different zeros: "none", "mean" for the same energy per
        atom for all, or "species" for one energy for each species, by least squares.

    Returns
    -------
    dict of Errors
        By the names of ASE; only those that both have.

    Raises
    ------
    ValueError
        If `shift` is another one.
    """
    check_choice("shift", shift, SHIFTS)
    numbers = sorted(set(reference) & set(predicted))
    found = {}
    for quantity in QUANTITIES:
        errors = _errors(quantity.name, numbers, reference, predicted)
        if errors is not None:
            if quantity.name == "energy" and shift != "none":
                errors = _shifted(errors, reference, shift)
            found[quantity.name] = errors
    return found


def _errors(
    name: str, numbers: Sequence[int], reference: Mapping[int, ase.Atoms], predicted: Mapping[int, ase.Atoms]
) -> Errors | None:
    values: list[tuple[np.ndarray, np.ndarray]] = []
    structures: list[int] = []
    for number in numbers:
        pair = [_values(name, one[number]) for one in (reference, predicted)]
        if pair[0] is not None and pair[1] is not None:
            values.append((pair[0], pair[1]))
            structures += [number] * len(pair[0])
    if not values:
        return None
    first, second = (np.concatenate(one) * _FACTORS[name] for one in zip(*values, strict=True))
    return Errors(first, second, np.array(structures))


def _values(name: str, atoms: ase.Atoms) -> np.ndarray | None:
    results = stored_results(atoms)
    if name not in results or (name == "stress" and not has_stress(atoms)):
        return None
    found = np.asarray(results[name], dtype=float).reshape(-1)
    return found / len(atoms) if name == "energy" else found


def _shifted(errors: Errors, structures: Mapping[int, ase.Atoms], shift: str) -> Errors:
    """Take the energies of species, or of atoms of any kind, that fit the differences best from what is predicted."""
    difference = errors.predicted - errors.reference
    if shift == "mean":
        _check_more(len(difference), 1, shift)
        return dataclasses.replace(errors, predicted=errors.predicted - difference.mean())
    compared = [structures[number] for number in errors.structures]
    species = sorted({number for atoms in compared for number in atoms.numbers.tolist()})
    parts = np.array([[np.mean(atoms.numbers == one) for one in species] for atoms in compared])
    energies, _, rank, _ = np.linalg.lstsq(parts, difference, rcond=None)
    _check_more(len(difference), rank, shift)
    return dataclasses.replace(errors, predicted=errors.predicted - parts @ energies)


def _check_more(n_structures: int, n_fitted: int, shift: str) -> None:
    """Refuse a fit that leaves no errors whatever a model predicts."""
    if n_structures <= n_fitted:
        raise ValueError(
            f"expected more structures than energies that are fitted, {n_fitted}, for `shift` '{shift}', got "
            f"{n_structures}; give more of them, or no `shift`"
        )
