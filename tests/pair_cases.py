"""Pairs of atoms, for the tests of what finds them."""

import itertools

import numpy as np


def as_set(pairs, full):
    """Give pairs independent of order, and of direction in a half list."""
    rows = [tuple(row) for row in pairs.tolist()]
    if not full:
        flipped = [(j, i, -a, -b, -c) for i, j, a, b, c in rows]
        rows = [min(pair) for pair in zip(rows, flipped, strict=True)]
    assert len(set(rows)) == len(rows)
    return set(rows)


def all_pairs(positions, cell, pbc, cutoff):
    """Find pairs by trying all shifts."""
    ranges = [range(-6, 7) if periodic else (0,) for periodic in pbc]
    found = set()
    for shift in itertools.product(*ranges):
        vectors = positions[None, :] - positions[:, None] + np.array(shift) @ cell
        distances = np.linalg.norm(vectors, axis=2)
        for i, j in np.argwhere((distances < cutoff) & (distances > 1e-9)).tolist():
            found.add((i, j, *shift))
    return found
