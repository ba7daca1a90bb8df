"""What a function of plain tensors is traced with: sizes that torch does not confuse, and which of them vary."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch.export import Dim

from metatomic_core.files.programs import TensorRecord

# Different ones, and none that torch treats apart (0 and 1).
_SIZES = (5, 3, 7, 11, 13, 17, 19, 23)


def example_tensors(rows: Iterable[TensorRecord]) -> list[torch.Tensor]:
    """Give zeros of the shapes of some rows: the same name, the same size."""
    sizes: dict[str | int, Any] = {}
    tensors = []
    for row in rows:
        for name in row.shape:
            if isinstance(name, str):
                sizes.setdefault(name, _SIZES[len(sizes) % len(_SIZES)] + 24 * (len(sizes) // len(_SIZES)))
        shape = [sizes.get(size, size) for size in row.shape]
        tensors.append(torch.zeros(shape, dtype=getattr(torch, row.dtype)))
    return tensors


def dynamic_shapes(shapes: Sequence[Sequence[str | int]]) -> tuple[dict[int, Any], ...]:
    """Say for ``torch.export`` which sizes vary, from 0 on: those with names, and the same name is the same size."""
    dimensions = {name: Dim(name, min=0) for shape in shapes for name in shape if isinstance(name, str)}
    return tuple({d: dimensions[name] for d, name in enumerate(shape) if isinstance(name, str)} for shape in shapes)
