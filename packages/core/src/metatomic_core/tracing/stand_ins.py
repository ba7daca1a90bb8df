"""Python in place of metatensor's classes, for as long as a model is traced.

The constructors of ``Labels``, ``TensorBlock`` and ``TensorMap`` are C++, which reads sizes and values of tensors;
traced tensors have neither. What models do with these classes is mostly bookkeeping, and these do it in Python. What
they can not do says so: a model that needs it is not traced.
"""

import builtins
import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import metatensor.torch
import torch

from metatomic_core.data import system as system_module
from metatomic_core.data.system import System

PAIR_NAMES = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]


class NotTraceableError(Exception):
    """A model does what a trace can not hold; the text says what, and what to write instead."""


class _StandIn:
    """What the stand-ins share: a clear word about what they lack."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotTraceableError(
            f"expected plain tensors, got a model that uses `{type(self).__name__}.{name}`, which can not be traced; "
            "take the columns of `values` as tensors instead"
        )


class Labels(_StandIn):
    """Names, and a tensor of integers with one column for each."""

    def __init__(self, names: str | Sequence[str], values: torch.Tensor, assume_unique: bool = False):
        del assume_unique
        self.names = [names] if isinstance(names, str) else list(names)
        self._columns: list[torch.Tensor] = []
        self._values: torch.Tensor | None = values.to(torch.int32)

    @classmethod
    def of_columns(cls, names: Sequence[str], columns: Sequence[torch.Tensor]) -> "Labels":
        """Make labels of columns that are tensors of their own, which are only joined where that is asked for."""
        labels = cls(names, columns[0].unsqueeze(1))
        labels._columns, labels._values = list(columns), None
        return labels

    @staticmethod
    def range(name: str, end: int) -> "Labels":
        """Give one column that counts from zero."""
        return Labels([name], torch.arange(end, dtype=torch.int32).unsqueeze(1))

    @staticmethod
    def single() -> "Labels":
        """Give a single entry that says nothing."""
        return Labels(["_"], torch.zeros(1, 1, dtype=torch.int32))

    @staticmethod
    def empty(names: str | Sequence[str]) -> "Labels":
        """Give no entries."""
        names = [names] if isinstance(names, str) else list(names)
        return Labels(names, torch.zeros(0, len(names), dtype=torch.int32))

    @property
    def values(self) -> torch.Tensor:
        """All entries, shape (n_entries, n_names), int32."""
        if self._values is None:
            self._values = torch.stack(self._columns, dim=1)
        return self._values

    def column(self, name: str) -> torch.Tensor:
        """Give one column."""
        k = self.names.index(name)
        return self._columns[k] if self._columns else self.values[:, k]

    def view(self, names: str | Sequence[str]) -> "Labels":
        """Give some of the columns."""
        names = [names] if isinstance(names, str) else list(names)
        return Labels.of_columns(names, [self.column(name) for name in names])

    def length(self) -> int:
        """Give the number of entries, as a size of the trace."""
        return (self._columns[0] if self._columns else self.values).shape[0]

    __len__ = length

    @property
    def size(self) -> int:
        """The number of names."""
        return len(self.names)

    @property
    def device(self) -> torch.device:
        """The device of the values."""
        return (self._columns[0] if self._columns else self.values).device

    def to(self, *arguments: Any, **keywords: Any) -> "Labels":
        """Move the values."""
        return Labels(self.names, self.values.to(*arguments, **keywords))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if list(getattr(other, "names", ())) != self.names:
            return False
        raise NotTraceableError(
            "expected a model that does not compare labels, got one that does, which can not be traced; compare their "
            "names"
        )

    __hash__ = object.__hash__


class TensorBlock(_StandIn):
    """Values with labels."""

    def __init__(self, values: torch.Tensor, samples: Any, components: Sequence[Any], properties: Any):
        self.values, self.samples = values, samples
        self.components, self.properties = list(components), properties
        self._gradients: dict[str, TensorBlock] = {}

    def gradients_list(self) -> list[str]:
        """Name the gradients."""
        return list(self._gradients)

    def gradient(self, name: str) -> "TensorBlock":
        """Give a gradient."""
        return self._gradients[name]

    def has_gradient(self, name: str) -> bool:
        """Tell whether there is a gradient."""
        return name in self._gradients

    def add_gradient(self, name: str, block: "TensorBlock") -> None:
        """Add a gradient."""
        self._gradients[name] = block

    @property
    def device(self) -> torch.device:
        """The device of the values."""
        return self.values.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the values."""
        return self.values.dtype

    @property
    def shape(self) -> torch.Size:
        """The shape of the values."""
        return self.values.shape

    def to(self, dtype: Any = None, device: Any = None, **_: Any) -> "TensorBlock":
        """Convert the values."""
        return TensorBlock(_converted(self.values, dtype, device), self.samples, self.components, self.properties)

    def copy(self) -> "TensorBlock":
        """Copy the values."""
        return TensorBlock(self.values.clone(), self.samples, self.components, self.properties)


class TensorMap(_StandIn):
    """Blocks with keys."""

    def __init__(self, keys: Any, blocks: Sequence[TensorBlock]):
        self.keys, self._blocks = keys, list(blocks)
        self._info: dict[str, str] = {}

    def block(self, selection: Any = 0) -> TensorBlock:
        """Give the only block, or the one of this number."""
        if isinstance(selection, int) and (selection > 0 or len(self._blocks) > 0):
            return self._blocks[selection]
        if len(self._blocks) == 1 and (selection is None or selection == {}):
            return self._blocks[0]
        raise NotTraceableError(
            "expected blocks that are taken by their number, got a model that selects them by their keys, which can "
            "not be traced; use `block_by_id`"
        )

    block_by_id = block
    __getitem__ = block

    def blocks(self) -> list[TensorBlock]:
        """Give all blocks."""
        return list(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def sample_names(self) -> list[str]:
        """Names of the samples."""
        return list(self._blocks[0].samples.names)

    @property
    def property_names(self) -> list[str]:
        """Names of the properties."""
        return list(self._blocks[0].properties.names)

    @property
    def device(self) -> torch.device:
        """The device of the first block."""
        return self._blocks[0].device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the first block."""
        return self._blocks[0].dtype

    def to(self, dtype: Any = None, device: Any = None, **_: Any) -> "TensorMap":
        """Convert the values of all blocks."""
        return TensorMap(self.keys, [block.to(dtype, device) for block in self._blocks])

    def info(self) -> dict[str, str]:
        """Give all that is noted."""
        return self._info

    def set_info(self, key: str, value: str) -> None:
        """Note something."""
        self._info[key] = value

    def get_info(self, key: str) -> str | None:
        """Give what was noted."""
        return self._info.get(key)


def _converted(values: torch.Tensor, dtype: Any, device: Any) -> torch.Tensor:
    if isinstance(dtype, (str, torch.device)):
        dtype, device = device, dtype
    return values.to(dtype=dtype or values.dtype, device=device or values.device)


def _unchecked(value: Any, *_: Any) -> Any:
    return value


# Whether they are in place.
_state = {"installed": False}


def are_installed() -> bool:
    """Tell whether a model is being traced."""
    return _state["installed"]


_STAND_INS = {cls.__name__: cls for cls in (Labels, TensorBlock, TensorMap)}


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Put the stand-ins where modules of Python have the classes, and ``len`` gives sizes of the trace.

    For the whole process: see `apart`.
    """
    places = [*_classes(), *_checks(), (vars(builtins), "len", _traced_len)]
    before = [(names, name, names[name]) for names, name, _ in places]
    recorder = torch.autograd.profiler.record_function
    enter, leave = recorder.__enter__, recorder.__exit__
    # names of steps are no part of a graph
    recorder.__enter__ = lambda self: self  # type: ignore[method-assign]
    recorder.__exit__ = lambda self, *_: None  # type: ignore[method-assign]
    try:
        for names, name, value in places:
            names[name] = value
        _state["installed"] = True
        yield
    finally:
        _state["installed"] = False
        for names, name, value in before:
            names[name] = value
        recorder.__enter__, recorder.__exit__ = enter, leave  # type: ignore[method-assign]


_Place = tuple[dict[str, Any], str, Any]


def _classes() -> list[_Place]:
    """Give where modules have metatensor's classes, with the stand-in for each."""
    real = {id(getattr(metatensor.torch, name)): stand_in for name, stand_in in _STAND_INS.items()}
    here = sys.modules[__name__]
    tables = [
        vars(module) for module in list(sys.modules.values()) if hasattr(module, "__dict__") and module is not here
    ]
    return [(names, name, real[id(value)]) for names in tables for name, value in names.items() if id(value) in real]


def _checks() -> list[_Place]:
    """Give the checks of systems, which look at values."""
    names = vars(system_module)
    return [(names, name, _unchecked) for name in names if name.startswith("check_")]


_plain_len = builtins.len


def _traced_len(value: Any) -> int:
    # `__len__` has to give a number, which would fix a size of the trace
    if type(value) is System:
        return value.types.shape[0]
    if type(value) is Labels:
        return value.length()
    if isinstance(value, torch.Tensor) and value.dim() > 0:
        return value.shape[0]
    return _plain_len(value)
