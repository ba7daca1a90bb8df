"""What installed packages add: readers, writers, commands, families, diagnoses; each loaded to see whether it does."""

import importlib
import importlib.metadata
from collections.abc import Iterator
from typing import NamedTuple

from metatomic_core.adapters.diagnoses import DIAGNOSES, PROBLEM, WARNING, Finding, NotTriedError, Trial
from metatomic_core.foundation.plugins import Plugin, load_plugin, package_of

from .pytorch import torch_module


class _Group(NamedTuple):
    """What the entry points of a group are: for messages, of several, and the module and the name of their class."""

    what: str
    plural: str
    module: str
    kind: str


_GROUPS = {
    "metatomic.commands": _Group("command", "commands", "click", "Command"),
    "metatomic.readers": _Group("reader", "readers", "metatomic_core.loading", "Reader"),
    "metatomic.writers": _Group("writer", "writers", "metatomic_core.writing", "Writer"),
    # their class is in another package
    "metatomic.importers": _Group("importer", "importers", "builtins", "object"),
    DIAGNOSES: _Group("diagnosis", "diagnoses", "metatomic_core.adapters.diagnoses", "Diagnosis"),
}
# called by LAMMPS itself, and so only listed
_OF_LAMMPS = "lammps.plugins"


def plugins(_: Trial) -> Iterator[Finding]:
    """Load the entry points of all groups: one line for each group, and one for each that does not load."""
    for name, group in _GROUPS.items():
        entries = list(importlib.metadata.entry_points(group=name))
        broken = {id(entry): _failure(entry, group) for entry in entries}
        loaded = [f"{entry.name} ({package_of(entry)})" for entry in entries if broken[id(entry)] is None]
        yield Finding(group.plural, ", ".join(loaded) or "none beside those of core")
        yield from filter(None, broken.values())
        yield from _of_one_name(entries, group)
    others = [f"{entry.name} ({package_of(entry)})" for entry in importlib.metadata.entry_points(group=_OF_LAMMPS)]
    if others:
        yield Finding("plugins of LAMMPS", ", ".join(others))


def _of_one_name(entries: list[importlib.metadata.EntryPoint], group: _Group) -> Iterator[Finding]:
    """List names that two packages have."""
    packages: dict[str, set[str]] = {}
    for entry in entries:
        packages.setdefault(entry.name, set()).add(package_of(entry))
    for name, owners in packages.items():
        if len(owners) > 1:
            text = f"there are two, of {' and of '.join(sorted(owners))}"
            yield Finding(f"{group.what} '{name}'", text, PROBLEM, "remove one of the packages")


def _failure(entry: importlib.metadata.EntryPoint, group: _Group) -> Finding | None:
    """Load an entry point; give what is wrong with it, if anything is."""
    name, package = f"{group.what} '{entry.name}'", package_of(entry)
    try:
        kind = getattr(importlib.import_module(group.module), group.kind)
        load_plugin(Plugin(entry.name, package, entry), kind, group.what)
    except Exception as error:  # noqa: BLE001  (without torch, our own modules do not load either)
        text, _separator, advice = str(error).partition("; ")
        try:
            torch_module()
        except NotTriedError:
            # most of them need it: they are not to blame
            return Finding(name, f"of {package} does not load without torch", WARNING, "see PyTorch above")
        return Finding(name, text, PROBLEM, advice or f"upgrade or remove {package}")
    return None
