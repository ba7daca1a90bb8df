"""Neighbor lists for the requests of a model, computed by vesin and kept with a skin between calls."""

from typing import List, Sequence

import numpy as np
import torch
import vesin

PairRequest = tuple[float, bool, bool]


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
    """

    def __init__(self, requests: Sequence[PairRequest], skin: float):
        self._lists = [
            vesin.NeighborList(cutoff=cutoff, full_list=full_list, skin=skin) for cutoff, full_list, _ in requests
        ]

    def compute(self, positions: torch.Tensor, cell: torch.Tensor, pbc: torch.Tensor) -> List[torch.Tensor]:
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
        list of torch.Tensor
            For each request: shape (n_pairs, 5), int32: first atom, second atom, three cell shifts; on the device of
            the positions.
        """
        box = completed_cell(cell.cpu().numpy(), pbc.cpu().numpy())
        if positions.device.type != "cuda":
            return [self._on_cpu(nl, positions, box, pbc) for nl in self._lists]
        return [self._on_cuda(nl, positions, box, pbc) for nl in self._lists]

    def _on_cpu(
        self, nl: vesin.NeighborList, positions: torch.Tensor, box: np.ndarray, pbc: torch.Tensor
    ) -> torch.Tensor:
        points = positions.cpu().numpy()
        pairs, shifts = nl.compute(points, box, pbc.cpu().numpy(), quantities="PS", copy=False)
        # one array made here: the arrays of vesin are its own, and are overwritten by the next call
        joined = np.empty((len(pairs), 5), dtype=np.int32)
        joined[:, :2] = pairs
        joined[:, 2:] = shifts
        return torch.from_numpy(joined).to(positions.device)

    def _on_cuda(
        self, nl: vesin.NeighborList, positions: torch.Tensor, box: np.ndarray, pbc: torch.Tensor
    ) -> torch.Tensor:
        box_tensor = torch.from_numpy(box).to(positions.device)
        pairs, shifts = nl.compute(positions, box_tensor, pbc.cpu().numpy(), quantities="PS", copy=False)
        return torch.cat([pairs.to(torch.int32), shifts.to(torch.int32)], dim=1)


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
