"""TorchScript extensions of models: which libraries a model needs, collecting them, and loading them safely.

Only what the compiled model uses is recorded, by file name and hash.  A path from a model file is never loaded: the
libraries come from the directory that the caller names, or from installed packages.
"""

import ctypes
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch

from metatomic_core.foundation.atomic_write import replaced_when_done
from metatomic_core.foundation.errors import UnavailableError
from metatomic_core.foundation.hashes import file_sha256

from .extension_discovery import is_registered, libraries_of, used_names
from .extension_records import Extension, Library
from .shared_libraries import (
    dependencies_of,
    find_in_distribution,
    library_stem,
    loaded_extensions,
    mapped_libraries,
    owner_of,
)

__all__ = ["Extension", "Library", "collect", "load_model_extensions", "needed_extensions"]

PathLike = str | os.PathLike[str]


class _NotLoadedError(UnavailableError):
    """A library is not found, or does not load on this machine."""


def needed_extensions(scripted: torch.jit.ScriptModule) -> list[Extension]:
    """List the extension libraries that a compiled model needs.

    Parameters
    ----------
    scripted
        The model; its methods, sub-modules and attributes are searched for custom classes and operators.

    Raises
    ------
    RuntimeError
        If no loaded library registers one of them.
    """
    classes, operators = used_names(scripted)
    return extensions_with([*classes, *operators])


def extensions_with(names: list[str]) -> list[Extension]:
    """List the loaded libraries that register classes "namespace.Class" and operators "namespace::operator".

    Raises
    ------
    RuntimeError
        If no loaded library registers one of them.
    """
    extensions = []
    for path, registered in sorted(libraries_of(names).items()):
        extensions.append(
            Extension(
                **_record(path),
                registers=registered,
                dependencies=[Library(**_record(dependency)) for dependency in dependencies_of(path)],
            )
        )
    return extensions


def _record(path: Path) -> dict[str, Any]:
    distribution, version = owner_of(path)
    return {"name": path.name, "sha256": file_sha256(path), "distribution": distribution, "version": version}


def collect(extensions: list[Extension], directory: PathLike) -> None:
    """Copy the libraries of extensions, and the libraries these need, to a directory.

    Parameters
    ----------
    extensions
        What to copy.
    directory
        Where to copy to; made if it does not exist.

    Raises
    ------
    ValueError
        If the directory has another file of the same name, or a library is neither loaded nor installed.
    """
    if not isinstance(directory, (str, os.PathLike)):
        raise TypeError(f"expected `collect_extensions` to be a path, got {type(directory).__name__}")
    target = Path(directory)
    if target.exists() and not target.is_dir():
        raise ValueError(f"expected `collect_extensions` to be a directory, got the file '{target}'")
    libraries = [library for extension in extensions for library in [*extension.dependencies, extension]]
    # all problems before any work
    copies = [(_source_of(library), _free_target(library, target)) for library in libraries]
    target.mkdir(parents=True, exist_ok=True)
    for source, destination in copies:
        if destination is not None:
            with replaced_when_done(destination) as temporary:
                shutil.copyfile(source, temporary)


def _source_of(library: Library) -> Path:
    mapped = mapped_libraries().get(library.name)
    candidates = [path for path in loaded_extensions() if path.name == library.name]
    candidates += [mapped] if mapped is not None else []
    if library.distribution is not None:
        candidates += find_in_distribution(library.distribution, library.name)[0]
    for path in candidates:
        if path.is_file() and file_sha256(path) == library.sha256:
            return path
    raise ValueError(
        f"expected the library '{library.name}' that the model was saved with, loaded or installed, got "
        f"{'another build of it' if candidates else 'none'}; save the model again where it is"
    )


def _free_target(library: Library, directory: Path) -> Path | None:
    """Give where to copy a library to, or None where it is already."""
    path = directory / library.name
    if not path.exists():
        return path
    if not path.is_file() or file_sha256(path) != library.sha256:
        raise ValueError(
            f"expected no other file '{library.name}' in `collect_extensions`, got a different one in '{directory}'; "
            "use another directory"
        )
    return None


def load_model_extensions(path: PathLike, extensions_directory: PathLike | None = None) -> None:
    """Load the extension libraries that a model needs and that are not loaded yet.

    Parameters
    ----------
    path
        Path of a model file.  Nothing in it is executed, and no path in it is followed.
    extensions_directory
        Directory with the libraries, as written by ``save(collect_extensions=...)``.  The hash of each must be the one
        in the model file.  A library that is not there is looked for in the installed distribution that it came from.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is no model; if a library in the directory differs from the recorded one; if an extension is not
        found, does not load, or lacks what the model uses.  Libraries that extensions depend on may be missing: a build
        for GPUs lists some that no other machine can load, and does without them.

    Warns
    -----
    UserWarning
        If an installed library is of another version than the one that the model was saved with.

    Notes
    -----
    Torch aborts the process when two copies of a library are loaded.  Where the installed library and the one in the
    directory are identical, the installed one is loaded, so that importing its package later does no harm.
    """
    from .reading import read_header

    header = read_header(path)
    load_recorded(header.extensions, header.torch_version, extensions_directory)


def load_recorded(recorded: list[Extension], torch_version: str, extensions_directory: PathLike | None = None) -> None:
    """Load the libraries that the header of a model file records; see `load_model_extensions`.

    Parameters
    ----------
    recorded
        The extensions in the header.
    torch_version
        Version of torch that wrote the file.
    extensions_directory
        Directory that may have the libraries.
    """
    directory = checked_directory(extensions_directory)
    same_torch = torch.__version__.split(".")[:2] == torch_version.split(".")[:2]
    for extension in recorded:
        if not _is_loaded(extension):
            _load_with_dependencies(extension, directory, same_torch)


def _load_with_dependencies(extension: Extension, directory: Path | None, same_torch: bool) -> None:
    failures: list[str] = []
    for dependency in extension.dependencies:
        if dependency.name not in mapped_libraries():
            try:
                _load(dependency, _find(dependency, directory, same_torch))
            except _NotLoadedError as error:
                # whether it is needed is known when the extension has loaded, or has not
                failures.append(str(error))
    try:
        _load(extension, _find(extension, directory, same_torch))
    except _NotLoadedError as error:
        also = f"; of what it depends on: {'; '.join(failures)}" if failures else ""
        raise UnavailableError(f"{error}{also}") from error.__cause__


def checked_directory(directory: PathLike | None) -> Path | None:
    """Check that a directory of extensions, if one is given, is one; raise TypeError or ValueError."""
    if directory is None:
        return None
    if not isinstance(directory, (str, os.PathLike)):
        raise TypeError(f"expected `extensions_directory` to be a path or None, got {type(directory).__name__}")
    if not Path(directory).is_dir():
        raise ValueError(f"expected `extensions_directory` to be a directory, got '{directory}'")
    return Path(directory).resolve()


def _is_loaded(extension: Extension) -> bool:
    """Tell whether an extension is loaded; a build of it that lacks something would abort a second load."""
    missing = [name for name in extension.registers if not is_registered(name)]
    if not missing:
        return True
    stem = library_stem(extension.name)
    loaded = [path for path in loaded_extensions() if library_stem(path.name) == stem]
    if loaded or len(missing) < len(extension.registers):
        where = str(loaded[0]) if loaded else "another library"
        raise UnavailableError(
            f"expected a loaded '{extension.name}' that registers '{missing[0]}', got '{where}', which does not; "
            f"{_advice(extension)} and start again"
        )
    return False


def _find(library: Library, directory: Path | None, same_torch: bool) -> Path:
    """Find a library in the directory of the caller or in the installed distribution; see `load_model_extensions`."""
    candidates: list[Path] = []
    version = None
    if library.distribution is not None:
        candidates, version = find_in_distribution(library.distribution, library.name)
    identical = next((path for path in candidates if file_sha256(path) == library.sha256), None)
    if directory is not None and (directory / library.name).is_file():
        in_directory = directory / library.name
        found = file_sha256(in_directory)
        if found != library.sha256:
            raise UnavailableError(
                f"expected '{in_directory}' to be the library that the model was saved with, with sha256 "
                f"{library.sha256[:12]}..., got {found[:12]}...; collect the extensions again"
            )
        return identical or in_directory
    if identical is not None:
        return identical
    if candidates:
        _warn_other_build(library, candidates[0], version, same_torch)
        return candidates[0]
    kind = "TorchScript extension" if isinstance(library, Extension) else "library"
    raise _NotLoadedError(
        f"expected the {kind} '{library.name}'{_of_distribution(library)}, which this model needs, got "
        f"none; {_advice(library)}"
    )


def _warn_other_build(library: Library, path: Path, version: str | None, same_torch: bool) -> None:
    # the same release, built for another torch or platform, is what anyone would want
    same_build = same_torch and path.name == library.name
    if version == library.version and not same_build:
        return
    warnings.warn(
        f"expected {library.distribution} {library.version}, which the model was saved with, for the extension "
        f"'{library.name}', got {version} with another build; results may differ",
        stacklevel=6,
    )


def _of_distribution(library: Library) -> str:
    if library.distribution is None:
        return ""
    return f" of {library.distribution} {library.version}"


def _advice(library: Library) -> str:
    directory = "name the directory that has it in `extensions_directory`"
    if library.distribution is None:
        return directory
    return f"run `pip install {library.distribution}=={library.version}`, or {directory}"


def _load(library: Library, path: Path) -> None:
    try:
        if isinstance(library, Extension):
            torch.ops.load_library(str(path))
        else:
            ctypes.CDLL(str(path))
    except OSError as error:
        # torch hides what the loader says behind an error of its own
        reason = str(error.__cause__ or error).splitlines()[0]
        raise _NotLoadedError(
            f"expected '{library.name}' to load with torch {torch.__version__}, got an error: {reason}; "
            "it may be built for another torch"
        ) from error
    if isinstance(library, Extension):
        missing = [name for name in library.registers if not is_registered(name)]
        if missing:
            raise _NotLoadedError(f"expected '{path}' to register '{missing[0]}', got a library that does not")
