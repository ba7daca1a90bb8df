"""From a function of tensors, with a backward pass inside, to an exported program of any sizes.

In two stages: `make_fx` records the operations of both passes on tensors without values, then ``torch.export`` takes
the flat graph, which has no class of ours and no autograd left in it. A graph that holds only for some sizes is
refused.
"""

import functools
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sympy  # type: ignore[import-untyped]
import torch
from torch._dynamo.source import ConstantSource
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import ExportedProgram
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

from . import stand_ins
from .examples import dynamic_shapes

Shape = tuple[str | int, ...]


def exported_program(
    function: Callable[..., tuple[torch.Tensor, ...]], tensors: Sequence[torch.Tensor], shapes: Sequence[Shape]
) -> ExportedProgram:
    """Trace a function.

    Parameters
    ----------
    function
        What to trace; metatensor's classes in it are replaced by the stand-ins.
    tensors
        Arguments to trace it with, sizes that vary are at least 2.
    shapes
        Their shapes, with names for sizes that vary: the same name, the same size.

    Raises
    ------
    NotTraceableError
        If it depends on values of tensors, or holds for some sizes only.
    """
    graph, environment, symbols = _flat_graph(function, tensors, shapes)
    _check_guards(environment, symbols)
    _simplify(graph)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return torch.export.export(graph, tuple(tensors), dynamic_shapes=dynamic_shapes(shapes), strict=False)
        except Exception as error:
            raise stand_ins.NotTraceableError(
                f"expected a graph that holds for all sizes, got one that does not: {one_line(error)}"
            ) from error


@functools.cache
def warm_up() -> None:
    """Trace nothing much, which imports what torch needs for it."""
    exported_program(lambda x: (x.detach().requires_grad_().square(),), [torch.ones(2)], [("n",)])


def one_line(error: BaseException) -> str:
    """Give the text of an error in one line."""
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def _flat_graph(
    function: Callable[..., tuple[torch.Tensor, ...]], tensors: Sequence[torch.Tensor], shapes: Sequence[Shape]
) -> tuple[torch.fx.GraphModule, ShapeEnv, dict[Any, str]]:
    environment = ShapeEnv(allow_scalar_outputs=True, allow_dynamic_output_shape_ops=True)
    mode = FakeTensorMode(shape_env=environment, allow_non_fake_inputs=True)
    symbols: dict[Any, str] = {}
    fakes = []
    for i, (tensor, shape) in enumerate(zip(tensors, shapes, strict=True)):
        sizes = [DimDynamic.DYNAMIC if isinstance(name, str) else DimDynamic.STATIC for name in shape]
        context: Any = StatelessSymbolicContext(dynamic_sizes=sizes)
        fake = mode.from_tensor(tensor, symbolic_context=context, source=ConstantSource(f"a{i}"))
        for size, name in zip(fake.shape, shape, strict=True):
            if isinstance(name, str):
                symbols[size.node.expr] = name  # type: ignore[attr-defined]
        fakes.append(fake)
    with warnings.catch_warnings(), stand_ins.installed(), mode:
        warnings.simplefilter("ignore")
        graph = make_fx(function, tracing_mode="symbolic", _allow_non_fake_inputs=True)(*fakes)
    return graph, environment, symbols


def _check_guards(environment: ShapeEnv, symbols: dict[Any, str]) -> None:
    """Refuse what was assumed about sizes, but that those of one name are the same."""
    names = {symbol: sympy.Symbol(name, integer=True, nonnegative=True) for symbol, name in symbols.items()}
    for guard in environment.guards:
        assumed = guard.expr.xreplace(names)
        if assumed not in (sympy.true, True):
            raise stand_ins.NotTraceableError(
                f"expected a graph that holds for all sizes, got one that is right only where {assumed}"
            )


_SELECT, _STACK = torch.ops.aten.select.int, torch.ops.aten.stack.default
_SLICE = torch.ops.aten.slice.Tensor


def _simplify(graph: torch.fx.GraphModule) -> None:
    """Take columns from where they are, and not from the table that they were put together to."""
    for node in list(graph.graph.nodes):
        if node.target is not _SELECT:
            continue
        table = node.args[0]
        while table.target is _SLICE and table.args[1:] in ((), (0,), (0, 0), (0, 0, sys.maxsize)):
            table = table.args[0]
        if table.target is _STACK:
            columns, dimension = table.args[0], (*table.args, 0)[1]
            rank = table.meta["val"].dim()
            if node.args[1] % rank == dimension % rank:
                node.replace_all_uses_with(columns[node.args[2]])
    graph.graph.eliminate_dead_code()
    graph.recompile()


def used_inputs(program: ExportedProgram) -> list[bool]:
    """Tell of each input of a program whether anything reads it."""
    names = program.graph_signature.user_inputs
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    return [len(nodes[name].users) > 0 for name in names]


def precision(program: ExportedProgram, dtype: str) -> str:
    """Give the floating point type that a program computes in: "float32" also where it rounds to that in between.

    Parameters
    ----------
    program
        The program.
    dtype
        Type of its inputs and outputs.
    """
    for node in program.graph.nodes:
        given = [_dtype(each) for each in node.all_input_nodes]
        if _dtype(node) == torch.float32 and torch.float64 in given:
            return "float32"
    return dtype


def _dtype(node: torch.fx.Node) -> torch.dtype | None:
    value = node.meta.get("val")
    return value.dtype if isinstance(value, torch.Tensor) else None


_PLACE = re.compile(r'File "([^"]+)", line (\d+), in (\w+)')


_OUTSIDE = (str(Path(torch.__file__).parent), str(Path(__file__).parent), "<")


def place_of(text: str) -> str:
    """Give the innermost place of a traceback that is neither in torch nor here, as ``file:line``."""
    found = [match for match in _PLACE.finditer(text) if not match[1].startswith(_OUTSIDE)]
    return f"{found[-1][1]}:{found[-1][2]}" if found else ""
