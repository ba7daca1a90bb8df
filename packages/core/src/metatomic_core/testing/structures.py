"""Structures that catch mistakes: each is small, asymmetric, and goes wrong in another way."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from metatomic_core.engine import Structure

from .parameters import CUTOFF, TYPES

# Nothing is at a right angle, and no two edges are of one length.
_TRICLINIC = np.array([[10.3, 0.0, 0.0], [2.1, 9.6, 0.0], [-1.4, 1.9, 10.9]])
_SMALL = np.array([[3.1, 0.2, -0.1], [0.9, 2.9, 0.3], [-0.5, 0.7, 3.4]])
_BOX = np.diag([9.1, 9.7, 10.4])
# No closer than this: formulas and engines are to be compared where atoms are.
_CLOSEST = 1.6


@dataclasses.dataclass(frozen=True)
class TrialStructure:
    """A structure, and what a subject must be able to do for it.

    Attributes
    ----------
    structure
        The structure, in angstrom.
    needs
        Names in `metatomic_core.testing.ABILITIES`.
    """

    structure: Structure
    needs: tuple[str, ...] = ()


def _species(n: int, rng: np.random.Generator) -> np.ndarray:
    """Give atomic numbers in an order that is not sorted, with each species that there is."""
    start = np.resize([TYPES[2], TYPES[0], TYPES[1], TYPES[2]], min(n, 4))
    return np.concatenate([start, rng.choice(TYPES, n - len(start))])


def _scattered(n: int, cell: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give positions at random in a cell, none too close to another or its images."""
    images = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), -1).reshape(-1, 3) @ cell
    positions = np.empty((0, 3))
    while len(positions) < n:
        # away from the faces, where rounding decides in which cell an atom is
        new = rng.uniform(0.02, 0.98, 3) @ cell
        ends = (positions[None] + images[:, None]).reshape(-1, 3)
        if len(ends) == 0 or np.linalg.norm(ends - new, axis=1).min() > _CLOSEST:
            positions = np.vstack([positions, new])
    return positions


def _periodic(n: int, cell: np.ndarray, seed: int, pbc: tuple[bool, bool, bool] = (True, True, True)) -> Structure:
    rng = np.random.default_rng(seed)
    return Structure(_species(n, rng), _scattered(n, cell, rng), cell, np.array(pbc))


def _free(positions: np.ndarray, seed: int = 0) -> Structure:
    types = _species(len(positions), np.random.default_rng(seed))
    return Structure(types, positions, np.zeros((3, 3)), np.zeros(3, dtype=bool))


def _outside() -> Structure:
    inside = _periodic(10, _TRICLINIC, 3)
    shifts = np.random.default_rng(4).integers(-3, 4, (10, 3))
    return dataclasses.replace(inside, positions=inside.positions + shifts @ _TRICLINIC)


def _slab(cell: np.ndarray, seed: int) -> Structure:
    """Give a few layers with atoms beyond the open faces of the cell."""
    slab = _periodic(9, cell, seed, (True, True, False))
    slab.positions[1] += 0.9 * cell[2]
    return slab


def _chain() -> np.ndarray:
    return np.array([[0.2, -0.3, 0.1], [1.7, 0.6, 0.4], [2.2, 2.2, -0.5], [0.4, 2.3, 1.2], [-1.3, 1.1, 0.7]])


_MIXED, _FREE, _OBLIQUE = "mixed periodicity", "free boundaries", "oblique free boundaries"
_ALONE = np.array([[0.4, 7.0, -1.0]])

STRUCTURES: dict[str, TrialStructure] = {
    "box": TrialStructure(_periodic(14, _BOX, 1)),
    "other box": TrialStructure(_periodic(11, np.diag([9.9, 9.2, 9.0]), 2)),
    "no pairs": TrialStructure(
        Structure(
            np.array(TYPES), np.array([[1.0, 2.0, 3.0], [6.5, 7.0, 8.0], [1.5, 7.0, 9.0]]), _BOX, np.ones(3, dtype=bool)
        )
    ),
    "triclinic": TrialStructure(_periodic(12, _TRICLINIC, 5), ("triclinic",)),
    "outside": TrialStructure(_outside(), ("triclinic", "atoms outside")),
    "small cell": TrialStructure(_periodic(2, _SMALL, 6), ("triclinic", "small cells")),
    "one atom": TrialStructure(_periodic(1, _SMALL, 7), ("triclinic", "small cells", "one atom")),
    "slab": TrialStructure(_slab(np.diag([6.4, 7.3, 5.1]), 8), (_MIXED, "small cells")),
    "wire": TrialStructure(_periodic(5, np.diag([8.0, 4.7, 9.0]), 9, (False, True, False)), (_MIXED, "small cells")),
    "oblique slab": TrialStructure(_slab(0.7 * _TRICLINIC, 10), (_MIXED, "triclinic", "small cells", _OBLIQUE)),
    "molecule": TrialStructure(_free(_chain()), (_FREE,)),
    "isolated atom": TrialStructure(_free(_ALONE), (_FREE, "one atom")),
}

# Strains of cells in runs that change them; sheared ones stay lower triangles, which every engine can have.
_STRETCH = np.diag([0.05, -0.06, 0.07])
_SHEAR = np.array([[0.05, 0.0, 0.0], [0.08, -0.06, 0.0], [-0.05, 0.07, 0.07]])


def trajectory(n_frames: int, cell: str = "fixed") -> dict[str, Structure]:
    """Give structures that follow each other: atoms move by more than any skin, and one crosses the cell.

    Parameters
    ----------
    n_frames
        How many.
    cell
        "fixed", or "stretched" or "sheared" with the atoms in it.

    Returns
    -------
    dict
        Structures by the names "frame 0", "frame 1", ...
    """
    start = STRUCTURES["other box"].structure
    rng = np.random.default_rng(11)
    directions = rng.normal(size=start.positions.shape)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    # from atoms that hardly move to those that go far
    lengths = np.linspace(0.0, 2.0, len(directions))[:, None]
    lengths[2] = 1.3 * CUTOFF
    strain = {"fixed": np.zeros((3, 3)), "stretched": _STRETCH, "sheared": _SHEAR}[cell]
    frames = {}
    for k in range(n_frames):
        # forth, and back half of the way: an old list fits by chance only
        part = np.sin(0.8 * np.pi * k / max(n_frames - 1, 1))
        deformation = np.eye(3) + part * strain
        positions = (start.positions + part * lengths * directions) @ deformation
        frames[f"frame {k}"] = dataclasses.replace(start, positions=positions, cell=start.cell @ deformation)
    return frames


def with_inputs(structures: Mapping[str, Structure], seed: int, charge_unit: float) -> dict[str, Structure]:
    """Give structures with a charge for each atom.

    Parameters
    ----------
    structures
        The structures.
    seed
        Of the charges.
    charge_unit
        The elementary charge in the unit of the charges.

    Returns
    -------
    dict
        The same structures with inputs.
    """
    rng = np.random.default_rng(seed)
    return {
        name: dataclasses.replace(
            structure, inputs={"charge": charge_unit * rng.uniform(-1.0, 1.0, len(structure.types)).round(6)}
        )
        for name, structure in structures.items()
    }
