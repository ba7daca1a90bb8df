"""Which neighbor lists a structure continues: i-PI does not say which bead it sends."""

from collections.abc import Sequence

import numpy as np

# Beads and replicas that are remembered; the one that was not seen for longest is then dropped.
MAX_SLOTS = 128
# Atoms that are looked at, spread over the structure: enough to tell beads apart, and quick for any structure.
_N_PROBES = 32
# Root mean square displacement, in the distance of beads that are near, up to which no other bead is looked at.
_LITTLE = 0.1


class SlotMatcher:
    """Recognises the beads of earlier calls by their positions.

    Each structure continues the lists of the nearest bead of earlier calls, so that lists last as long as they can also
    where several clients share the beads.  A wrong guess only costs time: lists are checked against the positions
    before they are used.

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
        # coordinates of some atoms in each slot, shape (n_slots, 3 n_probes), and the call that has used it last
        self._known = np.zeros((0, 0))
        self._last_used = np.zeros(0, dtype=np.int64)
        self._n_calls = 0
        # slots of the structures of the last call
        self._before: list[int] = []

    def assign(self, positions: Sequence[np.ndarray]) -> list[int]:
        """Give a slot for each structure of a call, all different.

        Parameters
        ----------
        positions
            Shape (n_atoms, 3) each, the same number of atoms in every call.
        """
        step = max(1, len(positions[0]) // _N_PROBES)
        rows = slice(0, step * _N_PROBES, step)
        probes = np.array([points[rows] for points in positions]).reshape(len(positions), -1)
        if len(self._known) == 0:
            self._known = np.zeros((0, probes.shape[1]))
        if self._as_before(probes):
            self._n_calls += 1
            self._known[self._before] = probes
            self._last_used[self._before] = self._n_calls
            return list(self._before)
        self._before = self._assigned(probes)
        return list(self._before)

    def _as_before(self, probes: np.ndarray) -> bool:
        """Tell whether the structures are those of the last call in their order: none has moved more than a little."""
        if len(probes) != len(self._before):
            return False
        squares = ((probes - self._known[self._before]) ** 2).sum(axis=1)
        # not the nearest ones perhaps, but near enough for their lists to last
        return bool((3 * squares <= probes.shape[1] * (_LITTLE * self._near) ** 2).all())

    def _assigned(self, probes: np.ndarray) -> list[int]:
        """Give the slot of each structure by looking at all slots."""
        squares = _squared_distances(probes, self._known)
        self._n_calls += 1
        slots = []
        for probe, row in zip(probes, squares, strict=True):
            slot = self._slot(probe, row)
            if slot == len(self._known):
                self._known = np.concatenate([self._known, probe[None]])
                self._last_used = np.append(self._last_used, 0)
            self._known[slot] = probe
            self._last_used[slot] = self._n_calls
            # not for another structure of this call
            squares[:, slot : slot + 1] = np.inf
            slots.append(slot)
        return slots

    def _slot(self, probe: np.ndarray, squares: np.ndarray) -> int:
        """Give the slot of a structure with these squared distances to what was known before this call."""
        if len(squares) > 0:
            nearest = int(squares.argmin())
            if squares[nearest] < np.inf and self._is_near(probe, self._known[nearest], squares[nearest]):
                return nearest
        if len(self._known) < self._max_slots:
            return len(self._known)
        oldest = int(self._last_used.argmin())
        return oldest if self._last_used[oldest] < self._n_calls else len(self._known)

    def _is_near(self, probe: np.ndarray, known: np.ndarray, square: float) -> bool:
        if 3 * square <= len(probe) * self._near**2:
            return True
        # the median, because atoms that were wrapped into the cell jump
        return bool(np.median(np.abs(probe - known).reshape(-1, 3).max(axis=1)) <= self._near)


def _squared_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Give the squared distances between points, shapes (n, n_dimensions) and (m, n_dimensions), as (n, m)."""
    if len(second) == 0 or first.shape[1] == 0:
        return np.zeros((len(first), len(second)))
    # from a common origin, so that little is lost in the differences
    first, second = first - second[0], second - second[0]
    return (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2.0 * first @ second.T
