"""The structures on which an imported model is compared with the calculator of its family.

Small ones, each with something that goes wrong in another way: images, shear, vacuum, atoms outside the cell, species
in an order that is not sorted, one atom, no pairs at all, and all species that the model knows.
"""

from collections.abc import Sequence

import ase
import ase.data
import numpy as np

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


def trial_structures(types: Sequence[int], periodic_only: bool = False) -> dict[str, ase.Atoms]:
    """Give structures of the species of a model, by name.

    Parameters
    ----------
    types
        Atomic numbers that the model knows.
    periodic_only
        Whether all directions must be periodic: vacuum takes the place of free boundaries.
    """
    known = list(types)
    first = [number for number in _COMMON if number in known] or known
    # as many as a crystal of two sublattices wants, and a molecule of four
    few = (first + [number for number in known if number not in first])[:4]
    one, two = few[0], few[1 % len(few)]
    rng = np.random.default_rng(0)
    found = {
        "bulk": _rattled(_cubic(one).repeat(2), rng),
        "triclinic": _rattled(_sheared(two, one), rng),
        "slab": _rattled(_slab(one), rng),
        "molecule": _rattled(_molecule(few[::-1]), rng),
        "atom": ase.Atoms([two], positions=[[0.3, -0.2, 0.1]]),
        "small cell": _rattled(_primitive(one, two), rng),
        "all species": _rattled(_all_species(known, rng), rng),
    }
    if periodic_only:
        return {name: _in_vacuum(atoms) for name, atoms in found.items()}
    return found


def _spacing(one: int, two: int) -> float:
    """Give a distance in a crystal: of hydrogen, an atom would have hundreds of neighbors, and a model no memory."""
    return max(_distance(one, two), _MIN_SPACING)


def _distance(one: int, two: int) -> float:
    return _STRETCH * float(ase.data.covalent_radii[one] + ase.data.covalent_radii[two])


def _cubic(number: int) -> ase.Atoms:
    a = _spacing(number, number) * np.sqrt(2)
    sites = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    return ase.Atoms([number] * 4, scaled_positions=sites, cell=[a, a, a], pbc=True)


def _sheared(one: int, two: int) -> ase.Atoms:
    """Two species on one lattice, the cell sheared, and atoms several cells away from it."""
    atoms = _cubic(one if _distance(one, one) > _distance(two, two) else two).repeat((2, 1, 1))
    atoms.numbers[:] = [one, two, two, one, two, one, one, two]
    shear = np.array([[1.0, 0.0, 0.0], [0.21, 1.0, 0.0], [-0.13, 0.17, 1.0]])
    atoms.set_cell(shear @ atoms.cell.array, scale_atoms=True)
    atoms.positions[1] += 2 * atoms.cell[0] - atoms.cell[2]
    atoms.positions[4] -= 3 * atoms.cell[1]
    return atoms


def _slab(number: int) -> ase.Atoms:
    atoms = _cubic(number).repeat((2, 1, 1))
    atoms.pbc = (True, True, False)
    atoms.cell[2] *= 3.0
    return atoms


def _molecule(numbers: Sequence[int]) -> ase.Atoms:
    """Give a bent chain, each atom at a bond length from the one before."""
    steps = np.array([[0.8, 0.6, 0.0], [0.5, -0.7, 0.51], [0.64, 0.0, 0.77]])
    chain = [*numbers, numbers[0]]
    positions = [np.zeros(3)]
    for k in range(1, len(chain)):
        step = steps[k % 3] / np.linalg.norm(steps[k % 3])
        positions.append(positions[-1] + _distance(chain[k - 1], chain[k]) * step)
    return ase.Atoms(chain, positions=positions)


def _primitive(one: int, two: int) -> ase.Atoms:
    a = _spacing(one, two) * 2 / np.sqrt(3)
    return ase.Atoms([two, one], scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=[a, a, a], pbc=True)


def _all_species(numbers: Sequence[int], rng: np.random.Generator) -> ase.Atoms:
    """Give a simple cubic lattice of all species in a random order, wide enough for the largest of them."""
    order = rng.permutation(numbers)
    n = int(np.ceil(len(order) ** (1 / 3)))
    sites = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[: len(order)]
    a = max(_LEAST, _STRETCH * 1.7 * float(np.median(ase.data.covalent_radii[order])))
    return ase.Atoms(order, positions=a * sites, cell=[n * a] * 3, pbc=True)


def _rattled(atoms: ase.Atoms, rng: np.random.Generator) -> ase.Atoms:
    atoms.positions += rng.uniform(-_RATTLE, _RATTLE, (len(atoms), 3))
    return atoms


def _in_vacuum(atoms: ase.Atoms) -> ase.Atoms:
    """Give a structure with vacuum along what is not periodic."""
    for axis in np.nonzero(~atoms.pbc)[0]:
        atoms.center(vacuum=_VACUUM, axis=int(axis))
    atoms.pbc = True
    return atoms
