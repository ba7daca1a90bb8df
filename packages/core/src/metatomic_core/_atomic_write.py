"""Writing files whole or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Iterator


@contextlib.contextmanager
def replaced_when_done(path: Path) -> Iterator[Path]:
    """Give a temporary file beside a path, and move it there when all went well.

    An interrupted or failed write leaves what was there before, and nothing else.

    Parameters
    ----------
    path
        Where the file shall be in the end, in an existing directory.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    try:
        yield Path(name)
        # temporary files are private; what a user saves has the permissions that the user asked for
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
