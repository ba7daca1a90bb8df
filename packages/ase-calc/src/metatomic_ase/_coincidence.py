"""Why a model gives no finite result: most often two atoms are at one place."""

import contextlib
from collections.abc import Iterator, Sequence

import ase
import numpy as np
from ase.neighborlist import neighbor_list

# no two nuclei of condensed matter are as near as this, in angstrom
_TOO_NEAR = 0.2


def nearest_pair(atoms: ase.Atoms) -> tuple[int, int, float] | None:
    """Give the two nearest atoms and their distance in angstrom if they are too near each other."""
    if not np.isfinite(atoms.positions).all() or not np.isfinite(atoms.cell.array).all():
        return None
    first, second, distances = neighbor_list("ijd", atoms, _TOO_NEAR)
    if len(distances) == 0:
        return None
    pair = int(distances.argmin())
    return int(first[pair]), int(second[pair]), float(distances[pair])


@contextlib.contextmanager
def explained(structures: Sequence[ase.Atoms]) -> Iterator[None]:
    """Context that adds to an error about results that are not finite which atoms are at one place.

    Raises
    ------
    ValueError
        The error, with the two atoms.
    """
    try:
        yield
    except ValueError as error:
        if "finite" not in str(error):
            raise
        for index, atoms in enumerate(structures):
            pair = nearest_pair(atoms)
            if pair is not None:
                where = f" of structure {index}" if len(structures) > 1 else ""
                raise ValueError(
                    f"{error}; atoms {pair[0]} and {pair[1]}{where} are {pair[2]:.2g} Å apart: move one of them"
                ) from error
        raise
