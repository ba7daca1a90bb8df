"""Which file a checkpoint is, and of which family: found before any of it is loaded."""

import contextlib
from pathlib import Path

from metatomic_core.adapters import Plugin, check_choice, load_plugin

from .contents import Contents, contents_of
from .family import Family
from .registry import families

__all__ = ["Contents", "checked_checkpoint"]


def checked_checkpoint(family: Family, checkpoint: str) -> Path:
    """Find a checkpoint of a family: a file, or one that comes with its package.

    Parameters
    ----------
    family
        The family, installed.
    checkpoint
        As given by the user: a path, or a name.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If it is neither; it says whose it is, where that is known.
    """
    shipped = family.shipped()
    if checkpoint in shipped:
        return shipped[checkpoint]
    path = Path(checkpoint)
    if not path.is_file():
        if shipped and path.suffix == "" and path.parent == Path():
            check_choice("checkpoint", checkpoint, shipped)
        also = f", or one of {', '.join(shipped)}" if shipped else ""
        is_what = "is a directory" if path.is_dir() else "is not there"
        raise ValueError(f"expected a checkpoint file of {family.name}{also}, got '{checkpoint}', which {is_what}")
    found = contents_of(path)
    if found.is_model_file():
        raise ValueError(
            f"expected a checkpoint of {family.name}, got '{checkpoint}', which is a model file already; "
            f"run `metatomic inspect {checkpoint}`"
        )
    if family.recognises(found):
        return path
    others = [name for name, plugin in families().items() if name != family.name and _recognises(plugin, found)]
    if others:
        raise ValueError(
            f"expected a checkpoint of {family.name}, got '{checkpoint}', which is one of {' or '.join(others)}; "
            f"run `metatomic import {others[0]} {checkpoint}`"
        )
    raise ValueError(
        f"expected a checkpoint of {family.name}, got '{checkpoint}', in which nothing says that it is one"
    )


def _recognises(plugin: Plugin, found: Contents) -> bool:
    # what does not load, or fails, is not what was asked for
    with contextlib.suppress(Exception):
        return load_plugin(plugin, Family, "importer").recognises(found)
    return False
