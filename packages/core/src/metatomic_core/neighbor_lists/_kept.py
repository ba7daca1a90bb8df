"""Candidates for pairs that are kept while atoms move less than half the skin, looked at by compiled code."""

import numpy as np

from ._compiled import Library
from ._search import Argument, Found, PairSearch

# Part of half the skin that atoms may move: rounding must not lose a pair.
_SAFE = 1.0 - 1e-9


class KeptSearch:
    """The search for pairs of one structure with one cutoff, as `PairSearch`, with a compiled loop at each call.

    Parameters
    ----------
    library
        The compiled loop.
    cutoff, full_list, skin
        As for `PairSearch`; there is a skin.
    """

    def __init__(self, library: Library, cutoff: float, full_list: bool, skin: float):
        self._library = library
        self._square_of_cutoff = cutoff**2
        self._limit = (_SAFE * 0.5 * skin) ** 2
        self._search = PairSearch(cutoff + skin, full_list, 0.0)
        # what the candidates belong to
        self._box: np.ndarray | None = None
        self._periodic: np.ndarray | None = None
        self._points: np.ndarray = np.empty((0, 3))
        self._n_candidates = 0

    def __call__(self, points: np.ndarray, box: np.ndarray, periodic: np.ndarray) -> Found:
        """Find the pairs; as `PairSearch`, but ``box`` and ``periodic`` never change in place."""
        at = Argument((None, 3), np.float64).address(points)
        if self._is_old(points, at, box, periodic):
            # nothing is kept if it fails
            self._box = None
            self._renew(points, box, periodic)
        n_pairs = self._library.pairs(self._n_candidates, *self._read, at, self._square_of_cutoff, *self._written)
        atoms = self._first[:n_pairs], self._second[:n_pairs]
        return Found(*atoms, self._vectors[:n_pairs], self._shifts, self._candidate[:n_pairs])

    def _is_old(self, points: np.ndarray, at: int, box: np.ndarray, periodic: np.ndarray) -> bool:
        if box is not self._box or periodic is not self._periodic or len(points) != len(self._points):
            return True
        return bool(self._library.moved(len(points), at, _address(self._points), self._limit))

    def _renew(self, points: np.ndarray, box: np.ndarray, periodic: np.ndarray) -> None:
        """Look for candidates."""
        found = self._search(points, box, periodic)
        n = self._n_candidates = len(found.vectors)
        candidates = np.ascontiguousarray(found.first, np.int32), np.ascontiguousarray(found.second, np.int32)
        self._shifts = np.array(found.shifts())
        offsets = self._shifts.astype(np.float64) @ box
        self._kept = (*candidates, offsets)
        self._first, self._second = np.empty(n, np.int64), np.empty(n, np.int64)
        self._candidate, self._vectors = np.empty(n, np.int32), np.empty((n, 3))
        self._read = tuple(_address(array) for array in self._kept)
        written = (self._first, self._second, self._candidate, self._vectors)
        self._written = tuple(_address(array) for array in written)
        self._points = points.copy()
        self._box, self._periodic = box, periodic


def _address(array: np.ndarray) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
