"""The standard quantities: one table of names, dimensions and layouts, for inputs and outputs of models.

Everything that depends on which quantity a name stands for (units, sample kinds, components, both spellings, variants)
is decided here.  The functions are TorchScript-compatible, because model files carry the checks that use them.
"""

from typing import Dict, List, NamedTuple, Tuple


class Quantity(NamedTuple):
    """Layout of a standard quantity; see `standard_quantities`.

    Attributes
    ----------
    dimension
        Dimension of the unit, as in `metatomic_core.units`: "energy", "force", ..., "none".
    sample_kinds
        Allowed kinds of samples: "system", "atom".
    components
        Names of the component dimensions, each with the values 0, 1, 2.
    property_name
        Name of the property dimension.
    n_properties
        Number of properties: 1, or 0 where any number is allowed.
    explicit_gradients
        Gradients which a model may return with the values.
    """

    dimension: str
    sample_kinds: List[str]
    components: List[str]
    property_name: str
    n_properties: int
    explicit_gradients: List[str]


def standard_quantities() -> Dict[str, Quantity]:
    """Give the table of standard quantities, by canonical name.

    Returns
    -------
    dict
        Layout of each quantity.  An empty ``property_name`` means that the model chooses the properties.
    """
    both = ["system", "atom"]
    atom = ["atom"]
    system = ["system"]
    gradients = ["positions", "strain"]
    none: List[str] = []
    xyz = ["xyz"]
    return {
        "energy": Quantity("energy", both, none, "energy", 1, gradients),
        "energy_ensemble": Quantity("energy", both, none, "energy", 0, gradients),
        "energy_uncertainty": Quantity("energy", both, none, "energy", 1, gradients),
        "feature": Quantity("none", both, none, "", 0, none),
        "non_conservative_force": Quantity("force", atom, xyz, "non_conservative_force", 1, none),
        "non_conservative_stress": Quantity("pressure", system, ["xyz_1", "xyz_2"], "non_conservative_stress", 1, none),
        "position": Quantity("length", atom, xyz, "position", 1, none),
        "momentum": Quantity("momentum", atom, xyz, "momentum", 1, none),
        "velocity": Quantity("velocity", atom, xyz, "velocity", 1, none),
        "mass": Quantity("mass", atom, none, "mass", 1, none),
        "charge": Quantity("charge", both, none, "charge", 1, none),
        "dipole": Quantity("dipole", both, xyz, "dipole", 1, none),
        "magnetic_moment": Quantity("magnetic_moment", atom, none, "magnetic_moment", 1, none),
        "heat_flux": Quantity("heat_flux", system, xyz, "heat_flux", 1, none),
        "spin_multiplicity": Quantity("none", system, none, "spin_multiplicity", 1, none),
    }


def plural_names() -> Dict[str, str]:
    """Give the older, plural spellings and the canonical name of each."""
    return {
        "features": "feature",
        "non_conservative_forces": "non_conservative_force",
        "positions": "position",
        "momenta": "momentum",
        "velocities": "velocity",
        "masses": "mass",
        "charges": "charge",
        "dipoles": "dipole",
    }


def split_variant(name: str) -> Tuple[str, str]:
    """Split ``base/variant`` into its two parts; the variant is empty when there is none."""
    position = name.find("/")
    if position < 0:
        return name, ""
    return name[:position], name[position + 1 :]


def canonical_name(name: str) -> str:
    """Give the canonical spelling of a quantity name, keeping the variant and leaving custom names alone.

    Parameters
    ----------
    name
        Name of a quantity, with or without a variant.

    Returns
    -------
    str
        The name as files and engines write it.
    """
    base, variant = split_variant(name)
    # no table for the names that are asked for at each step
    if base.endswith("s") or base == "momenta":
        plurals = plural_names()
        if base in plurals:
            base = plurals[base]
    if variant != "":
        return base + "/" + variant
    return base


def base_quantity(name: str) -> str:
    """Give the canonical name without the variant: "energy" for "energy/pbe".

    Parameters
    ----------
    name
        Name of a quantity.

    Returns
    -------
    str
        The name, in the canonical spelling.
    """
    return split_variant(canonical_name(name))[0]


def other_spelling(name: str) -> str:
    """Give the other spelling of a name that has two, with its variant; the empty string for one that has not."""
    base, variant = split_variant(name)
    found = ""
    for plural, singular in plural_names().items():
        if base == plural:
            found = singular
        elif base == singular:
            found = plural
    if found != "" and variant != "":
        return found + "/" + variant
    return found


def check_quantity_name(name: str, argument: str) -> None:
    """Check that a name is a standard quantity, ``quantity/variant`` or ``domain::quantity[/variant]``.

    Parameters
    ----------
    name
        The name to check.
    argument
        What the name is, for the message: "output", "input", "data".

    Raises
    ------
    ValueError
        If the name has none of these forms, or one of its parts is empty.
    """
    base, variant = split_variant(name)
    if "::" in variant:
        raise ValueError(f"expected `{argument}` to have '::' before the variant, got '{name}'")
    if name == "" or base == "" or ("/" in name and variant == "") or "/" in variant:
        raise ValueError(
            f"expected `{argument}` to be a name, 'name/variant' or 'domain::name[/variant]', got '{name}'"
        )
    if "::" in base:
        for part in base.split("::"):
            if part == "":
                raise ValueError(f"expected `{argument}` to have text on both sides of '::', got '{name}'")
    elif base_quantity(base) not in standard_quantities():
        raise ValueError(_unknown_quantity(name, base))


def _unknown_quantity(name: str, base: str) -> str:
    import difflib

    known = [*standard_quantities(), *plural_names()]
    nearest = difflib.get_close_matches(base, known, n=1)
    hint = f"did you mean '{nearest[0]}'; " if nearest else ""
    return (
        f"expected a standard quantity, got '{name}'; {hint}use 'domain::{base}' for a quantity of your own, "
        f"or one of {', '.join(sorted(standard_quantities()))}"
    )


def unit_dimension_for_quantity(name: str) -> str:
    """Give the dimension of a quantity's unit.

    Parameters
    ----------
    name
        A standard quantity in either spelling, with or without a variant, or a custom ``domain::name``.

    Returns
    -------
    str
        "energy", "length", ..., "none" for a quantity without unit, the empty string for a custom quantity.

    Raises
    ------
    ValueError
        If the name is no valid quantity name.
    TypeError
        If it is not a string.
    """
    if not isinstance(name, str):
        raise TypeError(f"expected `name` to be a string, got {type(name).__name__}")
    check_quantity_name(name, "name")
    base = base_quantity(name)
    if "::" in base:
        return ""
    return standard_quantities()[base].dimension
