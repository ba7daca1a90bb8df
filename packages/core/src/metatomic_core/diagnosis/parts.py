"""What is looked at, in which process: the parts of core, and those that installed packages add."""

import importlib.metadata
from typing import NamedTuple

from metatomic_core.adapters.diagnoses import DIAGNOSES, PROBLEM, Diagnosis, Finding
from metatomic_core.foundation.plugins import package_of

from . import caches, known_versions, machine, own_run, packages, plugins, pytorch

CORE = "metatomic-core"


class Part(NamedTuple):
    """What one process looks at.

    Attributes
    ----------
    name
        Its name: of a part of core, or of an entry point.
    package
        Name of the distribution that it is from.
    titles
        Titles of its sections, as far as they are known without loading it.
    """

    name: str
    package: str
    titles: tuple[str, ...]


# in this order; the first needs nothing but Python, and the others run with what comes before them
OF_CORE: dict[str, tuple[Diagnosis, ...]] = {
    "machine": (
        Diagnosis("Machine", (machine.operating_system, machine.processor, machine.memory, machine.temporary_folder)),
        Diagnosis("Python", (machine.python, machine.environment_variables)),
        Diagnosis("Packages", (packages.installed_packages, packages.unmet_requirements)),
        Diagnosis("Versions known not to work", (known_versions.known_versions,)),
    ),
    "torch": (
        Diagnosis(
            "PyTorch",
            (pytorch.pytorch, pytorch.torchscript, pytorch.metatensor, pytorch.neighbor_lists, pytorch.compiler),
        ),
        Diagnosis("Devices", (pytorch.devices,)),
        Diagnosis("Compiled models", (caches.compiled_packages,)),
        Diagnosis("A run without an engine", (own_run.save_and_run, own_run.compile_and_run)),
        Diagnosis("Added by packages", (plugins.plugins,)),
    ),
}


def parts() -> list[list[Part]]:
    """Give the parts in steps: those of a step need nothing of each other, and what the step before leaves.

    Entry points are not loaded: that is done in the process of the part.
    """
    entries = sorted(importlib.metadata.entry_points(group=DIAGNOSES), key=lambda entry: entry.name)
    own = [Part(name, CORE, tuple(row.title for row in rows)) for name, rows in OF_CORE.items()]
    return [own, [Part(entry.name, package_of(entry), (entry.name,)) for entry in entries]]


def diagnoses_of(name: str, package: str) -> tuple[Diagnosis, ...]:
    """Give what a part consists of; a package that does not load becomes a finding about it."""
    if package == CORE:
        return OF_CORE[name]
    for entry in importlib.metadata.entry_points(group=DIAGNOSES):
        if entry.name == name and package_of(entry) == package:
            return (_loaded(entry, name, package),)
    return (_broken(name, f"{package} has no diagnosis '{name}' any more", package),)


def _loaded(entry: importlib.metadata.EntryPoint, name: str, package: str) -> Diagnosis:
    try:
        found = entry.load()
    except Exception as error:  # noqa: BLE001  (whatever a package of somebody else raises)
        reason = " ".join(str(error).split()) or "no message"
        return _broken(name, f"'{entry.value}' of {package} does not load: {type(error).__name__}: {reason}", package)
    if not isinstance(found, Diagnosis):
        return _broken(name, f"'{entry.value}' of {package} is a {type(found).__name__}, not a Diagnosis", package)
    return found


def _broken(name: str, text: str, package: str) -> Diagnosis:
    return Diagnosis(name, (lambda _: [Finding(name, text, PROBLEM, f"upgrade or remove {package}")],))
