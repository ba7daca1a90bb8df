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

import torch

from metatomic_core.files.archive import Archive, opened, read_archive
from metatomic_core.files.extension_discovery import is_registered, used_names_in_source
from metatomic_core.files.shared_libraries import (
    find_in_distribution,
    library_stem,
    loaded_extensions,
    mapped_libraries,
)
from metatomic_core.foundation import torchscript
from metatomic_core.foundation.hashes import file_sha256

DISTRIBUTION = "metatomic-torch"
# The classes of one series take part in the files of that series only; older releases of it lack what is used here.
SERIES = "0.1"
OLDEST = (0, 1, 19)
VERSION_FILE = "metatomic-version"
_STEM = "metatomic_torch"
# The name that the reference implementation had until 2025, with classes and files of its own.
_FORMER_VERSION_FILE = "metatensor-version"
# What torch says about a class or an operator that no library registered.
_MISSING = re.compile(r"Unknown type name '__torch__\.torch\.classes\.([\w.]+)'|Unknown builtin op: ([\w:]+)")


def extra_files(path: Path) -> dict[str, str]:
    """Give the extra files of a TorchScript archive by name; nothing if the file is no intact archive."""
    try:
        return read_archive(path).extra
    except (zipfile.BadZipFile, ValueError):
        # what is wrong with a file is said by who expects something in it
        return {}


def used_names(path: Path) -> list[str]:
    """List the custom classes and operators in the code of a file, see `used_names_in_source`."""
    with open(path, "rb") as file, opened(file, f"'{path}'") as archive:
        sources = [archive.read(name).decode("utf-8") for name in archive.namelist() if name.endswith(".py")]
    return used_names_in_source("\n".join(sources))


def is_reference_archive(archive: Archive) -> bool:
    """Tell whether an archive that was read is an intact model of metatomic-torch, of any version."""
    return VERSION_FILE in archive.extra or _FORMER_VERSION_FILE in archive.extra


def load_library(directory: Path | None = None) -> None:
    """Load the library of metatomic-torch, unless it is loaded.

    Parameters
    ----------
    directory
        Directory that may have it; an installed one goes first.

    Raises
    ------
    ValueError
        If it is neither installed nor in the directory, of another series than `SERIES`, or older than `OLDEST`.
    """
    if not is_registered("metatomic.System"):
        candidates, _ = find_in_distribution(DISTRIBUTION, _STEM)
        if directory is not None:
            candidates += [path for path in sorted(directory.rglob("*")) if library_stem(path.name) == _STEM]
        if not candidates:
            raise ValueError(
                f"expected the library of metatomic-torch for torch {torch.__version__}, which its files need, got "
                f"none; run `pip install '{DISTRIBUTION}=={SERIES}.*'`"
            )
        _load(candidates[0])
    version = torch.ops.metatomic.version()
    _check_series("an installed metatomic-torch", version)
    if tuple(int(number) for number in re.findall(r"\d+", version)[:3]) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ValueError(
            f"expected metatomic-torch {oldest} or newer, got {version}; run `pip install --upgrade "
            f"'{DISTRIBUTION}=={SERIES}.*'`"
        )


def _load(path: Path) -> None:
    try:
        torch.ops.load_library(str(path))
    except OSError as error:
        raise ValueError(
            f"expected '{path}' to load with torch {torch.__version__}, got an error: {_loader_message(error)}; "
            "it may be built for another torch"
        ) from error


def _loader_message(error: OSError) -> str:
    # torch hides what the loader says behind an error of its own
    return str(error.__cause__ or error).splitlines()[0]


def _check_series(what: str, version: str) -> None:
    if ".".join(version.split(".")[:2]) != SERIES:
        raise ValueError(f"expected {what} of version {SERIES}, got {version}")


def load(path: Path, extensions_directory: Path | None = None) -> torch.jit.ScriptModule:
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
    model, missing = _try_to_load(path)
    failed: list[str] = []
    if missing:
        # the list in the file names whatever was loaded when it was written: only now is it known that some are needed
        failed = _load_extensions(found, extensions_directory)
        model, missing = _try_to_load(path)
    if model is None:
        listed = f" (the file lists {', '.join(failed)})" if failed else ""
        raise ValueError(
            f"expected a TorchScript extension with '{missing}', which '{path}' needs, got none{listed}; install the "
            "package that has it, or name its directory in `extensions_directory`"
        )
    return model


def _try_to_load(path: Path) -> tuple[torch.jit.ScriptModule | None, str]:
    """Give the model, or else the name of a class or operator that no loaded library registers."""
    try:
        return torchscript.load(str(path)), ""
    except (RuntimeError, UnicodeDecodeError) as error:
        missing = _MISSING.search(str(error))
        if missing is not None:
            return None, missing[1] or missing[2]
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ValueError(f"expected a model file that torch can load, got '{path}': {reason}") from error


def _load_extensions(found: dict[str, str], directory: Path | None) -> list[str]:
    """Load the extensions that a file lists, where they are found and load; say which did not, and why.

    A file made with a GPU lists libraries that no machine without one can load, needed or not.
    """
    failed = []
    # dependencies first; each is loaded like an extension, which is harmless and makes its symbols known
    for entry in [*_listed(found, "extensions-deps"), *_listed(found, "extensions")]:
        name = Path(entry["path"]).name
        if name in mapped_libraries() or library_stem(name) in map(library_stem, _loaded_names()):
            continue
        collected, installed = _in_directory(name, entry["sha256"], directory), _installed(name)
        # torch aborts if the package is imported later and its copy is another file
        same = installed is not None and file_sha256(installed) == entry["sha256"]
        path = installed if same or collected is None else collected
        if path is None:
            failed.append(entry["name"])
            continue
        try:
            torch.ops.load_library(str(path))
        except OSError as error:
            failed.append(f"{entry['name']}, which does not load: {_loader_message(error)}")
    return failed


def _loaded_names() -> list[str]:
    return [path.name for path in loaded_extensions()]


def _listed(found: dict[str, str], name: str) -> list[dict[str, str]]:
    try:
        return [{key: str(entry[key]) for key in ("name", "path", "sha256")} for entry in json.loads(found[name])]
    except (KeyError, TypeError, ValueError):
        return []


def _in_directory(name: str, sha256: str, directory: Path | None) -> Path | None:
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


def _installed(name: str) -> Path | None:
    """Find a library in any installed distribution; no path in a model file is followed."""
    stem = library_stem(name)
    for distribution in importlib_metadata.distributions():
        if stem in (distribution.read_text("RECORD") or ""):
            candidates, _ = find_in_distribution(distribution.metadata["Name"], name)
            if candidates:
                return candidates[0]
    return None
