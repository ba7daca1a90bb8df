"""`SlotMatcher`: beads are recognised in any order, and by clients that see only some of them."""

import numpy as np
import pytest

from metatomic_ipi.slots import SlotMatcher

NEAR = 1.0


def beads(n, spread, n_atoms=50, seed=1):
    """Give a ring polymer: positions that differ by less than the skin between beads."""
    random = np.random.default_rng(seed)
    return random.uniform(-30, 30, (n_atoms, 3)) + random.normal(0, spread, (n, n_atoms, 3))


@pytest.mark.parametrize("n_atoms", [1, 5, 31, 64, 200])
@pytest.mark.parametrize("spread", [0.2, 5.0])
def test_beads_are_recognised_in_any_order(spread, n_atoms):
    positions = beads(6, spread, n_atoms)
    matcher = SlotMatcher(NEAR)
    assert matcher.assign(positions) == [0, 1, 2, 3, 4, 5]
    order = [4, 0, 5, 2, 1, 3]
    for step in range(5):
        moved = positions + 0.01 * step
        assert matcher.assign(moved[order]) == order
        assert [matcher.assign([moved[index]])[0] for index in order] == order


def test_new_structures_get_new_slots_and_the_oldest_goes():
    matcher = SlotMatcher(NEAR, max_slots=3)
    positions = beads(5, 5.0)
    assert [matcher.assign([points])[0] for points in positions[:3]] == [0, 1, 2]
    assert matcher.assign([positions[0]]) == [0]
    # slot 1 was not used for longest, and slot 2 is next
    assert [matcher.assign([points])[0] for points in positions[3:]] == [1, 2]
    assert matcher.assign([positions[0]]) == [0]


def test_batch_larger_than_the_limit_has_different_slots():
    matcher = SlotMatcher(NEAR, max_slots=3)
    positions = beads(5, 5.0)
    assert matcher.assign(positions) == [0, 1, 2, 3, 4]
    assert matcher.assign(positions[::-1]) == [4, 3, 2, 1, 0]


def test_equal_structures_have_different_slots():
    matcher = SlotMatcher(NEAR)
    positions = beads(1, 0.0)
    same = [positions[0]] * 4
    assert sorted(matcher.assign(same)) == [0, 1, 2, 3]
    assert sorted(matcher.assign(same)) == [0, 1, 2, 3]


def test_wrapped_atoms_do_not_make_a_new_bead():
    matcher = SlotMatcher(NEAR)
    positions = beads(2, 5.0)
    assert matcher.assign(positions) == [0, 1]
    positions[1, ::4] -= 60.0
    assert matcher.assign(positions[1:]) == [1]


def test_structure_without_atoms():
    assert SlotMatcher(NEAR).assign([np.zeros((0, 3))]) == [0]


def test_beads_that_move_a_little_keep_their_slots_in_any_number():
    """The quick look at the last call is of use, and never in the way of other calls."""
    rng = np.random.default_rng(3)
    beads = rng.uniform(0, 10, (6, 40, 3))
    matcher = SlotMatcher(near=1.0)
    assert matcher.assign(list(beads)) == [0, 1, 2, 3, 4, 5]
    for _ in range(5):
        beads = beads + rng.normal(scale=0.02, size=beads.shape)
        assert matcher.assign(list(beads)) == [0, 1, 2, 3, 4, 5]
    # another order, some of them, and one that jumps
    assert matcher.assign(list(beads[::-1])) == [5, 4, 3, 2, 1, 0]
    assert matcher.assign(list(beads[1:3])) == [1, 2]
    assert matcher.assign(list(beads)) == [0, 1, 2, 3, 4, 5]
    beads[2] += 3.0
    assert matcher.assign(list(beads)) == [0, 1, 6, 3, 4, 5]


def test_what_is_given_back_is_not_what_is_kept():
    matcher = SlotMatcher(near=1.0)
    beads = list(np.random.default_rng(4).uniform(0, 10, (2, 5, 3)))
    matcher.assign(beads).reverse()
    matcher.assign(beads).reverse()
    assert matcher.assign(beads) == [0, 1]
