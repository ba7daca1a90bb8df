"""What lies in the cache of the user: compiled packages, of which models and torch, and whether they still fit."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from metatomic_core.adapters.diagnoses import WARNING, Finding, Trial

from .pytorch import torch_module

if TYPE_CHECKING:
    from metatomic_core.kernels.cache import About

_CLEAR = "run `metatomic compile --clear`, and `metatomic compile` with the models that are in use"


def size_of(folder: Path) -> int:
    """Give the bytes of all files in a folder."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() and not path.is_symlink() else 0
        except OSError:
            continue  # removed in the meantime
    return total


def compiled_packages(_: Trial) -> Iterator[Finding]:
    """List compiled packages by model, and those that no longer fit."""
    torch_module()
    from metatomic_core.kernels import cache

    folder = cache.cache_folder()
    yield _folder(folder)
    if not folder.is_dir():
        return
    listed = list(cache.packages())
    fitting, stale = Counter[str](), Counter[str]()
    for _path, about in listed:
        reason = _stale(about)
        if reason:
            stale[f"{about.model}: {reason}"] += 1
        else:
            fitting[f"{about.model} ({about.device} {about.march}, {about.dtype})"] += 1
    for what, n in sorted(fitting.items()):
        yield Finding("compiled", f"{n} of {what}")
    for what, n in sorted(stale.items()):
        yield Finding("compiled, stale", f"{n} of {what}", WARNING, _CLEAR)
    n_unreadable = len(list(folder.glob("*/*/about.json"))) - len(listed)
    if n_unreadable:
        yield Finding("compiled, unreadable", f"{n_unreadable} packages", WARNING, _CLEAR)


def _stale(about: "About") -> str:
    """Say why a package is not run here, whatever the model; empty if it is."""
    from metatomic_core.kernels import cache

    # the program, device and dtype are its own: what is left is torch, this package and the processor
    sentence = cache.misfit(about, about.program, about.device, about.dtype)
    return sentence.partition("; ")[0].replace("expected a package for ", "for ").replace("expected ", "")


def _folder(folder: Path) -> Finding:
    """Describe the folder, which is made when it is first needed."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    text = f"{folder}, {size_of(folder) / 1e6:.1f} MB" if folder.is_dir() else f"{folder}, not made yet"
    try:
        with tempfile.NamedTemporaryFile(dir=existing):
            pass
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        advice = "name a folder that can be written in METATOMIC_CACHE"
        return Finding("cache", f"{text}, can not be written: {reason}", WARNING, advice)
    return Finding("cache", text)
