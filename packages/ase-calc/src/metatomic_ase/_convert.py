"""``ase.Atoms`` to the structures of `metatomic_core.engine`, with the inputs that a model may request.

One table says where ASE keeps each quantity and in which unit.
"""

from typing import Any, Callable, Dict, Mapping, NamedTuple

import ase
import numpy as np

from metatomic_core import ModelOutput
from metatomic_core.engine import Structure
from metatomic_core.quantities import canonical_name

# ASE's units of time follow from eV, angstrom and u, so momenta and velocities are made of square roots of these.
_VELOCITY = "(eV/u)^(1/2)"
_MOMENTUM = "(eV*u)^(1/2)"


class _Source(NamedTuple):
    """Where ASE keeps a quantity: `get` gives its values in `unit`."""

    get: Callable[[ase.Atoms], Any]
    unit: str


def _spin_multiplicity(atoms: ase.Atoms) -> float:
    multiplicity: Any = atoms.info.get("spin_multiplicity", atoms.info.get("spin", 1))
    return float(multiplicity)


# by name and kind of samples
_SOURCES: Mapping[tuple[str, str], _Source] = {
    ("mass", "atom"): _Source(lambda atoms: atoms.get_masses(), "u"),
    ("momentum", "atom"): _Source(lambda atoms: atoms.get_momenta(), _MOMENTUM),
    ("velocity", "atom"): _Source(lambda atoms: atoms.get_velocities(), _VELOCITY),
    ("charge", "atom"): _Source(lambda atoms: atoms.get_initial_charges(), "e"),
    ("charge", "system"): _Source(lambda atoms: float(atoms.info.get("charge", 0)), "e"),
    ("spin_multiplicity", "system"): _Source(_spin_multiplicity, ""),
    ("ase::initial_magmoms", "atom"): _Source(lambda atoms: atoms.get_initial_magnetic_moments(), ""),
    ("ase::initial_charges", "atom"): _Source(lambda atoms: atoms.get_initial_charges(), "e"),
    ("ase::tags", "atom"): _Source(lambda atoms: atoms.get_tags(), ""),
}
_ARRAYS, _INFO = "ase::arrays::", "ase::info::"


def input_units(requested: Mapping[str, ModelOutput]) -> Dict[str, str]:
    """Give the unit of each input that ASE can provide.

    Raises
    ------
    ValueError
        If ASE has no such input.
    """
    units: Dict[str, str] = {}
    for name, output in requested.items():
        if name.startswith((_ARRAYS, _INFO)):
            units[name] = output.unit
        else:
            units[name] = _source(name, output).unit
    return units


def _source(name: str, output: ModelOutput) -> _Source:
    key = (canonical_name(name), output.sample_kind)
    if key not in _SOURCES:
        known = ", ".join(f"'{known}' per {kind}" for known, kind in _SOURCES)
        raise ValueError(
            f"expected a model whose inputs ASE can provide, got one that requests '{name}' per {output.sample_kind}; "
            f"ASE has {known}, 'ase::arrays::NAME' per atom and 'ase::info::NAME' per system"
        )
    return _SOURCES[key]


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
    return np.asarray(_source(name, output).get(atoms), dtype=np.float64)


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
    return bool(atoms.pbc.any()) and atoms.cell.rank == 3


def voigt(tensors: np.ndarray) -> np.ndarray:
    """Give the mean of the symmetric elements of (..., 3, 3) tensors in ASE's order: xx, yy, zz, yz, xz, xy."""
    symmetric = 0.5 * (tensors + np.swapaxes(tensors, -1, -2))
    return symmetric[..., [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
