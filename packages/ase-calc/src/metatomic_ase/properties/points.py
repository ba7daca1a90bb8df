"""Many structures of one study, evaluated or relaxed together; what is done is kept in a file, so a killed run goes on.

Studies of materials (equations of state, elastic constants, phonons) make structures, compute them, and look at the
results.  `Points` is the step in the middle.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress

from metatomic_ase._convert import has_stress
from metatomic_ase.batched import Evaluator, Results, irelax
from metatomic_ase.calculator import MetatomicCalculator

from .kept import as_text, read_kept, write_kept

# Structures that relax at a time: of a killed run, these are lost.
_RELAXING = 16
# Structures between looks at signals: few at first, and twice as many as long as they take less time than this, in
# seconds.  The model gets as many of them at once as fit its memory.
_FIRST, _SHORT = 4, 1.0
# seconds between writes of the file
_KEEP_EVERY = 5.0
# angstrom, within which a structure counts as the one that was kept
_SAME = 1e-6


class StoppedError(RuntimeError):
    """Work that was stopped between two structures; what is done is kept.

    Parameters
    ----------
    done
        Number of structures that are done.
    total
        Number of all structures.
    """

    def __init__(self, done: int, total: int):
        self.done, self.total = done, total
        super().__init__(f"stopped after {done} of {total} structures")


class Points:
    """Computes structures with one model, many in a call.

    Parameters
    ----------
    calculator
        The calculator.
    kept
        File for what is done, which `forget` deletes; None to keep nothing.
    resume
        Whether to take what this file has.
    settings
        What must be the same in the run that is continued, as plain data: model, options.
    on_progress
        Called with the number of structures that are done, and of all.
    stopped
        Says whether to stop, asked after each few structures.
    """

    def __init__(
        self,
        calculator: MetatomicCalculator,
        *,
        kept: str | os.PathLike[str] | None = None,
        resume: bool = False,
        settings: Mapping[str, Any] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        stopped: Callable[[], bool] | None = None,
    ):
        self.calculator = calculator
        self._evaluate = Evaluator(calculator)
        self._path = None if kept is None else Path(kept)
        self._settings = as_text(settings or {})
        self._on_progress = on_progress
        self._stopped = stopped or (lambda: False)
        self._kept_at = time.monotonic()
        self._done: dict[int, dict[str, np.ndarray]] = {}
        if self._path is not None and resume and self._path.exists():
            self._done = read_kept(self._path, self._settings)
        self.n_resumed = len(self._done)

    def evaluate(self, structures: Sequence[ase.Atoms]) -> list[ase.Atoms]:
        """Compute energies, forces, and stresses of those that are periodic.

        Parameters
        ----------
        structures
            The structures, which stay as they are.

        Returns
        -------
        list of ase.Atoms
            Copies with their results.

        Raises
        ------
        ValueError
            If the model can not compute one, or the file belongs to other structures.
        StoppedError
            If the work was stopped.
        """
        self._check_same(structures)
        self._report(len(structures))
        waiting = [number for number in range(len(structures)) if number not in self._done]
        at_a_time = _FIRST
        while waiting:
            numbers, waiting = waiting[:at_a_time], waiting[at_a_time:]
            begin = time.monotonic()
            # places rather than numbers: displaced copies of one structure share their neighbor lists
            found = self._evaluate(
                [(place, structures[number]) for place, number in enumerate(numbers)], with_stress=True
            )
            for number, result in zip(numbers, found, strict=True):
                _check(number, result)
                self._done[number] = {"positions": structures[number].positions, **_arrays(result)}
            if time.monotonic() - begin < _SHORT:
                at_a_time *= 2
            self._after_some(len(structures))
        return [_with_results(atoms, self._done[number]) for number, atoms in enumerate(structures)]

    def relax(self, structures: Sequence[ase.Atoms], fmax: float, steps: int = 500) -> list[ase.Atoms]:
        """Relax the atoms in cells that stay as they are, and compute what `evaluate` does.

        Parameters
        ----------
        structures
            The structures, which stay as they are; their constraints hold.
        fmax
            Largest force that is left, in eV/angstrom.
        steps
            Largest number of steps for each of them.

        Returns
        -------
        list of ase.Atoms
            Relaxed copies with their results.

        Raises
        ------
        RuntimeError
            If one does not converge.
        ValueError, StoppedError
            As for `evaluate`.
        """
        self._check_same(structures, moved=True)
        self._report(len(structures))
        waiting = [number for number in range(len(structures)) if number not in self._done]
        chosen = (structures[number] for number in waiting)
        for index, relaxed in irelax(chosen, self.calculator, fmax=fmax, steps=steps, max_structures=_RELAXING):
            number = waiting[index]
            if relaxed.error is not None:
                raise ValueError(f"point {number}: {relaxed.error}") from relaxed.error
            if not relaxed.converged:
                raise RuntimeError(
                    f"expected forces below {fmax:g} eV/Å within {steps} steps, got {relaxed.largest_force:.3g} eV/Å "
                    f"for point {number}; raise the number of steps or the largest force, or keep atoms where they are"
                )
            self._done[number] = {"positions": relaxed.atoms.positions}
            self._after_some(len(structures))
        moved = [atoms.copy() for atoms in structures]
        for number, atoms in enumerate(moved):
            atoms.positions[:] = self._done[number]["positions"]
        found = self._evaluate(list(enumerate(moved)), with_stress=True)
        for number, result in enumerate(found):
            _check(number, result)
        return [_with_results(atoms, _arrays(result)) for atoms, result in zip(moved, found, strict=True)]

    def forget(self) -> None:
        """Delete the file: the results are elsewhere now."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _check_same(self, structures: Sequence[ase.Atoms], moved: bool = False) -> None:
        """Check that what is kept belongs to these structures."""
        for number, arrays in self._done.items():
            same = number < len(structures) and arrays["positions"].shape == structures[number].positions.shape
            if same and not moved:
                same = bool(np.abs(arrays["positions"] - structures[number].positions).max(initial=0.0) < _SAME)
            if not same or ("energy" in arrays) is moved:
                raise ValueError(
                    f"expected results of the same structures in '{self._path}', got others; use --force to begin anew"
                )

    def _after_some(self, total: int) -> None:
        """Show what is done, keep it from time to time, and stop if asked to."""
        self._report(total)
        if len(self._done) == total:
            return
        due = time.monotonic() - self._kept_at > _KEEP_EVERY
        if self._path is not None and (due or self._stopped()):
            write_kept(self._path, self._settings, self._done)
            self._kept_at = time.monotonic()
        if self._stopped():
            raise StoppedError(len(self._done), total)

    def _report(self, total: int) -> None:
        if self._on_progress is not None:
            self._on_progress(len(self._done), total)


def _check(number: int, result: Results) -> None:
    if result.error is not None:
        raise ValueError(f"point {number}: {result.error}") from result.error


def _arrays(result: Results) -> dict[str, np.ndarray]:
    found = {"energy": np.array(result.energy), "forces": result.forces.copy()}
    if result.stress is not None:
        found["stress"] = full_3x3_to_voigt_6_stress(result.stress)
    return found


def _with_results(atoms: ase.Atoms, arrays: Mapping[str, np.ndarray]) -> ase.Atoms:
    copy = atoms.copy()
    stress = {"stress": arrays["stress"]} if has_stress(atoms) and "stress" in arrays else {}
    copy.calc = SinglePointCalculator(copy, energy=float(arrays["energy"]), forces=arrays["forces"], **stress)
    return copy
