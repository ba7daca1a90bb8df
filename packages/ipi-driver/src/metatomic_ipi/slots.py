"""Which neighbor lists a structure continues: i-PI does not say which bead it sends."""

from typing import Dict, List, Sequence

import numpy as np

# Beads and replicas that are remembered; the one that was not seen for longest is then dropped.
MAX_SLOTS = 128


class SlotMatcher:
    """Recognises the beads of earlier calls by their positions.

    A bead moves less between two calls than beads differ from each other, or else their neighbor lists are
    interchangeable.  A wrong guess only costs time: lists are checked against the positions before they are used.

    Parameters
    ----------
    near
        Median displacement of atoms up to which a structure counts as the same bead.
    max_slots
        Largest number of beads to remember.
    """

    def __init__(self, near: float, max_slots: int = MAX_SLOTS):
        self._near = near
        self._max_slots = max_slots
        self._positions: Dict[int, np.ndarray] = {}

    def assign(self, positions: Sequence[np.ndarray]) -> List[int]:
        """Give a slot for each structure of a call, all different.

        Parameters
        ----------
        positions
            Shape (n_atoms, 3) each.
        """
        free = set(self._positions)
        slots = []
        for points in positions:
            slot = self._slot(points, free)
            free.discard(slot)
            # taken out and put in again, so that the order is that of last use
            self._positions.pop(slot, None)
            self._positions[slot] = points
            slots.append(slot)
        return slots

    def _slot(self, points: np.ndarray, free: "set[int]") -> int:
        # beads come in the same order as a rule: try the one that was not seen for longest, then the nearest
        oldest = next((slot for slot in self._positions if slot in free), None)
        if oldest is not None and self._distance(points, oldest) <= self._near:
            return oldest
        nearest = min(free, key=lambda slot: self._distance(points, slot), default=None)
        if nearest is not None and self._distance(points, nearest) <= self._near:
            return nearest
        if len(self._positions) < self._max_slots or oldest is None:
            return max(self._positions, default=-1) + 1
        return oldest

    def _distance(self, points: np.ndarray, slot: int) -> float:
        known = self._positions[slot]
        if known.shape != points.shape:
            return float("inf")
        # the median, because atoms that were wrapped into the cell jump
        return float(np.median(np.abs(points - known).max(axis=1))) if len(points) > 0 else 0.0
