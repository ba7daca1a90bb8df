"""The neighbor search in files for GROMACS, and the pairs that GROMACS gives, against all pairs there are."""

import itertools

import numpy as np
import pytest
import torch
from gromacs_cases import first_probe, probe, second_probe
from models import TRICLINIC, structures
from pair_cases import all_pairs, as_set

from metatomic_core.engine import Structure
from metatomic_core.foundation import torchscript as _torchscript
from metatomic_core.gromacs.cell_list import complete_cell, half_list
from metatomic_core.gromacs.pairs import both_ways, pairs_of_gromacs
from metatomic_core.gromacs.probe import is_probe
from metatomic_core.neighbor_lists import NeighborLists
from metatomic_core.testing.subjects.gromacs import inputs, pair_inputs

STRUCTURES = structures()
PBC = list(itertools.product([True, False], repeat=3))


def many_atoms():
    """Give enough atoms for several bins along each vector, inside and outside of the cell."""
    positions = np.random.default_rng(9).uniform(-1.5, 2.5, size=(150, 3)) @ (2 * TRICLINIC)
    return Structure(np.ones(150, dtype=int), positions, 2 * TRICLINIC, np.array([True, True, True]))


def tensors(structure):
    return torch.tensor(structure.positions), torch.tensor(structure.cell), torch.tensor(structure.pbc)


def half_set(pairs):
    return {min(p, (p[1], p[0], *(-x for x in p[2:]))) for p in pairs}


def expected_of(structure, cutoff):
    return all_pairs(structure.positions, structure.cell, structure.pbc, cutoff)


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("cutoff", [1.0, 4.0])
def test_search_finds_each_pair_once(name, cutoff):
    structure = STRUCTURES[name]
    found = half_list(*tensors(structure), cutoff)
    assert found.dtype == torch.int64
    assert as_set(found, False) == half_set(expected_of(structure, cutoff))
    assert as_set(both_ways(found), True) == expected_of(structure, cutoff)


@pytest.mark.parametrize("pbc", PBC)
def test_search_in_many_bins(pbc):
    structure = many_atoms()
    structure.pbc = np.array(pbc)
    structure.cell = structure.cell * structure.pbc[:, None]
    expected = NeighborLists([(2.0, False, True)], 0.0).compute(*tensors(structure))[0][0]
    assert as_set(half_list(*tensors(structure), 2.0), False) == as_set(expected, False)


@pytest.mark.parametrize("chunk", [1, 50, 1000])
def test_search_in_small_portions(chunk):
    structure = many_atoms()
    assert torch.equal(half_list(*tensors(structure), 2.0, chunk), half_list(*tensors(structure), 2.0))


def test_search_ignores_how_far_atoms_are_apart():
    """Bins are not tabulated: there would be 10^21 of them."""
    positions = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.5, 0.0], [1e7, -1e7, 1e7], [1e7, -1e7, 1e7 + 0.5]])
    found = half_list(positions.double(), torch.zeros(3, 3).double(), torch.zeros(3, dtype=torch.bool), 1.0)
    assert half_set(map(tuple, found.tolist())) == {(0, 1, 0, 0, 0), (2, 3, 0, 0, 0)}


def test_atoms_on_the_faces_of_the_cell():
    points = np.array(list(itertools.product([0.0, 1.0, -1e-17, 0.5], repeat=3)))
    structure = Structure(np.ones(64, dtype=int), points @ TRICLINIC, TRICLINIC, np.array([True, True, True]))
    found = as_set(half_list(*tensors(structure), 1.0), False)
    coincide = {pair for pair in found if pair[0] != pair[1]}
    # atoms at the same place, some of them by a lattice vector, which `all_pairs` leaves out
    vectors = points[:, None] - points[None, :]
    same = np.abs(vectors - np.round(vectors)).max(2) < 1e-9
    assert found == coincide
    assert len(found) == (same.sum() - 64) // 2


def test_search_refuses_a_flat_cell():
    flat = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0]]).double()
    with pytest.raises(ValueError, match="independent vectors in `box`"):
        complete_cell(flat, torch.ones(3, dtype=torch.bool))
    assert complete_cell(flat, torch.tensor([True, True, False]))[2].abs().tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("chunk", [3, 500000])
def test_pairs_of_gromacs_become_those_within_the_cutoff(name, chunk):
    structure = STRUCTURES[name]
    _, _, pairs, shifts, *_ = pair_inputs(structure, 5.5, reverse=True)
    positions, cell, pbc = tensors(structure)
    found = pairs_of_gromacs(0.1 * positions, 0.1 * cell, pbc, pairs, shifts, 0.4, chunk)
    assert as_set(found, False) == half_set(expected_of(structure, 4.0))


def test_shifts_of_another_box_are_refused():
    structure = STRUCTURES["triclinic"]
    _, _, pairs, shifts, *_ = pair_inputs(structure, 4.0)
    positions, cell, pbc = tensors(structure)
    with pytest.raises(ValueError, match="expected `pair-shifts` to be sums of box vectors"):
        pairs_of_gromacs(0.1 * positions, 0.11 * cell, pbc, pairs, shifts, 0.4)
    with pytest.raises(ValueError, match="expected `pair-shifts` to be sums of box vectors"):
        pairs_of_gromacs(0.1 * positions, 0.1 * cell, torch.tensor([True, True, False]), pairs, shifts, 0.4)


def test_probe_is_told_from_simulations():
    for n_atoms in (1, 2, 5000):
        positions, numbers, box, _ = probe(n_atoms)
        assert is_probe(positions, numbers, box)
        assert is_probe(positions, numbers, None)
        assert not is_probe(positions, numbers, 1.001 * box)
        assert not is_probe(positions + 0.001, numbers, box)
    positions, numbers, box, _ = first_probe()
    assert is_probe(positions, numbers, box)
    for structure in STRUCTURES.values():
        assert not is_probe(*inputs(structure)[:2], box)


def test_two_atoms_at_one_place_are_a_probe_in_one_form_only():
    positions, numbers, pairs, shifts, box, _ = second_probe(pairs=True)
    assert is_probe(positions, numbers, box)
    assert is_probe(positions, numbers, box, pairs, shifts)
    assert is_probe(positions, numbers, None, pairs, shifts)
    assert not is_probe(positions, numbers, 1.001 * box)
    assert not is_probe(positions + 1e-6, numbers, box)
    assert not is_probe(positions, numbers + torch.tensor([0, 1]), box)
    assert not is_probe(torch.zeros(3, 3), torch.ones(3), box)
    assert not is_probe(positions, numbers, box, pairs, shifts + torch.tensor([1.0, 0.0, 0.0]))
    assert not is_probe(positions, numbers, box, pairs.flip(1), shifts)
    assert not is_probe(positions, numbers, box, pairs[:0], shifts[:0])


def test_search_is_the_same_when_compiled():
    with _torchscript.quiet():
        compiled = torch.jit.script(half_list)
    structure = many_atoms()
    assert torch.equal(compiled(*tensors(structure), 2.0), half_list(*tensors(structure), 2.0))
