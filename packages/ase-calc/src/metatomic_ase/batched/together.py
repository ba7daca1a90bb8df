"""Any algorithm of ASE for many structures, with one call of the model for all.

Each structure's algorithm runs in a greenlet of its own: where it asks for energy or forces it waits, the structures of
all that wait are evaluated together, and each goes on with its results.  The algorithms do not know of each other.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import ase
from ase.calculators.calculator import all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from greenlet import greenlet

from metatomic_ase._changes import Watching
from metatomic_ase._convert import Inputs, has_stress
from metatomic_ase.calculator import MetatomicCalculator
from metatomic_core.adapters import check_type

from ._evaluating import Evaluator, Results

_RESULTS = ("energy", "free_energy", "forces", "stress")


class _Waiting(Watching):
    """A calculator that waits for its results in the greenlet that has asked for them."""

    def __init__(self, properties: Sequence[str], inputs: Inputs, hub: greenlet, forget: Callable[[], None]):
        super().__init__()
        self.forget_neighbors = forget
        self.implemented_properties = list(properties)
        self._inputs = inputs
        self._hub = hub

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Ask for the results of atoms, and wait for them."""
        super().calculate(atoms, properties, system_changes)
        self.results = {}
        if self.atoms is None:
            raise ValueError("expected `atoms` to calculate, got None")
        # those of the copy: results are of these, whatever the algorithm does in the meantime
        self._last_inputs = self._inputs.of(self.atoms)
        result: Results = self._hub.switch(self.atoms)
        if result.error is not None:
            raise result.error
        self.results = {"energy": result.energy, "free_energy": result.energy, "forces": result.forces}
        if result.stress is not None:
            self.results["stress"] = full_3x3_to_voigt_6_stress(result.stress)


def run_together(
    structures: Iterable[ase.Atoms],
    calculator: MetatomicCalculator,
    algorithm: Callable[[ase.Atoms], Any],
    *,
    max_structures: int = 256,
    max_atoms: int | None = None,
    max_pairs: float | None = None,
) -> list[Any]:
    """Run an algorithm for each structure, with one call of the model for all.

    Parameters
    ----------
    structures
        The structures.  The algorithm moves them; they have no calculator afterwards but the one that they had.
    calculator
        The calculator.
    algorithm
        Takes one structure, whose calculator gives energy, forces and stress, and does what it likes: runs molecular
        dynamics, an optimizer, vibrations.  What it returns is given back.  It must not ask for results of one
        structure from two threads.
    max_structures, max_atoms, max_pairs
        As for `relax`.

    Returns
    -------
    list
        What the algorithm returned for each structure, in their order.

    Raises
    ------
    TypeError
        If the algorithm is no function, or a structure no ``ase.Atoms``.
    Exception
        What the algorithm raises for a structure; the others are not finished then.

    Examples
    --------
    >>> from ase import units
    >>> from ase.build import bulk
    >>> from ase.md.verlet import VelocityVerlet
    >>> from metatomic_ase import MetatomicCalculator
    >>> from metatomic_core.potentials import lennard_jones
    >>> def ten_steps(atoms):
    ...     VelocityVerlet(atoms, 5 * units.fs).run(10)
    ...     return atoms.get_total_energy()
    >>> crystals = [bulk("Ar", a=a) for a in (5.2, 5.3)]
    >>> len(run_together(crystals, MetatomicCalculator(lennard_jones()), ten_steps))
    2
    """
    check_type("calculator", calculator, MetatomicCalculator, "a MetatomicCalculator")
    if not callable(algorithm):
        raise TypeError(f"expected `algorithm` to be a function of one structure, got {type(algorithm).__name__}")
    return _Together(Evaluator(calculator, max_atoms, max_pairs), algorithm).run(structures, max_structures)


class _Together:
    def __init__(self, evaluator: Evaluator, algorithm: Callable[[ase.Atoms], Any]):
        self._evaluate = evaluator
        self._algorithm = algorithm
        self._hub = greenlet.getcurrent()
        self._returned: dict[int, Any] = {}

    def run(self, structures: Iterable[ase.Atoms], max_structures: int) -> list[Any]:
        """Run them all."""
        waiting = enumerate(structures)
        # place: its greenlet, and the structure that it waits for
        asked: dict[int, tuple[greenlet, ase.Atoms]] = {}
        places = list(range(max_structures))[::-1]
        while True:
            while places and (following := next(waiting, None)) is not None:
                place = places.pop()
                self._resume(place, greenlet(partial(self._one, place)), following, asked, places)
            if not asked:
                break
            numbered = [(place, atoms) for place, (_, atoms) in asked.items()]
            results = self._evaluate(numbered, any(has_stress(atoms) for _, atoms in numbered))
            for (place, _), result in zip(numbered, results, strict=True):
                self._resume(place, asked.pop(place)[0], (result,), asked, places)
        return [self._returned[number] for number in range(len(self._returned))]

    def _resume(
        self,
        place: int,
        runner: greenlet,
        arguments: tuple[Any, ...],
        asked: dict[int, tuple[greenlet, ase.Atoms]],
        places: list[int],
    ) -> None:
        """Let a greenlet run until it asks for results, or ends."""
        atoms = runner.switch(*arguments)
        if runner.dead:
            self._evaluate.forget(place)
            places.append(place)
        else:
            asked[place] = (runner, atoms)

    def _one(self, place: int, number: int, atoms: ase.Atoms) -> None:
        if not isinstance(atoms, ase.Atoms):
            raise TypeError(f"expected `structures` to be ase.Atoms, got {type(atoms).__name__} at number {number}")
        before = atoms.calc
        known = _RESULTS if has_stress(atoms) else _RESULTS[:3]
        atoms.calc = _Waiting(known, self._evaluate.inputs, self._hub, partial(self._evaluate.forget, place))
        try:
            self._returned[number] = self._algorithm(atoms)
        finally:
            atoms.calc = before
