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
from ase.geometry import find_mic
from ase.mep import NEB, idpp_interpolate
from ase.utils.forcecurve import fit_images

from metatomic_ase.batched import Evaluator, relax
from metatomic_ase.calculator import MetatomicCalculator
from metatomic_core.adapters import check_choice, symbols

OPTIMIZERS = {"fire": ase.optimize.FIRE, "bfgs": ase.optimize.BFGS, "lbfgs": ase.optimize.LBFGS}
INTERPOLATIONS = ("idpp", "linear")
METHODS = ("improvedtangent", "aseneb", "eb", "spline", "string")
# eV/angstrom: the highest image begins to climb when the path is so close, as it does in practice
_CLIMB_BELOW = 0.5
# angstrom, of cells
_SAME_CELL = 1e-4


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


class BatchedNEB(NEB):  # type: ignore[misc]
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
        self._compute([0, len(self.images) - 1])

    def get_forces(self) -> np.ndarray:
        """Evaluate all images that move, and give the forces of the band."""
        self._compute(range(1, len(self.images) - 1))
        forces = np.asarray(super().get_forces())
        # `get_residual` of ASE leaves the climbing image out
        self.largest_force = float(np.linalg.norm(forces, axis=1).max())
        return forces

    def _compute(self, numbers: Sequence[int]) -> None:
        """Let images have their results.

        Raises
        ------
        ValueError
            If the model can not compute one.
        """
        found = self._evaluate([(number, self.images[number]) for number in numbers], False)
        for number, result in zip(numbers, found, strict=True):
            if result.error is not None:
                raise ValueError(f"image {number}: {result.error}") from result.error
            atoms = self.images[number]
            atoms.calc = SinglePointCalculator(atoms, energy=result.energy, forces=result.forces.copy())


def check_ends(initial: ase.Atoms, final: ase.Atoms) -> None:
    """Check that a path can lead from one structure to the other.

    Raises
    ------
    ValueError
        If they do not have the same atoms in the same order, the same cell, and the same periodicity.
    """
    if len(initial) != len(final):
        raise ValueError(f"expected the same atoms at both ends of the path, got {len(initial)} and {len(final)} of them")
    if sorted(initial.numbers) != sorted(final.numbers):
        formulas = f"{initial.get_chemical_formula()} and {final.get_chemical_formula()}"
        raise ValueError(f"expected the same atoms at both ends of the path, got {formulas}")
    other = np.flatnonzero(initial.numbers != final.numbers)
    if len(other):
        first, second = symbols([int(initial.numbers[other[0]]), int(final.numbers[other[0]])])
        raise ValueError(
            f"expected the same order of atoms at both ends of the path, got {first} and {second} for atom {other[0]}; "
            "sort the atoms of one of them"
        )
    if initial.pbc.tolist() != final.pbc.tolist():
        raise ValueError(
            f"expected the same periodic directions at both ends of the path, got {initial.pbc.tolist()} and "
            f"{final.pbc.tolist()}"
        )
    largest = float(np.abs(initial.cell.array - final.cell.array).max())
    if largest > _SAME_CELL:
        raise ValueError(
            f"expected the same cell at both ends of the path, got vectors that differ by {largest:.3g} Å; relax one of "
            "them in the cell of the other"
        )


def swapped_atoms(initial: ase.Atoms, final: ase.Atoms) -> int:
    """Count atoms that have another atom's place closer by: many of them say that the order is not the same.

    Parameters
    ----------
    initial, final
        The ends of a path, which `check_ends` has nothing against.

    Returns
    -------
    int
        Number of atoms of the final structure that sit where another atom of the same kind was, within 0.5 angstrom.
    """
    count = 0
    own = np.linalg.norm(_ways(initial, final.positions - initial.positions), axis=1)
    # only those that have moved far may sit in the place of others
    for number in np.flatnonzero(own > 1.0):
        others = np.linalg.norm(_ways(initial, final.positions[number] - initial.positions), axis=1)
        nearest = int(others.argmin())
        count += bool(others[nearest] < 0.5 and initial.numbers[nearest] == initial.numbers[number])
    return count


def _ways(atoms: ase.Atoms, vectors: np.ndarray) -> np.ndarray:
    return np.asarray(find_mic(vectors, atoms.cell, atoms.pbc)[0])


def initial_path(
    initial: ase.Atoms,
    final: ase.Atoms,
    n_images: int = 7,
    *,
    between: Sequence[ase.Atoms] = (),
    interpolation: str = "idpp",
) -> list[ase.Atoms]:
    """Give a path to begin with.

    Parameters
    ----------
    initial, final
        The ends; atoms take the shortest ways, across periodic boundaries too.
    n_images
        Number of structures between the ends.
    between
        Structures to lead through, evenly; if there are so many as images, they are the images.
    interpolation
        One of `INTERPOLATIONS`: "idpp" for distances that stay reasonable, doi:10.1063/1.4878664, or "linear".

    Returns
    -------
    list of ase.Atoms
        All structures, the ends included.

    Raises
    ------
    ValueError
        If there are too few images, or structures that do not fit together.
    """
    check_choice("interpolation", interpolation, INTERPOLATIONS)
    least = max(1, len(between))
    if n_images < least:
        raise ValueError(f"expected `n_images` to be at least {least}, got {n_images}")
    stops = [initial, *between, final]
    for atoms in stops[1:]:
        check_ends(initial, atoms)
    # numbers of the images that are given
    places = np.round(np.linspace(0, n_images + 1, len(stops))).astype(int)
    images = [initial.copy()]
    for number in range(1, len(stops)):
        part = [images[-1].copy() for _ in range(places[number] - places[number - 1])]
        for atoms in part:
            atoms.calc = None
        end = images[-1].copy()
        end.positions += _ways(initial, stops[number].positions - end.positions)
        band = NEB([images[-1], *part[:-1], end], method=METHODS[0])
        band.interpolate(apply_constraint=False)
        if interpolation == "idpp" and len(part) > 1:
            idpp_interpolate(band, traj=None, log=None, mic=bool(initial.pbc.any()))
        images += band.images[1:]
    return images


def relax_ends(images: Sequence[ase.Atoms], calculator: MetatomicCalculator, fmax: float, steps: int = 500) -> list[ase.Atoms]:
    """Relax the atoms of both ends, together.

    Parameters
    ----------
    images
        The ends.
    calculator
        The calculator.
    fmax
        Largest force that is left, in eV/angstrom.
    steps
        Largest number of steps.

    Returns
    -------
    list of ase.Atoms
        The relaxed ends.

    Raises
    ------
    RuntimeError
        If one does not converge.
    """
    found = relax(images, calculator, fmax=fmax, steps=steps)
    for number, one in enumerate(found):
        if one.error is not None:
            raise ValueError(f"end {number} of the path: {one.error}") from one.error
        if not one.converged:
            raise RuntimeError(
                f"expected forces below {fmax:g} eV/Å within {steps} steps for end {number} of the path, got "
                f"{one.largest_force:.3g} eV/Å; relax it first"
            )
    return [one.atoms for one in found]


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
