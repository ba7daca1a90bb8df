"""Structures and files: reading with readable errors, writing whole or not at all, and results that go with them."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ase
import ase.io
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.formats import UnknownFileTypeError, filetype, ioformats

from metatomic_core.adapters import symbols
from metatomic_core.adapters.console import one_line
from metatomic_core.adapters.structure_files import check_declared_atoms

_INDEX = re.compile(r"[-+]?\d*(:[-+]?\d*){0,2}")
# formats that hold energies, forces and stresses
KEEPS_RESULTS = ("extxyz", "traj", "json", "db")


def read_structures(path: str, file_format: str | None = None, index: str = ":") -> list[ase.Atoms]:
    """Read structures from a file of any format that ASE reads.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If ASE does not read it, or there is no structure of this index.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"expected a file with structures, got '{path}', which does not exist")
    if not Path(path).is_file() and not Path(path).is_dir():
        raise ValueError(f"expected a file with structures, got '{path}', which is no regular file")
    if file_format is not None and file_format not in ioformats:
        raise ValueError(
            f"expected `--format` to be a format of ASE, got '{file_format}'; `ase info --formats` lists them"
        )
    if file_format in ("xyz", "extxyz") or Path(path).suffix in (".xyz", ".extxyz"):
        check_declared_atoms(path)
    try:
        structures = ase.io.read(path, index=index, format=file_format)
    except Exception as error:
        if isinstance(error, (IndexError, StopIteration)):
            raise ValueError(f"expected an index of a structure in '{path}', got '{index}'") from error
        if not _INDEX.fullmatch(index):
            raise ValueError(
                f"expected `--index` to be a number or a slice, such as 0, -1, :100 or ::10, got '{index}'"
            ) from error
        # ASE quotes the end of a line as Python writes it
        reason = one_line(error).replace("\\n", "")
        advice = "" if file_format else "; if it has another format, name it with `--format`"
        raise ValueError(f"expected structures that ASE reads, got '{path}': {reason}{advice}") from error
    found = structures if isinstance(structures, list) else [structures]
    if not found:
        raise ValueError(f"expected structures in '{path}', got none for `--index` '{index}'")
    return found


def read_structure(path: str, file_format: str | None = None, index: str = "-1") -> ase.Atoms:
    """Read one structure; see `read_structures`."""
    found = read_structures(path, file_format, index)
    if len(found) != 1:
        raise ValueError(f"expected one structure, got {len(found)} for `--index` '{index}' of '{path}'")
    return found[0]


class Read(NamedTuple):
    """A structure that was read, what messages call it, and what files of its own are called."""

    where: str
    label: str
    atoms: ase.Atoms


def read_all(paths: Sequence[str], file_format: str | None, index: str) -> list[Read]:
    """Read structures from several files; see `read_structures`.

    The label is the name of the file, and the number of the structure where there are several in it.
    """
    found = []
    for path in paths:
        structures = read_structures(path, file_format, index)
        digits = len(str(len(structures) - 1))
        for number, atoms in enumerate(structures):
            label = Path(path).stem + (f"-{number:0{digits}d}" if len(structures) > 1 else "")
            found.append(Read(f"structure {number} of '{path}'", label, atoms))
    return found


def check_species(structures: Sequence[ase.Atoms], known: Sequence[int], path: str | None = None) -> None:
    """Check, before any work, that a model knows all species; errors do not name the structure if there is no path.

    Raises
    ------
    ValueError
        If it does not, naming the first structure and the species.
    """
    for index, atoms in enumerate(structures):
        where = "" if path is None else f" in structure {index} of '{path}'"
        unknown = sorted(set(atoms.numbers.tolist()) - set(known))
        if len(atoms) == 0:
            raise ValueError(f"expected atoms{where}, got none")
        if unknown:
            raise ValueError(
                f"expected species that the model knows, {' '.join(symbols(sorted(known)))}, got "
                f"{' '.join(symbols(unknown))}{where}"
            )


def output_format(path: Path, n_structures: int) -> str:
    """Give the format that a file name stands for.

    Raises
    ------
    ValueError
        If ASE writes no such format, or not for so many structures.
    """
    try:
        name = filetype(path.name, read=False)
    except UnknownFileTypeError as error:
        raise ValueError(f"expected a file name of a format that ASE writes, such as .extxyz, got '{path}'") from error
    if name not in ioformats or not ioformats[name].can_write:
        raise ValueError(f"expected a format that ASE writes, such as .extxyz, got '{path}' ({name})")
    if n_structures > 1 and ioformats[name].single:
        raise ValueError(f"expected a format for {n_structures} structures, such as .extxyz, got '{path}' ({name})")
    return name


def write_structures(path: Path, structures: Sequence[ase.Atoms]) -> None:
    """Write structures, with their results where the format holds them; the file appears whole or not at all."""
    images = list(structures)
    name = output_format(path, len(images))
    # under its own name, from which some writers of ASE tell the format
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".metatomic-") as folder:
        temporary = Path(folder) / path.name
        ase.io.write(temporary, images if len(images) > 1 else images[0], format=name)
        temporary.replace(path)


def with_results(atoms: ase.Atoms, results: dict[str, Any]) -> ase.Atoms:
    """Give a copy of atoms that carries results (energy, forces, stress in Voigt order), constraints not applied."""
    copy = atoms.copy()
    copy.calc = SinglePointCalculator(copy, **{name: value for name, value in results.items() if value is not None})
    return copy
