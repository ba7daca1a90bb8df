"""What is asked of the engine for the properties that ASE wants, decided once for each set of them."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import ase
from ase.calculators.calculator import PropertyNotImplementedError

from metatomic_core import ModelOutput, unit_dimension_for_quantity
from metatomic_core.adapters import base_quantity, canonical_name, check_type
from metatomic_core.engine import Engine
from metatomic_core.units import check_unit

from ._convert import has_stress

# ASE property -> result of the engine
FROM_RESULT = {
    "energy": "energy",
    "free_energy": "energy",
    "energies": "atomic_energies",
    "forces": "forces",
    "stress": "stress",
    "stresses": "atomic_stresses",
    # ASE's files of VASP have them in the same order: component of the dipole, component of the position
    "born_effective_charges": "dipole_derivatives",
}
# ASE property -> (output of the model, kind of samples, unit)
FROM_OUTPUT = {
    "dipole": ("dipole", "system", "e*angstrom"),
    "charges": ("charge", "atom", "e"),
    "magmoms": ("magnetic_moment", "atom", "mu_B"),
}
NEEDS_CELL = frozenset(("stress", "stresses"))
_ENERGIES = frozenset(("energy", "free_energy"))
# What an energy comes with at little more cost than that of the forces.
_WITH_ENERGY = frozenset(("energy", "forces", "stress"))
_KINDS = {"non_conservative_force": "atom", "non_conservative_stress": "system", "dipole": "system"}


class Additional(NamedTuple):
    """An additional output: its name in the model, and what the user wants."""

    name: str
    output: ModelOutput


class Request(NamedTuple):
    """What one calculation asks of the engine.

    Attributes
    ----------
    results
        Results of the engine.
    outputs
        Kind of samples of other outputs of the model, by name.
    units
        Their units, by name.
    separate
        Outputs that want a call of the model of their own.
    from_outputs
        Output that each property is read from, by property.
    """

    results: list[str]
    outputs: dict[str, str]
    units: dict[str, str]
    separate: dict[str, ModelOutput]
    from_outputs: dict[str, str]


def implemented(engine: Engine) -> list[str]:
    """List the properties that a model has."""
    properties = [name for name, result in FROM_RESULT.items() if _can_give(engine, result)]
    for name, (output, kind, _) in FROM_OUTPUT.items():
        if engine.offers(output):
            declared = engine.capabilities.outputs[engine.output(output)].sample_kind
            if kind in ("system", declared):
                properties.append(name)
    return properties


def _can_give(engine: Engine, result: str) -> bool:
    # of several dipoles only who asks for them has to choose one
    return (result != "dipole_derivatives" or engine.offers("dipole")) and engine.can_give(result)


def checked_additional(engine: Engine, outputs: Mapping[str, ModelOutput] | None) -> dict[str, Additional]:
    """Give additional outputs by the names of the user, with their names in the model.

    Raises
    ------
    TypeError
        If it is no dictionary of ``ModelOutput``.
    ValueError
        If the model has no such output, or its unit does not fit.
    """
    check_type("additional_outputs", {} if outputs is None else outputs, dict, "a dictionary")
    additional: dict[str, Additional] = {}
    for name, output in (outputs or {}).items():
        if not isinstance(output, ModelOutput):
            raise TypeError(
                f"expected `additional_outputs` to be ModelOutput, got {type(output).__name__} for '{name}'"
            )
        resolved = engine.output(name)
        dimension = unit_dimension_for_quantity(resolved)
        check_unit(f"unit of additional output '{name}'", output.unit, "" if dimension == "none" else dimension)
        additional[name] = Additional(resolved, output)
    return additional


def with_companions(properties: Collection[str], offered: Collection[str], with_energy: bool) -> set[str]:
    """Give the properties to compute: those asked for, and those that cost little besides."""
    wanted = set(properties)
    if wanted & _ENERGIES:
        wanted |= _ENERGIES
    if with_energy or wanted - _ENERGIES - {"energies"}:
        wanted |= _WITH_ENERGY & set(offered)
    return wanted


class Requests:
    """What to ask of an engine, decided once for each set of properties.

    Parameters
    ----------
    engine
        The engine.
    additional
        Additional outputs of each calculation.
    with_energy
        Whether forces and stress come along with the energy.
    """

    def __init__(self, engine: Engine, additional: Mapping[str, Additional], with_energy: bool):
        self.implemented = implemented(engine)
        self._engine = engine
        self._additional = additional
        self._with_energy = with_energy
        self._known: dict[tuple[frozenset[str], ...], Request] = {}
        self._possible: set[tuple[tuple[str, ...], bool]] = set()

    def of(
        self, atoms: ase.Atoms, properties: Sequence[str], along: Collection[str], known: Collection[str]
    ) -> Request:
        """Give what to ask, after checking that all properties are possible.

        Parameters
        ----------
        atoms
            The structure.
        properties
            What is wanted.
        along
            What may come along, where it is possible.
        known
            What is known already, and need not come along.

        Raises
        ------
        PropertyNotImplementedError
            If the model, or the cell of the atoms, does not allow a property.
        """
        stress = has_stress(atoms)
        if (tuple(properties), stress) not in self._possible:
            self._check(atoms, properties)
            self._possible.add((tuple(properties), stress))
        key = (frozenset(properties), frozenset(along), frozenset(known), NEEDS_CELL if stress else frozenset())
        if key not in self._known:
            wanted = with_companions({*properties, *along}, self.implemented, self._with_energy)
            wanted -= set(known) - set(properties)
            self._known[key] = make_request(self._engine, wanted if stress else wanted - NEEDS_CELL, self._additional)
        return self._known[key]

    def learned(self, asked: Collection[str]) -> set[str]:
        """Give what of the properties that were asked of a structure to compute along for the next one.

        What is left to those who ask for energies alone, and what comes along anyway, is not learned.
        """
        return set(asked) & set(self.implemented) - _ENERGIES - _WITH_ENERGY if self._with_energy else set()

    def _check(self, atoms: ase.Atoms, properties: Sequence[str]) -> None:
        for name in properties:
            if name not in self.implemented:
                raise PropertyNotImplementedError(
                    f"expected a property that this model has, {self.implemented}, got '{name}'"
                )
            if name in NEEDS_CELL and not has_stress(atoms):
                raise PropertyNotImplementedError(
                    f"expected a periodic structure with three cell vectors for '{name}', got pbc "
                    f"{atoms.pbc.tolist()} and a cell of rank {atoms.cell.rank}"
                )


def make_request(engine: Engine, wanted: set[str], additional: Mapping[str, Additional]) -> Request:
    """Give what properties and additional outputs are made of."""
    results = sorted({FROM_RESULT[name] for name in wanted if name in FROM_RESULT})
    needed = _needed(engine, results, wanted)
    together = [one for one in additional.values() if _goes_along(one, needed)]
    separate = {one.name: one.output for one in additional.values() if not _goes_along(one, needed)}
    outputs = {one.name: one.output.sample_kind for one in together}
    units = {one.name: one.output.unit for one in together if one.output.unit}
    from_outputs = {}
    for name in sorted(wanted & FROM_OUTPUT.keys()):
        output, kind, unit = FROM_OUTPUT[name]
        from_outputs[name] = engine.output(output)
        outputs.setdefault(from_outputs[name], kind)
        units.setdefault(from_outputs[name], unit)
    return Request(results, outputs, units, separate, from_outputs)


def _needed(engine: Engine, results: Sequence[str], wanted: set[str]) -> dict[str, tuple[str, str]]:
    """Give what results, properties and the warning are made of.

    Returns
    -------
    dict of (str, str)
        Kind of samples of each output, by canonical name, and its unit; an empty one where the engine converts.
    """
    kinds = {"energy": "atom" if "atomic_energies" in results else "system", **_KINDS}
    sources = [engine.source(result) for result in results]
    needed = {canonical_name(name): (kinds[base_quantity(name)], "") for name in sources}
    if engine.watched is not None:
        needed[canonical_name(engine.watched)] = ("atom", "")
    for name in wanted & FROM_OUTPUT.keys():
        output, kind, unit = FROM_OUTPUT[name]
        needed[canonical_name(engine.output(output))] = (kind, unit)
    return needed


def _goes_along(one: Additional, needed: Mapping[str, tuple[str, str]]) -> bool:
    """Tell whether an additional output comes with the results, or wants a call of the model of its own."""
    if one.output.explicit_gradients:
        return False
    name = canonical_name(one.name)
    if name not in needed:
        return True
    kind, unit = needed[name]
    # energies per system are also made from those per atom; without a unit, the model's own is wanted
    fits = kind == one.output.sample_kind or (base_quantity(name) == "energy" and one.output.sample_kind == "atom")
    return fits and one.output.unit != "" and unit in ("", one.output.unit)
