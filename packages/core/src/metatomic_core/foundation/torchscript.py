"""The only place where ``torch.jit`` is called, and where its errors become ours.

TorchScript is the file format and the C++ interface of the models, and torch announces its deprecation at every call;
users of this package can do nothing about that, so the announcement stops here.  Errors raised inside scripted code
arrive as ``torch.jit.Error`` with a traceback of many lines: `clean_errors` raises the message alone.

Torch promises nothing of TorchScript from Python 3.14 on.  Whether it works is therefore tried, see `missing`; where it
does not, this package is plain Python, which runs the same code.
"""

import contextlib
import functools
import io
import platform
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import torch

_Class = TypeVar("_Class", bound=type)

# The exceptions which scripted code of this package raises, as TorchScript names them.
_EXCEPTIONS: dict[str, type[Exception]] = {
    "ValueError": ValueError,
    "TypeError": TypeError,
    "RuntimeError": RuntimeError,
    "NotImplementedError": NotImplementedError,
}
_INTERPRETER = "The following operation failed in the TorchScript interpreter"
_RAISED = re.compile(r"^(?:builtins\.)?(\w+): (.*)$", re.DOTALL)
# Why TorchScript did not compile something that it has to; nothing is compiled after that.
_refusals: list[str] = []


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the deprecation warnings of ``torch.jit``, and nothing else."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`?torch\.jit\.", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=r"`?torch\.jit\.", category=FutureWarning)
        yield


def script_class(cls: _Class) -> _Class:
    """Compile a plain Python class for TorchScript, where there is one; the class itself stays what it is.

    Not only when a model is compiled: a class that is met within another one can not name itself.
    """
    if not _refusals:
        with _refusal_noted():
            # one frame up: names in annotations are looked up where this function is called
            torch.jit.script(cls, _frames_up=1)
    return cls


@contextlib.contextmanager
def _refusal_noted() -> Iterator[None]:
    try:
        with quiet():
            yield
    except Exception as error:  # noqa: BLE001  (whatever it is, TorchScript does not work)
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        _refusals.append(": ".join([type(error).__name__, *lines[:1]]))


class _Probe(torch.nn.Module):
    """A module as any other, with an attribute and a method to export."""

    n: int

    def __init__(self) -> None:
        super().__init__()
        self.n = 1

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values + self.n

    @torch.jit.export
    def count(self) -> int:
        return self.n


@functools.cache
def missing() -> str:
    """Say why TorchScript does not work with this Python and torch, in one line; empty where it works.

    A module is compiled to see, once in a process, and classes are by the time that they are imported.
    """
    if not _refusals:
        with _refusal_noted():
            torch.jit.script(_Probe())
    return _refusals[0] if _refusals else ""


def check_is_there(purpose: str) -> None:
    """Raise a RuntimeError where TorchScript is missing.

    Parameters
    ----------
    purpose
        What it is needed for, as in "to save a model".
    """
    if missing():
        raise RuntimeError(
            f"expected TorchScript {purpose}, got none with Python {platform.python_version()} and torch "
            f"{torch.__version__} ({missing()}); use a Python that torch compiles with, such as 3.12"
        )


def script_module(module: torch.nn.Module) -> torch.jit.ScriptModule:
    """Compile a module, leaving one that is already compiled alone."""
    if isinstance(module, torch.jit.ScriptModule):
        return module
    check_is_there("to compile a module")
    with quiet(), _failures_forgotten():
        return torch.jit.script(module)


@contextlib.contextmanager
def _failures_forgotten() -> Iterator[None]:
    """Drop the types of modules that were begun when compiling failed.

    Torch would find a half of them at the next try, and say "Can't redefine method" instead of what is wrong.
    """
    store = torch.jit._recursive.concrete_type_store
    before = {kind: list(types) for kind, types in store.type_store.items()}
    try:
        yield
    except Exception:
        # what was complete before stays, so that types of other modules remain the same
        store.type_store = before
        raise


@contextlib.contextmanager
def clean_errors() -> Iterator[None]:
    """Re-raise what scripted code raised as the plain Python exception that was written there.

    Raises
    ------
    ValueError, TypeError, RuntimeError, NotImplementedError
        The type and text of the ``raise`` statement in the scripted code, without the interpreter's traceback.
    """
    try:
        yield
    except (torch.jit.Error, RuntimeError) as error:  # failures of torch operations come as RuntimeError
        if not isinstance(error, torch.jit.Error) and _INTERPRETER not in str(error):
            raise
        kind, message = _last_message(str(error))
        raise kind(message) from None


def _last_message(text: str) -> tuple[type[Exception], str]:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    for start in range(len(lines) - 1, -1, -1):
        match = _RAISED.match(lines[start])
        if match is not None and match.group(1) in _EXCEPTIONS:
            # what a model raises may have several lines; an error is one
            return _EXCEPTIONS[match.group(1)], " ".join([match.group(2), *lines[start + 1 :]])
    return RuntimeError, lines[-1] if lines else text


@contextlib.contextmanager
def unoptimized() -> Iterator[None]:
    """Run scripted code without the profiling passes of its first calls, restoring the setting of the thread.

    Profiling and specialisation cost tenths of a second whenever the number of pairs changes, and a model that is
    dominated by large tensor operations gains nothing from them.
    """
    before = torch._C._get_graph_executor_optimize()
    torch._C._set_graph_executor_optimize(False)
    try:
        yield
    finally:
        torch._C._set_graph_executor_optimize(before)


def executor() -> str:
    """Say how compiled code is run by this process, where nobody has chosen otherwise."""
    # there is no way to ask but to set it
    profiling = torch._C._jit_set_profiling_executor(True)
    torch._C._jit_set_profiling_executor(profiling)
    optimizes = torch._C._get_graph_executor_optimize()
    name = "profiling executor" if profiling else "simple executor"
    return f"{name}, {'optimized' if optimizes else 'not optimized'} outside of our calls"


def called_methods(module: torch.jit.ScriptModule) -> set[str]:
    """List the names of the methods that the code of a compiled module calls, of whatever, directly or in functions."""
    called: set[str] = set()
    seen: set[str] = set()
    pending = [method.graph for child in module.modules() for method in _methods(child)]
    while pending:
        graph = pending.pop()
        functions = []
        for node in graph.findAllNodes("prim::CallMethod", recurse=True):
            called.add(node.s("name"))
            functions.append(f"{node.inputsAt(0).type().annotation_str}.{node.s('name')}")
        direct = graph.findAllNodes("prim::CallFunction", recurse=True)
        functions.extend(node.inputsAt(0).type().annotation_str for node in direct)
        for name in set(functions) - seen:
            seen.add(name)
            function = torch.jit._state._python_cu.find_function(name)
            if function is not None:
                pending.append(function.graph)
    return called


def _methods(module: torch.nn.Module) -> list[Any]:
    compiled = getattr(module, "_c", None)  # not even all parts of a compiled module have code
    return [] if compiled is None else [compiled._get_method(name) for name in compiled._method_names()]


def load(source: Any, device: str = "cpu", extra_files: dict[str, Any] | None = None) -> torch.jit.ScriptModule:
    """Load a scripted module from a path or a file object, and the extra files that are named, which are bytes then."""
    check_is_there("to load a compiled model")
    with quiet():
        return torch.jit.load(source, map_location=device, _extra_files=extra_files)


def to_bytes(module: torch.jit.ScriptModule, extra_files: Mapping[str, str | bytes]) -> bytes:
    """Give the content of the file of a scripted module with its extra files."""
    with quiet():
        # `torch.jit.save` calls the method `save` of the module, which may be the module's own; and when it writes
        # to a path, the name of the path is all over the archive, so that no two files are the same
        return torch.jit.RecursiveScriptModule.save_to_buffer(module, _extra_files=dict(extra_files))  # type: ignore[arg-type]


def code_entries(content: bytes) -> dict[str, str]:
    """Give the source code in the content of a file of a compiled module, by the names of the entries."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist() if name.endswith(".py")}
