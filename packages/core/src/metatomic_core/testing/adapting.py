"""What subjects of engines share: loaded models, inputs as they get into ``ase.Atoms``, units of outputs."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import (
    base_quantity,
    canonical_name,
    standard_quantities,
    unit_dimension_for_quantity,
)
from metatomic_core.engine import Structure
from metatomic_core.loading import load_atomistic_model
from metatomic_core.model.atomistic_model import AtomisticModel
from metatomic_core.units import unit_conversion_factor

if TYPE_CHECKING:
    import ase

    from .subject import Request

# (canonical name, kind of samples): how the values get into atoms, and the unit that ASE has them in, which for what
# moves is made of eV, angstrom and u
_PLACES: dict[tuple[str, str], tuple[Callable[["ase.Atoms", np.ndarray], None], str]] = {
    ("mass", "atom"): (lambda atoms, values: atoms.set_masses(values.reshape(-1)), "u"),
    ("charge", "atom"): (lambda atoms, values: atoms.set_initial_charges(values.reshape(-1)), "e"),
    ("charge", "system"): (lambda atoms, values: atoms.info.update(charge=values.item()), "e"),
    ("spin_multiplicity", "system"): (lambda atoms, values: atoms.info.update(spin=values.item()), ""),
    ("momentum", "atom"): (lambda atoms, values: atoms.set_momenta(values.reshape(-1, 3)), "(eV*u)^(1/2)"),
    ("velocity", "atom"): (lambda atoms, values: atoms.set_velocities(values.reshape(-1, 3)), "(eV/u)^(1/2)"),
}

# units made of eV, angstrom and e, by dimension
_UNITS = {
    "energy": "eV",
    "force": "eV/angstrom",
    "pressure": "eV/angstrom^3",
    "length": "angstrom",
    "charge": "e",
    "dipole": "e*angstrom",
}


def loaded_model(request: "Request") -> AtomisticModel:
    """Load the model of a request, once for those that follow each other.

    Parameters
    ----------
    request
        The request.

    Returns
    -------
    AtomisticModel
        The model.
    """
    path = Path(request.model)
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return _loaded(path, request.options.get("extensions_directory"), changed)


@functools.lru_cache(maxsize=4)
def _loaded(path: Path, extensions_directory: str | None, changed: int) -> AtomisticModel:  # noqa: ARG001  (part of the key)
    return load_atomistic_model(path, extensions_directory)


def put_inputs(atoms: "ase.Atoms", structure: Structure, requested: Mapping[str, ModelOutput]) -> None:
    """Put the inputs of a structure where ASE has them.

    Parameters
    ----------
    atoms
        The structure as atoms, which change.
    structure
        The structure, with inputs in the units that the model declares.
    requested
        What the model requests.
    """
    # velocities become momenta by masses, which have to be there before
    for name in sorted(structure.inputs, key=lambda name: canonical_name(name) != "mass"):
        output, values = requested[name], np.asarray(structure.inputs[name], dtype=float)
        for prefix, place in (("ase::arrays::", atoms.arrays), ("ase::info::", atoms.info)):
            if name.startswith(prefix):
                place[name.removeprefix(prefix)] = values
        if (canonical_name(name), output.sample_kind) in _PLACES:
            put, unit = _PLACES[canonical_name(name), output.sample_kind]
            put(atoms, values * (unit_conversion_factor(output.unit, unit) if output.unit else 1.0))


def in_declared_unit(name: str, values: np.ndarray, output: ModelOutput) -> np.ndarray:
    """Give an output in the unit that the model declares.

    Parameters
    ----------
    name
        Name of the output.
    values
        Values in units made of eV, angstrom and e, or as the model gives them where it has another dimension.
    output
        What the model declares.

    Returns
    -------
    numpy.ndarray
        The values, converted.
    """
    unit = _UNITS.get(unit_dimension_for_quantity(name), "")
    return values * unit_conversion_factor(unit, output.unit) if unit and output.unit else values


def split_row(names: Sequence[str], values: np.ndarray) -> dict[str, np.ndarray]:
    """Give outputs from an engine that has them as plain numbers, one output after the other.

    Parameters
    ----------
    names
        Names of the outputs; at most one of them may have any number of properties, as features do.
    values
        Shape (n_samples, n_numbers).

    Returns
    -------
    dict
        Shape (n_samples, components..., n_properties) of each.

    Raises
    ------
    ValueError
        If the numbers do not tell which is which.
    """
    table = standard_quantities()
    known = {name: table.get(base_quantity(name)) for name in names}
    shapes = {name: [3] * len(one.components) if one is not None else [] for name, one in known.items()}
    counts = {name: 0 if one is None else one.n_properties * 3 ** len(one.components) for name, one in known.items()}
    open_ones = [name for name, count in counts.items() if count == 0]
    if len(open_ones) > 1:
        raise ValueError(f"expected at most one output with any number of properties, got {', '.join(open_ones)}")
    counts.update(dict.fromkeys(open_ones, values.shape[1] - sum(counts.values())))
    ends = np.cumsum([counts[name] for name in names])
    parts = np.split(values, ends[:-1], axis=1)
    return {name: part.reshape(len(values), *shapes[name], -1) for name, part in zip(names, parts, strict=True)}
