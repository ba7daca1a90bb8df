"""Where things lie that are made once for a user and a machine, and can be made again."""

import os
from pathlib import Path


def user_cache(name: str) -> Path:
    """Give a folder in the cache of the user, which may not exist yet.

    Parameters
    ----------
    name
        What is in it.

    Returns
    -------
    pathlib.Path
        In the folder that the environment variable METATOMIC_CACHE names, or else in ``metatomic`` in XDG_CACHE_HOME,
        or else in ``.cache`` at home.
    """
    named = os.environ.get("METATOMIC_CACHE")
    if named:
        return Path(named) / name
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "metatomic" / name
