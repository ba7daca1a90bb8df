"""Checks of single values that are given by users: their type, and that they are among the choices."""

import difflib
from typing import Any

from .quoting import in_one_line


def check_type(argument: str, value: Any, expected: type, what: str) -> None:
    """Raise a TypeError unless the value has the expected type; bool does not pass for a number.

    Parameters
    ----------
    argument
        Name of the argument, for the message.
    value
        Its value.
    expected
        The type.
    what
        The type in words, for the message.

    Raises
    ------
    TypeError
        If it is not of this type.
    """
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        raise TypeError(f"expected `{argument}` to be {what}, got {type(value).__name__}")


def check_choice(argument: str, value: str, choices: Any, error: type[ValueError] = ValueError) -> None:
    """Raise an error unless the value is one of the choices, naming the nearest one.

    Parameters
    ----------
    argument
        Name of the argument, for the message.
    value
        Its value.
    choices
        The values that it may have.
    error
        Class of the error.

    Raises
    ------
    ValueError
        If it is none of them; of the class ``error``.
    """
    if value in choices:
        return
    nearest = difflib.get_close_matches(str(value), list(choices), n=1)
    hint = f"; did you mean '{nearest[0]}'" if nearest else ""
    listed = ", ".join(f"'{choice}'" for choice in choices)
    raise error(f"expected `{argument}` to be one of {listed}, got '{in_one_line(value)}'{hint}")
