"""Minimum energy paths by the nudged elastic band of ASE, with all images in one call of the model at each step.

G. Henkelman, B. P. Uberuaga and H. Jonsson, J. Chem. Phys. 113, 9901 (2000), doi:10.1063/1.1329672.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import ase
import ase.optimize
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from ase.mep import NEB
from ase.utils.forcecurve import fit_images

from metatomic_ase.batched import Evaluator
from metatomic_ase.calculator import MetatomicCalculator
from metatomic_core.adapters import check_choice

OPTIMIZERS = {"fire": ase.optimize.FIRE, "bfgs": ase.optimize.BFGS, "lbfgs": ase.optimize.LBFGS}
METHODS = ("improvedtangent", "aseneb", "eb", "spline", "string")
# eV/angstrom: the highest image begins to climb when the path is so close, as it does in practice
_CLIMB_BELOW = 0.5


@dataclasses.dataclass(frozen=True)
class EnergyPath:
    """A path between two structures.

    Attributes
    ----------
    images
        The structures, the first and the last included, with energies and forces.
    converged
        Whether the forces of the band are below the limit.
    n_steps
        Number of steps.
    largest_force
        Largest force of the band that is left, in eV/angstrom.
    """

    images: list[ase.Atoms]
    converged: bool
    n_steps: int
    largest_force: float

    @property
    def energies(self) -> np.ndarray:
        """Energies relative to the first image, in eV."""
        found = np.array([atoms.get_potential_energy() for atoms in self.images])
        return found - found[0]

    @property
    def barrier(self) -> float:
        """Energy of the highest image above the first one, in eV."""
        return float(self.energies.max())

    @property
    def reverse_barrier(self) -> float:
        """Energy of the highest image above the last one, in eV."""
        return float(self.energies.max() - self.energies[-1])

    @property
    def reaction_energy(self) -> float:
        """Energy of the last image above the first one, in eV."""
        return float(self.energies[-1])

    def curve(self) -> Any:
        """Give ASE's ``ForceFit``: a curve through energies and forces along the path, in angstrom and eV."""
        return fit_images(self.images)


class BatchedNEB(NEB):
    """ASE's nudged elastic band, whose images are evaluated in one call of the model.

    Parameters
    ----------
    images
        The structures, the first and the last included; they get their results.
    calculator
        The calculator.
    **options
        Arguments of ``ase.mep.NEB``: ``k``, ``climb``, ``method``, ...

    Attributes
    ----------
    largest_force
        Norm of the largest force of the band on an atom, the climbing image included, in eV/angstrom.
    """

    largest_force: float

    def __init__(self, images: Sequence[ase.Atoms], calculator: MetatomicCalculator, **options: Any):
        super().__init__(list(images), **options)
        self._evaluate = Evaluator(calculator)
        # forces of the band, and whether an image climbed
        self._last: tuple[bool, np.ndarray] | None = None
        # positions that the results are of
        self._known: dict[int, np.ndarray] = {}
        self._compute([0, len(self.images) - 1])

    def get_forces(self) -> np.ndarray:
        """Evaluate all images that move, and give the forces of the band."""
        moved = self._compute(range(1, len(self.images) - 1))
        # optimizers ask several times in a step
        if not moved and self._last is not None and self._last[0] == self.climb:
            return self._last[1].copy()
        forces = np.asarray(super().get_forces())
        self._last = (self.climb, forces.copy())
        # `get_residual` of ASE leaves the climbing image out
        self.largest_force = float(np.linalg.norm(forces, axis=1).max())
        return forces

    def _compute(self, numbers: Sequence[int]) -> bool:
        """Let images that have moved have their results; give whether there are any.

        Raises
        ------
        ValueError
            If the model can not compute one.
        """
        moved = [k for k in numbers if not np.array_equal(self._known.get(k, ()), self.images[k].positions)]
        found = self._evaluate([(k, self.images[k]) for k in moved], with_stress=False)
        for number, result in zip(moved, found, strict=True):
            if result.error is not None:
                raise ValueError(f"image {number}: {result.error}") from result.error
            atoms = self.images[number]
            self._known[number] = atoms.positions.copy()
            atoms.calc = SinglePointCalculator(atoms, energy=result.energy, forces=result.forces.copy())
        return bool(moved)


def relax_path(
    images: Sequence[ase.Atoms],
    calculator: MetatomicCalculator,
    *,
    climb: bool = True,
    fmax: float = 0.05,
    steps: int = 500,
    spring: float = 0.1,
    method: str = "improvedtangent",
    optimizer: str = "fire",
    on_step: Callable[[int, Sequence[ase.Atoms], float], bool] | None = None,
) -> EnergyPath:
    """Relax a path.

    Parameters
    ----------
    images
        The structures, the ends included, which stay as they are; their constraints hold.
    calculator
        The calculator.
    climb
        Whether the highest image climbs to the saddle point, once the path is close to the minimum one.
    fmax
        Largest force of the band that is left, in eV/angstrom.
    steps
        Largest number of steps.
    spring
        Constant of the springs between images, in eV/angstrom^2.
    method
        One of `METHODS` of ASE.
    optimizer
        One of `OPTIMIZERS`.
    on_step
        Called after each step with its number, the images, and the largest force; the path ends if it gives True.

    Returns
    -------
    EnergyPath
        The path.

    Raises
    ------
    ValueError
        If an argument is none of what it may be, or the model can not compute an image.
    """
    check_choice("method", method, METHODS)
    check_choice("optimizer", optimizer, OPTIMIZERS)
    band = BatchedNEB([atoms.copy() for atoms in images], calculator, k=spring, method=method)
    stages = [(False, max(_CLIMB_BELOW, fmax)), (True, fmax)] if climb else [(False, fmax)]
    done = 0
    for climbing, limit in stages:
        band.climb = climbing
        with OPTIMIZERS[optimizer](band, logfile=None) as dynamics:
            # the limit of ASE does not see the climbing image
            for _ in dynamics.irun(fmax=0.0, steps=steps - done):
                converged = band.largest_force < limit
                ended = on_step is not None and on_step(done + dynamics.nsteps, band.images, band.largest_force)
                if converged or ended:
                    break
            done += dynamics.nsteps
        if ended or not converged:
            break
    return EnergyPath(band.images, converged and band.climb == climb and limit == fmax, done, band.largest_force)
