"""Structures of the species of a model, whatever these are, on which results are compared.

Small ones, each with something that goes wrong in another way: images, shear, vacuum, atoms outside the cell, species
in an order that is not sorted, one atom, no pairs at all, and all species that the model knows.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from metatomic_core.engine import Structure
from metatomic_core.foundation.elements import covalent_radii

# First of those that most models know, in an order that is not sorted.
_COMMON = (14, 8, 29, 6, 1, 7, 13, 79, 26, 11)
# How far atoms are from their sites, and from their images through vacuum, in angstrom.
_RATTLE = 0.08
_VACUUM = 15.0
# Distances in crystals, in sums of covalent radii.
_STRETCH = 1.15
# The least of them, in angstrom: no round number, as below.
_MIN_SPACING = 1.5137
# Between sites of many species: no round number, which would put images at cutoffs, where both sides may be right.
_LEAST = 2.0371


def trial_structures(types: Sequence[int], periodic_only: bool = False) -> dict[str, Structure]:
    """Give structures of the species of a model, by name.

    Parameters
    ----------
    types
        Atomic numbers that the model knows.
    periodic_only
        Whether all directions must be periodic: vacuum takes the place of free boundaries.

    Returns
    -------
    dict
        Structures in angstrom: "bulk", "triclinic", "slab", "molecule", "atom", "small cell" and "all species".
    """
    known = list(types)
    first = [number for number in _COMMON if number in known] or known
    # as many as a crystal of two sublattices wants, and a molecule of four
    few = (first + [number for number in known if number not in first])[:4]
    one, two = few[0], few[1 % len(few)]
    rng = np.random.default_rng(0)
    found = {
        "bulk": _rattled(_repeated(_cubic(one), (2, 2, 2)), rng),
        "triclinic": _rattled(_sheared(two, one), rng),
        "slab": _rattled(_slab(one), rng),
        "molecule": _rattled(_molecule(few[::-1]), rng),
        "atom": _free([two], np.array([[0.3, -0.2, 0.1]])),
        "small cell": _rattled(_primitive(one, two), rng),
        "all species": _rattled(_all_species(known, rng), rng),
    }
    if periodic_only:
        return {name: _in_vacuum(structure) for name, structure in found.items()}
    return found


def _spacing(one: int, two: int) -> float:
    """Give a distance in a crystal: of hydrogen, an atom would have hundreds of neighbors, and a model no memory."""
    return max(_distance(one, two), _MIN_SPACING)


def _distance(one: int, two: int) -> float:
    return _STRETCH * sum(covalent_radii([one, two]))


def _periodic(numbers: Sequence[int] | np.ndarray, fractions: np.ndarray, cell: np.ndarray) -> Structure:
    return Structure(np.array(numbers), fractions @ cell, cell, np.ones(3, dtype=bool))


def _free(numbers: Sequence[int], positions: np.ndarray) -> Structure:
    return Structure(np.array(numbers), positions, np.zeros((3, 3)), np.zeros(3, dtype=bool))


def _repeated(structure: Structure, repeats: tuple[int, int, int]) -> Structure:
    """Give several cells as one."""
    shifts = np.stack(np.meshgrid(*map(np.arange, repeats), indexing="ij"), -1).reshape(-1, 1, 3) @ structure.cell
    return dataclasses.replace(
        structure,
        types=np.tile(structure.types, len(shifts)),
        positions=(shifts + structure.positions).reshape(-1, 3),
        cell=np.array(repeats)[:, None] * structure.cell,
    )


def _cubic(number: int) -> Structure:
    a = _spacing(number, number) * np.sqrt(2)
    sites = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    return _periodic([number] * 4, sites, a * np.eye(3))


def _sheared(one: int, two: int) -> Structure:
    """Two species on one lattice, the cell sheared, and atoms several cells away from it."""
    cubic = _repeated(_cubic(one if _distance(one, one) > _distance(two, two) else two), (2, 1, 1))
    shear = np.array([[1.0, 0.0, 0.0], [0.21, 1.0, 0.0], [-0.13, 0.17, 1.0]])
    cell = shear @ cubic.cell
    positions = cubic.positions @ np.linalg.inv(cubic.cell) @ cell
    positions[1] += 2 * cell[0] - cell[2]
    positions[4] -= 3 * cell[1]
    types = np.array([one, two, two, one, two, one, one, two])
    return dataclasses.replace(cubic, types=types, positions=positions, cell=cell)


def _slab(number: int) -> Structure:
    bulk = _repeated(_cubic(number), (2, 1, 1))
    return dataclasses.replace(bulk, cell=bulk.cell * [[1.0], [1.0], [3.0]], pbc=np.array([True, True, False]))


def _molecule(numbers: Sequence[int]) -> Structure:
    """Give a bent chain, each atom at a bond length from the one before."""
    steps = np.array([[0.8, 0.6, 0.0], [0.5, -0.7, 0.51], [0.64, 0.0, 0.77]])
    chain = [*numbers, numbers[0]]
    positions = [np.zeros(3)]
    for k in range(1, len(chain)):
        step = steps[k % 3] / np.linalg.norm(steps[k % 3])
        positions.append(positions[-1] + _distance(chain[k - 1], chain[k]) * step)
    return _free(chain, np.array(positions))


def _primitive(one: int, two: int) -> Structure:
    a = _spacing(one, two) * 2 / np.sqrt(3)
    return _periodic([two, one], np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), a * np.eye(3))


def _all_species(numbers: Sequence[int], rng: np.random.Generator) -> Structure:
    """Give a simple cubic lattice of all species in a random order, wide enough for the largest of them."""
    order = rng.permutation(numbers)
    n = int(np.ceil(len(order) ** (1 / 3)))
    sites = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[: len(order)]
    a = max(_LEAST, _STRETCH * 1.7 * float(np.median(covalent_radii(order))))
    return _periodic(order, sites / n, n * a * np.eye(3))


def _rattled(structure: Structure, rng: np.random.Generator) -> Structure:
    moves = rng.uniform(-_RATTLE, _RATTLE, structure.positions.shape)
    return dataclasses.replace(structure, positions=structure.positions + moves)


def _in_vacuum(structure: Structure) -> Structure:
    """Give a structure with vacuum along what is not periodic, along an axis of space where there is no cell."""
    cell = np.where(structure.pbc[:, None], structure.cell, 0.0)
    for axis in np.flatnonzero(~structure.pbc):
        a, b = cell[(axis + 1) % 3], cell[(axis + 2) % 3]
        normal = np.cross(a, b)
        direction = normal / np.linalg.norm(normal) if normal.any() else np.eye(3)[axis]
        heights = structure.positions @ direction
        cell[axis] = (np.ptp(heights) + 2 * _VACUUM) * direction
    return dataclasses.replace(structure, cell=cell, pbc=np.ones(3, dtype=bool))
