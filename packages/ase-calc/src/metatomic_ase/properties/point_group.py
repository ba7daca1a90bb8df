"""The point group of a crystal, and averages of elastic constants over it; with spglib, which is not required."""

import dataclasses
import warnings

import ase
import numpy as np

# angstrom; of relaxed structures
_TOLERANCE = 1e-3
_PLACES = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclasses.dataclass(frozen=True)
class PointGroup:
    """A point group in the orientation of a structure.

    Attributes
    ----------
    space_group
        Symbol and number of the space group: "Fd-3m (227)".
    name
        Symbol of the point group: "m-3m".
    rotations
        Shape (n_operations, 3, 3): Cartesian, proper and improper.
    """

    space_group: str
    name: str
    rotations: np.ndarray

    def average(self, stiffness: np.ndarray) -> np.ndarray:
        """Average elastic constants, shape (6, 6), over the group."""
        tensor = _tensor(stiffness)
        total = np.zeros((3, 3, 3, 3))
        for turn in self.rotations:
            total += np.einsum("ia,jb,kc,ld,abcd->ijkl", turn, turn, turn, turn, tensor, optimize=True)
        return _matrix(total / len(self.rotations))

    @property
    def n_constants(self) -> int:
        """Number of independent elastic constants, 3 for cubic crystals and 21 without symmetry."""
        # the average is a projection, so its trace is the number of what it keeps
        trace = 0.0
        for row in range(6):
            for column in range(row, 6):
                one = np.zeros((6, 6))
                one[row, column] = one[column, row] = 1.0
                trace += self.average(one)[row, column]
        return round(trace)


def _tensor(matrix: np.ndarray) -> np.ndarray:
    """Give the tensor, shape (3, 3, 3, 3), of a matrix, shape (6, 6)."""
    number = np.zeros((3, 3), dtype=int)
    for index, (row, column) in enumerate(_PLACES):
        number[row, column] = number[column, row] = index
    return np.asarray(matrix[number[:, :, None, None], number[None, None, :, :]])


def _matrix(tensor: np.ndarray) -> np.ndarray:
    rows, columns = np.array(_PLACES).T
    return np.asarray(tensor[rows[:, None], columns[:, None], rows[None, :], columns[None, :]])


def find_point_group(atoms: ase.Atoms) -> PointGroup | None:
    """Find the point group of a crystal.

    Parameters
    ----------
    atoms
        The crystal.

    Returns
    -------
    PointGroup or None
        None without spglib, or if that finds none.
    """
    try:
        import spglib
    except ImportError:
        return None
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    with warnings.catch_warnings():
        # of the way in which errors are given, None until now
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            found = spglib.get_symmetry_dataset(cell, symprec=_TOLERANCE)
        except getattr(spglib, "SpglibError", ()):
            return None
    if found is None:
        return None
    vectors = atoms.cell.array.T
    # of fractional coordinates, as columns
    turns = vectors @ np.unique(found.rotations, axis=0) @ np.linalg.inv(vectors)
    return PointGroup(f"{found.international} ({found.number})", found.pointgroup, turns)
