"""Eager checks of the tensors and blocks that a `System` is given."""

import warnings
from typing import Any, List, Optional, Tuple

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from metatomic_core.foundation.checks import check_type

from .neighbors import NeighborListOptions
from .quantities import check_quantity_name

_FORBIDDEN_DATA = ("type", "types", "position", "positions", "cell", "neighbor", "neighbors", "pbc")
# Two cell vectors count as parallel when the volume they span is this small against the product of their lengths.
_SINGULAR = 1e-10


def _check_tensor(name: str, value: Any) -> None:
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"expected `{name}` to be a torch.Tensor, got {type(value).__name__}")


def _has_values(value: torch.Tensor) -> bool:
    return value.device.type != "meta"


def check_types(types: torch.Tensor) -> torch.Tensor:
    """Check atomic types, and give them as int32."""
    _check_tensor("types", types)
    if types.dim() != 1:
        raise ValueError(f"expected `types` to have the shape (n_atoms,), got {tuple(types.shape)}")
    if types.is_floating_point() or types.is_complex() or types.dtype == torch.bool:
        raise ValueError(f"expected `types` to be integers, got {types.dtype}")
    converted = types.to(torch.int32)
    if types.dtype == torch.int64 and _has_values(types) and not torch.equal(converted.to(types.dtype), types):
        raise ValueError(f"expected `types` to fit in 32-bit integers, got values up to {int(types.abs().max())}")
    return converted


def check_positions(positions: torch.Tensor, types: torch.Tensor) -> None:
    """Check shape, dtype, device and finiteness of positions."""
    _check_tensor("positions", positions)
    expected = (types.size(0), 3)
    if tuple(positions.shape) != expected:
        raise ValueError(f"expected `positions` to have the shape {expected}, got {tuple(positions.shape)}")
    if not positions.is_floating_point():
        raise ValueError(f"expected `positions` to be floating point numbers, got {positions.dtype}")
    _check_device("positions", positions, types)
    _check_finite("positions", positions)


def check_cell(cell: torch.Tensor, positions: torch.Tensor) -> None:
    """Check shape, dtype, device and finiteness of a cell."""
    _check_tensor("cell", cell)
    if tuple(cell.shape) != (3, 3):
        raise ValueError(f"expected `cell` to have the shape (3, 3), got {tuple(cell.shape)}")
    if cell.dtype != positions.dtype:
        raise ValueError(f"expected `cell` to have the dtype of `positions`, {positions.dtype}, got {cell.dtype}")
    _check_device("cell", cell, positions)
    _check_finite("cell", cell)


def check_pbc(pbc: torch.Tensor, positions: torch.Tensor) -> None:
    """Check shape, dtype and device of the periodicity."""
    _check_tensor("pbc", pbc)
    if tuple(pbc.shape) != (3,):
        raise ValueError(f"expected `pbc` to have the shape (3,), got {tuple(pbc.shape)}")
    if pbc.dtype != torch.bool:
        raise ValueError(f"expected `pbc` to be bool, got {pbc.dtype}")
    _check_device("pbc", pbc, positions)


def check_periodicity(cell: torch.Tensor, pbc: torch.Tensor) -> None:
    """Check that the periodic directions, and no others, have independent cell vectors."""
    if not _has_values(cell):
        return
    cell64, periodic = cell.detach().to("cpu", torch.float64), pbc.to("cpu")
    lengths = torch.linalg.vector_norm(cell64, dim=1)
    if bool((lengths[~periodic] != 0).any()):
        raise ValueError(
            "expected `cell` vectors of non-periodic directions to be zero, got "
            f"`pbc` {periodic.tolist()} with vectors of lengths {lengths.tolist()}"
        )
    if bool((lengths[periodic] == 0).any()):
        raise ValueError(
            "expected a non-zero `cell` vector in each periodic direction, got "
            f"`pbc` {periodic.tolist()} with vectors of lengths {lengths.tolist()}"
        )
    directions = cell64[periodic] / lengths[periodic, None]
    if len(directions) > 1 and float(torch.linalg.det(directions @ directions.T)) < _SINGULAR**2:
        raise ValueError(f"expected independent `cell` vectors, got the singular cell {cell64.tolist()}")


def check_new_tensor(name: str, new: torch.Tensor, old: torch.Tensor) -> None:
    """Check that a replacement has the shape, dtype and device of what it replaces."""
    if new.shape != old.shape:
        raise ValueError(f"expected new `{name}` to have the shape {tuple(old.shape)}, got {tuple(new.shape)}")
    if new.dtype != old.dtype:
        raise ValueError(f"expected new `{name}` to have the dtype {old.dtype}, got {new.dtype}")
    _check_device(f"new {name}", new, old)


def _check_device(name: str, value: torch.Tensor, reference: torch.Tensor) -> None:
    if value.device != reference.device:
        raise ValueError(f"expected `{name}` on the device of the system, {reference.device}, got {value.device}")


def _check_finite(name: str, value: torch.Tensor) -> None:
    if not _has_values(value):
        return
    finite = torch.isfinite(value.detach())
    if not bool(finite.all()):
        row = int((~finite).any(dim=1).nonzero()[0])
        raise ValueError(f"expected `{name}` to be finite, got {value[row].tolist()} in row {row}")


def check_neighbor_metadata(neighbors: TensorBlock) -> None:
    """Check the names and values of the labels of a neighbor list; also in TorchScript."""
    expected = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]
    if neighbors.samples.names != expected:
        raise ValueError(f"expected `neighbors` to have the samples {expected}, got {neighbors.samples.names}")
    components = [_described(component) for component in neighbors.components]
    if components != ["xyz = [0, 1, 2]"]:
        raise ValueError(f"expected `neighbors` to have the component xyz = [0, 1, 2], got {components}")
    properties = _described(neighbors.properties)
    if properties != "distance = [0]":
        raise ValueError(f"expected `neighbors` to have the property distance = [0], got {properties}")
    if len(neighbors.gradients_list()) != 0:
        raise ValueError(f"expected `neighbors` without gradients, got {neighbors.gradients_list()}")


def _described(labels: Labels) -> str:
    values: List[int] = labels.values.flatten().to(torch.int64).tolist()
    return f"{', '.join(labels.names)} = {values}"


def check_neighbors(
    positions: torch.Tensor, cell: torch.Tensor, options: NeighborListOptions, neighbors: TensorBlock
) -> None:
    """Check a neighbor list before it is added to a system."""
    if not isinstance(options, NeighborListOptions):
        raise TypeError(f"expected `options` to be NeighborListOptions, got {type(options).__name__}")
    if not hasattr(neighbors, "samples"):
        raise TypeError(f"expected `neighbors` to be a TensorBlock, got {type(neighbors).__name__}")
    _check_same_kind("neighbors", neighbors.values, positions)
    atoms = neighbors.samples.values[:, :2]
    if len(atoms) > 0 and _has_values(atoms) and (int(atoms.min()) < 0 or int(atoms.max()) >= len(positions)):
        raise ValueError(f"expected atoms of `neighbors` between 0 and {len(positions) - 1}, got {int(atoms.max())}")
    check_neighbor_metadata(neighbors)
    if (positions.requires_grad or cell.requires_grad) and not neighbors.values.requires_grad:
        warnings.warn(
            "expected `neighbors` that are connected to positions and cell, got values without gradients; "
            "use `register_autograd_neighbors`",
            stacklevel=3,
        )


def _check_same_kind(name: str, values: torch.Tensor, positions: torch.Tensor) -> None:
    if values.dtype != positions.dtype:
        raise ValueError(f"expected `{name}` to have the dtype of the system, {positions.dtype}, got {values.dtype}")
    _check_device(name, values, positions)


def check_data(positions: torch.Tensor, name: str, tensor: TensorMap) -> None:
    """Check custom data before it is added to a system."""
    check_type("name", name, str, "a string")
    if name.lower() in _FORBIDDEN_DATA:
        raise ValueError(f"expected `name` to be other than the attributes of a system, got '{name}'")
    check_quantity_name(name, "data")
    if not hasattr(tensor, "keys"):
        raise TypeError(f"expected `tensor` to be a TensorMap, got {type(tensor).__name__}")
    for block in tensor.blocks():
        _check_same_kind(f"data '{name}'", block.values, positions)


def parse_to(*arguments: Any) -> Tuple[Optional[torch.dtype], Optional[torch.device]]:
    """Sort the arguments of ``System.to`` into a dtype and a device."""
    dtype: Optional[torch.dtype] = None
    device: Optional[torch.device] = None
    for argument in arguments:
        if isinstance(argument, torch.dtype):
            if dtype is not None:
                raise ValueError(f"expected one dtype, got {dtype} and {argument}")
            dtype = argument
        elif isinstance(argument, (str, torch.device)):
            if device is not None:
                raise ValueError(f"expected one device, got {device} and {argument}")
            device = torch.device(argument)
        elif argument is not None:
            raise TypeError(f"expected a torch.dtype or a device, got {type(argument).__name__}")
    if dtype is not None and not dtype.is_floating_point:
        raise ValueError(f"expected a floating point dtype, got {dtype}")
    return dtype, device


def scripted_to(
    first: Any, second: Any, dtype: Optional[torch.dtype], device: Optional[torch.device]
) -> Tuple[Optional[torch.dtype], Optional[torch.device]]:
    """Do what `parse_to` does in TorchScript, where a dtype is an integer."""
    for given in (first, second):
        if isinstance(given, torch.device):
            device = given
        elif isinstance(given, str):
            device = torch.device(given)
        elif isinstance(given, int):
            dtype = given  # type: ignore[assignment]
    return dtype, device
