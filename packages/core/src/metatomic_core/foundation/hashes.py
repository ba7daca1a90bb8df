"""Hashes of files, by which model files, libraries and checkpoints are recognised."""

import hashlib
from pathlib import Path


def file_sha256(path: Path) -> str:
    """Give the SHA-256 of a file, in hexadecimal.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    str
        64 digits.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()
