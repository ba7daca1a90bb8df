"""Phonons of a crystal from finite displacements, with phonopy: bands, density of states, thermal properties.

phonopy (A. Togo, L. Chaput, T. Tadano and I. Tanaka, J. Phys.: Condens. Matter 35, 353001 (2023),
doi:10.1088/1361-648X/acd831) finds the displacements that symmetry leaves, and makes the force constants; the model
evaluates all displaced supercells together.  ``pip install "metatomic-ase[phonons]"`` installs it.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ase
import numpy as np
from ase.cell import Cell

from metatomic_ase.calculator import MetatomicCalculator

from ._band_path import band_path
from .displacements import displaced_structures
from .points import Points

if TYPE_CHECKING:
    from phonopy import Phonopy

# THz; above what rounding leaves of acoustic modes at the center
IMAGINARY = -0.05
# of the mesh
_FINEST = 300
# THz; below are the three motions of the whole, at the center
_STILL = 0.01


@dataclasses.dataclass(frozen=True)
class Bands:
    """Frequencies along a path.

    Attributes
    ----------
    labels
        Names of the points at the ends of segments: two for each segment.
    distances
        For each segment, shape (n_points,): along the path, in 1/angstrom.
    points
        For each segment, shape (n_points, 3): in reciprocal lattice vectors of the primitive cell.
    frequencies
        For each segment, shape (n_points, n_bands), in THz; negative ones stand for imaginary.
    """

    labels: list[tuple[str, str]]
    distances: list[np.ndarray]
    points: list[np.ndarray]
    frequencies: list[np.ndarray]


@dataclasses.dataclass(frozen=True)
class Thermal:
    """Harmonic thermal properties of a primitive cell.

    Attributes
    ----------
    temperatures
        In K.
    free_energy
        In kJ/mol.
    entropy
        In J/K/mol.
    heat_capacity
        At constant volume, in J/K/mol.
    """

    temperatures: np.ndarray
    free_energy: np.ndarray
    entropy: np.ndarray
    heat_capacity: np.ndarray


@dataclasses.dataclass(frozen=True)
class Phonons:
    """Phonons of a crystal.

    Attributes
    ----------
    phonopy
        The object of phonopy, with force constants, for all else that it does.
    residual_force
        Largest force of the structure without displacements, in eV/angstrom.
    acoustic_sum
        Largest sum of force constants of an atom with all others, in eV/angstrom^2, before these sums were made zero.
    """

    phonopy: "Phonopy"
    residual_force: float
    acoustic_sum: float

    def frequencies(self, points: np.ndarray | Sequence[Any]) -> np.ndarray:
        """Give frequencies in THz, shape (n_points, n_bands), at points in reciprocal vectors of the primitive cell."""
        self.phonopy.run_qpoints(np.atleast_2d(points))
        found: Any = self.phonopy.qpoints
        return np.asarray(found.frequencies)

    def bands(self, path: str | None = None, n_points: int = 101) -> Bands:
        """Compute frequencies along a path.

        Parameters
        ----------
        path
            Names of special points as ASE writes them, such as "GXWKGL,UX"; None for all that this lattice has, by
            seekpath if it is installed.
        n_points
            Number of points of a segment.

        Returns
        -------
        Bands
            The frequencies.

        Raises
        ------
        ValueError
            If the lattice has no such point.
        """
        segments, labels = band_path(
            Cell(np.asarray(self.phonopy.primitive.cell)), self.phonopy.primitive, path, n_points
        )
        connected = [after[0] == before[1] for before, after in itertools.pairwise(labels)] + [False]
        names = [labels[0][0]]
        for number, (_, end) in enumerate(labels):
            names.append(end)
            if not connected[number] and number + 1 < len(labels):
                names.append(labels[number + 1][0])
        self.phonopy.run_band_structure(segments, path_connections=connected, labels=names)
        found: Any = self.phonopy.band_structure
        return Bands(labels, found.distances, found.qpoints, found.frequencies)

    def density_of_states(self, mesh: float | Sequence[int] = 60.0) -> tuple[np.ndarray, np.ndarray]:
        """Compute the density of states on a mesh, which thermal properties and `lowest` are then of.

        Parameters
        ----------
        mesh
            Numbers of points along three directions, or a length in angstrom: the more, the finer.

        Returns
        -------
        tuple of numpy.ndarray
            Frequencies in THz, and numbers of modes of the primitive cell per THz.

        Raises
        ------
        ValueError
            If the mesh is finer than any memory is enough for.
        """
        if np.max(mesh) > _FINEST:
            raise ValueError(f"expected `mesh` to be at most {_FINEST}, got {np.max(mesh):.3g}")
        self.phonopy.run_mesh(mesh, is_gamma_center=True)
        self.phonopy.run_total_dos()
        found: Any = self.phonopy.total_dos
        return np.asarray(found.frequency_points), np.asarray(found.dos)

    def lowest(self) -> tuple[float, np.ndarray, float]:
        """Give the lowest frequency on the mesh in THz, its point, and which part of all modes is imaginary."""
        found: Any = self.phonopy.mesh
        frequencies, weights = np.asarray(found.frequencies), np.asarray(found.weights, dtype=float)
        row = int(frequencies.min(axis=1).argmin())
        part = (weights[:, None] * (frequencies < IMAGINARY)).sum() / (weights.sum() * frequencies.shape[1])
        return float(frequencies[row].min()), np.asarray(found.qpoints)[row], float(part)

    def thermal(self, temperatures: np.ndarray) -> Thermal:
        """Compute thermal properties from the modes of the mesh, leaving imaginary ones out.

        Parameters
        ----------
        temperatures
            In K.

        Returns
        -------
        Thermal
            The properties.
        """
        self.phonopy.run_thermal_properties(temperatures=temperatures, cutoff_frequency=_STILL)
        found: Any = self.phonopy.thermal_properties
        return Thermal(*(np.asarray(values) for values in found.thermal_properties))


def fit_phonons(phonon: "Phonopy", structures: Sequence[ase.Atoms]) -> Phonons:
    """Make force constants from forces.

    Parameters
    ----------
    phonon
        What `displaced_structures` gave.
    structures
        The structures that it gave, with calculators that give forces.

    Returns
    -------
    Phonons
        The phonons, with force constants that fulfil the sum rule of acoustic modes and are symmetric.
    """
    forces = np.array([atoms.get_forces(apply_constraint=False) for atoms in structures])
    # what is there without displacement is of no order of it
    phonon.forces = forces[1:] - forces[0]
    # of atoms of the primitive cell with all others, which is all there is
    phonon.produce_force_constants(calculate_full_force_constants=False, show_drift=False)
    constants: Any = phonon.force_constants
    acoustic_sum = float(np.abs(constants.sum(axis=1)).max())
    phonon.symmetrize_force_constants(show_drift=False)
    return Phonons(phonon, float(np.linalg.norm(forces[0], axis=1).max()), acoustic_sum)


def phonons(
    atoms: ase.Atoms,
    calculator: MetatomicCalculator,
    supercell: Sequence[int] | np.ndarray,
    *,
    displacement: float = 0.01,
    symmetry: bool = True,
) -> Phonons:
    """Compute the phonons of a crystal, with all displacements in one call of the model.

    Parameters
    ----------
    atoms
        The crystal, at its minimum.
    calculator
        The calculator.
    supercell, displacement, symmetry
        As for `displaced_structures`.

    Returns
    -------
    Phonons
        The phonons.
    """
    phonon, structures = displaced_structures(atoms, supercell, displacement, symmetry=symmetry)
    return fit_phonons(phonon, Points(calculator).evaluate(structures))
