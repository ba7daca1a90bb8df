"""Model files: writing, checking, reading without executing, and loading.

A model file is a TorchScript archive (a zip file) with one extra file, ``metatomic-core.json``: format version,
metadata, capabilities, requests and extensions.  See ``docs/model-file``.
"""

import json
import os
import re
import warnings
import zipfile
from importlib import metadata as importlib_metadata
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional, Tuple, Union

import torch

from . import _torchscript, extensions
from ._archive import Archive, not_regular, read_archive
from ._atomic_write import replaced_when_done
from ._header import FORMAT_VERSION, ModelHeader
from ._trial import check_runs
from .metadata import ModelMetadata

if TYPE_CHECKING:
    from .loaded import LoadedModel
    from .model import AtomisticModel

__all__ = ["FORMAT_VERSION", "check_atomistic_model", "load_atomistic_model", "read_header", "read_model_metadata"]

_HEADER_FILE = "metatomic-core.json"
# An extra file which the reference implementation writes into its models.
_REFERENCE_FILE = "metatomic-version"

# Lines of a compilation error that are shown.
_MAX_REASONS = 4

PathLike = Union[str, "os.PathLike[str]"]


def save_model(model: "AtomisticModel", file: PathLike, collect_extensions: Optional[str]) -> None:
    """Compile a model and write it to a file; see ``AtomisticModel.save``."""
    path = checked_target(file)
    if os.environ.get("PYTORCH_JIT") == "0":
        raise RuntimeError("expected TorchScript to be enabled to save a model, got PYTORCH_JIT=0; unset it")
    scripted, header = compiled_with_header(model)
    content = _archive_content(scripted, header)
    check_runs(model, content, stacklevel=3)
    if collect_extensions is not None:
        extensions.collect(header.extensions, collect_extensions)
    _write(content, path)


def compiled_with_header(
    model: "AtomisticModel", needed: Optional[List[extensions.Extension]] = None
) -> Tuple[torch.jit.ScriptModule, ModelHeader]:
    """Compile a model, and say what its file will say about it; with the extensions that it needs, if known."""
    scripted = _compiled(model)
    header = ModelHeader(
        metadata=model.metadata(),
        capabilities=model.capabilities(),
        neighbor_lists=model.requested_neighbor_lists(),
        inputs=model.requested_inputs(),
        extensions=extensions.needed_extensions(scripted) if needed is None else needed,
        core_version=importlib_metadata.version("metatomic-core"),
        torch_version=torch.__version__,
    )
    return scripted, header


def write_archive(scripted: torch.jit.ScriptModule, header: ModelHeader, path: Path) -> None:
    """Write a compiled model with its header: whole, or not at all."""
    _write(_archive_content(scripted, header), path)


def _archive_content(scripted: torch.jit.ScriptModule, header: ModelHeader) -> bytes:
    return _torchscript.to_bytes(scripted, {_HEADER_FILE: header.to_json()})


def _write(content: bytes, path: Path) -> None:
    with replaced_when_done(path) as temporary:
        temporary.write_bytes(content)


def checked_target(file: PathLike) -> Path:
    """Check that a file can be written; raise TypeError or ValueError."""
    if not isinstance(file, (str, os.PathLike)):
        raise TypeError(f"expected `file` to be a path, got {type(file).__name__}")
    path = Path(file)
    if path.is_dir():
        raise ValueError(f"expected `file` to be a file name, got the directory '{path}'")
    if not path.parent.is_dir():
        raise ValueError(f"expected the directory of `file` to exist, got '{path.parent}'; create it first")
    return path


def _compiled(model: "AtomisticModel") -> torch.jit.ScriptModule:
    device = next((tensor.device for tensor in model.buffers()), torch.device("cpu"))
    try:
        scripted = _torchscript.script_module(model.to("cpu"))
    except Exception as error:
        if isinstance(model.module, torch.jit.ScriptModule):
            # its code knows the `System` in its file, not ours, even if the two are the same
            raise RuntimeError(
                "expected a module that was made in this process, got a compiled one, maybe from a file; make it again "
                "from its Python code, or save the model that was loaded"
            ) from error
        raise RuntimeError(
            f"expected a TorchScript-compatible model, got an error on compiling it: {_first_reason(error)}"
        ) from error
    finally:
        model.to(device)
    scripted._differentiates = _differentiates(scripted.module)
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


def _differentiates(module: torch.jit.ScriptModule) -> bool:
    """Tell whether compiled code may differentiate by itself, and so needs a graph also for energies alone."""
    graph = module.forward.inlined_graph  # type: ignore[attr-defined]
    # what runs in Python or in a task of its own is not in the graph
    kinds = ("aten::grad", "aten::backward", "aten::requires_grad_", "prim::PythonOp", "prim::fork")
    if any(len(graph.findAllNodes(kind, recurse=True)) > 0 for kind in kinds):
        return True
    # nor is what is behind an interface, which stands for any module
    calls = graph.findAllNodes("prim::CallMethod", recurse=True)
    return any(call.inputsAt(0).type().kind() == "InterfaceType" for call in calls)


def read_header(path: PathLike) -> ModelHeader:
    """Read what a model file says about itself, without executing anything in it.

    Parameters
    ----------
    path
        Path of a model file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no model file, is damaged, or was written in a newer format; the message says which.
    """
    path = _checked_source(path)
    return _header_in(path, _read(path))


def _checked_source(path: PathLike) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"expected `path` to be a path, got {type(path).__name__}")
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"expected a model file, got '{path}', which does not exist")
    if path.is_dir():
        raise ValueError(f"expected a model file, got the directory '{path}'")
    if not_regular(path):
        raise ValueError(f"expected a model file, got '{path}', which is no regular file")
    if path.stat().st_size == 0:
        raise ValueError(f"expected a model file, got '{path}', which is empty; export the model again")
    return path


def _read(path: Path) -> Archive:
    try:
        return read_archive(path)
    except zipfile.BadZipFile as error:
        raise ValueError(_not_an_archive(path)) from error


def _header_in(path: Path, archive: Archive) -> ModelHeader:
    """Read the header, or say what else the file is."""
    if not any(name.endswith(f"/extra/{_HEADER_FILE}") for name in archive.names):
        raise ValueError(_foreign(path, archive.names))
    if archive.damaged:
        raise ValueError(f"expected an intact model file, got '{path}' with damaged data in '{archive.damaged}'")
    try:
        content = json.loads(archive.extra[_HEADER_FILE])
        version = int(content["format_version"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"expected a valid header in model file '{path}', got damaged text: {error}") from error
    if version > FORMAT_VERSION:
        raise ValueError(
            f"expected a model file of format version {FORMAT_VERSION} or older, got '{path}' of version {version}, "
            f"written by metatomic-core {content.get('core_version', 'unknown')}; "
            "run `pip install --upgrade metatomic-core`"
        )
    try:
        return ModelHeader.from_dict(content)
    except (ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"expected a valid header in model file '{path}', got one that is not: {error}") from error


def _not_an_archive(path: Path) -> str:
    with open(path, "rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04":
        return f"expected a whole model file, got '{path}', which is truncated or damaged; copy or export it again"
    return f"expected a model file, got '{path}', which is something else (not a TorchScript archive)"


def _foreign(path: Path, names: list[str]) -> str:
    if any(name.endswith("/extra/metatomic-gromacs.json") for name in names):
        return (
            f"expected a model of metatomic-core, got '{path}', which is a file for GROMACS; give the model that it "
            "was made from"
        )
    if any(name.endswith(f"/extra/{_REFERENCE_FILE}") for name in names):
        advice = f"run `metatomic convert {path} OUT` first"
        return f"expected a model of metatomic-core, got '{path}', which is a model of metatomic-torch; {advice}"
    if any(name.endswith("/constants.pkl") for name in names):
        return (
            f"expected a model of metatomic-core, got '{path}', which is a TorchScript module without our interface; "
            "wrap the module in `AtomisticModel` and save that"
        )
    if any(name.endswith("/data.pkl") for name in names):
        return (
            f"expected a model of metatomic-core, got '{path}', which was written by `torch.save` (a checkpoint); "
            "wrap the module in `AtomisticModel` and save that"
        )
    return f"expected a model file, got '{path}', which is another kind of zip archive"


def read_model_metadata(path: PathLike) -> ModelMetadata:
    """Read the metadata of a model file, without executing anything in it.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_header`.
    """
    return read_header(path).metadata


def check_atomistic_model(path: PathLike) -> None:
    """Check that a file holds a model that this version can run; nothing in it is executed.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_header`.

    Warns
    -----
    UserWarning
        If the file was written with a newer torch.
    """
    _check_torch_version(read_header(path), stacklevel=3)


def _check_torch_version(header: ModelHeader, stacklevel: int) -> None:
    if _torch_minor(header.torch_version) > _torch_minor(torch.__version__):
        warnings.warn(
            f"expected a model saved with torch {torch.__version__} or older, got one of torch "
            f"{header.torch_version}; if it does not load, upgrade torch",
            stacklevel=stacklevel,
        )


def _torch_minor(version: str) -> tuple[int, int]:
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)


def load_atomistic_model(path: PathLike, extensions_directory: Optional[str] = None) -> "LoadedModel":
    """Load a model, after checking the file and loading the extensions it needs.

    Parameters
    ----------
    path
        Path of a model file; also of one of metatomic-torch, which must then be installed, see ``docs/convert``.
    extensions_directory
        Directory with TorchScript extensions, as written by ``save(collect_extensions=...)``.

    Returns
    -------
    LoadedModel
        The model, on the CPU, with the methods of `AtomisticModel`.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_header`; also if an extension is missing or differs from the one the model was saved with.
    """
    from .foreign.reference_files import is_reference_archive
    from .loaded import LoadedModel

    path = _checked_source(path)
    archive = _read(path)
    if is_reference_archive(archive):
        from .foreign.imported import load_reference_model

        return load_reference_model(path, extensions_directory)
    header = _header_in(path, archive)
    if header.format_version < FORMAT_VERSION:
        raise ValueError(
            f"expected a model file of format version {FORMAT_VERSION}, got '{path}' of version "
            f"{header.format_version}, written by a version before the first release; export the model again"
        )
    _check_torch_version(header, stacklevel=3)
    extensions.load_recorded(header.extensions, header.torch_version, extensions_directory)
    try:
        script = _torchscript.load(str(path))
    # torch decodes the names and texts in the file
    except (RuntimeError, UnicodeDecodeError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ValueError(f"expected a model file that torch can load, got '{path}': {lines[0]}") from error
    return LoadedModel(script, header, path, extensions_directory)
