"""Factors between lengths for the classes that TorchScript compiles when they are imported.

The parser of units and its table are too much for that: every import, and every model file, would pay for them. In
compiled code a cutoff is therefore converted between lengths with a name, and not between products.
"""


def length_factor(from_unit: str, to_unit: str) -> float:
    """Return the factor between two lengths with a name; 1 where one is empty (scripted).

    Raises
    ------
    ValueError
        If a unit is not one of those names.
    """
    if from_unit == "" or to_unit == "" or from_unit == to_unit:
        return 1.0
    source, target = _meters(from_unit), _meters(to_unit)
    inverse = target / source
    # as `conversion_factor` rounds
    return 1.0 / inverse if inverse % 1.0 == 0.0 else source / target


def _meters(unit: str) -> float:
    known = {
        "angstrom": 1e-10,
        "ang": 1e-10,
        "a": 1e-10,
        "å": 1e-10,
        "bohr": 5.29177210903e-11,
        "a0": 5.29177210903e-11,
        "pm": 1e-12,
        "picometer": 1e-12,
        "nm": 1e-9,
        "nanometer": 1e-9,
        "um": 1e-6,
        "micrometer": 1e-6,
        "micron": 1e-6,
        "cm": 1e-2,
        "centimeter": 1e-2,
        "m": 1.0,
        "meter": 1.0,
    }
    name = unit.strip(" ").replace("Å", "å").lower()
    if name not in known and name.endswith("s"):
        name = name[:-1]
    # letters have a case: "M" is no meter, and "PM" no picometer
    if name not in known or (name in ["m", "pm", "nm", "um", "cm"] and unit.strip(" ") != name):
        raise ValueError(f"expected the name of a length, such as angstrom, bohr or nm, in compiled code, got '{unit}'")
    return known[name]
