"""Relaxation of many structures, with ASE's optimizers and one call of the model for all of them."""

import collections
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import ase
import ase.optimize
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress

from metatomic_ase._cells import CELLS, cell_freedom
from metatomic_ase.calculator import MetatomicCalculator
from metatomic_core.adapters import check_choice, check_type

from ._evaluating import Evaluator, Results
from ._targets import AtomsTarget, target_of

# those of ASE that ask for forces once in each step, and never in the middle of one
OPTIMIZERS: Mapping[str, Callable[..., Any]] = {
    "fire": ase.optimize.FIRE,
    "lbfgs": ase.optimize.LBFGS,
    "bfgs": ase.optimize.BFGS,
}


@dataclasses.dataclass(frozen=True)
class Relaxed:
    """A structure after relaxation.

    Attributes
    ----------
    atoms
        The structure, with energy, forces and stress in a `SinglePointCalculator`.
    converged
        Whether the largest force, and the largest stress if it has a limit, is below the limit.
    n_steps
        Number of steps.
    largest_force
        What is left, in eV/angstrom: of atoms, and of the cell if it is relaxed.
    error
        Why it was given up; None if it was not.
    largest_stress
        The largest component of the stress that is left, less the pressure, in GPa, of what the cell may relax; None if
        it is fixed.
    """

    atoms: ase.Atoms
    converged: bool
    n_steps: int
    largest_force: float
    error: Exception | None = None
    largest_stress: float | None = None


class _Run(NamedTuple):
    """A structure on its way."""

    number: int
    target: AtomsTarget
    optimizer: Any


def relax(
    structures: Iterable[ase.Atoms],
    calculator: MetatomicCalculator,
    *,
    optimizer: str = "lbfgs",
    fmax: float = 0.05,
    steps: int = 1000,
    cell: str = "fixed",
    pressure: float = 0.0,
    smax: float | None = None,
    optimizer_options: Mapping[str, Any] | None = None,
    max_structures: int = 256,
    max_atoms: int | None = None,
    max_pairs: float | None = None,
) -> list[Relaxed]:
    """Relax structures.

    Parameters
    ----------
    structures
        The structures, which stay as they are; their constraints hold.
    calculator
        The calculator.
    optimizer
        One of `OPTIMIZERS`.
    fmax
        Largest force that is left, in eV/angstrom.
    steps
        Largest number of steps for each structure.
    cell
        How cells change: "fixed", "isotropic", "shape" for a constant volume, or "full".
    pressure
        In GPa.
    smax
        Largest component of stress that is left where the cell may relax, less the pressure, in GPa; None for no limit
        but that of the forces on the cell, `fmax`.
    optimizer_options
        Arguments of ASE's optimizer, such as ``maxstep``.
    max_structures
        How many structures are on their way at a time.
    max_atoms
        Largest number of atoms in one call of the model; None for no limit.
    max_pairs
        Largest number of pairs in one call of the model; None to find it from the memory that calls take.

    Returns
    -------
    list of Relaxed
        One for each structure, in their order.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or value than it may have, or a structure no cell that can be relaxed.
    """
    given = list(structures)
    found = dict(
        irelax(
            given,
            calculator,
            optimizer=optimizer,
            fmax=fmax,
            steps=steps,
            cell=cell,
            pressure=pressure,
            smax=smax,
            optimizer_options=optimizer_options,
            max_structures=max_structures,
            max_atoms=max_atoms,
            max_pairs=max_pairs,
        )
    )
    return [found[number] for number in range(len(given))]


def irelax(
    structures: Iterable[ase.Atoms],
    calculator: MetatomicCalculator,
    *,
    optimizer: str = "lbfgs",
    fmax: float = 0.05,
    steps: int = 1000,
    cell: str = "fixed",
    pressure: float = 0.0,
    smax: float | None = None,
    optimizer_options: Mapping[str, Any] | None = None,
    max_structures: int = 256,
    max_atoms: int | None = None,
    max_pairs: float | None = None,
) -> Iterator[tuple[int, Relaxed]]:
    """As `relax`, but give each structure, with its number, as it is done, while others go on.

    Structures are taken as there is place for them: a generator may have more of them than there is memory for.
    """
    check_type("calculator", calculator, MetatomicCalculator, "a MetatomicCalculator")
    for name, value, choices in (("optimizer", optimizer, OPTIMIZERS), ("cell", cell, CELLS)):
        check_type(name, value, str, "a string")
        check_choice(name, value, choices)
    if smax is not None and cell == "fixed":
        raise ValueError(f"expected `smax` only with a cell that relaxes, got {smax} and the cell 'fixed'; set `cell`")
    least = {"fmax": (fmax, 0.0), "smax": (smax, 0.0), "steps": (steps, 0), "max_structures": (max_structures, 1)}
    _check_least({**least, "max_atoms": (max_atoms, 1), "max_pairs": (max_pairs, 1)})
    run = _Runs(
        Evaluator(calculator, max_atoms, max_pairs),
        OPTIMIZERS[optimizer],
        dict(optimizer_options or {}),
        _Settings(fmax, smax, steps, cell, pressure),
    )
    return run.all_of(structures, max_structures)


def _check_least(values: Mapping[str, tuple[float | None, float]]) -> None:
    for name, (value, least) in values.items():
        # what is not a number compares as false
        if value is not None and not value >= least:
            raise ValueError(f"expected `{name}` to be at least {least}, got {value}")


class _Settings(NamedTuple):
    fmax: float
    smax: float | None
    steps: int
    cell: str
    pressure: float


class _Runs:
    """All that are on their way, each in a place of its own, under which its neighbor lists are kept."""

    def __init__(
        self,
        evaluator: Evaluator,
        make: Callable[..., Any],
        options: dict[str, Any],
        settings: _Settings,
    ):
        self._evaluate = evaluator
        self._make = make
        self._options = options
        self._settings = settings
        self._running: dict[int, _Run] = {}

    def all_of(self, structures: Iterable[ase.Atoms], max_structures: int) -> Iterator[tuple[int, Relaxed]]:
        """Run them all, and give each as it is done."""
        waiting = enumerate(structures)
        places = collections.deque(range(max_structures))
        while True:
            while places:
                following = next(waiting, None)
                if following is None:
                    break
                self._running[places.popleft()] = self._start(*following)
            if not self._running:
                return
            for place, done in self._step():
                number = self._running.pop(place).number
                self._evaluate.forget(place)
                places.append(place)
                yield number, done

    def _start(self, number: int, atoms: ase.Atoms) -> _Run:
        if not isinstance(atoms, ase.Atoms):
            raise TypeError(f"expected `structures` to be ase.Atoms, got {type(atoms).__name__} at number {number}")
        moved = atoms.copy()
        target = target_of(moved, cell_freedom(moved, self._settings.cell, self._settings.pressure))
        return _Run(number, target, self._make(target, logfile=None, **self._options))

    def _step(self) -> list[tuple[int, Relaxed]]:
        """Evaluate all, let each take a step, and give those that are done."""
        places = list(self._running)
        with_stress = self._settings.cell != "fixed"
        results = self._evaluate([(place, self._running[place].target.atoms) for place in places], with_stress)
        done = []
        for place, result in zip(places, results, strict=True):
            run = self._running[place]
            if result.error is None:
                run.target.take(result.energy, result.forces, result.stress)
            finished = self._finished(run, result)
            if finished is not None:
                done.append((place, finished))
            else:
                run.optimizer.step()
                run.optimizer.nsteps += 1
        return done

    def _finished(self, run: _Run, result: Results) -> Relaxed | None:
        """Give what became of a structure, if it is done."""
        if result.error is not None:
            return Relaxed(
                run.target.atoms,
                converged=False,
                n_steps=run.optimizer.nsteps,
                largest_force=np.nan,
                error=result.error,
            )
        largest, stress_left = run.target.largest_force(), run.target.largest_stress()
        smax = self._settings.smax
        converged = largest < self._settings.fmax and (smax is None or stress_left is None or stress_left < smax)
        if not converged and run.optimizer.nsteps < self._settings.steps:
            return None
        atoms = run.target.atoms
        stress = {} if result.stress is None else {"stress": full_3x3_to_voigt_6_stress(result.stress)}
        atoms.calc = SinglePointCalculator(atoms, energy=result.energy, forces=result.forces.copy(), **stress)
        return Relaxed(atoms, converged, run.optimizer.nsteps, largest, largest_stress=stress_left)
