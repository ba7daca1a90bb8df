"""The neighbor lists of all structures that an engine moves, kept from call to call."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from metatomic_core.data.system_checks import check_periodicity
from metatomic_core.foundation.finite import all_finite

from ._joined import Geometry, Joined, Joiner
from ._lists import NeighborLists, PairRequest

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

    def __init__(self, requests: Sequence[PairRequest], skin: float, max_pairs: float | None = None):
        self._requests = requests
        self._skin = skin
        self._max_pairs = max_pairs
        self._lists: dict[int, NeighborLists] = {}
        # cells that were found to be good, with their periodicity, by value
        self._checked_cells: dict[int, bytes] = {}
        self._joiner = Joiner(len(requests))
        # call that has used each slot last, in the order of these calls
        self._last_used: dict[int, int] = {}
        self._n_calls = 0

    def __getstate__(self) -> dict[str, Any]:
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
        self, structures: Sequence[dict[str, torch.Tensor]], slots: Sequence[int] | None
    ) -> tuple[list[list[torch.Tensor]], list[list[torch.Tensor]]]:
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
        used = self._used(len(structures), slots)
        # one pass over them: the sum of numbers of this size is finite if they are
        finite = [math.isfinite(float(structure["positions"].sum())) for structure in structures]
        cells = [(_array(structure["cell"]), _array(structure["pbc"])) for structure in structures]
        self._check(finite, cells, used)
        pairs: list[list[torch.Tensor]] = []
        vectors: list[list[torch.Tensor]] = []
        for structure, slot in zip(structures, used, strict=True):
            found = self._lists_of(slot).compute(structure["positions"], structure["cell"], structure["pbc"])
            pairs.append(found[0])
            vectors.append(found[1])
        return pairs, vectors

    @torch.inference_mode(False)
    def joined(
        self, geometries: Sequence[Geometry], slots: Sequence[int] | None, with_shifts: bool, length: float = 1.0
    ) -> Joined:
        """Give the pairs of all structures one after the other, on the CPU, in memory that the next call overwrites.

        Parameters
        ----------
        geometries
            Positions, cell and periodicity of each structure: contiguous arrays, as `NeighborLists` takes tensors.
        slots
            As for `compute`.
        with_shifts
            Whether cell shifts are wanted.
        length
            Factor for vectors, to another unit.

        Raises
        ------
        ValueError
            As for `compute`.
        """
        used = self._used(len(geometries), slots)
        self._check([all_finite(one[0]) for one in geometries], [one[1:] for one in geometries], used)
        found = [self._lists_of(slot).search(*one) for slot, one in zip(used, geometries, strict=True)]
        return self._joiner([len(one[0]) for one in geometries], found, with_shifts, length)

    def _lists_of(self, slot: int) -> NeighborLists:
        if slot not in self._lists:
            self._lists[slot] = NeighborLists(self._requests, self._skin, self._max_pairs)
        return self._lists[slot]

    def _used(self, n_structures: int, slots: Sequence[int] | None) -> Sequence[int]:
        """Give the slot of each structure, note that they are used, and drop those of long ago."""
        if slots is None:
            slots = range(n_structures)
        elif len(set(slots)) != n_structures:
            raise ValueError(f"expected one slot for each of {n_structures} structures in `slots`, got {list(slots)}")
        self._drop_old(slots)
        return slots

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

    def _check(
        self, finite: Sequence[bool], cells: Sequence[tuple[np.ndarray, np.ndarray]], slots: Sequence[int]
    ) -> None:
        """Check that positions and cells are finite, and that cells fit their periodicity."""
        before = b""
        for index, (is_finite, (cell, pbc), slot) in enumerate(zip(finite, cells, slots, strict=True)):
            if not is_finite:
                raise ValueError(f"expected finite positions and cell, got nan or infinity in structure {index}")
            # a cell that has not changed, or is that of the structure before, is known to be good
            key = cell.tobytes() + pbc.tobytes()
            if key not in (before, self._checked_cells.get(slot)):
                if not np.isfinite(cell).all():
                    raise ValueError(f"expected finite positions and cell, got nan or infinity in structure {index}")
                check_periodicity(torch.from_numpy(cell * pbc[:, None]), torch.from_numpy(pbc.copy()))
            self._checked_cells[slot] = before = key


def _array(tensor: torch.Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().cpu().numpy()
    return array
