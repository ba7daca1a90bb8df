"""The front door: recognises a file, by the readers that installed packages have, and gives the model in it.

A package teaches all engines a format of its own by an entry point of the group ``metatomic.readers``, see `Reader`.
"""

import copyreg
import dataclasses
import itertools
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch

from metatomic_core.data.metadata import ModelMetadata
from metatomic_core.files import extensions
from metatomic_core.files.archive import Archive
from metatomic_core.files.header import HEADER_FILE, ModelHeader
from metatomic_core.files.reading import archive_of, checked_source, header_in
from metatomic_core.foundation import torchscript
from metatomic_core.foundation.atomic_write import PathLike
from metatomic_core.foundation.errors import UnreadableFileError
from metatomic_core.foundation.plugins import load_plugin, plugins
from metatomic_core.model.atomistic_model import AtomisticModel
from metatomic_core.model.exported import ExportedModel, exported_model
from metatomic_core.model.loaded import LoadedModel, installed
from metatomic_core.model.saving import compiled_with_header, header_of

__all__ = [
    "READERS",
    "InstalledReader",
    "Reader",
    "check_atomistic_model",
    "header_of",
    "load_atomistic_model",
    "load_compiled",
    "read_model_header",
    "read_model_metadata",
    "reader_of",
    "readers",
]

# group of entry points, each of which is a `Reader`
READERS = "metatomic.readers"
_OWN_PACKAGE = "metatomic-core"


def read_model_header(path: PathLike) -> ModelHeader:
    """Read what a model file says about itself, without executing anything in it.

    Parameters
    ----------
    path
        Path of a model file; also of one in a format that an installed package reads, if its reader tells.

    Returns
    -------
    ModelHeader
        Metadata, capabilities and requests.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no model file, is damaged, was written in another format, or tells nothing before it is loaded; the
        message says which.
    """
    found = _found(path)
    if found.reader is None:
        return header_in(found.path, found.archive)
    describe = found.reader.reader.describe
    if describe is None:
        raise ValueError(
            f"expected a model of metatomic-core, got '{found.path}', which is a model of {found.reader.name}; "
            f"run `metatomic convert {found.path} OUT` first"
        )
    return cast("ModelHeader", _result(found.reader, "describe", describe, ModelHeader, found.path))


def read_model_metadata(path: PathLike) -> ModelMetadata:
    """Read the metadata of a model file, without executing anything in it.

    Parameters
    ----------
    path
        Path of a model file.

    Returns
    -------
    ModelMetadata
        Name, authors, references and whatever else its authors wrote.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_model_header`.
    """
    return read_model_header(path).metadata


def check_atomistic_model(path: PathLike) -> None:
    """Check that a file holds a model that this version can run; nothing in it is executed.

    Parameters
    ----------
    path
        Path of a model file.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_model_header`.

    Warns
    -----
    UserWarning
        If the file was written with a newer torch.
    """
    _check_torch_version(read_model_header(path), stacklevel=3)


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


@dataclasses.dataclass(frozen=True)
class Reader:
    """How files of another format become models; found by the entry points of the group ``metatomic.readers``.

    Attributes
    ----------
    recognises
        Tells, from the path and, for a zip archive, what was read of it without executing anything, whether a file is
        of this format.  It must be quick, and must not raise.
    load
        Loads such a file, given its path and the directory with its extensions, if any, as a model on the CPU: an
        `AtomisticModel` made in Python, or one that was loaded.
    describe
        Gives what such a file says about itself, without executing anything in it; `header_of` gives it of a model.
        None if that is not known before the file is loaded.
    """

    recognises: Callable[[Path, Archive | None], bool]
    load: Callable[[Path, str | None], AtomisticModel]
    describe: Callable[[Path], ModelHeader] | None = None


class InstalledReader(NamedTuple):
    """A reader, its name, and the package that it is from."""

    name: str
    package: str
    reader: Reader


def readers() -> dict[str, InstalledReader]:
    """Give the readers of other formats that installed packages have, by name.

    Raises
    ------
    ValueError
        If one of them can not be imported, is none, has no name, or has the name of another one.
    """
    return {
        name: InstalledReader(name, plugin.package, load_plugin(plugin, Reader, "reader"))
        for name, plugin in plugins(READERS, "reader").items()
    }


class _Found(NamedTuple):
    """A file with what was read of it, and who reads it; nobody for a file of ours, or one that is no model."""

    path: Path
    archive: Archive | None
    reader: InstalledReader | None


def _found(path: PathLike) -> _Found:
    """Look at a file, opening it once, and find its reader."""
    path = checked_source(path)
    archive = archive_of(path)
    if archive is not None and HEADER_FILE in archive.extra:
        return _Found(path, archive, None)
    taking = [each for each in readers().values() if _recognises(each, path, archive)]
    if len(taking) > 1:
        names = " and ".join(f"'{each.name}' of {each.package}" for each in taking)
        raise ValueError(f"expected one reader for '{path}', got {names}; remove one of the packages")
    return _Found(path, archive, taking[0] if taking else None)


def _recognises(installed: InstalledReader, path: Path, archive: Archive | None) -> bool:
    try:
        return bool(installed.reader.recognises(path, archive))
    except Exception as error:
        raise ValueError(
            f"expected the reader '{installed.name}' of {installed.package} to tell whether it reads '{path}', got "
            f"{type(error).__name__}: {error}; upgrade or remove {installed.package}"
        ) from error


def _result(
    installed: InstalledReader, what: str, function: Callable[..., Any], kind: type, path: Path, *arguments: Any
) -> Any:
    """Call a function of the reader of a file, and say whose it is if that goes wrong."""
    name, package, _ = installed
    try:
        result = function(path, *arguments)
    except Exception as error:
        if package == _OWN_PACKAGE:
            raise
        reason = " ".join(str(error).split())
        raise ValueError(
            f"expected '{path}' to be a file that the reader '{name}' of {package} can {what}, got "
            f"{type(error).__name__}: {reason}"
        ) from error
    if not isinstance(result, kind):
        raise ValueError(
            f"expected the reader '{name}' of {package} to {what} '{path}' as {kind.__name__}, got "
            f"{type(result).__name__}; upgrade or remove {package}"
        )
    return result


def reader_of(path: PathLike) -> str | None:
    """Give the name of the reader of a file; None for a model file of metatomic-core.

    Parameters
    ----------
    path
        Path of a model file, of any format.

    Returns
    -------
    str or None
        Name of the reader, one of `readers`.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_model_header`, but for files that tell nothing before they are loaded.
    """
    found = _found(path)
    if found.reader is None:
        header_in(found.path, found.archive)
        return None
    return found.reader.name


def load_atomistic_model(path: PathLike, extensions_directory: str | None = None) -> AtomisticModel:
    """Load a model, after checking the file and loading the extensions it needs.

    Parameters
    ----------
    path
        Path of a model file; also of one in a format that an installed package reads, see `readers`, among them that of
        metatomic-torch, which must then be installed, see ``docs/convert``.
    extensions_directory
        Directory with TorchScript extensions, as written by ``save(collect_extensions=...)``.

    Returns
    -------
    AtomisticModel
        The model, on the CPU: a `LoadedModel` with the code in the file, or, where TorchScript is missing, one with the
        exported programs in it, see ``docs/installation``; of another format, what its reader gives.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_model_header`; also if an extension is missing or differs from the one the model was saved with; if
        TorchScript is missing, and there is no exported program.
    """
    found = _found(path)
    if found.reader is not None:
        load = found.reader.reader.load
        loaded = _result(found.reader, "load", load, AtomisticModel, found.path, extensions_directory)
        return cast("AtomisticModel", loaded)
    path, header = found.path, header_in(found.path, found.archive)
    _check_torch_version(header, stacklevel=3)
    extensions.load_recorded(header.extensions, header.torch_version, extensions_directory)
    if torchscript.missing():
        return exported_model(path, header, f"TorchScript does not work here ({torchscript.missing()})")
    try:
        programs: dict[str, Any] = dict.fromkeys((record.entry for record in header.programs), "")
        script = torchscript.load(str(path), extra_files=programs)
    # torch decodes the names and texts in the file
    except (RuntimeError, UnicodeDecodeError) as error:
        # with Python 3.10, some errors of torch come without a text
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise UnreadableFileError(f"expected a model file that torch can load, got '{path}': {lines[0]}") from error
    return LoadedModel(installed(script, header), header, path, extensions_directory, programs)


def load_compiled(path: PathLike, extensions_directory: str | None = None) -> LoadedModel:
    """Load a model as compiled code, compiling it if its reader gives one in Python; see `load_atomistic_model`.

    Parameters
    ----------
    path, extensions_directory
        As for `load_atomistic_model`.

    Returns
    -------
    LoadedModel
        The model, on the CPU.

    Raises
    ------
    RuntimeError
        If it can not be compiled.
    """
    torchscript.check_is_there("to compile a model")
    model = load_atomistic_model(path, extensions_directory)
    if isinstance(model, LoadedModel):
        return model
    return LoadedModel(*compiled_with_header(model), Path(path), extensions_directory)


def _load_again(path: Path, extensions_directory: str | None, device: str) -> AtomisticModel:
    return load_atomistic_model(path, extensions_directory).to(device)


def _pickled(model: LoadedModel) -> tuple[Any, ...]:
    """Give what `pickle` writes of a loaded model: where its file is, and the device that it is on."""
    path, directory = model.origin
    tensors = itertools.chain(model.script.parameters(), model.script.buffers())
    device = next((tensor.device for tensor in tensors), torch.device("cpu"))
    return _load_again, (path, None if directory is None else str(directory), str(device))


def _load_exported_again(path: Path, device: str) -> AtomisticModel:
    return exported_model(path, read_model_header(path), "it was pickled so").to(device)


def _pickled_exported(model: ExportedModel) -> tuple[Any, ...]:
    return _load_exported_again, (model.origin, str(next(model.buffers()).device))


# here rather than in the classes, which lie below this module
copyreg.pickle(LoadedModel, _pickled)
copyreg.pickle(ExportedModel, _pickled_exported)
