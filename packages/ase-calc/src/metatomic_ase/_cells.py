"""How a cell may change in a relaxation."""

import dataclasses

import ase
import numpy as np
from ase import units

from ._convert import has_stress

CELLS = ("fixed", "isotropic", "shape", "full")
# Components of a cell vector along the directions of others, in angstrom, that count as rounding.
_STRAIGHT = 1e-10


@dataclasses.dataclass(frozen=True)
class CellFreedom:
    """How a cell may change.

    Attributes
    ----------
    mask
        Shape (3, 3): 1 for strains that are free, 0 for others.
    isotropic
        Whether only its size changes.
    constant_volume
        Whether only its shape changes.
    pressure
        In eV/angstrom^3.
    """

    mask: np.ndarray
    isotropic: bool
    constant_volume: bool
    pressure: float

    def masked(self, virial: np.ndarray) -> np.ndarray:
        """Leave in a virial what may change the cell, but for its volume."""
        if self.isotropic:
            virial = np.eye(3) * (np.trace(virial) / 3)
        return virial * self.mask

    def stress_left(self, stress: np.ndarray) -> float:
        """Give the largest component, in GPa, of what a relaxed cell may take from a stress in eV/angstrom^3."""
        left = self.without_volume(self.masked(stress + self.pressure * np.eye(3)))
        return float(np.abs(left).max() / units.GPa)

    def without_volume(self, force: np.ndarray) -> np.ndarray:
        """Take what changes the volume from a force on the cell, if it shall not change."""
        return force - np.eye(3) * (np.trace(force) / 3) if self.constant_volume else force


def cell_freedom(atoms: ase.Atoms, cell: str, pressure: float = 0.0) -> CellFreedom | None:
    """Give how the cell of a structure may change.

    Parameters
    ----------
    atoms
        The structure.
    cell
        One of `CELLS`.
    pressure
        In GPa.

    Returns
    -------
    CellFreedom or None
        None for a fixed cell.

    Raises
    ------
    ValueError
        If the structure has no cell that can be relaxed in this way.
    """
    if cell == "fixed":
        return None
    if not has_stress(atoms):
        raise ValueError(
            f"expected a periodic structure with a volume for the cell '{cell}', got pbc {atoms.pbc.tolist()}"
        )
    fixed = [axis for axis in range(3) if not atoms.pbc[axis]]
    tilted = any(np.abs(np.delete(atoms.cell.array[axis], axis)).max() > _STRAIGHT for axis in fixed)
    if fixed and (tilted or cell != "full" or pressure):
        raise ValueError(
            "expected the cell 'full' without pressure, and the vacuum along a Cartesian axis, for a structure that is "
            f"not periodic in all directions, got pbc {atoms.pbc.tolist()} and the cell '{cell}'"
        )
    # strains along open directions have no meaning
    mask = np.outer(atoms.pbc, atoms.pbc).astype(float)
    return CellFreedom(mask, cell == "isotropic", cell == "shape", pressure * units.GPa)
