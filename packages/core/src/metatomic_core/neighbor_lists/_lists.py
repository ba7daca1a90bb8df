"""Neighbor lists for the requests of a model, computed by vesin and kept with a skin between calls."""

import functools
import os
from collections.abc import Callable, Sequence

import numpy as np
import torch
import vesin

from ._compiled import library
from ._kept import KeptSearch
from ._search import Found, PairSearch

PairRequest = tuple[float, bool, bool]
Search = Callable[[np.ndarray, np.ndarray, np.ndarray], Found]

# Memory in bytes that a pair takes in lists, labels and a small model, about; no program wants more pairs than
# the second number.
_BYTES_PER_PAIR = 400
_MAX_PAIRS = 1e9


class NeighborLists:
    """The neighbor lists of one structure, or of one bead, that moves from call to call.

    Candidates within cutoff + skin are kept until an atom has moved half the skin, and filtered to the cutoff at each
    call, so that a result is never stale.  Give positions that are not wrapped into the cell: an atom that jumps by a
    cell vector makes the list be built again.

    Parameters
    ----------
    requests
        For each list: cutoff, whether it is a full list, whether it is strict (all are).
    skin
        Thickness of the skin, in the same unit; zero to compute the lists anew at each call.
    max_pairs
        Number of pairs in a list above which it is refused, by an estimate; None for what fits into the memory of the
        machine.
    """

    def __init__(self, requests: Sequence[PairRequest], skin: float, max_pairs: float | None = None):
        self._reaches = [(cutoff + skin, full_list) for cutoff, full_list, _ in requests]
        self._max_pairs = pairs_that_fit() if max_pairs is None else max_pairs
        loop = library() if skin > 0 else None
        self._searches: list[Search] = [
            PairSearch(cutoff, full_list, skin) if loop is None else KeptSearch(loop, cutoff, full_list, skin)
            for cutoff, full_list, _ in requests
        ]
        self._requests, self._skin = requests, skin
        # the cell and the periodicity of the last call, by value, and what the search takes for them
        self._key = b""
        self._box, self._periodic = np.zeros((3, 3)), np.zeros(3, dtype=bool)
        # number of atoms for which the number of pairs was estimated with this cell
        self._estimated = 0

    def compute(
        self, positions: torch.Tensor, cell: torch.Tensor, pbc: torch.Tensor
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Compute all lists.

        Parameters
        ----------
        positions
            Shape (n_atoms, 3), float64, finite.
        cell
            Shape (3, 3), float64; vectors of non-periodic directions are ignored.
        pbc
            Shape (3,), bool.

        Returns
        -------
        list of torch.Tensor, list of torch.Tensor
            For each request: the pairs, shape (n_pairs, 5), int32: first atom, second atom, three cell shifts; and
            their vectors, shape (n_pairs, 3), float64; on the device of the positions.

        Raises
        ------
        ValueError
            If there are more pairs than fit into memory, as in a cell that has collapsed.
        """
        if positions.device.type == "cuda":
            return self._on_cuda(positions, cell, pbc)
        found = self.search(positions.detach().cpu().numpy(), cell.cpu().numpy(), pbc.cpu().numpy())
        device = positions.device
        pairs = [torch.from_numpy(joined_columns(one)).to(device) for one in found]
        # copies: what was found is overwritten by the next search
        return pairs, [torch.from_numpy(np.array(one.vectors)).to(device) for one in found]

    @functools.cached_property
    def _of_cuda(self) -> list[vesin.NeighborList]:
        """Lists for devices, where vesin keeps the candidates."""
        return [
            vesin.NeighborList(cutoff=cutoff, full_list=full_list, skin=self._skin)
            for cutoff, full_list, _ in self._requests
        ]

    def search(self, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray) -> list[Found]:
        """Search all lists, on the CPU and without copies: the next search overwrites what was found.

        Parameters
        ----------
        positions, cell, pbc
            As for `compute`.

        Returns
        -------
        list of Found
            For each request.

        Raises
        ------
        ValueError
            If there are more pairs than fit into memory.
        """
        self._take(positions, cell, pbc)
        points = np.ascontiguousarray(positions)
        return [search(points, self._box, self._periodic) for search in self._searches]

    def _take(self, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray) -> None:
        """Prepare cell and periodicity if they are not those of the last call, by value, and check the numbers."""
        key = cell.tobytes() + pbc.tobytes()
        if key != self._key:
            self._estimated = 0
            self._box, self._periodic = completed_cell(cell, pbc), np.array(pbc, dtype=bool)
            self._key = key
        if len(positions) not in (0, self._estimated):
            self._check_number(positions)
            self._estimated = len(positions)

    def _check_number(self, positions: np.ndarray) -> None:
        """Refuse what would take all memory, or hours, before the search begins; once for each cell."""
        for reach, full_list in self._reaches:
            n_pairs = estimated_pairs(positions, self._box, self._periodic, reach) / (1 if full_list else 2)
            if not n_pairs <= self._max_pairs:
                volume = abs(np.linalg.det(self._box))
                raise ValueError(
                    f"expected at most {self._max_pairs:.1e} pairs of atoms within {reach:g}, got about {n_pairs:.1e} "
                    f"for {len(positions)} atoms in a cell of volume {volume:.1e}; look at the cell, which may have "
                    "collapsed, and its unit"
                )

    def _on_cuda(
        self, positions: torch.Tensor, cell: torch.Tensor, pbc: torch.Tensor
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        self._take(positions.detach().cpu().numpy(), cell.cpu().numpy(), pbc.cpu().numpy())
        box = torch.from_numpy(self._box).to(positions.device)
        found = [
            search.compute(positions, box, self._periodic, quantities="PSD", copy=False) for search in self._of_cuda
        ]
        pairs = [torch.cat([atoms.to(torch.int32), shifts.to(torch.int32)], dim=1) for atoms, shifts, _ in found]
        return pairs, [vectors.clone() for _, _, vectors in found]


def joined_columns(found: Found) -> np.ndarray:
    """Give first atom, second atom and shifts in one array, shape (n_pairs, 5), int32."""
    joined = np.empty((len(found.first), 5), dtype=np.int32)
    shifts = found.shifts()
    # column by column: NumPy has no quick way for many rows of two or three
    joined[:, 0], joined[:, 1] = found.first, found.second
    for k in range(3):
        joined[:, 2 + k] = shifts[:, k]
    return joined


def completed_cell(cell: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """Replace the vectors of non-periodic directions by unit vectors orthogonal to the periodic ones.

    Parameters
    ----------
    cell
        Shape (3, 3), vectors as rows.
    pbc
        Shape (3,), bool.

    Returns
    -------
    numpy.ndarray
        Shape (3, 3), invertible if the periodic vectors are independent; all zero if there are none.
    """
    periodic = np.asarray(pbc, dtype=bool)
    completed = np.array(cell, dtype=np.float64)
    if periodic.all():
        return completed
    if not periodic.any():
        return np.zeros((3, 3))
    # rows of the last matrix of a singular value decomposition beyond the rank span the orthogonal complement
    _, _, rows = np.linalg.svd(completed[periodic])
    completed[~periodic] = rows[periodic.sum() :]
    return completed


def estimated_pairs(positions: np.ndarray, box: np.ndarray, periodic: np.ndarray, reach: float) -> float:
    """Estimate the number of pairs, each in both directions, or of images to look at if these are more.

    Parameters
    ----------
    positions
        Shape (n_atoms, 3).
    box
        Shape (3, 3), see `completed_cell`.
    periodic
        Shape (3,), bool.
    reach
        Largest distance of a pair.

    Returns
    -------
    float
        That of atoms which fill the cell, or their own extent where it is open, evenly.
    """
    n_atoms = len(positions)
    filled = np.array(box if periodic.any() else np.eye(3))
    for k in np.flatnonzero(~periodic):
        filled[k] *= max(float(np.ptp(positions @ filled[k])), reach)
    volume = abs(np.linalg.det(filled))
    if volume == 0:
        return float("inf")
    n_pairs = n_atoms**2 * 4 / 3 * np.pi * reach**3 / volume
    # heights of the cell are 1 / |reciprocal vectors|; a flat one has many images even where it is large
    heights = 1 / np.linalg.norm(np.linalg.inv(filled), axis=0)
    n_images = float(np.prod(2 * reach / heights[periodic] + 1))
    return max(float(n_pairs), n_atoms * n_images)


def pairs_that_fit() -> float:
    """Give the number of pairs that fit into the memory of this machine."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not POSIX
        return _MAX_PAIRS
    return min(_MAX_PAIRS, memory / _BYTES_PER_PAIR)
