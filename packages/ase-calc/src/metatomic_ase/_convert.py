"""``ase.Atoms`` to the structures of `metatomic_core.engine`, with the inputs that a model may request."""

from collections.abc import Mapping, Sequence

import ase
import numpy as np

from metatomic_core import ModelOutput
from metatomic_core.adapters.inputs import WITH_VELOCITIES, Source, Sources, input_values, source_of
from metatomic_core.engine import Structure

SOURCES: Sources = {
    **WITH_VELOCITIES,
    ("ase::initial_magmoms", "atom"): Source(lambda atoms: atoms.get_initial_magnetic_moments(), "", "the atoms"),
    ("ase::initial_charges", "atom"): Source(lambda atoms: atoms.get_initial_charges(), "e", "the atoms"),
    ("ase::tags", "atom"): Source(lambda atoms: atoms.get_tags(), "", "the atoms"),
}
_ARRAYS, _INFO = "ase::arrays::", "ase::info::"
_MORE = f", '{_ARRAYS}NAME' per atom and '{_INFO}NAME' per system"


def input_units(requested: Mapping[str, ModelOutput]) -> dict[str, str]:
    """Give the unit of each input that ASE can provide.

    Raises
    ------
    ValueError
        If ASE has no such input.
    """
    return {
        name: output.unit if name.startswith((_ARRAYS, _INFO)) else _source(name, output).unit
        for name, output in requested.items()
    }


def _source(name: str, output: ModelOutput) -> Source:
    return source_of(name, output, SOURCES, "ASE", _MORE)


def _input(atoms: ase.Atoms, name: str, output: ModelOutput) -> np.ndarray:
    for prefix, container, kind in ((_ARRAYS, atoms.arrays, "atom"), (_INFO, atoms.info, "system")):
        if name.startswith(prefix):
            key = name[len(prefix) :]
            if output.sample_kind != kind:
                got = output.sample_kind
                raise ValueError(f"expected input '{name}' per {kind}, got a model that wants it per {got}")
            if key not in container:
                where = "atoms.arrays" if kind == "atom" else "atoms.info"
                raise ValueError(f"expected '{key}' in `{where}`, which the model requests, got {sorted(container)}")
            return np.asarray(container[key], dtype=np.float64)
    return input_values(atoms, _source(name, output))


def structure_from_atoms(atoms: ase.Atoms, requested: Mapping[str, ModelOutput]) -> Structure:
    """Convert atoms to a structure in angstrom and eV.

    Parameters
    ----------
    atoms
        The atoms.
    requested
        Inputs that the model requests.

    Raises
    ------
    TypeError
        If it is no ``ase.Atoms``.
    ValueError
        If an input is missing.
    """
    if not isinstance(atoms, ase.Atoms):
        raise TypeError(f"expected `atoms` to be ase.Atoms, got {type(atoms).__name__}")
    return Structure(
        types=atoms.numbers,
        positions=atoms.positions,
        cell=atoms.cell.array,
        pbc=atoms.pbc,
        inputs={name: _input(atoms, name, output) for name, output in requested.items()},
    )


def has_stress(atoms: ase.Atoms) -> bool:
    """Tell whether a stress is defined: some direction is periodic, and the cell has a volume.

    For slabs it is per volume of the whole cell, as everywhere in ASE, so that cell filters work.
    """
    # as `atoms.cell.rank == 3`
    return bool(atoms.pbc.any()) and bool(atoms.cell.array.any(axis=1).all())


def as_list(atoms: ase.Atoms | Sequence[ase.Atoms]) -> list[ase.Atoms]:
    """Give one structure or several as a list of at least one."""
    if isinstance(atoms, ase.Atoms):
        return [atoms]
    if isinstance(atoms, (list, tuple)) and len(atoms) == 0:
        raise ValueError("expected at least one structure in `atoms`, got an empty list")
    if not isinstance(atoms, (list, tuple)):
        raise TypeError(f"expected `atoms` to be ase.Atoms or a list of them, got {type(atoms).__name__}")
    return list(atoms)
