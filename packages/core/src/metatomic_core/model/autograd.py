"""Connect neighbor vectors that an engine computed itself to the autograd graph: `register_autograd_neighbors`."""

from typing import Any, List, Tuple

import torch
from metatensor.torch import TensorBlock

from metatomic_core.data.system import System
from metatomic_core.data.system_checks import check_neighbor_metadata


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
    """Connect the vectors of a neighbor list to the positions and cell of a system, in place; also in TorchScript.

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
    if not torch.jit.is_scripting():
        _check_arguments(system, neighbors, check_consistency)
    values = neighbors.values
    if values.requires_grad:
        raise ValueError("expected `neighbors` that are not in an autograd graph, got values that require gradients")
    if check_consistency:
        _check_consistency(system, neighbors)
    if system.positions.requires_grad or system.cell.requires_grad:
        pairs = neighbors.samples.values
        if torch.jit.is_scripting():
            # zero, with the gradients of the vectors: TorchScript has no autograd functions of one's own
            vectors = _vectors(system.positions, system.cell, pairs)
            values += (vectors - vectors.detach()).unsqueeze(-1)
        else:
            _PairVectors.apply(values, system.positions, system.cell, pairs)  # type: ignore[no-untyped-call]


def _check_arguments(system: Any, neighbors: Any, check_consistency: bool) -> None:
    if not isinstance(system, System):
        raise TypeError(f"expected `system` to be a System, got {type(system).__name__}")
    if not hasattr(neighbors, "samples"):
        raise TypeError(f"expected `neighbors` to be a TensorBlock, got {type(neighbors).__name__}")
    dtype, got = system.positions.dtype, neighbors.values.dtype
    if check_consistency and got != dtype:
        raise ValueError(f"expected `neighbors` to have the dtype {dtype}, got {got}")


def _vectors(positions: torch.Tensor, cell: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    first, second = pairs[:, 0].to(torch.int64), pairs[:, 1].to(torch.int64)
    return positions[second] - positions[first] + pairs[:, 2:].to(positions.dtype) @ cell


def _check_consistency(system: System, neighbors: TensorBlock) -> None:
    check_neighbor_metadata(neighbors)
    values, positions = neighbors.values, system.positions.detach()
    if values.dtype != positions.dtype:
        # without its name, which compiled code does not know
        raise ValueError("expected `neighbors` to have the dtype of the system, got another one")
    if values.device != positions.device:
        raise ValueError(f"expected `neighbors` on the device {positions.device}, got {values.device}")
    pairs = neighbors.samples.values
    if pairs.size(0) == 0:
        return
    lowest, highest = int(pairs[:, :2].min()), int(pairs[:, :2].max())
    if lowest < 0 or highest >= len(system):
        raise ValueError(f"expected atoms between 0 and {len(system) - 1} in `neighbors`, got {lowest} to {highest}")
    expected = _vectors(positions, system.cell.detach(), pairs)
    errors = (values.squeeze(-1) - expected).abs().amax(dim=1)
    # relative to the largest coordinate
    tolerance = 1e-6 if values.dtype == torch.float64 else 1e-4
    worst = int(errors.argmax())
    pair: List[int] = pairs[worst].to(torch.int64).tolist()
    if not float(errors[worst]) <= tolerance * (1.0 + float(positions.abs().max())):
        raise ValueError(
            f"expected the vector of pair {pair} to be {_numbers(expected[worst])}, got {_numbers(values[worst])}"
        )


def _numbers(tensor: torch.Tensor) -> List[float]:
    numbers: List[float] = tensor.detach().flatten().to(torch.float64).tolist()
    return numbers
