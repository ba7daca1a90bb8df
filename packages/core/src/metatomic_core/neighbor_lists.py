"""Neighbor lists for the requests of a model, computed by vesin and kept with a skin between calls."""

import os
from typing import List, Optional, Sequence, Tuple

import numpy as np
import torch
import vesin

PairRequest = tuple[float, bool, bool]

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

    def __init__(self, requests: Sequence[PairRequest], skin: float, max_pairs: Optional[float] = None):
        self._reaches = [(cutoff + skin, full_list) for cutoff, full_list, _ in requests]
        self._max_pairs = pairs_that_fit() if max_pairs is None else max_pairs
        # number of atoms, cell and periodicity for which the number of pairs was estimated last
        self._estimated = (0, b"", b"")
        self._lists = [
            vesin.NeighborList(cutoff=cutoff, full_list=full_list, skin=skin) for cutoff, full_list, _ in requests
        ]

    def compute(
        self, positions: torch.Tensor, cell: torch.Tensor, pbc: torch.Tensor
    ) -> Tuple[List[torch.Tensor], List[torch.Tensor]]:
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
        box = completed_cell(cell.cpu().numpy(), pbc.cpu().numpy())
        periodic = pbc.cpu().numpy()
        self._check_number(positions, box, periodic)
        compute = self._on_cuda if positions.device.type == "cuda" else self._on_cpu
        found = [compute(nl, positions, box, periodic) for nl in self._lists]
        return [pairs for pairs, _ in found], [vectors for _, vectors in found]

    def _check_number(self, positions: torch.Tensor, box: np.ndarray, periodic: np.ndarray) -> None:
        """Refuse what would take all memory, or hours, before the search begins; once for each cell."""
        key = (len(positions), box.tobytes(), periodic.tobytes())
        if key == self._estimated or len(positions) == 0:
            return
        points = positions.detach().cpu().numpy()
        for reach, full_list in self._reaches:
            n_pairs = estimated_pairs(points, box, periodic, reach) / (1 if full_list else 2)
            if not n_pairs <= self._max_pairs:
                volume = abs(np.linalg.det(box))
                raise ValueError(
                    f"expected at most {self._max_pairs:.1e} pairs of atoms within {reach:g}, got about {n_pairs:.1e} "
                    f"for {len(positions)} atoms in a cell of volume {volume:.1e}; look at the cell, which may have "
                    "collapsed, and its unit"
                )
        self._estimated = key

    def _on_cpu(
        self, nl: vesin.NeighborList, positions: torch.Tensor, box: np.ndarray, periodic: np.ndarray
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        points = positions.cpu().numpy()
        pairs, shifts, vectors = nl.compute(points, box, periodic, quantities="PSD", copy=False)
        # arrays made here: those of vesin are its own, and are overwritten by the next call
        joined = np.empty((len(pairs), 5), dtype=np.int32)
        joined[:, :2] = pairs
        joined[:, 2:] = shifts
        device = positions.device
        return torch.from_numpy(joined).to(device), torch.from_numpy(np.array(vectors)).to(device)

    def _on_cuda(
        self, nl: vesin.NeighborList, positions: torch.Tensor, box: np.ndarray, periodic: np.ndarray
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        box_tensor = torch.from_numpy(box).to(positions.device)
        pairs, shifts, vectors = nl.compute(positions, box_tensor, periodic, quantities="PSD", copy=False)
        return torch.cat([pairs.to(torch.int32), shifts.to(torch.int32)], dim=1), vectors.clone()


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
