"""Structures of users, checked where they come in."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metatomic_core.adapters import canonical_name, symbols
from metatomic_core.adapters.console import one_line
from metatomic_core.adapters.inputs import WITH_VELOCITIES, input_values
from metatomic_core.engine import Structure
from metatomic_core.units import unit_conversion_factor

from .saved_files import as_atoms, input_key

if TYPE_CHECKING:
    import ase

    from metatomic_core import ModelOutput

# closer than any two nuclei at rest, in angstrom: atoms twice in a file, or lengths in other units
_TOO_CLOSE = 0.2
_INDEX = re.compile(r"[-+]?\d*(:[-+]?\d*){0,2}")
# what ASE has for each atom without being told
_ZERO_UNLESS_SET = ("initial_magmoms", "initial_charges", "tags")


def read_atoms(path: str | os.PathLike[str], file_format: str | None = None, index: str = ":") -> "list[ase.Atoms]":
    """Read structures from a file of any format that ASE reads.

    Parameters
    ----------
    path
        The file.
    file_format
        Its format, as ASE names it; None for what its name or contents say.
    index
        Which structures.

    Returns
    -------
    list of ase.Atoms
        The structures, at least one.

    Raises
    ------
    ValueError
        If ASE does not read it, or there is none.
    """
    import ase.io
    from ase.io.formats import ioformats

    name = os.fspath(path)
    if not Path(name).is_file():
        raise ValueError(f"expected a file with structures, got '{name}', which is none")
    if file_format is not None and file_format not in ioformats:
        raise ValueError(f"expected a format of ASE, got '{file_format}'; `ase info --formats` lists them")
    if not _INDEX.fullmatch(index):
        raise ValueError(
            f"expected the index of structures to be a number or a slice, such as -1 or ::10, got '{index}'"
        )
    try:
        found = ase.io.read(name, index=index, format=file_format)
    except (IndexError, StopIteration) as error:
        raise ValueError(f"expected structures with the index '{index}' in '{name}', got none") from error
    except Exception as error:
        raise ValueError(f"expected structures that ASE reads, got '{name}': {one_line(error)}") from error
    atoms = found if isinstance(found, list) else [found]
    if not atoms:
        raise ValueError(f"expected structures with the index '{index}' in '{name}', got none")
    return atoms


def read_structures(
    path: str | os.PathLike[str], species: Sequence[int], requested: "Mapping[str, ModelOutput]"
) -> dict[str, Structure]:
    """Read all structures of a file; see `read_atoms` and `checked_structures`.

    Parameters
    ----------
    path
        The file.
    species
        Atomic numbers that the model knows.
    requested
        Inputs that it requests.

    Returns
    -------
    dict
        Structures by name.
    """
    return checked_structures(read_atoms(path), species, requested, os.fspath(path))


def checked_structures(
    found: "Sequence[ase.Atoms]", species: Sequence[int], requested: "Mapping[str, ModelOutput]", source: str
) -> dict[str, Structure]:
    """Give structures in angstrom, with inputs, after checks that they are some.

    Parameters
    ----------
    found
        The structures.
    species
        Atomic numbers that the model knows.
    requested
        Inputs that it requests.
    source
        Where they come from, for messages.

    Returns
    -------
    dict
        Structures by name: the number of the frame, and its formula.

    Raises
    ------
    ValueError
        If there is none, or one has no atoms, species that the model does not know, numbers that are not finite, a cell
        without a volume, atoms at one place, or lacks an input; the message names the frame.
    TypeError
        If one is no ``ase.Atoms``.
    """
    import ase

    if not found:
        raise ValueError(f"expected structures in '{source}', got none")
    structures = {}
    for number, atoms in enumerate(found):
        if not isinstance(atoms, ase.Atoms):
            raise TypeError(f"expected ase.Atoms in `{source}`, got {type(atoms).__name__} for frame {number}")
        problem = _problem(atoms, set(species))
        if problem:
            raise ValueError(f"{problem} in frame {number} of '{source}'")
        try:
            inputs = {name: _input(atoms, name, output) for name, output in requested.items()}
        except ValueError as error:
            raise ValueError(f"frame {number} of '{source}': {error}") from error
        structures[f"frame {number}, {atoms.get_chemical_formula()}"] = Structure(
            atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc, inputs
        )
    return structures


def _problem(atoms: "ase.Atoms", known: set[int]) -> str:
    """Say what is wrong with a structure, without the place; empty if nothing is."""
    if len(atoms) == 0:
        return "expected atoms, got none"
    unknown = sorted(set(atoms.numbers.tolist()) - known)
    if unknown:
        knows = " ".join(symbols(sorted(known)))
        return f"expected species that the model knows, {knows}, got {' '.join(symbols(unknown))}"
    if not np.isfinite(atoms.positions).all():
        atom = int(np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))[0])
        return f"expected positions that are numbers, got {atoms.positions[atom].tolist()} for atom {atom}"
    if not np.isfinite(atoms.cell.array).all():
        return "expected a cell of numbers, got one that is not finite"
    if np.linalg.matrix_rank(atoms.cell.array[atoms.pbc]) < atoms.pbc.sum():
        return "expected a cell vector along each periodic direction, got a cell without a volume"
    return _overlap(atoms)


def _overlap(atoms: "ase.Atoms") -> str:
    from ase.neighborlist import neighbor_list

    first, second, distances = neighbor_list("ijd", atoms, _TOO_CLOSE)
    if len(distances) == 0:
        return ""
    worst = int(np.argmin(distances))
    return (
        f"expected atoms at least {_TOO_CLOSE} angstrom apart, got {distances[worst]:.2g} between atoms "
        f"{first[worst]} and {second[worst]}"
    )


def with_inputs(structures: Mapping[str, Structure], requested: "Mapping[str, ModelOutput]") -> dict[str, Structure]:
    """Give structures that were made for a model with the inputs that it requests: neutral, at rest, no spin.

    Parameters
    ----------
    structures
        Structures by name.
    requested
        Inputs that the model requests.

    Returns
    -------
    dict
        Structures by name.

    Raises
    ------
    ValueError
        If nobody knows what an input is, so that structures with it have to be given.
    """
    if not requested:
        return dict(structures)
    found = {}
    for name, structure in structures.items():
        atoms = as_atoms(structure)
        try:
            inputs = {key: _input(atoms, key, output) for key, output in requested.items()}
        except ValueError as error:
            raise ValueError(f"{error}; give structures that have it") from error
        found[name] = Structure(structure.types, structure.positions, structure.cell, structure.pbc, inputs)
    return found


def _input(atoms: "ase.Atoms", name: str, output: "ModelOutput") -> np.ndarray:
    """Give an input in the unit that the model declares, from where ASE has it, or by its name."""
    kind = output.sample_kind
    source = WITH_VELOCITIES.get((canonical_name(name), kind))
    held: Mapping[str, Any] = atoms.arrays if kind == "atom" else atoms.info
    # what a structure has by name goes before what ASE knows by itself; per structure, that is the same place
    for key in (name, input_key(name)) if source is None or kind == "atom" else ():
        if key in held:
            return np.asarray(held[key], dtype=np.float64)
    if source is not None:
        factor = unit_conversion_factor(source.unit, output.unit) if output.unit and source.unit else 1.0
        return input_values(atoms, source) * factor
    if name.startswith("ase::") and input_key(name) in _ZERO_UNLESS_SET and kind == "atom":
        return np.zeros(len(atoms))
    where = "atoms.arrays" if kind == "atom" else "atoms.info"
    raise ValueError(f"expected '{input_key(name)}' in `{where}`, the input '{name}' of the model, got {sorted(held)}")
