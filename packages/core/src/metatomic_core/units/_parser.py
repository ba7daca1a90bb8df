"""Parser and conversion of units, as free functions that TorchScript compiles.

They are saved inside every model file and run in C++, so they take the table (see `_unit_table`)
as an argument, use no module constant, no recursion and no exception handling, and treat strings
as either code points (Python) or bytes (TorchScript): text is only cut at ASCII characters. The
public, cached functions are in `units`.

Grammar, from the loosest to the tightest::

    product:   * and /, and a product written by a space, "·" or "." (``kJ mol^-1``); left to right
    sign:      -x
    power:     x^y or x**y, right to left (2^3^2 is 512), or superscript digits; y has no dimension

A product written without ``*`` just after a division (``kJ/mol nm``) is refused: readers disagree
on its meaning.
"""

import math

from ._dimensions import describe_dimension, same_dimension
from ._names import look_up


def _normalise(unit: str) -> str:
    """Write operators in ASCII, and letters that have two code points with one of them."""
    text = unit
    # A tab ends each superscript character, so that two in a row join into one exponent
    for old, new in [
        ("\t", " "), ("\n", " "), ("\u00a0", " "), ("\u2009", " "), ("\u202f", " "),
        ("**", "^"), ("×", "*"), ("·", " . "), ("⋅", " . "), ("−", "-"),
        ("\u00b5", "\u03bc"), ("\u212b", "Å"), ("\u212a", "K"),
        ("⁻", "^-\t"), ("⁰", "^0\t"), ("¹", "^1\t"), ("²", "^2\t"), ("³", "^3\t"), ("⁴", "^4\t"),
        ("⁵", "^5\t"), ("⁶", "^6\t"), ("⁷", "^7\t"), ("⁸", "^8\t"), ("⁹", "^9\t"),
        ("\t^", ""), ("\t", " "),
    ]:  # fmt: skip
        text = text.replace(old, new)
    # not all that Python takes for white space, of which TorchScript knows less; the carriage return is no text that it
    # can save
    return text.strip(" ")


def _place(text: str, position: int) -> str:
    """Say where something is, in words that do not depend on the length of a character."""
    before = text[:position].strip()
    if before == "":
        return f"at the start of unit '{text}'"
    return f"after '{before}' in unit '{text}'"


def _is_digit(text: str, position: int) -> bool:
    return position < len(text) and text[position] in "0123456789"


def _is_number(token: str) -> bool:
    return _is_digit(token, 0) or (token[0] == "." and _is_digit(token, 1))


def _is_operand(token: str) -> bool:
    return _is_number(token) or token[0] not in "*/^()-."


def _number_end(text: str, start: int) -> int:
    """Return where a number ends: digits, a point, digits, an exponent."""
    end = start
    while _is_digit(text, end):
        end += 1
    if end < len(text) and text[end] == ".":
        end += 1
    while _is_digit(text, end):
        end += 1
    if end < len(text) and text[end] in "eE":
        sign = 1
        if end + 1 < len(text) and text[end + 1] in "+-":
            sign = 2
        if _is_digit(text, end + sign):  # else it is a name, as in 2eV
            end += sign
            while _is_digit(text, end):
                end += 1
    if end < len(text) and text[end] == ".":
        raise ValueError(f"unexpected '.' {_place(text, end)}")
    return end


def _number(token: str, text: str) -> list[float]:
    """Return a literal as a value without dimension."""
    parts = token.lower().split("e")
    # TorchScript stops with its own error where float() of Python gives zero or infinity
    if len(token) > 40 or (len(parts) == 2 and abs(float(parts[1])) > 250.0):
        raise ValueError(f"overflow: number '{token}' is out of range in unit '{text}'")
    return [float(token), 0.0, 0.0, 0.0, 0.0, 0.0]


def _token_end(text: str, start: int) -> int:
    """Return where the token that starts at ``start`` ends."""
    first = text[start]
    if first in "0123456789" or (first == "." and _is_digit(text, start + 1)):
        return _number_end(text, start)
    if first in "*/^()-.":
        return start + 1
    end = start
    while end < len(text) and text[end] not in " *^/()-.+,;:!?=<>|&%$#@~`'\"[]{}\\":
        end += 1
    if end == start:
        raise ValueError(f"unexpected '{first}' {_place(text, start)}")
    return end


def _tokenise(text: str) -> tuple[list[str], list[int]]:
    """Cut the text into tokens, with "." for a product that is a space; and their starts."""
    tokens: list[str] = []
    starts: list[int] = []
    position = 0
    while position < len(text):
        if text[position] == " ":
            position += 1
            continue
        end = _token_end(text, position)
        token = text[position:end]
        follows_operand = len(tokens) > 0 and (tokens[-1] == ")" or _is_operand(tokens[-1]))
        if follows_operand and _is_number(token):
            raise ValueError(f"unexpected number '{token}' {_place(text, position)}; write '*' or '^'")
        if follows_operand and (token == "(" or _is_operand(token)):
            tokens.append(".")
            starts.append(position)
        tokens.append(token)
        starts.append(position)
        position = end
    return tokens, starts


def _check_order(tokens: list[str], starts: list[int], text: str) -> None:
    """Refuse tokens that cannot follow each other, and parentheses that do not match."""
    wants_operand = True
    opened: list[int] = []
    for i in range(len(tokens)):
        token = tokens[i]
        place = _place(text, starts[i])
        if token == "(":
            opened.append(i)
        elif token == "-":
            if not wants_operand:
                raise ValueError(f"unexpected '-' {place}; write a power with '^', as in mol^-1")
        elif _is_operand(token):
            wants_operand = False
        else:
            if token == ")" and len(opened) == 0:
                raise ValueError(f"unbalanced ')' {place}: no '(' opens it")
            if wants_operand:
                raise ValueError(f"expected a unit or a number before '{token}' {place}")
            if token == ")":
                opened.pop()
            else:
                wants_operand = True
    if len(opened) > 0:
        raise ValueError(f"unbalanced '(' {_place(text, starts[opened[-1]])}: no ')' closes it")
    if wants_operand:
        raise ValueError(f"expected a unit or a number at the end of unit '{text}'")


def _precedence(operator: str) -> int:
    if operator == "^":
        return 3
    if operator == "-":
        return 2
    return 1


def _power(base: list[float], exponent: list[float], text: str) -> list[float]:
    if not same_dimension(exponent, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]):
        got = describe_dimension(exponent)
        raise ValueError(f"expected an exponent without dimension in unit '{text}', got one of {got}")
    if base[0] <= 0.0:
        raise ValueError(f"expected a positive number or a unit under '^' in unit '{text}'")
    size = max(abs(exponent[0]), abs(exponent[0] * math.log10(base[0])))
    if not size <= 300.0:  # also if it is not a number
        raise ValueError(f"overflow: a power is out of the range of numbers in unit '{text}'")
    result = [base[0] ** exponent[0]]
    for x in base[1:]:
        result.append(x * exponent[0])
    return result


def _reduce(values: list[list[float]], operators: list[str], level: int, text: str) -> None:
    """Apply pending operators that bind as tightly as ``level``, back to a parenthesis."""
    while len(operators) > 0 and operators[-1] != "(" and _precedence(operators[-1]) >= level:
        operator = operators.pop()
        right = values.pop()
        if operator == "-":
            right[0] = -right[0]
            values.append(right)
            continue
        left = values.pop()
        if operator == "^":
            values.append(_power(left, right, text))
            continue
        sign = 1.0
        if operator == "/":
            sign = -1.0
            if right[0] == 0.0:
                raise ValueError(f"expected a divisor that is not zero in unit '{text}'")
        result = [left[0] / right[0] if operator == "/" else left[0] * right[0]]
        for i in range(1, 6):
            result.append(left[i] + sign * right[i])
        values.append(result)


def _evaluate(tokens: list[str], text: str, table: dict[str, list[float]]) -> list[float]:
    """Compute the value of tokens whose order was checked, by the shunting-yard algorithm."""
    values: list[list[float]] = []
    operators: list[str] = []
    for token in tokens:
        if token == "(" or token == "-":  # a minus is always a sign here
            operators.append(token)
        elif token == ")":
            _reduce(values, operators, 0, text)
            operators.pop()
        elif _is_number(token):
            values.append(_number(token, text))
        elif _is_operand(token):
            values.append(look_up(token, text, table))
        else:
            level = _precedence(token)
            _reduce(values, operators, level + 1, text)
            if token == "." and len(operators) > 0 and operators[-1] == "/":
                raise ValueError(
                    f"ambiguous unit '{text}': a product without '*' follows '/'; "
                    "use parentheses, as in kJ/(mol nm), or negative powers, as in kJ mol^-1 nm^-1"
                )
            if token != "^":
                _reduce(values, operators, level, text)
            operators.append(token)
    _reduce(values, operators, 0, text)
    return values[0]


def _check_printed(text: str) -> None:
    """Refuse what would break a message, which quotes the unit, into lines."""
    broken = "\u0085" in text or "\u2028" in text or "\u2029" in text or "\x7f" in text
    for character in text:
        # compared as texts, which are characters in Python and bytes in TorchScript
        broken = broken or character < " "
    if broken:
        raise ValueError("expected a unit of characters that can be printed, got others")


def parse_unit(unit: str, table: dict[str, list[float]]) -> list[float]:
    """Return what one of a unit is in SI, with its dimension.

    Parameters
    ----------
    unit
        Text such as ``"kJ/mol"``; see the module docstring for the grammar. The empty string is
        the number one.
    table
        The table of `units.unit_table`.

    Returns
    -------
    list of float
        ``[SI factor, L, M, T, I, Theta]``: the factor, positive and finite, and the exponents of
        length, mass, time, electric current and temperature.

    Raises
    ------
    ValueError
        If the text has an unknown name, is malformed or ambiguous, or its factor overflows or is
        not positive.
    """
    if len(unit) > 200:  # looking for what a name may stand for takes the square of its length
        raise ValueError(f"expected a unit of at most 200 characters, got {len(unit)}")
    text = _normalise(unit)
    if text == "":
        return [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    _check_printed(text)
    tokens, starts = _tokenise(text)
    _check_order(tokens, starts, text)
    value = _evaluate(tokens, text, table)
    if value[0] <= 0.0:
        raise ValueError(f"expected a unit with a factor above zero, got zero or less for '{text}'")
    if not math.isfinite(value[0]):
        raise ValueError(f"overflow: the factor is out of the range of numbers in unit '{text}'")
    return value
