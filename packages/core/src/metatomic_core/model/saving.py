"""Saving: a model is compiled, described by its header, tried, and written whole or not at all."""

import hashlib
import os
import re
from dataclasses import replace
from importlib import metadata as importlib_metadata
from pathlib import Path
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

import torch

from metatomic_core.files import extensions
from metatomic_core.files.header import FORMAT_VERSION, HEADER_FILE, ModelHeader
from metatomic_core.foundation import torchscript
from metatomic_core.foundation.atomic_write import PathLike, checked_target, replaced_when_done
from metatomic_core.tracing.program import Program, Traced

from ._answers import with_answers
from ._programs import traced_model, with_programs
from ._trial import RunnableModel, can_be_tried, check_runs, loaded_again
from .interface import own_torchscript

# Where the code of the pipeline is in an archive, and what torch puts into names that occur twice.
_PIPELINE = re.compile(r"/metatomic_core/(pipeline/|model/atomistic_model)")
_MANGLED = re.compile(r"\.?___torch_mangle_\d+")
# Of models whose compiled code can not be compared with what was traced.
_UNTRIED = "expected a model that runs on a CPU with inputs of known shapes, got another, which is not traced"
# Results of tracing that are kept in case that the same model is saved again: how many, and of how many bytes.
_KNOWN: Dict[Tuple[str, str], Tuple[ModelHeader, Dict[str, bytes]]] = {}
_MAX_KNOWN = 64
_MAX_BYTES = 1_000_000
# Lines of a compilation error that are shown.
_MAX_REASONS = 4


class _Tried(NamedTuple):
    """A model that was compiled and loaded again, and the hash of its content."""

    compiled: torch.jit.ScriptModule
    sha256: str


def save_model(
    model: RunnableModel, file: PathLike, collect_extensions: Optional[str], exported: Optional[bool]
) -> None:
    """Compile a model and write it to a file; see ``AtomisticModel.save``."""
    path = checked_target(file)
    if os.environ.get("PYTORCH_JIT") == "0":
        raise RuntimeError("expected TorchScript to be enabled to save a model, got PYTORCH_JIT=0; unset it")
    torchscript.check_is_there("to save a model")
    scripted, header = compiled_with_header(model)
    header, tried = _found_out(scripted, header, model)
    programs: Dict[str, bytes] = {}
    if not is_exported(exported):
        header = replace(header, untraced="expected a file saved with `exported=True`, got one without")
    elif tried is not None:
        header, programs = _with_programs(header, lambda header: traced_model(model, header), tried)
    if collect_extensions is not None:
        extensions.collect(header.extensions, collect_extensions)
    _write(scripted, header, programs, path)


def is_exported(exported: Optional[bool]) -> bool:
    """Tell whether a model is saved with exported programs; None for what METATOMIC_EXPORTED says."""
    if exported is not None:
        return exported
    word = os.environ.get("METATOMIC_EXPORTED", "1")
    if word not in ("0", "1"):
        raise ValueError(f"expected METATOMIC_EXPORTED to be 0 or 1, got '{word}'")
    return word == "1"


def write_archive(
    scripted: torch.jit.ScriptModule, header: ModelHeader, programs: Mapping[str, bytes], path: Path
) -> None:
    """Write a compiled model, tried again, with its header and the versions that write it: whole, or not at all."""
    header = replace(
        header,
        core_version=importlib_metadata.version("metatomic-core"),
        torch_version=torch.__version__,
        format_version=FORMAT_VERSION,
    )
    # without what is found out again
    found = Traced([Program(record, programs[record.entry]) for record in header.programs], header.untraced)
    header, tried = _found_out(scripted, header, None)
    header, kept = (header, {}) if tried is None else _with_programs(header, lambda _: found, tried)
    _write(scripted, header, kept, path)


def _found_out(
    scripted: torch.jit.ScriptModule, header: ModelHeader, model: Optional[RunnableModel]
) -> Tuple[ModelHeader, Optional[_Tried]]:
    """Add to a header what is found out from the code of a compiled model, and by trying it; give what was tried.

    Parameters
    ----------
    scripted, header
        The compiled model, its pipeline compiled in this process, and what is known of it.
    model
        The same in Python, to be tried beside it; None for what was tried before.
    """
    content = torchscript.to_bytes(scripted, {})
    header = replace(header, pipeline=pipeline_hash(content))
    if not can_be_tried(header.capabilities, header.inputs):
        return replace(header, programs=(), untraced=_UNTRIED), None
    compiled = loaded_again(content)
    if model is not None:
        check_runs(model, compiled, stacklevel=4)
    return with_answers(header, compiled), _Tried(compiled, hashlib.sha256(content).hexdigest())


def _with_programs(
    header: ModelHeader, traced: Callable[[ModelHeader], Traced], tried: _Tried
) -> Tuple[ModelHeader, Dict[str, bytes]]:
    """Add exported programs; those of a model that was just saved are known."""
    key = (tried.sha256, header.to_json())
    known = _KNOWN.pop(key, None)
    if known is None:
        known = with_programs(header, traced(header), tried.compiled)
    if sum(map(len, known[1].values())) <= _MAX_BYTES:
        # the last one is the youngest
        _KNOWN[key] = known
        if len(_KNOWN) > _MAX_KNOWN:
            del _KNOWN[next(iter(_KNOWN))]
    return known


def compiled_with_header(
    model: RunnableModel, needed: Optional[List[extensions.Extension]] = None
) -> Tuple[torch.jit.ScriptModule, ModelHeader]:
    """Compile a model, and say what its file will say about it, but for what is found out afterwards.

    Parameters
    ----------
    model
        The model.
    needed
        The extensions that it needs, if known.
    """
    scripted = _compiled(model)
    needed = extensions.needed_extensions(scripted) if needed is None else needed
    return scripted, replace(header_of(model), extensions=needed, differentiates=scripted._differentiates)


def pipeline_hash(content: bytes) -> str:
    """Give a hash of the code of the pipeline in a model file, the same for the same code around another module.

    Parameters
    ----------
    content
        Of the file; its pipeline compiled in the process that wrote it: what was read from a file, and written again,
        has other names of variables.
    """
    found = hashlib.sha256()
    for name, code in sorted(torchscript.code_entries(content).items()):
        if _PIPELINE.search(name):
            # classes of a core from a file have the same names as those around it, and get others in one archive
            found.update(_MANGLED.sub("", code).encode())
    return found.hexdigest()


def header_of(model: RunnableModel) -> ModelHeader:
    """Give what a file of a model would say about it, so far as that is known before it is compiled and tried.

    Parameters
    ----------
    model
        The model, in Python.

    Returns
    -------
    ModelHeader
        Metadata, capabilities and requests.
    """
    known = getattr(model, "header", None)
    if isinstance(known, ModelHeader):
        return known
    return ModelHeader(
        metadata=model.metadata(),
        capabilities=model.capabilities(),
        neighbor_lists=model.requested_neighbor_lists(),
        inputs=model.requested_inputs(),
        extensions=[],
        core_version=importlib_metadata.version("metatomic-core"),
        torch_version=torch.__version__,
    )


def _write(scripted: torch.jit.ScriptModule, header: ModelHeader, programs: Mapping[str, bytes], path: Path) -> None:
    content = torchscript.to_bytes(scripted, {HEADER_FILE: header.to_json(), **programs})
    with replaced_when_done(path) as temporary:
        temporary.write_bytes(content)


def _compiled(model: RunnableModel) -> torch.jit.ScriptModule:
    device = next((tensor.device for tensor in model.buffers()), torch.device("cpu"))
    module = model.module
    try:
        model.to("cpu")
        # what stands for the module in the file, and in Python is slower or can not be traced
        own = own_torchscript(module)
        model.core.module = module if own is None else own
        scripted = torchscript.script_module(model)  # type: ignore[arg-type]
    except Exception as error:
        if isinstance(module, torch.jit.ScriptModule):
            # its code knows the `System` in its file, not ours, even if the two are the same
            raise RuntimeError(
                "expected a module that was made in this process, got a compiled one, maybe from a file; make it again "
                "from its Python code, or save the model that was loaded"
            ) from error
        raise RuntimeError(
            f"expected a TorchScript-compatible model, got an error on compiling it: {_first_reason(error)}"
        ) from error
    finally:
        model.core.module = module
        model.to(device)
    scripted._differentiates = differentiates_itself(scripted.core.module)
    return scripted


def _first_reason(error: Exception) -> str:
    """Give what is wrong in a compilation error, in one line, with the place in the source that it is about.

    Torch writes the reason, often after the signature of a function that does not fit, then the place and the source.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" :")]
    lines = [line for line in lines if line != "The original call is:"]
    is_place = [line.startswith('File "') for line in lines]
    n_reasons = is_place.index(True) if True in is_place else len(lines)
    reasons = lines[:n_reasons] or lines[:1] or [type(error).__name__]
    # an operator with many signatures has as many lines
    reason = " ".join(reasons[:_MAX_REASONS]).rstrip(":.")
    place = lines[n_reasons] if n_reasons < len(lines) else None
    return reason if place is None or place in reason else f"{reason} ({place.rstrip(':')})"


def differentiates_itself(module: torch.jit.ScriptModule) -> bool:
    """Tell whether compiled code may differentiate by itself, and so needs a graph also for energies alone.

    Parameters
    ----------
    module
        What a model wraps, compiled.
    """
    graph = module.forward.inlined_graph  # type: ignore[attr-defined]
    # what runs in Python or in a task of its own is not in the graph
    kinds = ("aten::grad", "aten::backward", "aten::requires_grad_", "prim::PythonOp", "prim::fork")
    if any(len(graph.findAllNodes(kind, recurse=True)) > 0 for kind in kinds):
        return True
    # nor is what is behind an interface, which stands for any module
    calls = graph.findAllNodes("prim::CallMethod", recurse=True)
    return any(call.inputsAt(0).type().kind() == "InterfaceType" for call in calls)
