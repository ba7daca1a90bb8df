"""Structures through the model together, however many there are."""

from collections.abc import Sequence
from typing import NamedTuple

import ase
import numpy as np

from metatomic_ase._convert import Inputs, has_stress, structure_from_atoms
from metatomic_ase.calculator import MetatomicCalculator
from metatomic_core.engine import Structure

from ._sizes import BatchSize, is_out_of_memory, pair_estimate


class Results(NamedTuple):
    """Results for one structure.

    Attributes
    ----------
    energy
        In eV.
    forces
        Shape (n_atoms, 3), in eV/angstrom.
    stress
        Shape (3, 3), in eV/angstrom^3; None if it was not asked for, or is not defined.
    error
        What went wrong instead; None if nothing.
    """

    energy: float
    forces: np.ndarray
    stress: np.ndarray | None
    error: Exception | None = None


class Evaluator:
    """Evaluates structures that move, each with a number under which its neighbor lists are kept.

    Parameters
    ----------
    calculator
        The calculator.
    max_atoms
        Largest number of atoms in one call; None for no limit.
    max_pairs
        Largest number of pairs; None to find it from memory.

    Attributes
    ----------
    inputs
        The inputs that the model requests.
    """

    def __init__(self, calculator: MetatomicCalculator, max_atoms: int | None = None, max_pairs: float | None = None):
        self._engine = calculator.engine
        self.inputs = Inputs(self._engine.model.requested_inputs())
        requested = self._engine.model.requested_neighbor_lists()
        self._cutoffs = [options.engine_cutoff("angstrom") for options in requested]
        self._size = BatchSize(self._engine.device, max_pairs)
        self._max_atoms = max_atoms
        # pairs by number: an estimate once for each structure is enough
        self._estimates: dict[int, float] = {}
        self._kept: dict[int, Structure] = {}

    def forget(self, number: int) -> None:
        """Forget a structure that is done.

        Parameters
        ----------
        number
            Its number.
        """
        self._kept.pop(number, None)
        self._estimates.pop(number, None)

    def __call__(self, numbered: Sequence[tuple[int, ase.Atoms]], with_stress: bool) -> list[Results]:
        """Evaluate structures.

        Parameters
        ----------
        numbered
            Numbers and structures.
        with_stress
            Whether stress is wanted, of structures that have one.

        Returns
        -------
        list of Results
            One for each structure, in their order.
        """
        found: list[Results] = []
        rest = list(numbered)
        while rest:
            n_structures, n_pairs = self._fitting(rest)
            try:
                self._size.begin()
                found += self._call(rest[:n_structures], with_stress)
                self._size.end(n_pairs)
            except Exception as error:  # noqa: BLE001  (it is given to the caller with its structure)
                if is_out_of_memory(error) and n_structures > 1:
                    self._size.too_large(n_pairs)
                    continue
                if n_structures > 1:
                    # one of them is to blame, and the others go on
                    found += [result for one in rest[:n_structures] for result in self._alone(one, with_stress)]
                else:
                    found.append(_failed(rest[0][1], error))
            rest = rest[n_structures:]
        return found

    def _alone(self, one: tuple[int, ase.Atoms], with_stress: bool) -> list[Results]:
        try:
            return self._call([one], with_stress)
        except Exception as error:  # noqa: BLE001  (it is given to the caller with the structure)
            return [_failed(one[1], error)]

    def _fitting(self, numbered: Sequence[tuple[int, ase.Atoms]]) -> tuple[int, float]:
        """Give how many of the first structures go into one call, and their pairs."""
        n_pairs, n_atoms = 0.0, 0
        for k, (number, atoms) in enumerate(numbered):
            more = self._estimates.get(number)
            if more is None:
                more = self._estimates[number] = pair_estimate(atoms, self._cutoffs)
            over = n_pairs + more > self._size.pairs or n_atoms + len(atoms) > (self._max_atoms or np.inf)
            if k > 0 and over:
                return k, n_pairs
            n_pairs, n_atoms = n_pairs + more, n_atoms + len(atoms)
        return len(numbered), n_pairs

    def _structure(self, number: int, atoms: ase.Atoms) -> Structure:
        """Give a structure, the same one at each call as long as it has the arrays of the atoms."""
        if self.inputs:
            return structure_from_atoms(atoms, self.inputs)
        kept = self._kept.get(number)
        if kept is None or kept.positions is not atoms.positions or kept.cell is not atoms.cell.array:
            kept = self._kept[number] = structure_from_atoms(atoms, self.inputs)
        return kept

    def _call(self, numbered: Sequence[tuple[int, ase.Atoms]], with_stress: bool) -> list[Results]:
        volumes = [with_stress and has_stress(atoms) for _, atoms in numbered]
        results = ("energy", "forces", "stress") if any(volumes) else ("energy", "forces")
        evaluation = self._engine.evaluate(
            [self._structure(number, atoms) for number, atoms in numbered],
            results,
            units=self.inputs.units,
            slots=[number for number, _ in numbered],
        )
        energies = evaluation.energy.tolist()  # type: ignore[union-attr]
        ends = np.cumsum(evaluation.n_atoms).tolist()
        forces: list[np.ndarray] = [
            evaluation.forces[end - n_atoms : end]  # type: ignore[index]
            for end, n_atoms in zip(ends, evaluation.n_atoms, strict=True)
        ]
        stresses = [
            evaluation.stress[k] if has and evaluation.stress is not None else None for k, has in enumerate(volumes)
        ]
        return [Results(*each) for each in zip(energies, forces, stresses, strict=True)]


def _failed(atoms: ase.Atoms, error: Exception) -> Results:
    return Results(np.nan, np.full((len(atoms), 3), np.nan), None, error)
