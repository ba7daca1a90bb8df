"""Connect neighbor vectors that an engine computed itself to the autograd graph: `register_autograd_neighbors`."""

from typing import Any, Tuple

import torch
from metatensor.torch import TensorBlock

from ._system_checks import check_neighbor_metadata
from .system import System

# Largest difference between a vector and what its metadata says, relative to the largest coordinate.
_TOLERANCES = {torch.float64: 1e-6, torch.float32: 1e-4}


class _PairVectors(torch.autograd.Function):
    """Give vectors as they are, with the gradients of positions[second] - positions[first] + shift @ cell."""

    @staticmethod
    def forward(
        ctx: Any,
        vectors: torch.Tensor,
        positions: torch.Tensor,
        cell: torch.Tensor,
        pairs: torch.Tensor,
    ) -> torch.Tensor:
        ctx.mark_dirty(vectors)
        ctx.save_for_backward(pairs)
        ctx.n_atoms = positions.shape[0]
        return vectors

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Tuple[None, torch.Tensor, torch.Tensor, None]:
        # made of differentiable operations only, so that it can be differentiated again for training on forces
        (pairs,) = ctx.saved_tensors
        pull = gradient.squeeze(-1)
        first = pairs[:, 0].to(torch.int64).contiguous()
        second = pairs[:, 1].to(torch.int64).contiguous()
        zeros = pull.new_zeros((ctx.n_atoms, 3))
        positions = zeros.index_add(0, second, pull).index_add(0, first, -pull)
        cell = pairs[:, 2:].to(pull.dtype).T @ pull
        return None, positions, cell, None


def register_autograd_neighbors(system: System, neighbors: TensorBlock, check_consistency: bool = False) -> None:
    """Connect the vectors of a neighbor list to the positions and cell of a system, in place.

    Parameters
    ----------
    system
        System whose positions and/or cell require gradients.
    neighbors
        Neighbor list, see `System.add_neighbor_list`; its values are not recomputed.
    check_consistency
        Also check metadata, atom indices, and that each vector is what its labels say.

    Raises
    ------
    ValueError
        If the vectors are connected already, or a check fails.
    """
    if not isinstance(system, System):
        raise TypeError(f"expected `system` to be a System, got {type(system).__name__}")
    if not hasattr(neighbors, "samples"):
        raise TypeError(f"expected `neighbors` to be a TensorBlock, got {type(neighbors).__name__}")
    values = neighbors.values
    if values.requires_grad:
        raise ValueError("expected `neighbors` that are not in an autograd graph, got values that require gradients")
    if check_consistency:
        _check_consistency(system, neighbors)
    if system.positions.requires_grad or system.cell.requires_grad:
        _PairVectors.apply(values, system.positions, system.cell, neighbors.samples.values)


def _check_consistency(system: System, neighbors: TensorBlock) -> None:
    check_neighbor_metadata(neighbors)
    values, positions = neighbors.values, system.positions.detach()
    if values.dtype != positions.dtype:
        raise ValueError(f"expected `neighbors` to have the dtype {positions.dtype}, got {values.dtype}")
    if values.device != positions.device:
        raise ValueError(f"expected `neighbors` on the device {positions.device}, got {values.device}")
    pairs = neighbors.samples.values
    if pairs.shape[0] == 0:
        return
    atoms = pairs[:, :2].to(torch.int64)
    if int(atoms.min()) < 0 or int(atoms.max()) >= len(system):
        raise ValueError(
            f"expected atoms between 0 and {len(system) - 1} in `neighbors`, got {int(atoms.min())} to "
            f"{int(atoms.max())}"
        )
    shifts = pairs[:, 2:].to(positions.dtype)
    expected = positions[atoms[:, 1]] - positions[atoms[:, 0]] + shifts @ system.cell.detach()
    errors = (values.squeeze(-1) - expected).abs().amax(dim=1)
    tolerance = _TOLERANCES.get(values.dtype, 1e-2) * (1.0 + float(positions.abs().max()))
    worst = int(errors.argmax())
    if not float(errors[worst]) <= tolerance:
        raise ValueError(
            f"expected the vector of pair {pairs[worst].tolist()} to be {expected[worst].tolist()}, got "
            f"{values[worst].squeeze(-1).tolist()}"
        )
