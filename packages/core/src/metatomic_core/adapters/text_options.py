"""Options as text: on command lines, and in what engines pass on.

A variant is ``energy=pbe``, and ``off`` stands for None: no variant, no limit.  Nothing here imports torch or an
engine, so that ``--help`` is quick.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from metatomic_core.foundation.quoting import in_one_line

from .options import Option, Table, known_option

__all__ = [
    "OFF",
    "arguments_of",
    "click_options",
    "flag_of",
    "options_from_text",
    "text_from_options",
    "texts_of",
    "variants_from_flags",
]

# How None is written where a text is all there is.
OFF = "off"
_LIST_SEPARATOR = ";"


class _NumberOrOff(click.ParamType):  # type: ignore[type-arg]
    """A number, ``off`` for None, or the default, which may be none of them."""

    name = "number"

    def __init__(self, default: Any):
        self._default = default

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Give the number."""
        if value == self._default:
            return value
        try:
            return None if value == OFF else float(value)
        except ValueError:
            self.fail(f"expected a number or '{OFF}', got '{value}'", param, ctx)


def flag_of(name: str, table: Table) -> str:
    """Give the name of an option on command lines: ``--extensions``.

    Parameters
    ----------
    name
        Name of the option in Python.
    table
        The options that there are.

    Returns
    -------
    str
        The flag.
    """
    return "--" + (table[name].flag or name).replace("_", "-")


def click_options(table: Table) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator that adds all options of a table to a command, which gets them by their names in Python.

    Parameters
    ----------
    table
        The options that there are.

    Returns
    -------
    callable
        The decorator.
    """

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(table):
            command = _click_option(name, table)(command)
        return command

    return decorated


def _click_option(name: str, table: Table) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    option, flag = table[name], flag_of(name, table)
    if option.kind is bool:
        # a switch that is off can only be put on
        both = f"{flag}/--no-{flag[2:]}" if option.default else flag
        return click.option(both, name, is_flag=True, default=option.default, help=option.help)
    if option.kind in (tuple, dict):
        callback = variants_from_flags if option.kind is dict else None
        return click.option(flag, name, multiple=True, metavar=option.metavar, help=option.help, callback=callback)
    kind: Any = click.Choice(option.choices) if option.choices else option.kind
    return click.option(
        flag,
        name,
        type=_NumberOrOff(option.default) if option.or_off else kind,
        default=option.default,
        show_default=option.default is not None and not option.or_off,
        metavar=option.metavar,
        help=option.help,
    )


def variants_from_flags(ctx: click.Context, param: click.Parameter, items: Sequence[str]) -> dict[str, str | None]:
    """Read variants, as a callback of click.

    Parameters
    ----------
    ctx, param
        What click gives to callbacks.
    items
        Texts ``NAME=VARIANT``.

    Returns
    -------
    dict
        Variants by the name of the output; None for "off".

    Raises
    ------
    click.BadParameter
        If one is not written so.
    """
    try:
        return _variants(items)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


def _variants(items: Sequence[str]) -> dict[str, str | None]:
    """Read variants as users write them, ``energy=pbe``: the variant by the name of the output; ``off`` is None.

    Raises
    ------
    ValueError
        If one is not written ``NAME=VARIANT``.
    """
    variants: dict[str, str | None] = {}
    for item in items:
        name, separator, variant = item.partition("=")
        if not (name and separator and variant):
            raise ValueError(f"expected NAME=VARIANT, such as energy=pbe, got '{in_one_line(item)}'")
        variants[name] = None if variant == OFF else variant
    return variants


def texts_of(value: Any) -> list[str]:
    """Give the value of an option as users write it: several texts for one that is given several times.

    Parameters
    ----------
    value
        Value of an option.

    Returns
    -------
    list of str
        Its texts.
    """
    if value is None:
        return [OFF]
    if isinstance(value, bool):
        return [str(value).lower()]
    if isinstance(value, Mapping):
        return [f"{name}={OFF if one is None else one}" for name, one in value.items()]
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else [str(value)]


def _is_default(value: Any, option: Option) -> bool:
    return value == option.default or (option.kind in (tuple, dict) and not value)


def arguments_of(values: Mapping[str, Any], table: Table) -> list[str]:
    """Give the command line for options, leaving out those with their default values.

    Parameters
    ----------
    values
        Values of the options, by their names in Python.
    table
        The options that there are.

    Returns
    -------
    list of str
        Arguments: flags, and their values.
    """
    line: list[str] = []
    for name, option in table.items():
        flag, value = flag_of(name, table), values[name]
        if _is_default(value, option):
            continue
        if option.kind is bool:
            line.append(flag if value else f"--no-{flag[2:]}")
        else:
            for text in texts_of(value):
                line += [flag, text]
    return line


def text_from_options(values: Mapping[str, Any], table: Table) -> dict[str, str]:
    """Give options as `options_from_text` reads them, leaving out those with their default values.

    Parameters
    ----------
    values
        Values of the options, by their names in Python.
    table
        The options that there are.

    Returns
    -------
    dict
        Texts by name.
    """
    changed = {name: value for name, value in values.items() if not _is_default(value, table[name])}
    return {name: _LIST_SEPARATOR.join(texts_of(value)) for name, value in changed.items()}


def options_from_text(owner: str, given: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """Read options that an engine passes on as text, or as what it took them for; lists have semicolons.

    Parameters
    ----------
    owner
        What takes them, for messages.
    given
        Texts or values, by name.
    table
        The options that there are.

    Returns
    -------
    dict
        Values by name, for `checked_options`.

    Raises
    ------
    TypeError
        If there is no such option, or a value has the wrong type.
    ValueError
        If a variant is not written ``NAME=VARIANT``.
    """
    return {name: _from_text(name, value, known_option(owner, name, table)) for name, value in given.items()}


def _from_text(name: str, value: Any, option: Option) -> Any:
    if option.kind in (tuple, dict):
        items = value if isinstance(value, (list, tuple)) else str(value).split(_LIST_SEPARATOR)
        texts = [str(item).strip() for item in items if str(item).strip()]
        return _variants(texts) if option.kind is dict else tuple(texts)
    text = str(value)
    if option.kind is bool:
        if text.lower() not in ("true", "false"):
            raise TypeError(f"expected `{name}` to be true or false, got '{in_one_line(text)}'")
        return text.lower() == "true"
    if option.or_off and text == OFF:
        return None
    if option.kind is float:
        try:
            return float(text)
        except ValueError:
            raise TypeError(f"expected `{name}` to be a number, got '{in_one_line(text)}'") from None
    return text
