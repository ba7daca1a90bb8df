"""`register_autograd_neighbors`: gradients of vectors that an engine computed itself."""

import pytest
import torch
from metatensor.torch import Labels, TensorBlock

from metatomic_core import (
    NeighborListOptions,
    System,
    register_autograd_neighbors,
    register_neighbors_autograd,
)

NAMES = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]
PAIRS = torch.tensor([[0, 1, 0, 0, 0], [0, 0, 1, 0, -1], [2, 1, 0, 2, 0], [1, 2, -1, 0, 0]])
POSITIONS = torch.tensor([[0.1, 0.2, 0.3], [1.7, 0.4, -0.2], [5.0, -3.0, 0.9]], dtype=torch.float64)
CELL = torch.tensor([[3.1, 0.2, -0.3], [0.7, 2.8, 0.4], [-0.9, 0.3, 3.4]], dtype=torch.float64)


def vectors_of(positions, cell, pairs=PAIRS):
    shifts = pairs[:, 2:].to(positions.dtype)
    return positions[pairs[:, 1]] - positions[pairs[:, 0]] + shifts @ cell


def make(positions, cell, vectors=None, pairs=PAIRS, names=NAMES):
    """Give a system and a neighbor list whose vectors are outside of the graph."""
    system = System(torch.tensor([14, 8, 6]), positions, cell, torch.tensor([True, True, True]))
    if vectors is None:
        vectors = vectors_of(positions.detach(), cell.detach(), pairs)
    xyz = Labels(["xyz"], torch.arange(3).reshape(3, 1))
    block = TensorBlock(
        vectors.detach().clone().reshape(-1, 3, 1),
        Labels(names, pairs),
        [xyz],
        Labels(["distance"], torch.tensor([[0]])),
    )
    return system, block


def energy(positions, cell):
    system, block = make(positions, cell)
    register_autograd_neighbors(system, block, check_consistency=True)
    system.add_neighbor_list(NeighborListOptions(4.0, True, True), block)
    vectors = system.get_neighbor_list(NeighborListOptions(4.0, True, True)).values[:, :, 0]
    return (torch.sin(vectors) * torch.tensor([1.0, 2.0, 3.0])).sum() + vectors.square().sum(1).sqrt().sum()


def leaves(dtype=torch.float64):
    return POSITIONS.to(dtype).clone().requires_grad_(), CELL.to(dtype).clone().requires_grad_()


def test_gradients_equal_finite_differences():
    assert torch.autograd.gradcheck(energy, leaves())


def test_second_gradients_equal_finite_differences():
    assert torch.autograd.gradgradcheck(energy, leaves())


def test_gradients_equal_those_of_connected_vectors():
    positions, cell = leaves()
    got = torch.autograd.grad(energy(positions, cell), [positions, cell])
    vectors = vectors_of(positions, cell)
    plain = (torch.sin(vectors) * torch.tensor([1.0, 2.0, 3.0])).sum() + vectors.square().sum(1).sqrt().sum()
    for gradient, expected in zip(got, torch.autograd.grad(plain, [positions, cell]), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("which", ["positions", "cell"])
def test_one_of_positions_and_cell_is_enough(which):
    positions, cell = leaves()
    positions.requires_grad_(which == "positions")
    cell.requires_grad_(which == "cell")
    leaf = positions if which == "positions" else cell
    assert torch.autograd.grad(energy(positions, cell), [leaf])[0].abs().max() > 0.1


def test_nothing_happens_without_gradients():
    system, block = make(POSITIONS, CELL)
    register_autograd_neighbors(system, block)
    assert not block.values.requires_grad


def test_values_are_kept():
    positions, cell = leaves()
    system, block = make(positions, cell, torch.arange(12.0, dtype=torch.float64))
    before = block.values.clone()
    register_neighbors_autograd(system, block)
    assert torch.equal(block.values, before)
    assert block.values.requires_grad


def test_empty_list_has_zero_gradients():
    positions, cell = leaves()
    pairs = torch.zeros((0, 5), dtype=torch.int64)
    system, block = make(positions, cell, pairs=pairs)
    register_autograd_neighbors(system, block, check_consistency=True)
    for gradient in torch.autograd.grad(block.values.sum(), [positions, cell]):
        assert float(gradient.abs().max()) == 0.0


def test_connected_vectors_are_refused():
    positions, cell = leaves()
    system, block = make(positions, cell)
    register_autograd_neighbors(system, block)
    with pytest.raises(ValueError, match="expected `neighbors` that are not in an autograd graph"):
        register_autograd_neighbors(system, block)


@pytest.mark.parametrize(("dtype", "error", "accepted"), [(torch.float64, 1e-4, 1e-7), (torch.float32, 1e-2, 1e-5)])
def test_wrong_vectors_are_refused(dtype, error, accepted):
    positions, cell = leaves(dtype)
    for size, is_refused in ((error, True), (accepted, False), (float("nan"), True)):
        vectors = vectors_of(positions, cell).detach()
        vectors[2, 1] += size
        system, block = make(positions, cell, vectors)
        if is_refused:
            with pytest.raises(ValueError, match=r"expected the vector of pair \[2, 1, 0, 2, 0\] to be"):
                register_autograd_neighbors(system, block, check_consistency=True)
            assert not block.values.requires_grad
        else:
            register_autograd_neighbors(system, block, check_consistency=True)


@pytest.mark.parametrize("atom", [3, -1])
def test_atoms_that_do_not_exist_are_refused(atom):
    positions, cell = leaves()
    pairs = PAIRS.clone()
    pairs[1, 0] = atom
    system, block = make(positions, cell, torch.zeros(12, dtype=torch.float64), pairs)
    with pytest.raises(ValueError, match="expected atoms between 0 and 2 in `neighbors`"):
        register_autograd_neighbors(system, block, check_consistency=True)


def test_wrong_metadata_and_dtype_are_refused():
    positions, cell = leaves()
    system, block = make(positions, cell, names=["i", "j", "a", "b", "c"])
    with pytest.raises(ValueError, match="expected `neighbors` to have the samples"):
        register_autograd_neighbors(system, block, check_consistency=True)
    system, block = make(positions, cell, vectors_of(POSITIONS, CELL).to(torch.float32))
    with pytest.raises(ValueError, match=r"to have the dtype torch.float64, got torch.float32"):
        register_autograd_neighbors(system, block, check_consistency=True)
    with pytest.raises(TypeError, match="expected `system` to be a System, got NoneType"):
        register_autograd_neighbors(None, block)
    with pytest.raises(TypeError, match="expected `neighbors` to be a TensorBlock, got Tensor"):
        register_autograd_neighbors(system, POSITIONS)
