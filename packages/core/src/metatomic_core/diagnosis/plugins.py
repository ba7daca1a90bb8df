"""What installed packages add: readers, writers, commands, families, diagnoses; each loaded to see whether it does."""

import importlib.metadata
from collections.abc import Iterator

from metatomic_core.adapters.diagnoses import DIAGNOSES, PROBLEM, WARNING, Finding, Trial
from metatomic_core.foundation.plugins import package_of

_COMMANDS, _READERS, _WRITERS, _IMPORTERS = (
    f"metatomic.{name}" for name in ("commands", "readers", "writers", "importers")
)
# group: what each of its entry points is; `lammps.plugins` is called by LAMMPS itself, and so only listed
_GROUPS = {
    _COMMANDS: "command",
    _READERS: "reader",
    _WRITERS: "writer",
    _IMPORTERS: "importer",
    DIAGNOSES: "diagnosis",
}
_OF_LAMMPS = "lammps.plugins"


def plugins(_: Trial) -> Iterator[Finding]:
    """Load the entry points of all groups, one line for each group, and one for each that does not load."""
    for group, what in _GROUPS.items():
        entries = list(importlib.metadata.entry_points(group=group))
        names = [entry.name for entry in entries]
        twice = sorted({name for name in names if names.count(name) > 1})
        loaded, broken = [], []
        for entry in entries:
            finding = _failure(entry, what)
            if finding is None:
                loaded.append(f"{entry.name} ({package_of(entry)})")
            else:
                broken.append(finding)
        yield Finding(f"{what}s" if what != "diagnosis" else "diagnoses", ", ".join(loaded) or "none beside those of core")
        yield from broken
        for name in twice:
            packages = " and ".join(sorted({package_of(entry) for entry in entries if entry.name == name}))
            text = f"there are two of this name, of {packages}"
            yield Finding(f"{what} '{name}'", text, PROBLEM, "remove one of the packages")
    others = [f"{entry.name} ({package_of(entry)})" for entry in importlib.metadata.entry_points(group=_OF_LAMMPS)]
    if others:
        yield Finding("plugins of LAMMPS", ", ".join(others))


def _failure(entry: importlib.metadata.EntryPoint, what: str) -> Finding | None:
    """Load an entry point; give what is wrong with it, if anything is."""
    name, package = f"{what} '{entry.name}'", package_of(entry)
    try:
        entry.load()
    except Exception as error:  # noqa: BLE001  (whatever a package of somebody else raises)
        reason = " ".join(str(error).split()) or "no message"
        text = f"'{entry.value}' of {package} does not load: {type(error).__name__}: {reason}"
        if isinstance(error, ModuleNotFoundError) and error.name == "torch":
            return Finding(name, f"not tried, as {package} needs PyTorch", WARNING, "install PyTorch first")
        return Finding(name, text, PROBLEM, f"upgrade or remove {package}")
    return None
