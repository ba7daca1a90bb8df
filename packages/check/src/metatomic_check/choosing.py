"""Which checks are run and in which engines, by the names that users give."""

import difflib
from collections.abc import Iterable, Sequence

from metatomic_core.adapters import plugins
from metatomic_core.testing.subject import GROUP, WHAT

from .table import GROUPS, Check, all_checks

EFFORTS = ("quick", "normal", "full")
# engines that packages of this project bring, so that those that are not installed can be named
PACKAGES = {"ase": "metatomic-ase", "ipi": "metatomic-ipi", "lammps": "metatomic-lammps"}


def chosen_checks(only: Sequence[str], effort: str) -> list[Check]:
    """Give the checks to run.

    Parameters
    ----------
    only
        Names of checks or of groups; empty for all that belong to the effort.
    effort
        "quick", "normal" or "full".

    Returns
    -------
    list of Check
        The checks, group by group.

    Raises
    ------
    ValueError
        If there is no such check; the message names the nearest one.
    """
    table = all_checks()
    for name in only:
        _check_name("only", name, [*table, *GROUPS], "a check or of a group of them")
    if only:
        return [check for check in table.values() if check.name in only or check.group in only]
    return [check for check in table.values() if check.quick or effort != "quick"]


def known_name(name: str, argument: str) -> str:
    """Give the name of a check, if there is one.

    Parameters
    ----------
    name
        The name.
    argument
        What it was given as, for messages.

    Returns
    -------
    str
        The name.

    Raises
    ------
    ValueError
        If there is no such check; the message names the nearest one.
    """
    _check_name(argument, name, list(all_checks()), "a check")
    return name


def engine_names() -> list[str]:
    """List the names that ``--engines`` takes, installed or not: ``lammps`` for ``lammps-2`` as well.

    Returns
    -------
    list of str
        Names.
    """
    return sorted({*PACKAGES, *_subjects()})


def chosen_engines(names: Iterable[str] | None) -> tuple[list[str] | None, dict[str, str]]:
    """Give the subjects that names of engines stand for, and those that are missing.

    Parameters
    ----------
    names
        Names of engines; None for all that are installed, and none of them for no engine at all.

    Returns
    -------
    chosen : list of str or None
        Names of subjects that are installed; None for all.
    absent : dict
        Packages of engines that are not installed, by the name of the engine.

    Raises
    ------
    ValueError
        If there is no such engine; the message names the nearest one.
    """
    installed = _subjects()
    absent = {name: package for name, package in PACKAGES.items() if name not in installed}
    if names is None:
        return None, absent
    asked, known, chosen = list(names), engine_names(), []
    for name in asked:
        _check_name("engines", name, known, "an engine")
        chosen += [one for one in sorted(installed) if one == name or one.startswith(f"{name}-")]
    return list(dict.fromkeys(chosen)), {name: package for name, package in absent.items() if name in asked}


def _subjects() -> set[str]:
    return set(plugins(GROUP, WHAT))


def _check_name(argument: str, name: str, known: Sequence[str], what: str) -> None:
    if name not in known:
        close = difflib.get_close_matches(name, known, 1, cutoff=0.5)
        hint = f"did you mean '{close[0]}'" if close else f"there are {', '.join(known)}"
        raise ValueError(f"expected the name of {what} for `{argument}`, got '{name}'; {hint}")
