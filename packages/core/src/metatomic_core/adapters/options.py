"""Options of engines, each in one table: for Python, for all command lines, and for the documentation.

`EngineOptions` are the options of `metatomic_core.engine.Engine` that users set.  An adapter takes them as keyword
arguments (`checked_options`, `takes_options`), on its command lines and as text (`text_options`), with tables of its
own where it has more.

Nothing here imports torch or an engine, so that ``--help`` is quick.
"""

import difflib
import inspect
import numbers
import re
from collections.abc import Callable, Mapping
from typing import (
    Annotated,
    Any,
    NamedTuple,
    TypedDict,
    TypeVar,
    get_type_hints,
)

from metatomic_core.foundation.checks import check_choice, check_type
from metatomic_core.foundation.quoting import in_one_line

__all__ = ["ENGINE_OPTIONS", "EngineOptions", "Option", "Table", "checked_options", "known_option", "takes_options"]

Class = TypeVar("Class", bound=type)
Table = dict[str, "Option"]
_PLACE = re.compile(r"^( *)\{options\}$", re.MULTILINE)


class Option(NamedTuple):
    """One option.

    Attributes
    ----------
    kind
        What its value is made of: ``str``, ``float`` or ``bool``; ``tuple`` for several texts, ``dict`` for several
        NAME=VALUE.
    default
        Its default.
    help
        What it does, in one line, for people who see nothing else.
    flag
        Its name on command lines, without dashes; by default that in Python.
    metavar
        What stands for the value in the help of commands.
    choices
        The values that it may have, as text.
    or_off
        Whether a number may be None, in text ``off``.
    """

    kind: type
    default: Any
    help: str
    flag: str = ""
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    or_off: bool = False


class EngineOptions(TypedDict, total=False):
    """Options of `metatomic_core.engine.Engine` that users set, whichever simulation engine they use."""

    device: Annotated[
        str | None,
        Option(str, None, "Device to run on: cpu, cuda, cuda:1, ...; by default the best one.", metavar="NAME"),
    ]
    extensions_directory: Annotated[
        str | None,
        Option(str, None, "Directory with the TorchScript extensions of the model.", "extensions", "DIR"),
    ]
    variants: Annotated[
        Mapping[str, str | None] | None,
        Option(dict, None, "Variant of an output: energy=pbe; off for none.", "variant", "NAME=VARIANT"),
    ]
    non_conservative: Annotated[
        bool | str,
        Option(
            str,
            "off",
            "Take forces, stress, or both (on) from direct predictions of the model.",
            choices=("off", "on", "forces", "stress"),
        ),
    ]
    check_consistency: Annotated[
        bool, Option(bool, False, "Check all data that the model gets and gives, at some cost.", "check")
    ]
    neighbor_skin: Annotated[
        float, Option(float, 1.0, "Skin of the neighbor lists in angstrom.", "skin", metavar="NUMBER")
    ]
    kernel: Annotated[
        str,
        Option(
            str,
            "auto",
            "How to run the model: compiled (see metatomic compile), script, eager; auto: compiled if it has been.",
            choices=("auto", "script", "compiled", "eager"),
        ),
    ]
    uncertainty_threshold: Annotated[
        float | str | None,
        Option(
            float,
            "default",
            "Warn about atoms whose energy uncertainty is above, in eV; by default 0.1, if the model gives it.",
            metavar="NUMBER|off",
            or_off=True,
        ),
    ]


ENGINE_OPTIONS: Table = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(EngineOptions, include_extras=True).items()
}


def checked_options(owner: str, given: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """Check keyword arguments, and give the values of all options.

    Parameters
    ----------
    owner
        What takes them, for messages.
    given
        Values by name.
    table
        The options that there are.

    Returns
    -------
    dict
        Values by name; defaults where nothing was given.

    Raises
    ------
    TypeError
        If there is no such option; the message names the nearest one.
    ValueError
        If a value is not one of the choices.
    """
    for name, value in given.items():
        _check_value(name, value, known_option(owner, name, table))
    return {name: given.get(name, option.default) for name, option in table.items()}


def _check_value(name: str, value: Any, option: Option) -> None:
    """Check the type of a value; the default need not have that of the others."""
    if value is None or value == option.default:
        return
    if option.choices and isinstance(value, str):
        check_choice(name, value, option.choices)
    elif option.kind is bool:
        check_type(name, value, bool, "True or False")
    elif option.kind is float:
        check_type(name, value, numbers.Real, "a number or None" if option.or_off else "a number")


def known_option(owner: str, name: str, table: Table) -> Option:
    """Give an option; raise a TypeError that names the nearest one if there is none of this name.

    Parameters
    ----------
    owner
        What takes it, for the message.
    name
        Name of the option.
    table
        The options that there are.

    Returns
    -------
    Option
        The option.

    Raises
    ------
    TypeError
        If there is none of this name.
    """
    if name not in table:
        # people also try the name that it has on the command line
        names = {**{option.flag: known for known, option in table.items()}, **{known: known for known in table}}
        nearest = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean '{names[nearest[0]]}'" if nearest else f"known are {', '.join(table)}"
        raise TypeError(f"expected an option of {owner}, got '{in_one_line(name)}'; {hint}")
    return table[name]


def takes_options(table: Table) -> Callable[[Class], Class]:
    """Decorator for a class that takes the options of a table as ``**options``: writes them where people look.

    The signature of the class names each of them, and its docstring describes them where it has the line ``{options}``.

    Parameters
    ----------
    table
        The options that there are.

    Returns
    -------
    callable
        The decorator.
    """

    def decorated(cls: Class) -> Class:
        if cls.__doc__:
            cls.__doc__ = _PLACE.sub(lambda place: _described(table, place.group(1)), cls.__doc__)
        signature = inspect.signature(cls.__init__)  # type: ignore[misc]
        plain = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        named = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option.default)
            for name, option in table.items()
        ]
        cls.__init__.__signature__ = signature.replace(parameters=[*plain, *named])  # type: ignore[misc]
        return cls

    return decorated


def _described(table: Table, indent: str) -> str:
    """Give the options as a part of a docstring."""
    return "\n".join(f"{indent}{name}\n{indent}    {option.help}" for name, option in table.items())
