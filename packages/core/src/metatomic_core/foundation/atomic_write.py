"""Writing files whole or not at all, after a check that they can be written."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

PathLike = str | os.PathLike[str]


@contextlib.contextmanager
def replaced_when_done(path: Path) -> Iterator[Path]:
    """Give a temporary file beside a path, and move it there when all went well.

    An interrupted or failed write leaves what was there before, and nothing else.

    Parameters
    ----------
    path
        Where the file shall be in the end, in an existing directory.

    Raises
    ------
    ValueError
        If there is something else than a file.
    """
    check_replaceable(path, "file")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # temporary files are private; what a user saves has the permissions that the user asked for
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def check_replaceable(path: Path, name: str) -> None:
    """Refuse to put a file in the place of a device or a pipe: for root, /dev/null would be a file from then on.

    Parameters
    ----------
    path
        Where a file is wanted.
    name
        What it was given as, for messages.

    Raises
    ------
    ValueError
        If there is something else than a file.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"expected `{name}` to be a file, got '{path}', which is a directory, a device or a pipe")


def checked_target(file: PathLike) -> Path:
    """Check that a file can be written; raise TypeError or ValueError."""
    if not isinstance(file, (str, os.PathLike)):
        raise TypeError(f"expected `file` to be a path, got {type(file).__name__}")
    path = Path(file)
    if path.is_dir():
        raise ValueError(f"expected `file` to be a file name, got the directory '{path}'")
    if not path.parent.is_dir():
        raise ValueError(f"expected the directory of `file` to exist, got '{path.parent}'; create it first")
    check_replaceable(path, "file")
    return path
