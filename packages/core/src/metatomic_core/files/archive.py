"""Zip archives from anybody: opened once, with limits on what is read, and one kind of error for what is damaged."""

import contextlib
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from metatomic_core.foundation.quoting import in_one_line

# What zipfile raises on damaged archives: RuntimeError where they seem to be encrypted, OSError for places outside.
ZIP_ERRORS = (
    EOFError,
    OSError,
    OverflowError,
    UnicodeDecodeError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    zlib.error,
    struct.error,
)
# Where exported programs are among the extra files: as large as a model, and no texts.
PROGRAMS = "programs/"
# Bytes of an extra file: a header has some thousands, more with many references or extensions.
MAX_EXTRA = 16_000_000
# Code compresses some ten times, and tensors are not compressed at all; a run of one character compresses 1000 times.
_MAX_RATIO = 100
_ALWAYS_ALLOWED = 4_000_000


class Archive(NamedTuple):
    """What is known of a TorchScript archive without executing it.

    Attributes
    ----------
    names
        Names of all entries.
    extra
        Texts of the extra files, by name; not of exported programs.
    damaged
        Name of a damaged entry; the empty string where all are intact.
    """

    names: list[str]
    extra: dict[str, str]
    damaged: str


def read_archive(path: Path) -> Archive:
    """Read the extra files of an archive, and check all of it, opening it once.

    Raises
    ------
    zipfile.BadZipFile
        If it is no intact archive.
    ValueError
        If an entry is far larger than the file can be meant to hold.
    """
    with open(path, "rb") as file, opened(file, f"'{path}'") as archive:
        if any(archive.infolist()) and min(info.header_offset for info in archive.infolist()) > 0:
            # the end of an archive within a truncated one: exported programs are such
            raise zipfile.BadZipFile("data before the archive")
        names = archive.namelist()
        extra = {}
        damaged = archive.testzip() or ""
        for info in [] if damaged else archive.infolist():
            if "/extra/" in info.filename and f"/extra/{PROGRAMS}" not in info.filename:
                check_size(info, MAX_EXTRA, f"'{path}'")
                extra[info.filename.partition("/extra/")[2]] = archive.read(info).decode("utf-8")
    return Archive(names, extra, damaged)


class _TooLargeError(ValueError):
    """An entry is larger than anybody would write."""


@contextlib.contextmanager
def opened(file: BinaryIO, where: str) -> Iterator[zipfile.ZipFile]:
    """Open an archive after checking the sizes of its entries, and raise all errors of damaged ones as BadZipFile.

    Parameters
    ----------
    file
        Open for reading.
    where
        What to call it in messages.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as archive:
            check_sizes(archive.infolist(), size, where)
            yield archive
    except _TooLargeError as error:
        raise ValueError(str(error)) from None
    except ZIP_ERRORS as error:
        raise zipfile.BadZipFile(str(error)) from error


def check_sizes(entries: list[zipfile.ZipInfo], size: int, where: str) -> None:
    """Refuse entries that unpack to far more than the archive has, before any is read."""
    if sum(entry.compress_size for entry in entries) > size:
        raise _TooLargeError(f"expected an archive of separate entries, got {where} with entries that overlap")
    for entry in entries:
        check_size(entry, max(_ALWAYS_ALLOWED, _MAX_RATIO * entry.compress_size), where)


def check_size(entry: zipfile.ZipInfo, limit: int, where: str) -> None:
    """Refuse an entry of more than so many bytes."""
    if entry.file_size > limit:
        raise _TooLargeError(
            f"expected at most {limit / 1e6:.0f} MB in an entry of {entry.compress_size} bytes, got "
            f"{entry.file_size / 1e6:.0f} MB in '{in_one_line(entry.filename)}' of {where}"
        )


def not_regular(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path exists and is neither a file nor a directory: a pipe or a device may never end."""
    return Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir()
