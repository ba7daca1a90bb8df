"""Units, prefixes and dimensions, from the tables of `metatomic_core.units`."""

from rst import code, heading, table

from metatomic_core.units._dimensions import dimension_name, dimension_names
from metatomic_core.units._rows import base_units, prefixes

SYMBOLS = ["L", "M", "T", "I", "Θ"]


def units() -> str:
    """Give a table of units for each dimension that has some."""
    by_dimension: dict[str, list[list[str]]] = {}
    for symbols, words, factor, exponents, used in base_units():
        row = [code(*symbols.split()), code(*words.split()), _number(factor), code(*used.split(), between=" ")]
        by_dimension.setdefault(dimension_name([1.0, *exponents]), []).append(row)
    header = ["symbols", "words", "in SI units", "prefixes"]
    return "\n".join(
        heading(_title(dimension), "~") + "\n" + table(header, rows, [20, 40, 22, 18], "short-cells")
        for dimension, rows in by_dimension.items()
    )


def prefixes_used() -> str:
    """Give the prefixes."""
    rows = [[code(symbol), word, f"10\\ :sup:`{power}`"] for symbol, (word, power) in prefixes().items() if symbol]
    return table(["symbol", "word", "factor"], rows, [20, 40, 40])


def dimensions() -> str:
    """Give the dimensions, with the powers of length, mass, time, current and temperature."""
    rows = [[code(name), _powers(exponents)] for name, exponents in dimension_names().items()]
    return table(["dimension", "powers"], rows, [40, 60])


def _title(dimension: str) -> str:
    return "Pure numbers" if dimension == "none" else dimension.replace("_", " ").capitalize()


def _number(value: float) -> str:
    mantissa, _, power = f"{value!r}".partition("e")
    if not power:
        return mantissa.removesuffix(".0")
    return f"{mantissa.removesuffix('.0')} · 10\\ :sup:`{int(power)}`"


def _powers(exponents: list[float]) -> str:
    found = []
    for symbol, power in zip(SYMBOLS, exponents, strict=True):
        if power:
            found.append(symbol if power == 1 else f"{symbol}\\ :sup:`{power:g}`")
    return " ".join(found) or "1"
