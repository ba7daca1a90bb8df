"""What the trial models must give, in NumPy: sums over images by brute force, and derivatives by complex steps.

Nothing of the pipeline, of neighbor lists or of engines is called.  A formula gives energies of atoms from pairs and
their vectors, whose components may be complex: the imaginary part of f(x + ih) is h times the derivative, with no
difference taken, and so exact to rounding (Squire and Trapp, SIAM Rev. 40, 110 (1998), doi:10.1137/S003614459631241X).
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from metatomic_core.engine import Structure

from . import parameters as numbers

# CODATA 2018, of which these are exact
CHARGE = 1.602176634e-19
AVOGADRO = 6.02214076e23
EV_IN_KCAL_PER_MOL = CHARGE * AVOGADRO / 4184.0
CHARGE_IN_AC = CHARGE / 1e-18

_STEP = 1e-30
# beyond all cutoffs, so that pairs do not come and go with the steps
_REACH = max(numbers.CUTOFF, numbers.MESSAGE_CUTOFF)


@dataclasses.dataclass
class Geometry:
    """A structure as pairs.

    Attributes
    ----------
    species
        Numbers of the species of all atoms, in the order of `parameters.TYPES`.
    first, second
        Atoms of all pairs, in both directions.
    vectors
        From first to second atoms, shape (n_pairs, 3).
    positions, cell
        Of the structure.
    inputs
        Of the structure.
    """

    species: np.ndarray
    first: np.ndarray
    second: np.ndarray
    vectors: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    inputs: Mapping[str, np.ndarray]

    @property
    def distances(self) -> np.ndarray:
        """Lengths of the vectors."""
        lengths: np.ndarray = np.sqrt((self.vectors**2).sum(1))
        return lengths

    def at_atoms(self, values: np.ndarray) -> np.ndarray:
        """Sum values of pairs at their first atoms."""
        sums = np.zeros((len(self.species), *values.shape[1:]), dtype=values.dtype)
        np.add.at(sums, self.first, values)
        return sums

    def switch(self, cutoff: float, power: int) -> np.ndarray:
        """Give a function of the distances that goes to zero at a cutoff."""
        r = self.distances
        return np.where(r.real < cutoff, (1 - r / cutoff) ** power, 0.0)


def images(structure: Structure, reach: float = _REACH) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find all pairs by looking at all images that could be within reach.

    Parameters
    ----------
    structure
        The structure.
    reach
        Largest distance.

    Returns
    -------
    tuple of numpy.ndarray
        First atoms, second atoms, and the cell shifts of the second ones, shape (n_pairs, 3).
    """
    cell = np.where(structure.pbc[:, None], structure.cell, 0.0)
    counts = [0, 0, 0]
    for axis in np.flatnonzero(structure.pbc):
        # distance of planes, and how far atoms are apart, along the reciprocal vector within the periodic ones
        reciprocal = np.linalg.pinv(cell)[:, axis]
        spread = np.ptp(structure.positions @ reciprocal) if len(structure.positions) else 0.0
        counts[axis] = int(np.ceil(reach * np.linalg.norm(reciprocal) + spread))
    ranges = [np.arange(-count, count + 1) for count in counts]
    shifts = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3)
    ends = structure.positions[None, :] + (shifts @ cell)[:, None]
    lengths = np.linalg.norm(ends[:, None] - structure.positions[None, :, None], axis=-1)
    # an atom is no neighbor of itself
    shift, first, second = np.nonzero((lengths < reach) & (lengths > 0.0))
    return first, second, shifts[shift]


def two_lists(geometry: Geometry) -> np.ndarray:
    """Energies of atoms of `models.TwoLists`."""
    species, first, second = geometry.species, geometry.first, geometry.second
    parts = np.array(numbers.DENSITY)[species[first], species[second]] * geometry.switch(numbers.CUTOFF, 4)
    density = geometry.at_atoms(parts)
    bent = geometry.at_atoms((parts / geometry.distances)[:, None] * geometry.vectors)
    strength = np.array(numbers.STRENGTH)[species]
    # the half of both directions
    repulsion = 0.5 * strength * geometry.at_atoms(strength[second] * geometry.switch(numbers.SHORT_CUTOFF, 4))
    embedding = 1 - np.sqrt(1 + density + numbers.BEND * (bent**2).sum(1))
    energies: np.ndarray = np.array(numbers.ISOLATED)[species] + embedding + repulsion
    return energies


def messages(geometry: Geometry) -> np.ndarray:
    """Energies of atoms of `models.Messages`."""
    weight, r = 4 * geometry.switch(numbers.MESSAGE_CUTOFF, 4), geometry.distances
    sent = np.array(numbers.STATE)[geometry.species]
    once = np.tanh(geometry.at_atoms(weight * np.cos(r) * sent[geometry.second])) + sent / 2
    twice = np.tanh(geometry.at_atoms(weight * np.cos(2 * r) * once[geometry.second])) + once / 2
    energies: np.ndarray = 0.4 * (once**2 + twice**2) - 0.7 * (once + twice)
    return energies


def atom_inputs(geometry: Geometry) -> np.ndarray:
    """Energies of atoms of `models.AtomInputs`."""
    charge = np.asarray(geometry.inputs["charge"]) / CHARGE_IN_AC
    potential = geometry.at_atoms(geometry.switch(numbers.CUTOFF, 4) * charge[geometry.second])
    return numbers.HARDNESS * charge**2 + numbers.COULOMB * charge * potential


def system_inputs(geometry: Geometry) -> np.ndarray:
    """Energies of atoms of `models.SystemInputs`."""
    charge, spin = (float(np.ravel(geometry.inputs[name])[0]) for name in ("charge", "spin_multiplicity"))
    return two_lists(geometry) * (1 + numbers.AFFINITY * charge) - numbers.SPIN_SPLITTING * spin


def field(geometry: Geometry) -> np.ndarray:
    """Energies of atoms of `models.FieldAndPressure`."""
    a, b, c = geometry.cell
    volume = a @ np.cross(b, c)
    share = numbers.PRESSURE * volume / len(geometry.species)
    return two_lists(geometry) + geometry.positions @ np.array(numbers.FIELD) + share


FORMULAS: dict[str, Callable[[Geometry], np.ndarray]] = {
    "two lists": two_lists,
    "messages": messages,
    "atom inputs": atom_inputs,
    "system inputs": system_inputs,
    "field": field,
}


class Oracle:
    """What a formula gives for a structure.

    Parameters
    ----------
    formula
        One of `FORMULAS`.
    structure
        The structure, in angstrom.
    selected
        Atoms whose energies count; None for all.
    """

    def __init__(self, formula: str, structure: Structure, selected: np.ndarray | None = None):
        self._formula = FORMULAS[formula]
        self._structure = structure
        self._pairs = images(structure)
        self._species = np.array([numbers.TYPES.index(number) for number in structure.types], dtype=int)
        self._selected = np.arange(len(structure.types)) if selected is None else selected

    def geometry(self, positions: np.ndarray | None = None, strain: np.ndarray | None = None) -> Geometry:
        """Give the structure as pairs, with other positions, and strained.

        Parameters
        ----------
        positions
            Positions; None for those of the structure.
        strain
            Acts on positions and cell; None for no strain.

        Returns
        -------
        Geometry
            The pairs; always those of the structure itself.
        """
        first, second, shifts = self._pairs
        deformation = np.eye(3) if strain is None else np.eye(3) + strain
        positions = (self._structure.positions if positions is None else positions) @ deformation
        cell = self._structure.cell @ deformation
        vectors = positions[second] - positions[first] + shifts @ cell
        return Geometry(self._species, first, second, vectors, positions, cell, self._structure.inputs)

    def atomic_energies(self) -> np.ndarray:
        """Give the energies of all atoms, in eV."""
        return self._formula(self.geometry()).real

    def energy(self) -> float:
        """Give the energy of the selected atoms, in eV."""
        return float(self._of(self.geometry()).real)

    def _of(self, geometry: Geometry) -> complex:
        return complex(self._formula(geometry)[self._selected].sum())

    def forces(self) -> np.ndarray:
        """Give -dE/dr, in eV/angstrom."""
        return -self._derivative(self._structure.positions, lambda moved: self.geometry(positions=moved))

    def virial(self) -> np.ndarray:
        """Give -dE/dstrain, in eV."""
        return -self._derivative(np.zeros((3, 3)), lambda strain: self.geometry(strain=strain))

    def atomic_virials(self) -> np.ndarray:
        """Give virials of atoms, in eV: half of what is owed to each pair vector to each of its atoms.

        This is for energies that depend on vectors alone: W_i = -1/2 sum over the pairs of i of v dE/dv.
        """
        geometry = self.geometry()
        derivative = self._derivative(geometry.vectors, lambda moved: dataclasses.replace(geometry, vectors=moved))
        half = -0.5 * geometry.vectors[:, :, None] * derivative[:, None, :]
        virials = np.zeros((len(self._species), 3, 3))
        np.add.at(virials, geometry.first, half)
        np.add.at(virials, geometry.second, half)
        return virials

    def _derivative(self, values: np.ndarray, geometry: Callable[[np.ndarray], Geometry]) -> np.ndarray:
        found = np.zeros(values.shape)
        for index in np.ndindex(values.shape):
            moved = values.astype(complex)
            moved[index] += 1j * _STEP
            found[index] = self._of(geometry(moved)).imag / _STEP
        return found

    def outputs(self) -> dict[str, np.ndarray]:
        """Give the other outputs of `models.ManyOutputs`, in its units; forces without their mean."""
        geometry = self.geometry()
        unit = geometry.vectors / geometry.distances[:, None]
        reach = geometry.switch(numbers.CUTOFF, 1)[:, None]
        push = np.array(numbers.PUSH)[geometry.species[geometry.second], None]
        forces = geometry.at_atoms(push * reach**3 * unit)
        pulls = numbers.SQUEEZE * np.einsum("pa,pb,p->ab", unit, unit, reach[:, 0] ** 2)
        return {
            "feature": geometry.at_atoms(np.concatenate([reach, push * reach**2], axis=1)),
            "dipole": (push * reach**2 * unit).sum(0)[None],
            "forces": forces - forces.mean(0) if len(forces) else forces,
            # stress times minus the volume
            "virial": -pulls,
        }
