"""What installed packages add to this one, found by their entry points; what is wrong with one says which package."""

import importlib.metadata
from typing import NamedTuple, TypeVar

_Kind = TypeVar("_Kind")


class Plugin(NamedTuple):
    """An entry point that is not loaded yet.

    Attributes
    ----------
    name
        Its name.
    package
        Name of the distribution that has it.
    entry
        The entry point.
    """

    name: str
    package: str
    entry: importlib.metadata.EntryPoint


def plugins(group: str, what: str) -> dict[str, Plugin]:
    """List the entry points of a group by name, without loading any.

    Parameters
    ----------
    group
        The group.
    what
        What each of them is, for messages.

    Returns
    -------
    dict
        Entry points by name.

    Raises
    ------
    ValueError
        If one has no name, or two have the same.
    """
    found: dict[str, Plugin] = {}
    for entry in importlib.metadata.entry_points(group=group):
        package = package_of(entry)
        if not entry.name:
            raise ValueError(
                f"expected a name for the {what} '{entry.value}' of {package}, got none; {_remove(package)}"
            )
        if entry.name in found:
            other = found[entry.name].package
            raise ValueError(
                f"expected one {what} '{entry.name}', got two, of {other} and of {package}; remove one of the packages"
            )
        found[entry.name] = Plugin(entry.name, package, entry)
    return found


def package_of(entry: importlib.metadata.EntryPoint) -> str:
    """Give the name of the distribution that has an entry point, or of its package where that is not known."""
    return entry.dist.name if entry.dist is not None else entry.module.partition(".")[0]


def load_plugin(plugin: Plugin, kind: type[_Kind], what: str) -> _Kind:
    """Import what an entry point names.

    Parameters
    ----------
    plugin
        The entry point.
    kind
        Type of what it names.
    what
        What it is, for messages.

    Returns
    -------
    kind
        What was named.

    Raises
    ------
    ValueError
        If it can not be imported, or is of another type.
    """
    where = f"'{plugin.entry.value}' of {plugin.package}"
    try:
        found = plugin.entry.load()
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"expected the {what} '{plugin.name}' to be importable from {where}, got an error: {reason}; "
            f"{_remove(plugin.package)}"
        ) from error
    if not isinstance(found, kind):
        raise ValueError(
            f"expected a {kind.__name__} for the {what} '{plugin.name}' in {where}, got {type(found).__name__}; "
            f"{_remove(plugin.package)}"
        )
    return found


def _remove(package: str) -> str:
    return f"upgrade or remove {package}"
