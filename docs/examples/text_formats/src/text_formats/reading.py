"""Reads ``text-lj Ar 3.405 0.01032``: Lennard-Jones with sigma in angstrom and epsilon in eV."""

from pathlib import Path
from typing import Optional

from metatomic_core import AtomisticModel
from metatomic_core.loading import Reader, header_of
from metatomic_core.potentials import lennard_jones


def recognises(path: Path, archive: Optional[object]) -> bool:
    """Tell whether a file is ours; ``archive`` is what was read of a zip file, and None for any other."""
    with path.open("rb") as file:
        return file.read(8) == b"text-lj "


def load(path: Path, extensions_directory: Optional[str]) -> AtomisticModel:
    """Make the model, on the CPU."""
    _, species, sigma, epsilon = path.read_text("utf-8").split()
    return lennard_jones([species], float(sigma), float(epsilon))


# it can be described because nothing of the file is executed; leave `describe` out where that is not so
reader = Reader(recognises, load, describe=lambda path: header_of(load(path, None)))
