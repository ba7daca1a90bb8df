"""What is looked at in files of structures before a library reads them."""

import itertools
import os
from pathlib import Path

__all__ = ["check_declared_atoms"]

# the shortest line of an atom, "H 0 0 0"
_SHORTEST_LINE = 7


def check_declared_atoms(path: str | os.PathLike[str]) -> None:
    """Refuse an xyz file that is too short for the atoms that it declares, for which ASE would look, or make room.

    Parameters
    ----------
    path
        The file: xyz, or extended xyz, of one structure or several.

    Raises
    ------
    ValueError
        If it is.
    """
    left = Path(path).stat().st_size
    with open(path, "rb") as file:
        while line := file.readline():
            left -= len(line)
            if line.startswith(b"VEC"):
                continue
            try:
                n_atoms = int(line)
            except ValueError:
                # something else, or an integer that is too long: whoever reads it says so
                return
            if n_atoms * _SHORTEST_LINE > left:
                raise ValueError(
                    f"expected {n_atoms} atoms in '{path}', as it says, got a file with {left} more bytes, which is "
                    "too short for them"
                )
            left -= sum(map(len, itertools.islice(file, n_atoms + 1 if n_atoms > 0 else 1)))
