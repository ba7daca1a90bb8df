"""Compiled packages in the cache of the user: where each is, what it says about itself, and which fit a program."""

import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib import metadata as importlib_metadata
from pathlib import Path
from typing import Any

import torch

from metatomic_core.files.programs import SEAM_VERSION, TensorRecord
from metatomic_core.foundation.user_cache import user_cache

from .machine import MARCHES, lacks_for

# Written last into the folder of a package, so that one without it is not there.
_ABOUT = "about.json"
# The unpacked package, which torch loads from where it is.
PACKAGE = "package"
_N_HEX = 16


@cache
def kernels_hash() -> str:
    """Give a hash of the code that decides what compiled packages compute from what."""
    from metatomic_core import tracing

    folders = [Path(tracing.__file__).parent, Path(__file__).parent]
    found = hashlib.sha256()
    for folder in folders:
        for name in ("columns.py", "flavors.py", "lammps_flavor.py"):
            path = folder / name
            if path.exists():
                found.update(path.read_bytes())
    return found.hexdigest()[:8]


@dataclasses.dataclass(frozen=True)
class About:
    """What is said of a compiled package.

    Attributes
    ----------
    program
        SHA-256 of the exported program that it was made from.
    flavor
        See `metatomic_core.kernels.flavors`.
    torch, device, dtype, march
        What it was made for.
    cpu_flags
        What a processor must have.
    inputs, outputs
        In order.
    per_atom
        Whether energies of atoms are among them.
    model
        Name of the model file, for people.
    seconds, bytes
        What it took.
    checked
        Largest differences from the scripted way that were found, relative to the largest value.
    kernels
        Hash of the code that made it.
    core
        Version of this package.
    seam
        Version of inputs and outputs of programs.
    package
        Folder of the package beside this.
    """

    program: str
    flavor: str
    torch: str
    device: str
    dtype: str
    march: str
    cpu_flags: tuple[str, ...]
    inputs: tuple[TensorRecord, ...]
    outputs: tuple[TensorRecord, ...]
    per_atom: bool
    model: str
    seconds: float
    bytes: int
    checked: dict[str, float]
    kernels: str = dataclasses.field(default_factory=kernels_hash)
    core: str = dataclasses.field(default_factory=lambda: importlib_metadata.version("metatomic-core"))
    seam: int = SEAM_VERSION
    package: str = PACKAGE

    @property
    def selects(self) -> bool:
        """Whether it is for selected atoms."""
        return any(row.name == "selected" for row in self.inputs)

    @staticmethod
    def from_dict(content: dict[str, Any]) -> "About":
        """Read it from plain data; a KeyError or TypeError if it is not complete, or not of the right types."""
        plain = dict(content)
        for key in ("inputs", "outputs"):
            plain[key] = tuple(TensorRecord(**{**row, "shape": tuple(row["shape"])}) for row in content[key])
        plain["cpu_flags"] = tuple(content["cpu_flags"])
        about = About(**plain)
        texts = (about.program, about.flavor, about.torch, about.device, about.dtype, about.march, about.package)
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("expected texts that say what a package is for")
        if Path(about.package).name != about.package:
            raise TypeError("expected a package beside what is said of it")
        return about


def folder_of(about: About) -> Path:
    """Give the folder of a package."""
    made_for = f"{about.flavor}-torch{about.torch}-{about.device}-{about.dtype}-{about.march}-{about.kernels}"
    return cache_folder() / about.program[:_N_HEX] / made_for


def cache_folder() -> Path:
    """Give the folder of all compiled packages."""
    return user_cache("kernels")


def store(about: About, made: Path) -> Path:
    """Move an unpacked package from the folder it was made in into the cache, whole or not at all; give its folder."""
    folder = folder_of(about)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # of its own: several processes may compile the same
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="part-") as place:
        part = Path(place) / folder.name
        part.mkdir()
        shutil.move(str(made / about.package), part / about.package)
        (part / _ABOUT).write_text(json.dumps(dataclasses.asdict(about), indent=1), "utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        try:
            part.rename(folder)
        except OSError:
            # another process has put one there in between, which is as good
            if not (folder / _ABOUT).exists():
                raise
    return folder


def packages(sha256: str = "") -> Iterator[tuple[Path, About]]:
    """Give the packages of a program, those that do not fit among them, or of all programs, with their folders."""
    for path in sorted(cache_folder().glob(f"{sha256[:_N_HEX] or '*'}/*/{_ABOUT}")):
        try:
            yield path.parent, About.from_dict(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # of another version, or half removed: not one of ours
            continue


def misfit(about: About, sha256: str, device: str, dtype: str) -> str:
    """Say in one sentence why a package is not run for a program here; empty if it is.

    Parameters
    ----------
    about
        What is said of the package.
    sha256
        Of the program.
    device, dtype
        Those of the model.
    """
    rows = [
        ("the program of this model file", sha256, about.program),
        ("seam", SEAM_VERSION, about.seam),
        ("kernels of", kernels_hash(), about.kernels),
        ("torch", torch.__version__, about.torch),
        ("the device", device, about.device),
        ("the dtype", dtype, about.dtype),
    ]
    for what, expected, found in rows:
        if expected != found:
            return (
                f"expected a package for {what} {expected}, got one for {found}; run `metatomic compile` with the model"
            )
    lacking = lacks_for(about.march) if device == "cpu" else ""
    if lacking:
        return (
            f"expected a package that this processor can run, got one for {about.march}, which needs {lacking}; run "
            "`metatomic compile` here, or with `--march x86-64-v3`"
        )
    return ""


def fitting(sha256: str, flavor: str, device: str, dtype: str) -> tuple[Path, About] | None:
    """Find the best package of a program that runs here; None if there is none.

    Parameters
    ----------
    sha256, device, dtype
        As for `misfit`.
    flavor
        Which flavor.
    """
    found = [
        (folder, about)
        for folder, about in packages(sha256)
        if about.flavor == flavor and not misfit(about, sha256, device, dtype)
    ]
    order = [*MARCHES]
    return min(found, key=lambda item: order.index(item[1].march) if item[1].march in order else 99, default=None)


def clear() -> list[Path]:
    """Remove all packages; give their folders."""
    folders = [path.parent for path in cache_folder().glob(f"*/*/{_ABOUT}")]
    shutil.rmtree(cache_folder(), ignore_errors=True)
    return folders
