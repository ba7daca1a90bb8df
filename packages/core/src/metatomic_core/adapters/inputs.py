"""Inputs that models request, as adapters find them in ``ase.Atoms``: one table of quantities, places and units.

Adapters give a model what its engine has: `ALWAYS_KNOWN` is that of all, to which an adapter adds its own.  What no
table has comes by its name, from ``atoms.arrays`` per atom and ``atoms.info`` per structure.  Nothing here imports ASE.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from metatomic_core.data.quantities import base_quantity, canonical_name, standard_quantities

if TYPE_CHECKING:
    import ase

    from metatomic_core.data.outputs import ModelOutput

__all__ = ["ALWAYS_KNOWN", "INFO_NAMES", "WITH_VELOCITIES", "Source", "Sources", "input_values", "source_of"]

# ASE's units of time follow from eV, angstrom and u, so momenta and velocities are made of square roots of these.
_VELOCITY = "(eV/u)^(1/2)"
_MOMENTUM = "(eV*u)^(1/2)"
# as models and data sets of the field call them in ``atoms.info``, the clearest first
INFO_NAMES = {"charge": ("charge", "total_charge"), "spin_multiplicity": ("spin_multiplicity", "multiplicity", "spin")}
# in elementary charges or Bohr magnetons: less is rounding of partial charges
_NEGLIGIBLE = 0.5
# Of these an engine has its own, or none: those in a file would be of another moment.
_OF_ENGINES = frozenset(("position", "momentum", "velocity", "mass", "charge", "spin_multiplicity"))
# of names that are made for ASE; anything else is looked for by its last part
_IN_ARRAYS, _IN_INFO = "ase::arrays::", "ase::info::"
_PLACES = {"atom": ("arrays", "per atom"), "system": ("info", "per structure")}


class Source(NamedTuple):
    """Where a quantity is kept.

    Attributes
    ----------
    get
        Gives the values for a structure: one, or shape (n_atoms, ...).
    unit
        Their unit.
    where
        The place, for people.
    name
        Name of the input; empty in tables.
    kind
        Kind of its samples; empty in tables.
    row
        Shape of one sample; None for any.
    """

    get: Callable[["ase.Atoms"], Any]
    unit: str
    where: str
    name: str = ""
    kind: str = ""
    row: tuple[int, ...] | None = None


# by name and kind of samples
Sources = Mapping[tuple[str, str], Source]


def _one_of(atoms: "ase.Atoms", keys: Sequence[str]) -> Any:
    """Give what is in ``info`` under one of several names, or None."""
    found = {key: atoms.info[key] for key in keys if atoms.info.get(key) is not None}
    values = list(found.values())
    if any(not np.array_equal(value, values[0]) for value in values):
        raise ValueError(f"expected one value in `atoms.info`, got {found}, which mean the same; remove all but one")
    return values[0] if values else None


def _sum(atoms: "ase.Atoms", key: str) -> float:
    """Give the sum of an array of atoms, zero without it, or with one that says more than numbers along one axis."""
    values = np.asarray(atoms.arrays.get(key, 0.0))
    return float(values.sum()) if values.ndim < 2 and values.dtype.kind in "biuf" else 0.0


def _charge(atoms: "ase.Atoms") -> Any:
    found = _one_of(atoms, INFO_NAMES["charge"])
    total = _sum(atoms, "initial_charges")
    if found is None and abs(total) >= _NEGLIGIBLE:
        raise ValueError(
            f'expected `atoms.info["charge"]` for atoms with initial charges of {total:g} e together, got none; '
            "set it, as 0 would be taken otherwise"
        )
    return 0 if found is None else found


def _spin_multiplicity(atoms: "ase.Atoms") -> Any:
    found = _one_of(atoms, INFO_NAMES["spin_multiplicity"])
    total = abs(_sum(atoms, "initial_magmoms"))
    if found is None and total >= _NEGLIGIBLE:
        raise ValueError(
            f'expected `atoms.info["spin_multiplicity"]` for atoms with initial magnetic moments of {total:g} in all, '
            f"got none; set it to {total + 1:.0f} if these are the unpaired electrons, as 1 would be taken otherwise"
        )
    return 1 if found is None else found


# What a structure has, whatever moves its atoms.
ALWAYS_KNOWN: Sources = {
    ("mass", "atom"): Source(lambda atoms: atoms.get_masses(), "u", "atoms.get_masses()"),
    ("charge", "atom"): Source(lambda atoms: atoms.get_initial_charges(), "e", "atoms.get_initial_charges()"),
    ("charge", "system"): Source(_charge, "e", 'atoms.info["charge"]'),
    ("spin_multiplicity", "system"): Source(_spin_multiplicity, "", 'atoms.info["spin_multiplicity"]'),
    ("magnetic_moment", "atom"): Source(
        lambda atoms: atoms.get_initial_magnetic_moments(), "mu_B", "atoms.get_initial_magnetic_moments()"
    ),
}
# For engines that know how fast the atoms are.
WITH_VELOCITIES: Sources = {
    **ALWAYS_KNOWN,
    ("momentum", "atom"): Source(lambda atoms: atoms.get_momenta(), _MOMENTUM, "atoms.get_momenta()"),
    ("velocity", "atom"): Source(lambda atoms: atoms.get_velocities(), _VELOCITY, "atoms.get_velocities()"),
}


def source_of(name: str, output: "ModelOutput", sources: Sources, engine: str, more: str = "") -> Source:
    """Give the source of an input.

    Parameters
    ----------
    name
        Name of the input, in any spelling.
    output
        What the model requests.
    sources
        What there is; what is not comes by its name, but for quantities that engines have of their own.
    engine
        Name of the engine, for messages.
    more
        What it has besides, for messages.

    Returns
    -------
    Source
        The source.

    Raises
    ------
    ValueError
        If there is none.
    """
    kind = output.sample_kind
    quantity = standard_quantities().get(base_quantity(name))
    # of what has any number of properties the shape is the model's own
    row = tuple(3 for _ in quantity.components) if quantity is not None and quantity.n_properties == 1 else None
    if (canonical_name(name), kind) in sources:
        return sources[canonical_name(name), kind]._replace(name=name, kind=kind, row=row)
    for prefix, prefixed in ((_IN_ARRAYS, "atom"), (_IN_INFO, "system")):
        if name.startswith(prefix) and kind != prefixed:
            raise ValueError(f"expected input '{name}' per {prefixed}, got a model that wants it per {kind}")
    if kind in _PLACES and canonical_name(name) not in _OF_ENGINES:
        return _by_name(name, output, row)
    known = ", ".join(f"'{known}' per {kind}" for known, kind in sources)
    raise ValueError(
        f"expected a model whose inputs {engine} can provide, got one that requests '{name}' per "
        f"{output.sample_kind}; known are {known}{more}"
    )


def _keys(name: str) -> list[str]:
    """Give the names under which files have an input: its own, the last part, and that in plain letters."""
    for prefix in (_IN_ARRAYS, _IN_INFO):
        if name.startswith(prefix):
            return [name.removeprefix(prefix)]
    last = name.rpartition("::")[2]
    return list(dict.fromkeys([name, canonical_name(name), last, re.sub(r"\W", "_", last)]))


def _by_name(name: str, output: "ModelOutput", row: tuple[int, ...] | None) -> Source:
    """Give a source that looks for an input by its name, in the unit that the model declares."""
    keys = _keys(name)
    here, _ = _PLACES[output.sample_kind]
    there, other = _PLACES["system" if output.sample_kind == "atom" else "atom"]

    def get(atoms: "ase.Atoms") -> Any:
        held, elsewhere = getattr(atoms, here), getattr(atoms, there)
        for key in keys:
            if key in held:
                return held[key]
        hint = "".join(f"; `atoms.{there}` has '{key}', {other}" for key in keys if key in elsewhere)
        raise ValueError(f"expected '{keys[-1]}' in `atoms.{here}`, which the model requests, got {sorted(held)}{hint}")

    return Source(get, output.unit, f'atoms.{here}["{keys[-1]}"]', name, output.sample_kind, row)


def input_values(atoms: "ase.Atoms", source: Source) -> np.ndarray:
    """Give the values of an input for a structure, float64, in the unit of the source.

    Parameters
    ----------
    atoms
        The structure.
    source
        Where they are.

    Returns
    -------
    numpy.ndarray
        The values.

    Raises
    ------
    ValueError
        If there are none, or they have another shape, or are not finite.
    TypeError
        If they are no numbers.
    """
    found = source.get(atoms)
    try:
        values = np.asarray(found)
    except ValueError as error:
        raise ValueError(f"expected `{source.where}` to have rows of one length, got {_shown(found)}") from error
    if values.dtype.kind not in "biuf":
        raise TypeError(f"expected `{source.where}` to be numbers, got {type(found).__name__} {_shown(found)}")
    values = values.astype(np.float64)
    _check_shape(values, source, atoms)
    if not np.isfinite(values).all():
        where = f" for atom {np.argwhere(~np.isfinite(values))[0][0]}" if source.kind == "atom" else ""
        bad = values[~np.isfinite(values)].flat[0]
        raise ValueError(f"expected `{source.where}` to be finite, got {bad}{where}")
    return values


def _shown(value: Any) -> str:
    return " ".join(repr(value).split())[:80]


def _check_shape(values: np.ndarray, source: Source, atoms: "ase.Atoms") -> None:
    """Check the shape; a last dimension of one property may be left out."""
    if not source.kind:
        return
    samples = (len(atoms),) if source.kind == "atom" else ()
    if source.row is None:
        fits = values.shape[: len(samples)] == samples
        wanted = f"a row for each of {len(atoms)} atoms"
    else:
        full = samples + source.row
        # one sample per structure may come with its dimension, too
        fits = values.shape in {full, (*full, 1), *([(1, *full), (1, *full, 1)] if not samples else [])}
        wanted = f"the shape {full}"
    if not fits:
        raise ValueError(
            f"expected `{source.where}` to have {wanted}, the input '{source.name}' of the model, got {values.shape}"
        )
