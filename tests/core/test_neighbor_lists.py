"""Neighbor lists kept with a skin: never stale, whatever happens between two calls."""

import itertools

import numpy as np
import pytest
import torch
from models import TRICLINIC, structures
from pair_cases import all_pairs, as_set

from metatomic_core.neighbor_lists import NeighborLists, completed_cell, estimated_pairs

REQUESTS = [(4.0, True, True), (2.5, False, True)]
STRUCTURES = structures()


def compute(lists, positions, cell, pbc):
    return lists.compute(torch.tensor(positions), torch.tensor(cell), torch.tensor(pbc))[0]


@pytest.mark.parametrize("skin", [0.0, 1.0])
@pytest.mark.parametrize("name", STRUCTURES)
def test_lists_hold_all_pairs(name, skin):
    s = STRUCTURES[name]
    full, half = compute(NeighborLists(REQUESTS, skin), s.positions, s.cell, s.pbc)
    expected = all_pairs(s.positions, s.cell, s.pbc, 4.0)
    assert full.dtype == torch.int32
    assert full.shape == (len(expected), 5)
    assert as_set(full, True) == expected
    short = all_pairs(s.positions, s.cell, s.pbc, 2.5)
    assert as_set(half, False) == {min(p, (p[1], p[0], *(-x for x in p[2:]))) for p in short}
    assert len(half) * 2 == len(short)


def moves(rng):
    """Give structures that follow each other in ways that break lists which are kept too long."""
    positions = STRUCTURES["triclinic"].positions.copy()
    cell, pbc = TRICLINIC.copy(), np.array([True, True, True])
    yield positions, cell, pbc
    for _ in range(4):  # small steps: the list is kept
        positions = positions + rng.normal(size=positions.shape) * 0.05
        yield positions, cell, pbc
    positions = positions.copy()
    positions[2] += [1.5, -2.0, 0.7]  # one atom far
    yield positions, cell, pbc
    positions = positions.copy()
    positions[0] -= cell[1]  # one atom wrapped
    yield positions, cell, pbc
    yield positions + 7.0, cell, pbc  # all atoms together
    for strain in (0.002, 0.05, -0.2):  # the cell alone, and with the atoms
        yield positions, cell @ (np.eye(3) + strain), pbc
        yield positions @ (np.eye(3) + strain), cell @ (np.eye(3) + strain), pbc
    yield positions, cell[[1, 2, 0]], pbc  # cell vectors in another order
    yield positions, cell, np.array([True, True, False])
    yield positions[:4], cell, pbc  # fewer atoms
    yield positions[::-1].copy(), cell, pbc  # more atoms, in another order
    yield positions, np.zeros((3, 3)), np.array([False, False, False])
    yield positions[:1], cell, pbc
    yield positions, cell, pbc


def test_kept_lists_are_never_stale():
    kept = NeighborLists(REQUESTS, 1.0)
    for step, (positions, cell, pbc) in enumerate(moves(np.random.default_rng(2))):
        got = compute(kept, positions, cell, pbc)
        new = compute(NeighborLists(REQUESTS, 0.0), positions, cell, pbc)
        for (_, full, _), pairs, expected in zip(REQUESTS, got, new, strict=True):
            assert as_set(pairs, full) == as_set(expected, full), f"step {step}"


def test_slow_drift_rebuilds_in_time():
    """Steps far below half the skin, which add up."""
    rng = np.random.default_rng(4)
    kept = NeighborLists(REQUESTS, 0.6)
    positions = STRUCTURES["triclinic"].positions.copy()
    drift = rng.normal(size=positions.shape) * 0.04
    pbc = np.array([True, True, True])
    for _ in range(40):
        positions += drift  # in place: the array of the caller is not to be remembered
        cell = TRICLINIC
        got = compute(kept, positions, cell, pbc)
        new = compute(NeighborLists(REQUESTS, 0.0), positions, cell, pbc)
        assert as_set(got[0], True) == as_set(new[0], True)


def test_results_of_earlier_calls_stay():
    kept = NeighborLists(REQUESTS, 1.0)
    s = STRUCTURES["triclinic"]
    first = compute(kept, s.positions, s.cell, s.pbc)
    before = [pairs.clone() for pairs in first]
    compute(kept, s.positions * 0.9, s.cell, s.pbc)
    for pairs, expected in zip(first, before, strict=True):
        assert torch.equal(pairs, expected)


@pytest.mark.parametrize("pbc", list(itertools.product([True, False], repeat=3)))
def test_completed_cell_is_orthogonal_in_open_directions(pbc):
    completed = completed_cell(TRICLINIC, np.array(pbc))
    periodic = np.array(pbc)
    np.testing.assert_array_equal(completed[periodic], TRICLINIC[periodic])
    if periodic.any():
        assert abs(np.linalg.det(completed)) > 1e-3
        np.testing.assert_allclose(completed[~periodic] @ completed[periodic].T, 0, atol=1e-12)
    else:
        assert not completed.any()


@pytest.mark.parametrize("length", [1e-3, 1e-9, 0.05])
@pytest.mark.parametrize("pbc", [[True, True, True], [True, False, True], [False, False, True]])
def test_collapsed_cells_are_refused_at_once(length, pbc):
    box, periodic = torch.eye(3, dtype=torch.float64) * length, torch.tensor(pbc)
    positions = torch.rand(600, 3, dtype=torch.float64) @ box
    lists = NeighborLists([(8.5, True, True)], 1.0, max_pairs=1e7)
    with pytest.raises(ValueError, match=r"expected at most 1.0e\+07 pairs of atoms within 9.5, got about"):
        lists.compute(positions, box, periodic)


def test_flat_cells_with_many_images_are_refused():
    box = torch.tensor([[10.0, 0.0, 0.0], [10.0, 1e-4, 0.0], [0.0, 0.0, 1e4]], dtype=torch.float64)
    lists = NeighborLists([(8.5, True, True)], 1.0)
    with pytest.raises(ValueError, match="look at the cell, which may have collapsed, and its unit"):
        lists.compute(torch.zeros(4, 3, dtype=torch.float64), box, torch.ones(3, dtype=torch.bool))


@pytest.mark.parametrize("pbc", [[True, True, True], [True, True, False], [True, False, False], [False, False, False]])
def test_estimates_are_near_the_number_of_pairs(pbc):
    box = torch.tensor([[12.0, 0.0, 0.0], [3.0, 11.0, 0.0], [1.0, -2.0, 13.0]], dtype=torch.float64)
    positions = torch.rand(500, 3, dtype=torch.float64) @ box
    periodic = torch.tensor(pbc)
    found = len(NeighborLists([(5.0, True, True)], 0.0).compute(positions, box, periodic)[0][0])
    completed = completed_cell(box.numpy(), periodic.numpy())
    estimate = estimated_pairs(positions.numpy(), completed, periodic.numpy(), 5.0)
    assert 0.3 * found < estimate < 3 * found


def test_large_systems_are_not_refused():
    points = np.random.default_rng(0).uniform(0, 400, (1_000_000, 3))
    for pbc in ([True, True, True], [True, True, False], [False, False, False]):
        box = completed_cell(400.0 * np.eye(3), np.array(pbc))
        assert estimated_pairs(points, box, np.array(pbc), 6.0) < 1e8
