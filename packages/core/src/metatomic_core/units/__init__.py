"""Units: what a unit is in SI, which dimension it has, and the factor from one to another.

Public functions for eager code, which cache what they parsed, and `parse_unit` and
`conversion_factor`, which TorchScript compiles into every model file and which take the table as
an argument. The table is in `_table`, the grammar in `_parser`.

Symbols are case-sensitive (``mPa`` is not ``MPa``); a symbol that can mean only one unit may be
written in lower case (``ev``, ``gpa``), and words may be in any case and plural (``Angstroms``,
``KELVIN``). ``A`` and ``a`` are angstrom, ``mol`` is the number 6.02214076e23, and so ``kJ/mol``
is an energy and ``g/mol`` a mass.
"""

import difflib
import math
import warnings
from functools import lru_cache

from ._dimensions import describe_dimension, dimension_name, dimension_names, same_dimension
from ._parser import parse_unit
from ._table import build_unit_table

__all__ = [
    "check_unit",
    "conversion_factor",
    "parse_unit",
    "unit_conversion_factor",
    "unit_dimension",
    "unit_table",
]

_TABLE = build_unit_table()


def unit_table() -> dict[str, list[float]]:
    """Return a copy of the table of units, to be kept as an attribute of a scripted module.

    Returns
    -------
    dict of str to list of float
        name -> ``[SI factor, L, M, T, I, Theta, case]``: the exponents of length, mass, time,
        electric current and temperature; ``case`` is 0 if the name must be written exactly so, 1
        if it is the lower-case spelling of a symbol, 2 for a symbol in any case, 3 for a word in
        any case, also with a plural s.
    """
    return {name: list(row) for name, row in _TABLE.items()}


def _as_energy(value: list[float], table: dict[str, list[float]]) -> list[float]:
    """Turn a temperature T into k_B T and a wavenumber w into h c w; return all else unchanged."""
    name = dimension_name(value)
    factor = 1.0
    if name == "temperature":
        factor = table["k_B"][0]
    elif name == "wavenumber":
        factor = table["invcm"][0] / 100.0  # h c, from the energy of one per centimeter
    else:
        return value
    return [value[0] * factor] + table["J"][1:6]


def _check_dimension(unit: str, value: list[float], dimension: str) -> None:
    known = dimension_names()
    if dimension not in known:
        raise ValueError(f"unknown dimension '{dimension}', expected one of {', '.join(known.keys())}")
    if not same_dimension(value, [1.0] + known[dimension]):
        raise ValueError(f"expected a unit of {dimension}, got '{unit}' ({describe_dimension(value)})")


def conversion_factor(from_unit: str, to_unit: str, dimension: str, table: dict[str, list[float]]) -> float:
    """Return the number that turns values in one unit into values in another (scripted).

    Parameters
    ----------
    from_unit, to_unit
        Units, see `parse_unit`. An empty string means that no unit is known: the factor is then 1.
    dimension
        The dimension that both must have, such as ``"length"``, or the empty string for any.
        Temperatures (E = k_B T) and wavenumbers (E = h c / lambda) are energies only where this
        is ``"energy"``.
    table
        The table of `unit_table`.

    Returns
    -------
    float
        The factor.

    Raises
    ------
    ValueError
        If a unit cannot be parsed, the dimensions differ from each other or from ``dimension``,
        or the factor is out of the range of numbers.
    """
    if from_unit.strip(" \t\n") == "" or to_unit.strip(" \t\n") == "":
        return 1.0
    source = parse_unit(from_unit, table)
    target = parse_unit(to_unit, table)
    if dimension == "energy":
        source = _as_energy(source, table)
        target = _as_energy(target, table)
    if dimension != "":
        _check_dimension(from_unit, source, dimension)
        _check_dimension(to_unit, target, dimension)
    if not same_dimension(source, target):
        message = (
            f"expected units of one dimension, got '{from_unit}' ({describe_dimension(source)}) "
            f"and '{to_unit}' ({describe_dimension(target)})"
        )
        if same_dimension(_as_energy(source, table), _as_energy(target, table)):
            message += "; only a quantity of dimension energy takes temperatures and wavenumbers"
        raise ValueError(message)
    factor = source[0] / target[0]
    inverse = target[0] / source[0]
    if not (math.isfinite(factor) and math.isfinite(inverse)):
        raise ValueError(f"overflow: the factor from '{from_unit}' to '{to_unit}' is out of the range of numbers")
    if inverse % 1.0 == 0.0:
        return 1.0 / inverse  # angstrom to nm is 0.1, which 1e-10 / 1e-9 is not
    return factor


@lru_cache(maxsize=1024)
def _cached_factor(from_unit: str, to_unit: str, dimension: str) -> float:
    return conversion_factor(from_unit, to_unit, dimension, _TABLE)


@lru_cache(maxsize=1024)
def _cached_value(unit: str) -> tuple[float, ...]:
    return tuple(parse_unit(unit, _TABLE))


_DIMENSIONS = dimension_names()


def _check_text(**arguments: object) -> None:
    for name, value in arguments.items():
        if not isinstance(value, str):
            raise TypeError(f"expected a string for `{name}`, got {type(value).__name__}")


def _check_dimension_name(argument: str, dimension: str) -> None:
    if dimension not in _DIMENSIONS:
        near = difflib.get_close_matches(dimension, _DIMENSIONS, n=1)
        hint = f"; did you mean '{near[0]}'" if near else ""
        raise ValueError(f"expected one of {', '.join(_DIMENSIONS)} for `{argument}`, got '{dimension}'{hint}")


def _in_order(
    units: list[str], quantity: str | None, from_unit: str | None, to_unit: str | None
) -> tuple[str, str, str]:
    """Sort arguments of `unit_conversion_factor` into quantity, from and to (scripted)."""
    given = [quantity, from_unit, to_unit]
    n_keywords = 0
    for keyword in given:
        if keyword is not None:
            n_keywords += 1
    first = 0 if quantity is not None or n_keywords + len(units) == 3 else 1
    ordered = ["", "", ""]
    for i in range(first, 3):
        keyword = given[i]
        position = i - first
        if (keyword is not None) == (position < len(units)):
            raise ValueError("expected two units, `from_unit` and `to_unit`, got more, fewer, or one of them twice")
        ordered[i] = units[position] if keyword is None else keyword
    if len(units) > 3 - first:
        raise ValueError("expected two units, `from_unit` and `to_unit`, got more")
    return ordered[0], ordered[1], ordered[2]


def _unit_conversion_factor(
    first: str | None = None,
    second: str | None = None,
    third: str | None = None,
    quantity: str | None = None,
    from_unit: str | None = None,
    to_unit: str | None = None,
    dimension: str = "",
) -> float:
    """Stand for `unit_conversion_factor` in TorchScript, which has no place to keep a table or a cache in."""
    units: list[str] = []
    if first is not None:
        units.append(first)
    if second is not None:
        units.append(second)
    if third is not None:
        units.append(third)
    older, source, target = _in_order(units, quantity, from_unit, to_unit)
    if source == target:
        return 1.0
    return conversion_factor(source, target, older if older != "" else dimension, build_unit_table())


def unit_conversion_factor(
    *units: str,
    quantity: str | None = None,
    from_unit: str | None = None,
    to_unit: str | None = None,
    dimension: str = "",
) -> float:
    """Return the number that turns values in one unit into values in another.

    ``value_in_to_unit = value_in_from_unit * unit_conversion_factor(from_unit, to_unit)``

    Parameters
    ----------
    *units
        Both units, the one that values are in first.
    quantity
        Older way of saying ``dimension``; also the first one of three arguments by position.
    from_unit, to_unit
        The units by keyword.  Written as in ``"kJ/mol"``, ``"eV/Å"``, ``"(eV u)^(1/2)"``,
        ``"kJ mol^-1 nm^-1"``. An empty string means that no unit is known: the factor is then 1.
    dimension
        The dimension that both units must have, such as ``"length"``; any by default.
        Temperatures (E = k_B T) and wavenumbers (E = h c / lambda) convert to energies only where
        this is ``"energy"``.

    Returns
    -------
    float
        The factor.

    Raises
    ------
    TypeError
        If an argument is not a string, or there are more or fewer than two units.
    ValueError
        If a unit is unknown, malformed or ambiguous, the dimensions do not agree, or the factor
        overflows.

    Warns
    -----
    DeprecationWarning
        If there is a ``quantity``.

    Notes
    -----
    It may be called in TorchScript, where it takes a millisecond: the table of units is made for each call.

    Examples
    --------
    >>> unit_conversion_factor("GPa", "kbar")
    10.0
    """
    _check_text(**dict(zip(("from_unit", "to_unit", "the third unit"), units, strict=False)), dimension=dimension)
    for name, keyword in (("quantity", quantity), ("from_unit", from_unit), ("to_unit", to_unit)):
        if keyword is not None:
            _check_text(**{name: keyword})
    try:
        older, source, target = _in_order(list(units), quantity, from_unit, to_unit)
    except ValueError as error:
        raise TypeError(str(error)) from None  # as Python says it of any function
    if older != "" or quantity is not None or len(units) == 3:
        warnings.warn(
            "`unit_conversion_factor(quantity, from_unit, to_unit)` is deprecated, "
            "use `unit_conversion_factor(from_unit, to_unit)`",
            DeprecationWarning,
            stacklevel=2,
        )
        dimension = older
    if dimension != "":
        _check_dimension_name("dimension", dimension)
    return _cached_factor(source, target, dimension)


# what TorchScript compiles wherever the function is called; not by a helper of ours, which would import torch
unit_conversion_factor.__prepare_scriptable__ = lambda: _unit_conversion_factor  # type: ignore[attr-defined]


def unit_dimension(unit: str) -> str:
    """Return the name of the dimension of a unit.

    Parameters
    ----------
    unit
        The unit, as for `unit_conversion_factor`.

    Returns
    -------
    str
        Such as ``"length"``, ``"energy"`` or ``"pressure"``; ``"none"`` for a pure number and for
        the empty string; empty if the dimension has no name here.

    Raises
    ------
    TypeError
        If the unit is not a string.
    ValueError
        If the unit is unknown, malformed or ambiguous.

    Examples
    --------
    >>> unit_dimension("kJ/mol/nm")
    'force'
    """
    _check_text(unit=unit)
    return dimension_name(list(_cached_value(unit)))


def check_unit(argument: str, unit: str, dimension: str) -> None:
    """Refuse a unit that cannot be parsed or does not have the dimension asked for.

    Parameters
    ----------
    argument
        Name of the argument that holds the unit, for the message.
    unit
        The unit. An empty string, no unit known, is accepted.
    dimension
        Name of a dimension, such as ``"length"``, or the empty string for any. For ``"energy"``
        temperatures and wavenumbers are accepted too, as by `unit_conversion_factor`.

    Raises
    ------
    TypeError
        If the unit is not a string.
    ValueError
        If the unit is refused or the dimension is not known.
    """
    _check_text(**{argument: unit, "dimension": dimension})
    if dimension != "":
        _check_dimension_name("dimension", dimension)
    if unit.strip(" \t\n") == "":
        return
    shown = unit if len(unit) <= 200 else f"{unit[:40]}..."
    wanted = f"a unit of {dimension}" if dimension else "a unit"
    try:
        value = list(_cached_value(unit))
    except ValueError as error:
        raise ValueError(f"expected {wanted} for `{argument}`, got '{shown}': {error}") from None
    if dimension == "energy":
        value = _as_energy(value, _TABLE)
    if dimension != "" and dimension_name(value) != dimension:
        got = describe_dimension(value)
        raise ValueError(f"expected {wanted} for `{argument}`, got '{unit}' ({got})")
