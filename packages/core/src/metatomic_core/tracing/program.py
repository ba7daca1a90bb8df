"""All programs of a model: what is traced, with what, and what is said of it in the header of the file."""

import contextlib
import dataclasses
import hashlib
import io
import logging
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch.export import ExportedProgram

from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import base_quantity, standard_quantities
from metatomic_core.files.archive import PROGRAMS
from metatomic_core.files.programs import OutputLabels, ProgramRecord, TensorRecord

from .apart import apart
from .examples import example_tensors
from .seam import LIST_INPUTS, STRUCTURE_INPUTS, Question, Seam
from .stand_ins import NotTraceableError

# What nobody needs in a file, and what says where on a machine it was made.
_TRACES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node", "custom", "original_aten")

# Why a model that differentiates itself is not traced.
DIFFERENTIATES = "expected a model that leaves derivatives to the pipeline, got one that differentiates itself"


class Traceable(NamedTuple):
    """A model, as far as it matters here.

    Attributes
    ----------
    core
        A `ModelCore`, in Python, on the CPU.
    lists, inputs, outputs
        What it requests, and what it offers, each output in one spelling.
    inner_names
        The names that the module knows the outputs by.
    dtype
        "float32" or "float64".
    """

    core: Callable[..., Any]
    lists: list[NeighborListOptions]
    inputs: dict[str, ModelOutput]
    outputs: Mapping[str, ModelOutput]
    inner_names: Mapping[str, str]
    dtype: str


class Program(NamedTuple):
    """An exported program with its record."""

    record: ProgramRecord
    content: bytes


class Traced(NamedTuple):
    """What came out: programs, and for what there is none one line that says why."""

    programs: list[Program]
    untraced: str


def traced(model: Traceable) -> Traced:
    """Trace a model, in a process of its own.

    Parameters
    ----------
    model
        The model.

    Returns
    -------
    Traced
        A program for each energy, with all other outputs, and where atoms can be selected another one for that.
    """
    try:
        # here, so that each copy of this process has what it takes
        from .graph import warm_up

        warm_up()
        _prepare(model.core)
        return apart(lambda: _traced(model))
    except Exception as error:  # noqa: BLE001  (whatever a model raises: it has no program then)
        return Traced([], _reason(error))


def has_programs_inside(core: torch.nn.Module) -> bool:
    """Tell whether parts of a model are traced by their programs: what stops a trace is then said of the part."""
    return any(getattr(module, "traced", None) is not None for module in core.modules())


def _prepare(core: Any) -> None:
    """Let modules get what they need for a trace, which they can not while there is one."""
    for module in core.modules():
        prepare = getattr(module, "prepare_for_trace", None)
        if prepare is not None:
            prepare()


def _traced(model: Traceable) -> Traced:
    energies = [name for name in model.outputs if base_quantity(name) == "energy"]
    programs: list[Program] = []
    reasons: list[str] = []
    for energy in energies or [""]:
        try:
            programs.extend(_programs_of(model, energy, len(programs)))
        except Exception as error:  # noqa: BLE001  (whatever a model raises)
            reasons.append(_reason(error))
    return Traced(programs, reasons[0] if reasons else "")


def _programs_of(model: Traceable, energy: str, start: int) -> list[Program]:
    """Give the programs of one energy: of all atoms, and of selected ones."""
    others = {name: output.sample_kind for name, output in model.outputs.items() if name != energy}
    others = {name: kind for name, kind in others.items() if kind in ("system", "atom")}
    per_atom = energy != "" and model.outputs[energy].sample_kind == "atom"
    question = Question(energy, per_atom, others, "nothing")
    try:
        first = _program(model, question, start)
    except Exception:
        # outputs of the author's own may be of any kind
        question = question._replace(others={})
        if energy == "" or not others:
            raise
        first = _program(model, question, start)
    for way in ("model", "afterwards"):
        try:
            return [first, _program(model, question._replace(selects=way), start + 1)]
        except Exception:  # noqa: BLE001, S112  (such a model is run as script for some of its atoms)
            continue
    return [first]


def _program(model: Traceable, question: Question, number: int) -> Program:
    from .graph import exported_program, used_inputs

    seam = Seam(model.core, model.lists, model.inputs, model.inner_names, question)
    rows = input_rows(model, question)
    tensors = example_tensors(rows)
    program = exported_program(seam, tensors, [row.shape for row in rows])
    used = used_inputs(program)
    outputs = _output_rows(program, seam.output_names, rows)
    content = _content(program)
    record = ProgramRecord(
        entry=f"{PROGRAMS}{number}.pt2",
        sha256=hashlib.sha256(content).hexdigest(),
        energy=question.energy,
        per_atom=question.per_atom,
        selects=question.selects != "nothing",
        joins=False,
        inputs=tuple(dataclasses.replace(row, used=is_used) for row, is_used in zip(rows, used, strict=True)),
        outputs=outputs,
        values={name: OutputLabels(kind, (), (), ()) for name, kind in question.others.items()},
        torch=torch.__version__,
    )
    return Program(record, content)


def input_rows(model: Traceable, question: Question) -> list[TensorRecord]:
    """List the inputs of a program, in order."""
    rows = [
        TensorRecord(name, _name(dtype, model.dtype), shape)
        for name, dtype, shape in STRUCTURE_INPUTS
        if name != "selected" or question.selects != "nothing"
    ]
    for k in range(len(model.lists)):
        for name, dtype, shape in LIST_INPUTS:
            sized = tuple(f"{size}_{k}" if isinstance(size, str) else size for size in shape)
            rows.append(TensorRecord(f"{name}_{k}", _name(dtype, model.dtype), sized))
    for name, output in model.inputs.items():
        base = base_quantity(name)
        if base not in standard_quantities():
            raise NotTraceableError(f"expected inputs of known shapes, got '{name}'")
        components = [3 for _ in standard_quantities()[base].components]
        first = "n_atoms" if output.sample_kind == "atom" else 1
        rows.append(TensorRecord(f"inputs/{name}", model.dtype, (first, *components, 1)))
    return rows


def _name(dtype: torch.dtype | None, of_model: str) -> str:
    return of_model if dtype is None else str(dtype).split(".")[1]


def _output_rows(program: ExportedProgram, names: list[str], rows: list[TensorRecord]) -> tuple[TensorRecord, ...]:
    """List the outputs of a program, with the names of the sizes that its inputs have."""
    nodes = {node.name: node for node in program.graph.nodes}
    given = [nodes[name].meta["val"] for name in program.graph_signature.user_inputs]
    sizes = {
        str(size): name
        for values, row in zip(given, rows, strict=True)
        for size, name in zip(values.shape, row.shape, strict=True)
    }
    (output,) = (node for node in program.graph.nodes if node.op == "output")
    return tuple(
        TensorRecord(
            name,
            str(node.meta["val"].dtype).split(".")[1],
            tuple(size if isinstance(size, int) else sizes[str(size)] for size in node.meta["val"].shape),
        )
        for name, node in zip(names, output.args[0], strict=True)
    )


def _content(program: ExportedProgram) -> bytes:
    for node in program.graph.nodes:
        for key in _TRACES:
            node.meta.pop(key, None)
    program.example_inputs = None
    buffer = io.BytesIO()
    with quiet_torch():
        torch.export.save(program, buffer)
    return buffer.getvalue()


def loaded(content: bytes) -> ExportedProgram:
    """Load a program from the content of its entry."""
    with quiet_torch():
        return torch.export.load(io.BytesIO(content))


@contextlib.contextmanager
def quiet_torch() -> Iterator[None]:
    """Silence what torch warns and logs of graphs of ours: what goes wrong is raised."""
    log = logging.getLogger("torch")
    level, loggers = log.level, [logging.getLogger(name) for name in ("torch.export", "torch._inductor")]
    levels = [each.level for each in loggers]
    try:
        for each in (log, *loggers):
            each.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, before in zip((log, *loggers), (level, *levels), strict=True):
            each.setLevel(before)


# What torch says of what can not be traced, and what to write instead.
_ADVICE = {
    "GuardOnDataDependentSymNode": ("a branch on values of tensors", "use `torch.where`, or a mask and a sum"),
    "DataDependentOutputException": ("a number taken from a tensor", "keep it a tensor"),
    "DynamicOutputShapeException": ("a size that depends on values", "use a mask and a sum"),
    "PendingUnbackedSymbolNotFound": ("a size that depends on values", "use a mask and a sum"),
}


def _reason(error: BaseException) -> str:
    """Say in one line what stops a trace, where, and what to write instead."""
    from .graph import one_line, place_of

    if isinstance(error, NotTraceableError):
        return str(error)
    text = "".join(getattr(error, "__notes__", [])) or "".join(traceback.format_exception(error))
    place = place_of(text)
    where = f" at {place}" if place else ""
    for name, (what, advice) in _ADVICE.items():
        if name in type(error).__name__ or name in str(error)[:200]:
            return f"expected a model that can be traced, got {what}{where}; {advice}"
    return f"expected a model that can be traced, got an error{where}: {one_line(error)}"
