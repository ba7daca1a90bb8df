"""Options of engines, from the tables that calculator, client and commands are made from."""

import importlib

from rst import code, plain, table

from metatomic_core.adapters.text_options import flag_of

HEADER = ["In Python", "On command lines", "Default", "Meaning"]


def options(place: str) -> str:
    """Give a table of options, named as ``module:TABLE``."""
    module, _, name = place.partition(":")
    found = getattr(importlib.import_module(module), name)
    return table(HEADER, [row(each, found) for each in found], [24, 24, 12, 40])


def row(name: str, options_of_engine) -> list[str]:
    """Give the row of an option."""
    option, flag = options_of_engine[name], flag_of(name, options_of_engine)
    if option.kind is bool:
        flag = f"--no-{flag[2:]}" if option.default else flag
        return [code(name), code(flag), "on" if option.default else "off", _meaning(option)]
    # a default that is None, or explained by the meaning
    default = "" if option.default in (None, (), "default") else code(str(option.default))
    return [code(name), code(flag), default, _meaning(option)]


def _meaning(option) -> str:
    choices = f" One of {code(*option.choices)}." if option.choices else ""
    return plain(option.help) + choices
