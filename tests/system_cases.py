"""Systems with neighbor lists and data, which several tests of core share."""

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from metatomic_core import NeighborListOptions, System

SAMPLES = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]
XYZ = Labels(["xyz"], torch.tensor([[0], [1], [2]]))
CELL = torch.tensor([[4.0, 0.1, 0.0], [0.7, 5.0, -0.2], [0.3, 0.4, 6.0]], dtype=torch.float64)
PAIRS = torch.tensor([[0, 1, 0, 0, 0], [0, 2, -1, 0, 1], [2, 1, 0, 1, 0]], dtype=torch.int32)


def bare_system(dtype=torch.float64, n_atoms=3, pbc=True):
    """A triclinic system of three atoms, one of them outside of the cell."""
    positions = torch.tensor([[0.1, 0.2, 0.3], [1.5, -0.4, 0.9], [5.5, 3.0, 7.0]], dtype=dtype)[:n_atoms]
    cell = CELL.to(dtype, copy=True) if pbc else torch.zeros(3, 3, dtype=dtype)
    return System(torch.tensor([14, 8, 1])[:n_atoms], positions, cell, torch.tensor([pbc] * 3))


def neighbor_block(system, pairs=PAIRS):
    """The vectors that belong to some pairs."""
    positions, shifts = system.positions.detach(), pairs[:, 2:].to(system.dtype)
    vectors = positions[pairs[:, 1].long()] - positions[pairs[:, 0].long()] + shifts @ system.cell.detach()
    return TensorBlock(vectors.unsqueeze(2), Labels(SAMPLES, pairs), [XYZ], Labels(["distance"], torch.tensor([[0]])))


def data_map(dtype=torch.float64, n_atoms=3, unit="u"):
    """Values per atom with a unit and a gradient."""
    samples = Labels(["system", "atom"], torch.tensor([[0, i] for i in range(n_atoms)]))
    properties = Labels(["mass"], torch.tensor([[0]]))
    block = TensorBlock(torch.arange(1.0, n_atoms + 1, dtype=dtype).reshape(-1, 1) / 3, samples, [], properties)
    gradient = TensorBlock(torch.ones(1, 3, 1, dtype=dtype), Labels(["sample"], torch.tensor([[1]])), [XYZ], properties)
    block.add_gradient("strain", gradient)
    tensor = TensorMap(Labels(["_"], torch.tensor([[0]])), [block])
    tensor.set_info("unit", unit)
    return tensor


def full_system(dtype=torch.float64):
    """A system with two neighbor lists and data under three kinds of names."""
    system = bare_system(dtype)
    long = NeighborListOptions(3.1, True, False, "first requestor")
    long.length_unit = "angstrom"
    long.add_requestor("second requestor")
    system.add_neighbor_list(long, neighbor_block(system))
    system.add_neighbor_list(NeighborListOptions(0.1 + 0.2, False, True), neighbor_block(system, PAIRS[:0]))
    for name in ("masses", "charge/of ions", "tests::a-b/c%2F"):
        system.add_data(name, data_map(dtype))
    return system


def assert_same_system(first, second):
    """Compare everything in two systems, exactly."""
    for name in ("types", "positions", "cell", "pbc"):
        one, two = getattr(first, name), getattr(second, name)
        assert one.dtype == two.dtype, name
        assert torch.equal(one.detach().cpu(), two.detach()), name
    assert first.known_data() == second.known_data()
    for name in first.known_data():
        _assert_same_map(first.get_data(name), second.get_data(name))
    assert len(first.known_neighbor_lists()) == len(second.known_neighbor_lists())
    for one, two in zip(first.known_neighbor_lists(), second.known_neighbor_lists(), strict=True):
        assert vars(one) == vars(two)
        _assert_same_block(first.get_neighbor_list(one), second.get_neighbor_list(two))


def _assert_same_map(first, second):
    assert first.keys == second.keys
    assert first.info() == second.info()
    for one, two in zip(first.blocks(), second.blocks(), strict=True):
        _assert_same_block(one, two)


def _assert_same_block(first, second):
    assert first.values.dtype == second.values.dtype
    assert torch.equal(first.values.detach(), second.values.detach())
    assert (first.samples, first.components) == (second.samples, second.components)
    assert first.properties == second.properties
    assert first.gradients_list() == second.gradients_list()
    for parameter in first.gradients_list():
        _assert_same_block(first.gradient(parameter), second.gradient(parameter))
