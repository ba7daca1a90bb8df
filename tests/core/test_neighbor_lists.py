"""Neighbor lists kept with a skin: never stale, whatever happens between two calls."""

import itertools

import numpy as np
import pytest
import torch
from models import TRICLINIC, structures
from pair_cases import all_pairs, as_set

from metatomic_core.neighbor_lists import (
    NeighborLists,
    NeighborSlots,
    _compiled,
    _kept,
    _lists,
    _search,
    completed_cell,
    estimated_pairs,
)

REQUESTS = [(4.0, True, True), (2.5, False, True)]
STRUCTURES = structures()


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    """Give the compiled loop, made for these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("METATOMIC_CACHE", str(tmp_path_factory.mktemp("cache")))
        assert _compiled.library() is None
        return _compiled.Library(_compiled.build_library())


@pytest.fixture(autouse=True, params=["vesin", "compiled"])
def way(request, monkeypatch, loop):
    """Run each test with lists that vesin keeps, and with those that the compiled loop looks at."""
    monkeypatch.setattr(_lists, "library", lambda: None if request.param == "vesin" else loop)
    return request.param


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


def rows_of(joined, k, start, stop):
    """Give pairs of one list in one range as rows of five."""
    columns = torch.stack([joined.first[k], joined.second[k]], dim=1)
    return torch.cat([columns, joined.shifts[k]], dim=1)[start:stop]


@pytest.mark.parametrize("skin", [0.0, 1.0])
def test_joined_lists_are_those_of_each_structure(skin):
    """Also when structures come in other numbers and orders, so that memory is used again."""
    rng = np.random.default_rng(7)
    slots = NeighborSlots(REQUESTS, skin)
    names = list(STRUCTURES)
    for chosen in (names, names[:1], names[::-1], names[2:4], names * 3):
        given = [STRUCTURES[name] for name in chosen]
        geometries = [(s.positions + rng.normal(size=s.positions.shape) * 0.02, s.cell, s.pbc) for s in given]
        joined = slots.joined(geometries, None, True)
        atom = 0
        starts = [0, 0]
        for i, (positions, cell, pbc) in enumerate(geometries):
            expected = NeighborLists(REQUESTS, 0.0).compute(*map(torch.from_numpy, (positions, cell, pbc)))
            for k, (_, full, _) in enumerate(REQUESTS):
                stop = starts[k] + joined.n_pairs[k][i]
                rows = rows_of(joined, k, starts[k], stop)
                vectors = joined.vectors[k][starts[k] : stop]
                rows[:, :2] -= atom
                assert as_set(rows, full) == as_set(expected[0][k], full)
                first, second = rows[:, 0].numpy(), rows[:, 1].numpy()
                by_hand = positions[second] - positions[first] + rows[:, 2:].numpy() @ (cell * pbc[:, None])
                np.testing.assert_allclose(vectors.numpy(), by_hand, atol=1e-13)
                starts[k] = stop
            atom += len(positions)
        assert starts == [len(column) for column in joined.first]


def test_joined_lists_without_shifts():
    s = STRUCTURES["triclinic"]
    assert NeighborSlots(REQUESTS, 1.0).joined([(s.positions, s.cell, s.pbc)], None, False).shifts == [None, None]


@pytest.mark.parametrize("full_list", [True, False])
def test_another_version_of_vesin_is_called_through_python(full_list, monkeypatch):
    direct = _search.PairSearch(4.0, full_list, 1.0)
    monkeypatch.setattr(_search, "c_api", None)
    through_python = _search.PairSearch(4.0, full_list, 1.0)
    assert direct._direct
    assert not through_python._direct
    for positions, cell, pbc in moves(np.random.default_rng(3)):
        box, periodic = completed_cell(cell, pbc), np.array(pbc)
        points = np.ascontiguousarray(positions)
        one, other = direct(points, box, periodic), through_python(points, box, periodic)
        assert one.first.dtype == other.first.dtype == np.int64
        for values, expected in zip(one[:4], other[:4], strict=True):
            np.testing.assert_array_equal(values, expected)


def test_searches_take_what_c_code_can_read_and_nothing_else():
    search = _search.PairSearch(4.0, True, 0.0)
    box, periodic = np.eye(3) * 5, np.ones(3, dtype=bool)
    points = np.zeros((4, 3))
    for wrong in (points[::2, ::-1], points.astype(np.float32), points[:, :2], points[0]):
        with pytest.raises(ValueError, match="expected a contiguous array of float64 of the shape"):
            search(wrong, box, periodic)
    with pytest.raises(ValueError, match=r"expected a contiguous array of bool of the shape \(3,\), got another"):
        search(points, box, np.ones(3))


def test_what_was_found_stays_while_it_is_used():
    """Arrays keep the memory of a search alive."""
    search = _search.PairSearch(4.0, True, 0.0)
    points = np.random.default_rng(0).uniform(size=(200, 3)) * 8
    found = search(points, np.eye(3) * 8, np.ones(3, dtype=bool))
    expected = [values.copy() for values in found[:4]]
    del search
    for _ in range(3):
        _search.PairSearch(4.0, True, 0.0)(points[::-1].copy(), np.eye(3) * 8, np.ones(3, dtype=bool))
    for one, other in zip(found[:4], expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_errors_of_vesin_reach_python():
    search = _search.PairSearch(-1.0, True, 0.0)
    with pytest.raises(RuntimeError, match="cutoff"):
        search(np.zeros((2, 3)), np.eye(3), np.ones(3, dtype=bool))


def test_the_compiled_loop_is_used_where_it_is_and_there_is_a_skin(way):
    kinds = {type(search) for search in NeighborLists(REQUESTS, 1.0)._searches}
    assert kinds == {_search.PairSearch if way == "vesin" else _kept.KeptSearch}
    assert {type(search) for search in NeighborLists(REQUESTS, 0.0)._searches} == {_search.PairSearch}


def test_compiled_candidates_are_kept_and_are_as_good_as_new(loop, monkeypatch):
    """Atoms that move to the very limit, and pairs at the very cutoff."""
    cutoff, skin = 3.0, 0.5
    kept = _kept.KeptSearch(loop, cutoff, True, skin)
    renewals = []
    renew = kept._renew
    monkeypatch.setattr(kept, "_renew", lambda *arguments: renewals.append(1) or renew(*arguments))
    box, periodic = np.zeros((3, 3)), np.zeros(3, dtype=bool)
    rng = np.random.default_rng(1)
    start = rng.uniform(0, 12, (300, 3))
    kept(start, box, periodic)
    for part, expected in ((0.5, 1), (0.999, 1), (1.001, 2)):
        directions = rng.normal(size=start.shape)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        points = start + part * 0.5 * skin * directions
        found, new = kept(points, box, periodic), _search.PairSearch(cutoff, True, 0.0)(points, box, periodic)
        assert len(renewals) == expected
        assert set(zip(found.first, found.second, strict=True)) == set(zip(new.first, new.second, strict=True))
    for distance, n_pairs in ((cutoff, 0), (np.nextafter(cutoff, 0.0), 2), (np.nextafter(cutoff, 9.0), 0)):
        points = np.array([[0.0, 0.0, 0.0], [distance, 0.0, 0.0]])
        assert len(kept(points, box, periodic).first) == n_pairs
        assert len(_search.PairSearch(cutoff, True, 0.0)(points, box, periodic).first) == n_pairs


def test_one_atom_that_moves_far_is_enough_and_numbers_that_are_none_too(loop):
    points = np.zeros((1000, 3))
    for atom in (0, 500, 999):
        for far in (0.3, np.nan, np.inf):
            moved = points.copy()
            moved[atom, 1] = far
            assert loop.moved(1000, moved.ctypes.data, points.ctypes.data, 0.25**2) == 1
            moved[atom, 1] = 0.2
            assert loop.moved(1000, moved.ctypes.data, points.ctypes.data, 0.25**2) == 0


def test_a_library_that_can_not_be_loaded_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("METATOMIC_CACHE", str(tmp_path))
    path = _compiled.library_file()
    path.parent.mkdir(parents=True)
    path.write_bytes(b"nothing that can be loaded")
    assert _compiled.library() is None


def test_without_a_compiler_there_is_a_message(tmp_path, monkeypatch):
    monkeypatch.setenv("METATOMIC_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(RuntimeError, match=r"expected a C\+\+ compiler, got none; install one"):
        _compiled.build_library()
    assert _compiled.library() is None
