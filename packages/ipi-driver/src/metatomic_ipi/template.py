"""The template: what i-PI does not send, namely types, periodicity, and inputs such as masses and charges."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import ase
import ase.io
import numpy as np

from metatomic_core import ModelOutput
from metatomic_core.adapters import in_one_line
from metatomic_core.adapters.inputs import ALWAYS_KNOWN, INFO_NAMES, input_values, source_of
from metatomic_core.adapters.structure_files import check_declared_atoms

from .units import ANGSTROM

# the comment line of i-PI's xyz files, which always describe periodic structures
_IPI_CELL = re.compile(r"#?\s*CELL\s*[({]\s*(?:abcABC|H|GENH)\s*[)}]\s*:", re.IGNORECASE)
_IPI_POSITIONS = re.compile(r"positions\{\s*(\w*)\s*\}")
_IPI_CELL_UNIT = re.compile(r"cell\{\s*(\w*)\s*\}")
_NUMBERS = re.compile(r"(?:\s+[-+]?[.\d][-+.\deE]*)+")
# in angstrom, with i-PI's own value
_IPI_LENGTHS = {
    "": 1.0 / ANGSTROM,
    "automatic": 1.0 / ANGSTROM,
    "atomic_unit": 1.0 / ANGSTROM,
    "bohr": 1.0 / ANGSTROM,
    "angstrom": 1.0,
    "nanometer": 10.0,
}
# angstrom that an atom may be away from its place in the template before its order is doubted
_FAR = 1.0
# angstrom: farther away, places of others are met by chance by atoms of a liquid, for a client that joins later
_NEAR = 0.5
# atoms up to which the order is checked: it takes a moment for each atom that is far
_LARGEST_COMPARED = 20000
_ORIENTATION_TOLERANCE = 1e-6


class Template(NamedTuple):
    """What is known of the structure without i-PI.

    Attributes
    ----------
    types
        Shape (n_atoms,), atomic numbers.
    pbc
        Shape (3,), bool.
    pbc_source
        Where the periodicity comes from, for people.
    inputs
        Inputs that the model requests, by name.
    units
        Their units.
    positions
        Shape (n_atoms, 3), in angstrom, to recognise another order of the atoms.
    """

    types: np.ndarray
    pbc: np.ndarray
    pbc_source: str
    inputs: dict[str, np.ndarray]
    units: dict[str, str]
    positions: np.ndarray


def read_structure(path: str | os.PathLike[str]) -> ase.Atoms:
    """Read one structure from any file that ASE reads, or from i-PI's own xyz.

    Raises
    ------
    ValueError
        If the file holds no structure that can be read.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"expected a file with a structure, got '{path}', which does not exist")
    try:
        if path.suffix in (".xyz", ".extxyz"):
            check_declared_atoms(path)
        atoms: ase.Atoms = _read_ipi_xyz(path) if _is_ipi_xyz(path) else ase.io.read(path, index=0)  # type: ignore[assignment]
    except Exception as error:
        raise ValueError(
            f"expected a structure that ASE reads in '{path}', got {type(error).__name__}: {in_one_line(error)}"
        ) from error
    if len(atoms) == 0:
        raise ValueError(f"expected a structure with atoms in '{path}', got none")
    return atoms


def _is_ipi_xyz(path: Path) -> bool:
    if path.suffix != ".xyz":
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        file.readline()
        return _IPI_CELL.search(file.readline()) is not None


def _read_ipi_xyz(path: Path) -> ase.Atoms:
    """Read the species of an xyz file of i-PI, whose comment ASE takes for something else."""
    with path.open(encoding="utf-8") as file:
        n_atoms = int(file.readline())
        comment = file.readline()
        rows = [file.readline().split() for _ in range(n_atoms)]
    atoms = ase.Atoms([row[0] for row in rows], [[float(x) for x in row[1:4]] for row in rows], pbc=True)
    # without a unit, i-PI means bohr
    atoms.positions *= _angstrom(_IPI_POSITIONS, comment)
    cell = _IPI_CELL.search(comment)
    numbers = _NUMBERS.match(comment, cell.end()) if cell is not None else None
    values = [float(x) for x in numbers.group().split()] if numbers is not None else []
    unit = _angstrom(_IPI_CELL_UNIT, comment)
    if len(values) == 6:
        lengths, angles = np.array(values[:3]) * unit, values[3:]
        atoms.cell = ase.cell.Cell.fromcellpar([*lengths, *angles])
    elif len(values) == 9:
        # the columns are the cell vectors
        atoms.cell = np.array(values).reshape(3, 3).T * unit
    return atoms


def _angstrom(pattern: "re.Pattern[str]", comment: str) -> float:
    """Give the unit that a comment names in angstrom."""
    found = pattern.search(comment)
    name = found.group(1) if found is not None else "atomic_unit"
    if name not in _IPI_LENGTHS:
        raise ValueError(f"expected a unit of length of i-PI, one of {', '.join(_IPI_LENGTHS)}, got '{name}'")
    return _IPI_LENGTHS[name]


def make_template(
    structure: str | os.PathLike[str] | ase.Atoms,
    requested: Mapping[str, ModelOutput],
    pbc: str = "template",
    charge: float | None = None,
    spin_multiplicity: float | None = None,
) -> Template:
    """Make a template.

    Parameters
    ----------
    structure
        File or structure.
    requested
        Inputs that the model requests.
    pbc
        Periodic directions such as "xyz" or "xy", "none", or "template" for those of the structure.
    charge, spin_multiplicity
        Values instead of those of the structure.

    Raises
    ------
    ValueError
        If something is missing, or the cell is not oriented as i-PI's.
    """
    atoms = structure if isinstance(structure, ase.Atoms) else read_structure(structure)
    periodic, source = _periodicity(atoms, pbc)
    if periodic.any():
        check_orientation(atoms)
    info = dict(atoms.info)
    for name, given in (("charge", charge), ("spin_multiplicity", spin_multiplicity)):
        if given is not None:
            # in place of the structure's, under whatever name it has it
            info = {key: value for key, value in info.items() if key not in INFO_NAMES[name]} | {name: given}
    atoms = atoms.copy()
    atoms.info = info
    inputs, units = {}, {}
    for name, output in requested.items():
        # velocities and momenta are i-PI's, and it does not send them
        found = source_of(name, output, ALWAYS_KNOWN, "i-PI")
        inputs[name] = input_values(atoms, found)
        units[name] = found.unit
    return Template(np.asarray(atoms.numbers), periodic, source, inputs, units, np.array(atoms.positions))


def check_order(template: Template, cell: np.ndarray, positions: np.ndarray) -> None:
    """Check that atoms are in the order of the template, as far as positions tell: i-PI sends no species.

    Where atoms are far from their places in the template, and half of them or more are at places of another species,
    the order is another one.

    Parameters
    ----------
    template
        The template.
    cell
        Shape (3, 3), vectors as rows, in angstrom.
    positions
        Shape (n_atoms, 3), in angstrom, the first that i-PI sends.

    Raises
    ------
    ValueError
        If the order is another one.
    """
    if len(set(template.types)) < 2 or len(positions) > _LARGEST_COMPARED:
        return
    inverse = np.linalg.pinv(cell)
    moved, far = _moved(positions - template.positions, cell, inverse)
    suspects = np.flatnonzero(far)
    if len(suspects) == 0:
        return
    wrong = []
    for atom in suspects:
        distances, _ = _moved(positions[atom] - template.positions, cell, inverse)
        nearest = int(distances.argmin())
        if template.types[nearest] != template.types[atom] and distances[nearest] < min(_NEAR, 0.1 * moved[atom]):
            wrong.append((atom, nearest))
    if 2 * len(wrong) >= len(suspects):
        atom, nearest = wrong[0]
        raise ValueError(
            f"expected the atoms of i-PI in the order of the template, got atom {atom} at the place of atom {nearest}, "
            "which is of another element there; give the structure that i-PI starts from as template"
        )


def _moved(differences: np.ndarray, cell: np.ndarray, inverse: np.ndarray) -> "tuple[np.ndarray, np.ndarray]":
    """Give lengths up to cell vectors, shape (n,), and which of them are more than the beads of a ring polymer have."""
    lengths = np.linalg.norm(differences - np.round(differences @ inverse) @ cell, axis=1)
    return lengths, lengths > _FAR


def _periodicity(atoms: ase.Atoms, pbc: str) -> "tuple[np.ndarray, str]":
    if pbc == "template":
        return np.array(atoms.pbc, dtype=bool), "from the template"
    letters = "" if pbc == "none" else pbc
    if len(set(letters)) != len(letters) or not set(letters) <= set("xyz") or (letters == "" and pbc != "none"):
        raise ValueError(f"expected `pbc` to be 'template', 'none' or some of 'xyz', got '{pbc}'")
    return np.array([letter in letters for letter in "xyz"]), "as you asked"


def is_oriented(cell: np.ndarray) -> bool:
    """Tell whether a cell, shape (3, 3) with vectors as rows, has a along x, b in the plane xy and c above it."""
    size = np.abs(cell).max()
    upper = np.abs(cell[[0, 0, 1], [1, 2, 2]]).max()
    return bool(upper <= _ORIENTATION_TOLERANCE * size and (np.diag(cell) >= 0).all())


def check_orientation(atoms: ase.Atoms) -> None:
    """Check that i-PI would not turn the cell of a structure, which it does without turning the atoms.

    Raises
    ------
    ValueError
        If a is not along x, or b not in the plane xy.
    """
    if np.linalg.det(atoms.cell.array) < 0:
        raise ValueError("expected a right-handed cell, got a left-handed one; swap two of its vectors")
    if not is_oriented(atoms.cell.array):
        rows = "; ".join(" ".join(f"{x:g}" for x in row) for row in atoms.cell.array)
        raise ValueError(
            f"expected a cell with a along x and b in the plane xy, the only orientation that i-PI has, got the rows "
            f"{rows}; `metatomic-ipi input` writes a structure that is turned, cell and atoms"
        )
