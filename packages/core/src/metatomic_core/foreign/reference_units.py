"""Whether a unit means the same here and in metatomic-torch, where letters have no case: MeV is meV there."""

import math

import torch

from ..units import parse_unit, unit_table

# The constants of both come from different editions of CODATA.
_TOLERANCE = 1e-6
# SI units of length, mass, time, charge and temperature, as metatomic-torch writes them.
_BASE = ("m", "kg", "s", "c", "kelvin")


def check_same_unit(name: str, unit: str) -> None:
    """Check that a unit is the same in both programs.

    Parameters
    ----------
    name
        What it is the unit of, for the message.
    unit
        The unit; the empty string for none.

    Raises
    ------
    ValueError
        If one of them does not know the unit, or they disagree on it.
    """
    if unit == "":
        return
    try:
        value = parse_unit(unit, unit_table())
    except ValueError as error:
        raise ValueError(f"expected a unit that metatomic-core knows for '{name}', got '{unit}': {error}") from None
    try:
        factor = torch.ops.metatomic.unit_conversion_factor(unit, _si(value))
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"expected a unit that metatomic-torch knows for '{name}', got '{unit}': {reason}") from None
    if not math.isclose(factor, value[0], rel_tol=_TOLERANCE):
        raise ValueError(
            f"expected a unit that is the same in metatomic-core and metatomic-torch for '{name}', got '{unit}', which "
            f"is {value[0]:.7g} and {factor:.7g} in SI units; write it in another way"
        )


def _si(value: list[float]) -> str:
    """Give the SI unit of the dimension of a parsed unit, as text."""
    length, mass, time, current, temperature = value[1:6]
    # an ampere is a coulomb in a second
    exponents = zip(_BASE, (length, mass, time - current, current, temperature), strict=True)
    factors = [f"{name}^({exponent})" for name, exponent in exponents if exponent != 0]
    return "*".join(factors) or "m/m"
