"""Inputs that models request, as adapters find them in ``ase.Atoms``: one table of quantities, places and units.

Adapters give a model what its engine has: `sources` are those of all, to which an adapter adds its own.  Nothing here
imports ASE.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from metatomic_core.data.quantities import canonical_name

if TYPE_CHECKING:
    import ase

    from metatomic_core.data.outputs import ModelOutput

__all__ = ["ALWAYS_KNOWN", "WITH_VELOCITIES", "Source", "Sources", "input_values", "source_of"]

# ASE's units of time follow from eV, angstrom and u, so momenta and velocities are made of square roots of these.
_VELOCITY = "(eV/u)^(1/2)"
_MOMENTUM = "(eV*u)^(1/2)"


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
    """

    get: Callable[["ase.Atoms"], Any]
    unit: str
    where: str


# by name and kind of samples
Sources = Mapping[tuple[str, str], Source]


def _spin_multiplicity(atoms: "ase.Atoms") -> float:
    info: dict[str, Any] = atoms.info
    return float(info.get("spin_multiplicity", info.get("spin", 1)))


# What a structure has, whatever moves its atoms.
ALWAYS_KNOWN: Sources = {
    ("mass", "atom"): Source(lambda atoms: atoms.get_masses(), "u", "the atoms"),
    ("charge", "atom"): Source(lambda atoms: atoms.get_initial_charges(), "e", "initial charges"),
    ("charge", "system"): Source(lambda atoms: float(atoms.info.get("charge", 0)), "e", 'atoms.info["charge"], else 0'),
    ("spin_multiplicity", "system"): Source(
        _spin_multiplicity, "", 'atoms.info["spin_multiplicity"] or ["spin"], else 1'
    ),
}
# For engines that know how fast the atoms are.
WITH_VELOCITIES: Sources = {
    **ALWAYS_KNOWN,
    ("momentum", "atom"): Source(lambda atoms: atoms.get_momenta(), _MOMENTUM, "the atoms"),
    ("velocity", "atom"): Source(lambda atoms: atoms.get_velocities(), _VELOCITY, "the atoms"),
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
        What there is.
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
    key = (canonical_name(name), output.sample_kind)
    if key not in sources:
        known = ", ".join(f"'{known}' per {kind}" for known, kind in sources)
        raise ValueError(
            f"expected a model whose inputs {engine} can provide, got one that requests '{name}' per "
            f"{output.sample_kind}; known are {known}{more}"
        )
    return sources[key]


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
    """
    return np.asarray(source.get(atoms), dtype=np.float64)
