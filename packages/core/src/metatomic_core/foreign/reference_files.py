"""Files of metatomic-torch: recognizing them, and loading them with the library and the extensions they need.

Facts about the format (metatomic-torch 0.1.19): a TorchScript archive with the extra files ``metatomic-version``,
``extensions`` and ``extensions-deps``; the last two list, as JSON objects with ``name``, ``path`` and ``sha256``, every
library that was loaded when the file was written, needed or not.
"""

import json
import re
import zipfile
from importlib import metadata as importlib_metadata
from pathlib import Path
from typing import Dict, List, Optional

import torch

from .. import _torchscript
from .._extension_discovery import is_registered, used_names_in_source
from .._shared_libraries import file_sha256, find_in_distribution, library_stem, loaded_extensions, mapped_libraries

DISTRIBUTION = "metatomic-torch"
# The classes of one series take part in the files of that series only.
SERIES = "0.1"
VERSION_FILE = "metatomic-version"
_LIBRARY = "libmetatomic_torch.so"
# The name that the reference implementation had until 2025, with classes and files of its own.
_FORMER_VERSION_FILE = "metatensor-version"
# What torch says about a class or an operator that no library registered.
_MISSING = re.compile(r"Unknown type name '__torch__\.torch\.classes\.([\w.]+)'|Unknown builtin op: ([\w:]+)")


def extra_files(path: Path) -> Dict[str, str]:
    """Give the extra files of a TorchScript archive by name; nothing if the file is no intact archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if "/extra/" in name]
            return {name.partition("/extra/")[2]: archive.read(name).decode("utf-8") for name in names}
    except Exception:
        # what is wrong with a file is said by who expects something in it
        return {}


def used_names(path: Path) -> List[str]:
    """List the custom classes and operators in the code of a file, see `used_names_in_source`."""
    with zipfile.ZipFile(path) as archive:
        sources = [archive.read(name).decode("utf-8") for name in archive.namelist() if name.endswith(".py")]
    return used_names_in_source("\n".join(sources))


def is_reference_file(path: Path) -> bool:
    """Tell whether a file is a model of metatomic-torch, of any version."""
    found = extra_files(path) if path.is_file() else {}
    return (VERSION_FILE in found or _FORMER_VERSION_FILE in found) and "metatomic-core.json" not in found


def load_library(directory: Optional[Path] = None) -> None:
    """Load the library of metatomic-torch, unless it is loaded.

    Parameters
    ----------
    directory
        Directory that may have it; an installed one goes first.

    Raises
    ------
    ValueError
        If it is neither installed nor in the directory, or is of another series than `SERIES`.
    """
    if not is_registered("metatomic.System"):
        candidates, _ = find_in_distribution(DISTRIBUTION, _LIBRARY)
        if directory is not None:
            candidates += [path for path in sorted(directory.rglob("*")) if library_stem(path.name) == "metatomic_torch"]
        if not candidates:
            raise ValueError(
                f"expected the library of metatomic-torch for torch {torch.__version__}, which files of metatomic-torch "
                f"need, got none; run `pip install '{DISTRIBUTION}=={SERIES}.*'`"
            )
        _load(candidates[0])
    _check_series("an installed metatomic-torch", torch.ops.metatomic.version())


def _load(path: Path) -> None:
    try:
        torch.ops.load_library(str(path))
    except OSError as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise ValueError(
            f"expected '{path}' to load with torch {torch.__version__}, got an error: {reason}; "
            "it may be built for another torch"
        ) from error


def _check_series(what: str, version: str) -> None:
    if ".".join(version.split(".")[:2]) != SERIES:
        raise ValueError(f"expected {what} of version {SERIES}, got {version}")


def load(path: Path, extensions_directory: Optional[Path] = None) -> torch.jit.ScriptModule:
    """Load the model in a file of metatomic-torch, with the libraries it needs; its code runs.

    Raises
    ------
    ValueError
        If the file is of another series, the library or an extension is missing, or torch can not load it.
    """
    found = extra_files(path)
    if VERSION_FILE not in found:
        raise ValueError(
            f"expected a model of metatomic-torch {SERIES}, got '{path}', which is a model of metatensor-torch, its "
            "predecessor; export the model again with metatomic-torch"
        )
    _check_series(f"a model of metatomic-torch in '{path}'", found[VERSION_FILE])
    load_library(extensions_directory)
    try:
        return _torchscript.load(str(path))
    except RuntimeError as error:
        if _MISSING.search(str(error)) is None:
            raise ValueError(f"expected a model file that torch can load, got '{path}': {_first_line(error)}") from error
    # the list in the file names whatever was loaded when it was written: only now is it known that some are needed
    absent = _load_extensions(found, extensions_directory)
    try:
        return _torchscript.load(str(path))
    except RuntimeError as error:
        missing = _MISSING.search(str(error))
        if missing is None:
            raise ValueError(f"expected a model file that torch can load, got '{path}': {_first_line(error)}") from error
        listed = f" (the file lists {', '.join(absent)})" if absent else ""
        raise ValueError(
            f"expected a TorchScript extension with '{missing[1] or missing[2]}', which '{path}' needs, got none"
            f"{listed}; install the package that has it, or name its directory in `extensions_directory`"
        ) from error


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _load_extensions(found: Dict[str, str], directory: Optional[Path]) -> List[str]:
    """Load the extensions that a file lists, where they are found; give the names of the others."""
    absent = []
    # dependencies first; each is loaded like an extension, which is harmless and makes its symbols known
    for entry in [*_listed(found, "extensions-deps"), *_listed(found, "extensions")]:
        name = Path(entry["path"]).name
        if library_stem(name) in {library_stem(path.name) for path in loaded_extensions()} or name in mapped_libraries():
            continue
        path = _in_directory(name, entry["sha256"], directory) or _installed(name)
        if path is None:
            absent.append(entry["name"])
        else:
            _load(path)
    return absent


def _listed(found: Dict[str, str], name: str) -> List[Dict[str, str]]:
    try:
        return [{key: str(entry[key]) for key in ("name", "path", "sha256")} for entry in json.loads(found[name])]
    except (KeyError, TypeError, ValueError):
        return []


def _in_directory(name: str, sha256: str, directory: Optional[Path]) -> Optional[Path]:
    """Find a collected library by its name; the file, as everywhere, must be the one that was collected."""
    paths = sorted(directory.rglob(name)) if directory is not None else []
    for path in paths:
        if file_sha256(path) == sha256:
            return path
    if paths:
        raise ValueError(
            f"expected '{paths[0]}' to be the library that the model was saved with, with sha256 {sha256[:12]}..., got "
            f"{file_sha256(paths[0])[:12]}...; collect the extensions again"
        )
    return None


def _installed(name: str) -> Optional[Path]:
    """Find a library in any installed distribution; no path in a model file is followed."""
    stem = library_stem(name)
    for distribution in importlib_metadata.distributions():
        if stem in (distribution.read_text("RECORD") or ""):
            candidates, _ = find_in_distribution(distribution.metadata["Name"], name)
            if candidates:
                return candidates[0]
    return None
