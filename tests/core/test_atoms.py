"""Systems from objects with the attributes of ``ase.Atoms``, which core does not import."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from metatomic_core import systems_to_torch

CELL = np.array([[5.0, 0.0, 0.0], [1.0, 4.0, 0.0], [0.0, 0.5, 6.0]])


def atoms(**changes):
    values = {
        "numbers": np.array([8, 1]),
        "positions": np.array([[0.0, 0.5, 0.0], [0.1, 0.2, 7.0]]),
        "cell": CELL,
        "pbc": np.array([True, True, True]),
        **changes,
    }
    return SimpleNamespace(**values)


def test_one_and_several():
    system = systems_to_torch(atoms(), dtype=torch.float64)
    assert system.types.tolist() == [8, 1]
    np.testing.assert_array_equal(system.positions, atoms().positions)
    np.testing.assert_array_equal(system.cell, CELL)
    assert system.pbc.tolist() == [True, True, True]
    systems = systems_to_torch([atoms(), atoms()])
    assert [len(s) for s in systems] == [2, 2]
    assert systems[0].dtype == torch.get_default_dtype()


def test_defect_cell_requires_grad_is_honoured():
    system = systems_to_torch(atoms(), cell_requires_grad=True)
    assert system.cell.requires_grad
    assert not system.positions.requires_grad
    system = systems_to_torch(atoms(), positions_requires_grad=True)
    assert system.positions.requires_grad
    assert not system.cell.requires_grad


def test_the_tensors_are_copies():
    one = atoms()
    system = systems_to_torch(one, dtype=torch.float64)
    one.positions[0, 0] = 9.0
    assert float(system.positions[0, 0]) == 0.0


def test_cell_vectors_of_open_directions_are_left_out_with_a_warning():
    with pytest.warns(UserWarning, match="expected zero cell vectors along non-periodic directions"):
        system = systems_to_torch(atoms(pbc=np.array([True, True, False])))
    assert system.cell[2].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("systems", "error", "message"),
    [
        ("H2O", TypeError, "expected `systems` to be ase.Atoms, got str without numbers"),
        ([atoms(), 3], TypeError, "expected `systems` to be ase.Atoms, got int without numbers"),
        (atoms(cell=np.zeros((3, 3))), ValueError, "expected a non-zero `cell` vector in each periodic direction"),
        (atoms(positions=np.full((2, 3), np.nan)), ValueError, "expected `positions` to be finite"),
    ],
)
def test_anything_else_is_refused(systems, error, message):
    with pytest.raises(error, match=message):
        systems_to_torch(systems)
