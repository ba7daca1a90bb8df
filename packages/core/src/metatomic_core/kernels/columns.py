"""Run a graph of aten operators with small trailing dimensions taken apart: one tensor for each column.

The loops that a compiler makes of vectors of shape (n_pairs, 3) go over three components inside of the pairs, and
processors, which want to do one thing for several pairs at once, do not get it.  Here a tensor of shape (n_pairs, 3)
is three of shape (n_pairs,), as long as nothing needs it as a whole: then all loops go over pairs, and become one.
"""

import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch

aten = torch.ops.aten
# a tensor with more columns is not taken apart
_LARGEST = 16
_POINTWISE = {
    getattr(aten, name).default
    for name in ("abs", "cos", "clone", "detach", "exp", "log", "neg", "reciprocal", "rsqrt", "sigmoid", "sin", "sqrt")
} | {
    aten.alias.default,
    aten.add.Tensor,
    aten.add.Scalar,
    aten.clamp.default,
    aten.div.Tensor,
    aten.div.Scalar,
    aten.eq.Scalar,
    aten.eq.Tensor,
    aten.ge.Scalar,
    aten.ge.Tensor,
    aten.gt.Scalar,
    aten.gt.Tensor,
    aten.le.Scalar,
    aten.le.Tensor,
    aten.lt.Scalar,
    aten.lt.Tensor,
    aten.maximum.default,
    aten.minimum.default,
    aten.mul.Tensor,
    aten.mul.Scalar,
    aten.pow.Tensor_Scalar,
    aten.pow.Tensor_Tensor,
    aten.relu.default,
    aten.sub.Tensor,
    aten.sub.Scalar,
    aten.tanh.default,
    aten._to_copy.default,  # noqa: SLF001  (its name)
    aten.where.self,
}


class Columns:
    """A tensor of shape (n, *trail) as tensors of shape (n,), in the order of its memory."""

    def __init__(self, columns: Sequence[torch.Tensor], trail: Sequence[int]):
        self.columns = list(columns)
        self.trail = tuple(trail)

    def whole(self) -> torch.Tensor:
        """Give the tensor."""
        return torch.stack(self.columns, 1).reshape(-1, *self.trail)

    @property
    def dim(self) -> int:
        """Number of dimensions."""
        return 1 + len(self.trail)

    def at(self, index: Sequence[int]) -> torch.Tensor:
        """Give one column."""
        place = 0
        for i, size in zip(index, self.trail, strict=True):
            place = place * size + i
        return self.columns[place]

    def rearranged(self, trail: Sequence[int], source: Callable[[tuple[int, ...]], Sequence[int]]) -> "Columns":
        """Give the columns of another trailing shape; `source` tells from which index each comes."""
        return Columns([self.at(source(index)) for index in _indices(trail)], trail)


def _indices(trail: Sequence[int]) -> list[tuple[int, ...]]:
    return list(itertools.product(*(range(size) for size in trail)))


def taken_apart(tensor: torch.Tensor) -> Columns:
    """Give a tensor of shape (n, *trail) by its columns."""
    trail = [int(size) for size in tensor.shape[1:]]
    return Columns([_column(tensor, index) for index in _indices(trail)], trail)


def _column(tensor: torch.Tensor, index: Sequence[int]) -> torch.Tensor:
    for place in index:
        tensor = tensor.select(1, place)
    return tensor


class ByColumns(torch.fx.Interpreter):
    """Runs a graph module; arguments may be `Columns`, results may be too."""

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Run one operator."""
        if not any(isinstance(item, Columns) for item in _flat(args)):
            if target is aten.index_select.default and _is_small(args[0]) and args[1] == 0:
                # rows of a table: gathered for each column, from rows that stay together in memory
                table, rows = args[0], args[2]
                trail = [int(size) for size in table.shape[1:]]
                columns = [_column(table, index).index_select(0, rows) for index in _indices(trail)]
                return Columns(columns, trail)
            return super().call_function(target, args, kwargs)
        rule = _RULES.get(target)
        if target in _POINTWISE:
            result = _pointwise(target, args, kwargs)
        else:
            result = None if rule is None or kwargs else rule(*args)
        if result is None:
            return super().call_function(target, _wholes(args), kwargs)
        return result


def _is_small(value: Any) -> bool:
    sizes = value.shape[1:]
    return len(sizes) > 0 and all(isinstance(size, int) for size in sizes) and 1 < math.prod(sizes) <= _LARGEST


def _flat(args: Any) -> list[Any]:
    if isinstance(args, (list, tuple)):
        return [item for arg in args for item in _flat(arg)]
    return [args]


def _wholes(args: Any) -> Any:
    if isinstance(args, (list, tuple)):
        return type(args)(_wholes(arg) for arg in args)
    return args.whole() if isinstance(args, Columns) else args


def _pointwise(target: Any, args: Any, kwargs: Any) -> Any:
    """Apply an operator to each column, with the rules of broadcasting."""
    values = [arg for arg in args if isinstance(arg, (Columns, torch.Tensor))]
    dim = max(value.dim if isinstance(value, Columns) else value.dim() for value in values)
    trail = [1] * (dim - 1)
    for value in values:
        if isinstance(value, Columns):
            if value.dim != dim:
                return None
            sizes: list[Any] = list(value.trail)
        else:
            sizes = list(value.shape[1:] if value.dim() == dim else value.shape)
        if not all(isinstance(size, int) for size in sizes):
            return None
        for k, size in enumerate(reversed(sizes)):
            if size != 1:
                trail[len(trail) - 1 - k] = size
    if math.prod(trail) > _LARGEST:
        return None
    columns = []
    for index in _indices(trail):
        picked = [_component(arg, index, dim) if isinstance(arg, (Columns, torch.Tensor)) else arg for arg in args]
        columns.append(target(*picked, **kwargs))
    return Columns(columns, trail)


def _component(value: Any, index: tuple[int, ...], dim: int) -> torch.Tensor:
    if isinstance(value, Columns):
        return value.at([0 if size == 1 else i for i, size in zip(index, value.trail, strict=True)])
    leads = value.dim() == dim
    sizes = value.shape[1:] if leads else value.shape
    own = [0 if size == 1 else i for i, size in zip(index[len(index) - len(sizes) :], sizes, strict=True)]
    picked: torch.Tensor = value[(slice(None), *own)] if leads else value[tuple(own)]
    return picked


# --- operators that move columns; each gives None where it needs the whole -----------------------


def _axis(value: Columns, dim: int) -> int:
    """Give the place of a dimension in the trailing ones; -1 for the first dimension."""
    return (dim + value.dim if dim < 0 else dim) - 1


def _sum(value: Columns, dims: Sequence[int], keep: bool = False) -> Any:
    axes = sorted({_axis(value, dim) for dim in dims})
    if not axes or axes[0] < 0:
        return None
    kept = [1 if k in axes else size for k, size in enumerate(value.trail)]
    columns = []
    for index in _indices(kept):
        choices = [range(size) if k in axes else (index[k],) for k, size in enumerate(value.trail)]
        parts = [value.at(source) for source in itertools.product(*choices)]
        columns.append(functools.reduce(torch.add, parts))
    trail = kept if keep else [size for k, size in enumerate(kept) if k not in axes]
    return _bare(Columns(columns, trail))


def _bare(value: Columns) -> Any:
    return value if value.trail else value.columns[0]


def _unsqueeze(value: Any, dim: int) -> Any:
    axis = dim + value.dim + 1 if dim < 0 else dim
    if axis == 0:
        return None
    return Columns(value.columns, (*value.trail[: axis - 1], 1, *value.trail[axis - 1 :]))


def _squeeze(value: Columns, dim: Any) -> Any:
    axes = [_axis(value, d) for d in (dim if isinstance(dim, (list, tuple)) else [dim])]
    if min(axes) < 0:
        return None
    trail = [size for k, size in enumerate(value.trail) if not (k in axes and size == 1)]
    return _bare(Columns(value.columns, trail))


def _select(value: Columns, dim: int, place: int) -> Any:
    axis = _axis(value, dim)
    if axis < 0:
        return None
    place = place % value.trail[axis]
    trail = value.trail[:axis] + value.trail[axis + 1 :]
    return _bare(value.rearranged(trail, lambda index: (*index[:axis], place, *index[axis:])))


def _slice(value: Columns, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    axis = _axis(value, dim)
    if axis < 0:
        everything = start in (None, 0) and step == 1 and isinstance(end, int) and end >= 2**62
        return value if everything else None
    places = range(value.trail[axis])[slice(start, end, step)]
    trail = (*value.trail[:axis], len(places), *value.trail[axis + 1 :])
    return value.rearranged(trail, lambda index: (*index[:axis], places[index[axis]], *index[axis + 1 :]))


def _expand(value: Columns, sizes: Sequence[Any]) -> Any:
    trail = [own if size == -1 else size for size, own in zip(sizes[1:], value.trail, strict=False)]
    if len(sizes) != value.dim or not all(isinstance(size, int) for size in trail) or math.prod(trail) > _LARGEST:
        return None
    return value.rearranged(
        trail, lambda index: [0 if size == 1 else i for i, size in zip(index, value.trail, strict=True)]
    )


def _roll(value: Columns, shifts: Sequence[int], dims: Sequence[int] = ()) -> Any:
    axes = [_axis(value, dim) for dim in dims]
    if not axes or min(axes) < 0:
        return None

    def source(index: tuple[int, ...]) -> list[int]:
        found = list(index)
        for shift, axis in zip(shifts, axes, strict=True):
            found[axis] = (found[axis] - shift) % value.trail[axis]
        return found

    return value.rearranged(value.trail, source)


def _cat(values: Sequence[Any], dim: int = 0) -> Any:
    """Join along a trailing dimension; of tensors with columns that are many, none is taken apart."""
    first = next(value for value in values if isinstance(value, Columns))
    axis = _axis(first, dim)
    if axis < 0 or not all(isinstance(value, Columns) or _splits(value) for value in values):
        return None
    apart = [value if isinstance(value, Columns) else taken_apart(value) for value in values]
    sizes = [value.trail[axis] for value in apart]
    trail = (*first.trail[:axis], sum(sizes), *first.trail[axis + 1 :])
    if math.prod(trail) > _LARGEST:
        return None
    where = [(k, i) for k, size in enumerate(sizes) for i in range(size)]

    def column(index: tuple[int, ...]) -> torch.Tensor:
        part, place = where[index[axis]]
        return apart[part].at((*index[:axis], place, *index[axis + 1 :]))

    return Columns([column(index) for index in _indices(trail)], trail)


def _splits(value: torch.Tensor) -> bool:
    return all(isinstance(size, int) for size in value.shape[1:]) and math.prod(value.shape[1:]) <= _LARGEST


def _index_add(table: Any, dim: int, index: torch.Tensor, values: Columns) -> Any:
    """Add columns to the columns of a small table, which is then put together again."""
    if dim != 0 or isinstance(table, Columns) or not isinstance(values, Columns):
        return None
    apart = taken_apart(table)
    added = [into.index_add(0, index, column) for into, column in zip(apart.columns, values.columns, strict=True)]
    return Columns(added, apart.trail).whole()


def _index_select(value: Any, dim: int, index: torch.Tensor) -> Any:
    if dim != 0 or not isinstance(value, Columns):
        return None
    return Columns([column.index_select(0, index) for column in value.columns], value.trail)


_RULES: dict[Any, Callable[..., Any]] = {
    aten.cat.default: _cat,
    aten.expand.default: _expand,
    aten.index_add.default: _index_add,
    aten.index_select.default: _index_select,
    aten.roll.default: _roll,
    aten.select.int: _select,
    aten.slice.Tensor: _slice,
    aten.squeeze.dim: _squeeze,
    aten.squeeze.dims: _squeeze,
    aten.sum.dim_IntList: _sum,
    aten.unsqueeze.default: _unsqueeze,
    operator.getitem: lambda value, place: value[place] if isinstance(value, (list, tuple)) else None,
}
