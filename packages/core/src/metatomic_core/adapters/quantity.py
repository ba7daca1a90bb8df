"""Values with units on the command line, for all packages: ``"0.5 fs"``, ``"1 bar"``.

Nothing here imports torch at module level, so that ``--help`` is quick.
"""

import math
import re
from typing import Any

import click

_NUMBER = re.compile(r"\s*([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*")

_LONGEST = 1000


class Quantity(click.ParamType):  # type: ignore[type-arg]
    """A number with a unit, given in the unit of the option.

    Parameters
    ----------
    unit
        Unit of the value that the command gets, and of plain numbers.
    example
        Text for messages.
    positive
        Whether the number must be above zero.
    needs_unit
        Whether plain numbers other than zero are refused, where people use several units.
    """

    def __init__(self, unit: str, example: str, *, positive: bool = True, needs_unit: bool = False):
        self.name = unit
        self._example = example
        self._positive = positive
        self._needs_unit = needs_unit

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Give what stands for the value in the help."""
        return "VALUE UNIT" if self._needs_unit else "VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Give the number in the unit of the option."""
        if isinstance(value, float):
            return value
        text = str(value)
        # no more than a number of all digits with a unit, so that no text takes long
        matched = _NUMBER.fullmatch(text) if len(text) <= _LONGEST else None
        if matched is None:
            self.fail(f"expected a number with a unit, such as '{self._example}', got '{value}'", param, ctx)
        number, unit = float(matched.group(1)), matched.group(2)
        if unit:
            from metatomic_core.units import unit_conversion_factor

            try:
                number *= unit_conversion_factor(unit, self.name)
            except ValueError as error:
                self.fail(f"expected a value such as '{self._example}', got '{value}': {error}", param, ctx)
        elif self._needs_unit and number != 0:
            self.fail(f"expected a number with its unit, such as '{self._example}', got '{value}'", param, ctx)
        if not math.isfinite(number) or (self._positive and number <= 0):
            wanted = "positive" if self._positive else "finite"
            self.fail(f"expected a {wanted} number, such as '{self._example}', got '{value}'", param, ctx)
        return number
