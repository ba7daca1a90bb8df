"""Reading what a model file says about itself, without executing anything in it; else saying what the file is.

A model file is a TorchScript archive (a zip file) with one extra file, ``metatomic-core.json``: format version,
metadata, answers to what engines ask, and extensions.  See ``docs/model-file``.
"""

import json
import os
import zipfile
from pathlib import Path

from metatomic_core.foundation.atomic_write import PathLike
from metatomic_core.foundation.errors import MissingFileError, UnreadableFileError
from metatomic_core.foundation.quoting import in_one_line

from .archive import Archive, not_regular, opened, read_archive
from .header import FORMAT_VERSION, HEADER_FILE, ModelHeader

# An extra file which the reference implementation writes into its models.
_REFERENCE_FILE = "metatomic-version"


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
        If it is no model file, is damaged, or was written in another format; the message says which.
    """
    path = checked_source(path)
    return header_in(path, archive_of(path))


def checked_source(path: PathLike) -> Path:
    """Check for a regular file that is not empty; raise TypeError, ValueError or FileNotFoundError."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"expected `path` to be a path, got {type(path).__name__}")
    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"expected a model file, got '{path}', which does not exist")
    if path.is_dir():
        raise UnreadableFileError(f"expected a model file, got the directory '{path}'")
    if not_regular(path):
        raise UnreadableFileError(f"expected a model file, got '{path}', which is no regular file")
    if path.stat().st_size == 0:
        raise UnreadableFileError(f"expected a model file, got '{path}', which is empty; export the model again")
    return path


def archive_of(path: Path) -> Archive | None:
    """Read names and extra files of an archive; None if it is none, or is truncated.

    Raises
    ------
    ValueError
        If an entry is far larger than the file can be meant to hold.
    """
    try:
        return read_archive(path)
    except zipfile.BadZipFile:
        return None


def header_in(path: Path, archive: Archive | None) -> ModelHeader:
    """Read the header, or raise a ValueError that says what else the file is."""
    if archive is None:
        raise UnreadableFileError(_not_an_archive(path))
    if not any(name.endswith(f"/extra/{HEADER_FILE}") for name in archive.names):
        raise UnreadableFileError(_foreign(path, archive.names))
    if archive.damaged:
        raise UnreadableFileError(
            f"expected an intact model file, got '{path}' with damaged data in '{in_one_line(archive.damaged)}'"
        )
    try:
        content = json.loads(archive.extra[HEADER_FILE])
        # halves of characters, which JSON can name, are no text for TorchScript, files and terminals
        json.dumps(content, ensure_ascii=False).encode("utf-8")
        version = int(content["format_version"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise UnreadableFileError(
            f"expected a valid header in model file '{path}', got damaged text: {in_one_line(error)}"
        ) from error
    if version > FORMAT_VERSION:
        raise UnreadableFileError(
            f"expected a model file of format version {FORMAT_VERSION}, got '{path}' of version {_short(version)}, "
            f"written by metatomic-core {in_one_line(content.get('core_version', 'unknown'), 40)}; "
            "run `pip install --upgrade metatomic-core`"
        )
    if version < FORMAT_VERSION:
        raise UnreadableFileError(
            f"expected a model file of format version {FORMAT_VERSION}, got '{path}' of version {_short(version)}, "
            "written by a version before the first release; export the model again"
        )
    try:
        return ModelHeader.from_dict(content)
    except (ValueError, OverflowError, RecursionError) as error:
        raise UnreadableFileError(
            f"expected a valid header in model file '{path}', got one that is not: {in_one_line(error)}"
        ) from error


def _short(version: int) -> str:
    # an integer that is too long is no text in Python
    return str(version) if abs(version) < 10**9 else "of too many digits"


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
    if any("/data/aotinductor/" in name for name in names):
        return (
            f"expected a model file, got '{path}', which is machine code of AOTInductor without what `nequip-compile` "
            "writes beside it; give the model that it was compiled from"
        )
    return f"expected a model file, got '{path}', which is another kind of zip archive"


def extra_content(path: Path, name: str) -> bytes:
    """Read an extra file of a model file that is no text, such as an exported program.

    Parameters
    ----------
    path
        Path of the model file.
    name
        Name of the extra file.

    Raises
    ------
    ValueError
        If it is not there, or is damaged.
    """
    try:
        with open(path, "rb") as file, opened(file, f"'{path}'") as archive:
            found = [entry for entry in archive.namelist() if entry.partition("/extra/")[2] == name]
            if len(found) == 1:
                return archive.read(found[0])
    except zipfile.BadZipFile as error:
        raise UnreadableFileError(
            f"expected an intact model file, got '{path}', in which '{name}' is damaged"
        ) from error
    raise UnreadableFileError(f"expected '{name}' once in '{path}', got it {len(found)} times; export the model again")
