"""Neighbor lists for the requests of a model, computed by vesin and kept with a skin between calls."""

from typing import List, Sequence, Tuple

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
        """
        box = completed_cell(cell.cpu().numpy(), pbc.cpu().numpy())
        periodic = pbc.cpu().numpy()
        compute = self._on_cuda if positions.device.type == "cuda" else self._on_cpu
        found = [compute(nl, positions, box, periodic) for nl in self._lists]
        return [pairs for pairs, _ in found], [vectors for _, vectors in found]

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
