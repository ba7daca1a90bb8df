"""The table of units: every name that may be written, with its SI factor and dimension.

It is made from the rows in `_rows`. Scripted: the rules of `_parser` hold here too, so that a model can convert units
by itself, although TorchScript has no place to keep a table in.
"""

from ._rows import base_units, prefixes


def _add(table: dict[str, list[float]], name: str, unit: list[float], case: float) -> None:
    if name not in table:
        table[name] = unit + [case]
        return
    known = table[name]
    if known[:6] != unit:
        raise ValueError(f"expected one meaning for each name in the unit table, got two for '{name}'")
    known[6] = max(known[6], case)


def _is_ascii(name: str) -> bool:
    for character in name:
        if ord(character) > 127:
            return False
    return True


def _add_symbol(table: dict[str, list[float]], symbol: str, prefix: str, unit: list[float]) -> None:
    """Add a symbol, with a Greek mu for micro too, and its lower case if unambiguous."""
    exact, lower_alias, any_case = 0.0, 1.0, 2.0
    name = prefix + symbol
    # capitals that would read as a product: Nm is N m, Cm is C m, As is ampere second
    reads_as_product = symbol in ["m", "s"]
    # prefixes that mean something else in the other case
    fixed = reads_as_product or len(name) == 1 or prefix in ["m", "M", "p", "P"]
    lower_is_free = not fixed and _is_ascii(name)
    _add(table, name, unit, any_case if lower_is_free and name == name.lower() else exact)
    if prefix == "u":
        _add(table, "\u03bc" + symbol, unit, exact)
    if lower_is_free and name != name.lower():
        _add(table, name.lower(), unit, lower_alias)
    # one-letter symbols that may also be written in lower case, as the reference interface and i-PI allow
    if name in ["A", "C", "D", "J", "K", "V"]:
        _add(table, name.lower(), unit, exact)


def _parts(text: str) -> list[str]:
    parts: list[str] = []
    if text != "":
        parts = text.split(" ")
    return parts


def build_unit_table() -> dict[str, list[float]]:
    """Return a new table, name -> ``[SI factor, L, M, T, I, Theta, case]``.

    L, M, T, I, Theta are the exponents of length, mass, time, electric current and temperature.
    ``case`` says how a name may be written: 0 exactly so, 1 a lower-case spelling of a symbol
    with capitals, in any case, 2 a symbol, in any case, 3 a word, in any case and with a plural
    s.

    Raises
    ------
    ValueError
        If two rows give different meanings to one name.
    """
    table: dict[str, list[float]] = {}
    known_prefixes = prefixes()
    for symbols, words, factor, exponents, used_prefixes in base_units():
        all_symbols, all_words = _parts(symbols), _parts(words)
        for prefix in [""] + _parts(used_prefixes):
            prefix_word, power = known_prefixes[prefix]
            unit = [float("1e" + power) * factor] + exponents
            for symbol in all_symbols:
                _add_symbol(table, symbol, prefix, unit)
            for word in all_words:
                _add(table, prefix_word + word, unit, 3.0)
    return table
