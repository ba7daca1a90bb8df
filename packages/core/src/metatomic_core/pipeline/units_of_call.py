"""Units of one call: those of the engine, and those of inputs and of other outputs, each in a namespace of its own."""

from typing import Dict, NamedTuple, Optional

from metatomic_core.data.quantities import other_spelling

from .conversion import dimension_of


class Units(NamedTuple):
    """Units of one call.

    Attributes
    ----------
    length, energy
        Units of the engine, in which all results are.
    inputs, outputs
        Units of inputs and of other outputs, by name.
    """

    length: str
    energy: str
    inputs: Dict[str, str]
    outputs: Dict[str, str]


def units_from(given: Dict[str, Dict[str, str]]) -> Units:
    """Read the units that a call is given: "engine" ("length" and "energy"), and "inputs" and "outputs" by name.

    Raises
    ------
    ValueError
        If the unit of lengths or energies is missing, or there is something else.
    """
    for key in given.keys():
        if key not in ["engine", "inputs", "outputs"]:
            raise ValueError(f"expected 'engine', 'inputs' and 'outputs' in `units`, got '{key}'")
    nothing: Dict[str, str] = {}
    engine = given.get("engine", nothing)
    for name in ["length", "energy"]:
        if name not in engine:
            raise ValueError(f"expected the unit of '{name}' in `units` of the engine, got none")
    inputs = given.get("inputs", nothing)
    outputs = given.get("outputs", nothing)
    return Units(engine["length"], engine["energy"], inputs, outputs)


def named_unit(name: str, units: Dict[str, str]) -> Optional[str]:
    """Give the unit of an input or output, under either spelling of its name; None where there is none."""
    if name in units:
        return units[name]
    other = other_spelling(name)
    if other != "" and other in units:
        return units[other]
    return None


def unit_of_dimension(dimension: str, units: Units, declared: str) -> str:
    """Give the unit of a dimension that is made of length and energy of the engine, or the declared one."""
    energy, length = units.energy, units.length
    if dimension == "energy":
        return energy
    if dimension == "length":
        return length
    if dimension == "force":
        return "(" + energy + ")/(" + length + ")"
    if dimension == "pressure":
        return "(" + energy + ")/(" + length + ")^3"
    return declared


def unit_of_output(name: str, units: Units, declared: str) -> str:
    """Give the unit in which the engine wants an output: the one it names, else one made of its length and energy."""
    unit = named_unit(name, units.outputs)
    if unit is not None:
        return unit
    return unit_of_dimension(dimension_of(name), units, declared)
