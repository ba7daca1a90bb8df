"""The neighbor lists of all structures that an engine moves, kept from call to call."""

import itertools
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch

from ._system_checks import check_periodicity
from .neighbor_lists import NeighborLists, PairRequest

# Calls after which the lists of a slot that was not used are dropped: more than there are beads in one simulation, as
# each may come in a call of its own.
_KEPT_CALLS = 1000


class NeighborSlots:
    """Neighbor lists in slots, one for each structure, or bead, that moves; those of long ago are dropped.

    Parameters
    ----------
    requests
        What the model wants, see `NeighborLists`.
    skin
        Thickness of the skin, in the same unit.
    max_pairs
        See `NeighborLists`.
    """

    def __init__(self, requests: Sequence[PairRequest], skin: float, max_pairs: Optional[float] = None):
        self._requests = requests
        self._skin = skin
        self._max_pairs = max_pairs
        self._lists: Dict[int, NeighborLists] = {}
        # cells that were found to be good, with their periodicity
        self._checked_cells: Dict[int, Tuple[torch.Tensor, torch.Tensor]] = {}
        # call that has used each slot last, in the order of these calls
        self._last_used: Dict[int, int] = {}
        self._n_calls = 0

    def __getstate__(self) -> Dict[str, Any]:
        """Leave out the lists, which belong to this process and can be made again."""
        return {**self.__dict__, "_lists": {}, "_checked_cells": {}, "_last_used": {}}

    def clear(self) -> None:
        """Drop all lists."""
        self._lists.clear()
        self._checked_cells.clear()
        self._last_used.clear()

    # tensors made in the inference mode of a caller can not take part in derivatives
    @torch.inference_mode(False)
    def compute(
        self, structures: Sequence[Dict[str, torch.Tensor]], slots: Optional[Sequence[int]]
    ) -> Tuple[List[List[torch.Tensor]], List[List[torch.Tensor]]]:
        """Give pairs and their vectors for each structure and each list.

        Parameters
        ----------
        structures
            "positions", "cell" and "pbc" of each, as `NeighborLists` takes them.
        slots
            The slot of each; None for its place in the batch.

        Raises
        ------
        ValueError
            If a slot is given twice, something is not finite, or a periodic direction has no cell vector.
        """
        if slots is None:
            slots = range(len(structures))
        elif len(set(slots)) != len(structures):
            raise ValueError(
                f"expected one slot for each of {len(structures)} structures in `slots`, got {list(slots)}"
            )
        self._drop_old(slots)
        self._check_cells(structures, slots)
        pairs: List[List[torch.Tensor]] = []
        vectors: List[List[torch.Tensor]] = []
        for structure, slot in zip(structures, slots, strict=True):
            if slot not in self._lists:
                self._lists[slot] = NeighborLists(self._requests, self._skin, self._max_pairs)
            found = self._lists[slot].compute(structure["positions"], structure["cell"], structure["pbc"])
            pairs.append(found[0])
            vectors.append(found[1])
        return pairs, vectors

    def _drop_old(self, slots: Sequence[int]) -> None:
        """Note which slots are used, and drop those that have not been for long."""
        self._n_calls += 1
        for slot in slots:
            self._last_used.pop(slot, None)
            self._last_used[slot] = self._n_calls
        for slot in list(itertools.takewhile(self._is_old, self._last_used)):
            for kept in (self._lists, self._checked_cells, self._last_used):
                kept.pop(slot, None)

    def _is_old(self, slot: int) -> bool:
        return self._last_used[slot] <= self._n_calls - _KEPT_CALLS

    def _check_cells(self, structures: Sequence[Dict[str, torch.Tensor]], slots: Sequence[int]) -> None:
        before: Optional[Tuple[torch.Tensor, torch.Tensor]] = None
        for index, (structure, slot) in enumerate(zip(structures, slots, strict=True)):
            positions, cell, pbc = structure["positions"], structure["cell"], structure["pbc"]
            if not bool(torch.isfinite(positions).all() and torch.isfinite(cell).all()):
                raise ValueError(f"expected finite positions and cell, got nan or infinity in structure {index}")
            # a cell that has not changed, or is that of the structure before, is known to be good
            known = self._checked_cells.get(slot)
            if known is None or not _same_tensors((cell, pbc), known):
                if before is None or not _same_tensors((cell, pbc), before):
                    check_periodicity(cell * pbc[:, None], pbc)
                known = (cell.clone(), pbc.clone())
                self._checked_cells[slot] = known
            before = known


def _same_tensors(first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
