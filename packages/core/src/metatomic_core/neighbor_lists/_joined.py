"""Pairs of several structures one after the other, as compiled kernels take them, without copies where there is one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from ._search import Found

# positions (n_atoms, 3), float64, cell (3, 3), float64, and periodicity (3,), bool, of a structure
Geometry = tuple[np.ndarray, np.ndarray, np.ndarray]

# Memory grows by this factor, so that numbers of pairs which change from step to step do not make it anew.
_GROWTH = 1.25


class Joined(NamedTuple):
    """Pairs of all structures; for each neighbor list, in memory that is overwritten by the next call.

    Attributes
    ----------
    first, second
        Atoms, numbered within the batch, shape (n_pairs,), int64, contiguous.
    shifts
        Shape (n_pairs, 3), int32, contiguous; None where they were not wanted.
    vectors
        Shape (n_pairs, 3), float64, contiguous; in the unit that was wanted.
    n_pairs
        Number of pairs of each structure.
    """

    first: list[torch.Tensor]
    second: list[torch.Tensor]
    shifts: list[torch.Tensor | None]
    vectors: list[torch.Tensor]
    n_pairs: list[list[int]]


class _Column:
    """Memory for one quantity of the pairs of one list."""

    def __init__(self, width: int, dtype: type):
        self._shape = (width,) if width > 1 else ()
        self._array: np.ndarray = np.empty((0, *self._shape), dtype=dtype)
        self.tensor = torch.from_numpy(self._array)

    def rows(self, n_rows: int) -> np.ndarray:
        """Give memory for a number of rows, the first of which may hold what they held before."""
        if n_rows > len(self._array):
            self._array = np.empty((int(_GROWTH * n_rows) + 1, *self._shape), dtype=self._array.dtype)
            self.tensor = torch.from_numpy(self._array)
        return self._array


class _Columns(NamedTuple):
    first: _Column
    second: _Column
    shifts: _Column
    vectors: _Column


class Joiner:
    """Joins what was found for each structure.

    Parameters
    ----------
    n_lists
        Number of neighbor lists of each structure.
    """

    def __init__(self, n_lists: int):
        self._columns = [
            _Columns(_Column(1, np.int64), _Column(1, np.int64), _Column(3, np.int32), _Column(3, np.float64))
            for _ in range(n_lists)
        ]

    def __call__(
        self, n_atoms: Sequence[int], found: Sequence[Sequence[Found]], with_shifts: bool, length: float
    ) -> Joined:
        """Join pairs.

        Parameters
        ----------
        n_atoms
            Number of atoms of each structure.
        found
            What was found for each structure and each list, in memory that is still good.
        with_shifts
            Whether cell shifts are wanted.
        length
            Factor for vectors.
        """
        joined = Joined([], [], [], [], [])
        for k, columns in enumerate(self._columns):
            of_list = [one[k] for one in found]
            sizes = [len(one.first) for one in of_list]
            joined.first.append(_joined_atoms([one.first for one in of_list], n_atoms, columns.first))
            joined.second.append(_joined_atoms([one.second for one in of_list], n_atoms, columns.second))
            shifts = [one.shifts() for one in of_list] if with_shifts else []
            joined.shifts.append(_joined_rows(shifts, columns.shifts) if with_shifts else None)
            joined.vectors.append(_joined_rows([one.vectors for one in of_list], columns.vectors, length))
            joined.n_pairs.append(sizes)
        return joined


def _joined_atoms(arrays: Sequence[np.ndarray], n_atoms: Sequence[int], column: _Column) -> torch.Tensor:
    """Join atoms of all structures, numbered within the batch; those of one are taken where they are if they can be."""
    if len(arrays) == 1 and arrays[0].flags.c_contiguous:
        return torch.from_numpy(arrays[0])
    total = sum(map(len, arrays))
    rows = column.rows(total)
    start = atom = 0
    for array, n in zip(arrays, n_atoms, strict=True):
        stop = start + len(array)
        np.add(array, atom, out=rows[start:stop])
        start, atom = stop, atom + n
    return column.tensor[:total]


def _joined_rows(arrays: Sequence[np.ndarray], column: _Column, factor: float = 1.0) -> torch.Tensor:
    """Join rows, and multiply them; those of one structure are taken where they are if nothing changes."""
    if len(arrays) == 1 and factor == 1.0:
        return torch.from_numpy(arrays[0])
    total = sum(map(len, arrays))
    rows = column.rows(total)
    if factor == 1.0:
        np.concatenate(arrays, out=rows[:total])
        return column.tensor[:total]
    start = 0
    for array in arrays:
        stop = start + len(array)
        np.multiply(array, factor, out=rows[start:stop])
        start = stop
    return column.tensor[:total]
