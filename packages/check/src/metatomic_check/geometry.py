"""Structures made from others: copies, turns, moves, and simple ones to begin with.

Inputs of atoms go with their atoms; inputs of structures stay.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from metatomic_core.engine import Structure

NONE, ALL = np.zeros(3, dtype=bool), np.ones(3, dtype=bool)
# primitive cells (rows) and sites, in units of the distance of neighbors
_DIAMOND = 4 / np.sqrt(3)
LATTICES: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "fcc": (np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / np.sqrt(2), np.zeros((1, 3))),
    "bcc": (np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / np.sqrt(3), np.zeros((1, 3))),
    "simple cubic": (np.eye(3), np.zeros((1, 3))),
    "diamond": (
        _DIAMOND * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2,
        np.array([[0, 0, 0], [1, 1, 1]]) / np.sqrt(3),
    ),
}


def free(types: Sequence[int] | np.ndarray, positions: np.ndarray) -> Structure:
    """Give a molecule."""
    return Structure(np.asarray(types), np.asarray(positions, dtype=float), np.zeros((3, 3)), NONE.copy())


def dimer(one: int, two: int, distance: float) -> Structure:
    """Give two atoms, in a direction that is along no axis."""
    return free([one, two], np.array([[0.1, -0.2, 0.3], np.array([0.1, -0.2, 0.3]) + distance * DIRECTION]))


DIRECTION = np.array([0.48, 0.6, 0.64])


def crystal(lattice: str, number: int, spacing: float) -> Structure:
    """Give the primitive cell of a crystal, by the distance of its neighbors."""
    cell, sites = LATTICES[lattice]
    return Structure(np.full(len(sites), number), spacing * sites, spacing * cell, ALL.copy())


def taken(structure: Structure, atoms: np.ndarray) -> Structure:
    """Give some atoms of a structure, or all in another order, or some several times."""
    n_atoms = len(structure.types)
    inputs = {
        name: values[atoms] if np.ndim(values) > 0 and len(values) == n_atoms else values
        for name, values in structure.inputs.items()
    }
    return dataclasses.replace(
        structure, types=structure.types[atoms], positions=structure.positions[atoms], inputs=inputs
    )


def repeated(structure: Structure, repeats: Sequence[int]) -> Structure:
    """Give several cells as one: copy after copy, each with the atoms in their order."""
    steps = np.stack(np.meshgrid(*map(np.arange, repeats), indexing="ij"), -1).reshape(-1, 3)
    many = taken(structure, np.tile(np.arange(len(structure.types)), len(steps)))
    moves = np.repeat(steps @ structure.cell, len(structure.types), axis=0)
    return dataclasses.replace(
        many, positions=many.positions + moves, cell=np.asarray(repeats)[:, None] * structure.cell
    )


def moved(structure: Structure, moves: np.ndarray) -> Structure:
    """Move all atoms, or each atom, shape (3,) or (n_atoms, 3)."""
    return dataclasses.replace(structure, positions=structure.positions + moves)


def mapped(structure: Structure, matrix: np.ndarray, *, with_cell: bool = True) -> Structure:
    """Map positions, and the cell, as rows: ``r @ matrix``."""
    cell = structure.cell @ matrix if with_cell else structure.cell
    return dataclasses.replace(structure, positions=structure.positions @ matrix, cell=cell)


def strained(structure: Structure, strain: np.ndarray) -> Structure:
    """Strain a structure: ``r @ (1 + strain)``."""
    return mapped(structure, np.eye(3) + strain)


def wrapped(structure: Structure) -> Structure:
    """Give a structure that is periodic in all directions with its atoms inside of the cell."""
    fractions = structure.positions @ np.linalg.inv(structure.cell)
    return dataclasses.replace(structure, positions=(fractions - np.floor(fractions)) @ structure.cell)


def with_boundaries(structure: Structure, pbc: np.ndarray) -> Structure:
    """Cut a crystal open in some directions; their cell vectors go."""
    return dataclasses.replace(structure, cell=np.where(pbc[:, None], structure.cell, 0.0), pbc=np.asarray(pbc))


def boxed(structure: Structure, vacuum: float) -> Structure:
    """Give a molecule in a box, with this much vacuum between it and its images."""
    size = np.ptp(structure.positions, axis=0) + vacuum
    return dataclasses.replace(structure, cell=np.diag(size), pbc=ALL.copy())


def together(*structures: Structure) -> Structure:
    """Give several molecules as one structure."""
    return free(
        np.concatenate([each.types for each in structures]), np.concatenate([each.positions for each in structures])
    )


def rotation(rng: np.random.Generator) -> np.ndarray:
    """Give a random proper rotation, all of them alike."""
    matrix, upper = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix = matrix * np.sign(np.diag(upper))
    return np.asarray(matrix * np.linalg.det(matrix))


def distances(structure: Structure, atom: int) -> np.ndarray:
    """Give the distance of each atom of a molecule from one of them."""
    return np.asarray(np.linalg.norm(structure.positions - structure.positions[atom], axis=1))
