"""Structures turned as engines want them whose cells are triangular, and answers turned back.

i-PI, LAMMPS and GROMACS know only cells with a along x and b in the plane xy: subjects of these turn what they are
given, which a user of the engine does before it starts.
"""

import dataclasses

import numpy as np

from metatomic_core.data.quantities import base_quantity, standard_quantities
from metatomic_core.engine import Structure

from .subject import Answer

# Of vectors that a structure does not have, in angstrom: more than a cutoff and the size of a molecule.
_WIDTH = 100.0
_FULL_RANK = 1e-10


@dataclasses.dataclass(frozen=True)
class Turned:
    """A structure in another orientation.

    Attributes
    ----------
    structure
        The structure, with three cell vectors: a along x, b in the plane xy, c above it.
    rotation
        Shape (3, 3): a row vector ``v`` of the structure that was given is ``v @ rotation`` here.
    """

    structure: Structure
    rotation: np.ndarray

    def back(self, answer: Answer) -> Answer:
        """Give an answer in the directions of the structure that was given.

        Parameters
        ----------
        answer
            What the engine said.

        Returns
        -------
        Answer
            The same, turned back.
        """
        if np.array_equal(self.rotation, np.eye(3)):
            return answer
        return dataclasses.replace(
            answer,
            forces=self._back(answer.forces, 1),
            virial=self._back(answer.virial, 2),
            atomic_virials=self._back(answer.atomic_virials, 2),
            outputs={name: self._output(name, values) for name, values in answer.outputs.items()},
        )

    def _back(self, values: np.ndarray | None, rank: int) -> np.ndarray | None:
        """Turn the last axes of an array, one or two."""
        if values is None:
            return None
        values = values @ self.rotation.T
        return values if rank == 1 else self.rotation @ values

    def _output(self, name: str, values: np.ndarray) -> np.ndarray:
        """Turn an output, shape (n_samples, components..., n_properties), of the quantities that have directions."""
        quantity = standard_quantities().get(base_quantity(name))
        rank = 0 if quantity is None else len(quantity.components)
        if rank == 0:
            return values
        turned = self._back(np.moveaxis(values, -1, 1), rank)
        return np.moveaxis(turned, 1, -1)  # type: ignore[arg-type]


def turned(structure: Structure, perpendicular: bool = False) -> Turned:
    """Turn a structure so that its cell is lower triangular with a positive diagonal.

    Vectors along which it is periodic give the same lattice: those of a left-handed cell are reversed.  Others only
    need to be there.

    Parameters
    ----------
    structure
        The structure.
    perpendicular
        Whether vectors along which it is not periodic become perpendicular to all others, as LAMMPS wants them.

    Returns
    -------
    Turned
        The structure, and how it was turned.
    """
    cell = _complete(structure.cell, structure.pbc, perpendicular)
    if np.linalg.det(cell) < 0:
        cell = -cell
    if not np.triu(cell, 1).any() and (np.diag(cell) > 0).all():
        return Turned(dataclasses.replace(structure, cell=cell), np.eye(3))
    rotation, triangle = np.linalg.qr(cell.T)
    signs = np.sign(np.diag(triangle))
    rotation = rotation * signs
    lower = np.tril((triangle * signs[:, None]).T)
    return Turned(dataclasses.replace(structure, positions=structure.positions @ rotation, cell=lower), rotation)


def _complete(cell: np.ndarray, pbc: np.ndarray, perpendicular: bool) -> np.ndarray:
    """Give three vectors: those that are missing, or shall be perpendicular, are made from the others."""
    vectors = np.array(cell, dtype=float)
    free = [axis for axis in range(3) if not pbc[axis]]
    given = np.linalg.norm(vectors, axis=1) > 0
    degenerate = abs(np.linalg.det(vectors)) <= _FULL_RANK * max(np.abs(vectors).max(), 1.0) ** 3
    replaced = free if perpendicular or degenerate else [axis for axis in free if not given[axis]]
    kept = [axis for axis in range(3) if axis not in replaced]
    # of the space that the kept ones leave, along the axes of space where there are none
    _, _, basis = np.linalg.svd(vectors[kept]) if kept else (None, None, np.eye(3))
    for axis, direction in zip(replaced, basis[len(kept) :], strict=True):
        vectors[axis] = _WIDTH * direction
    if replaced and np.linalg.det(vectors) < 0:
        vectors[replaced[0]] *= -1
    return vectors
