"""`check_model`: asks a model all checks, and gives the report."""

import contextlib
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metatomic_core.adapters import check_choice, check_type
from metatomic_core.adapters.console import one_line
from metatomic_core.adapters.options import ENGINE_OPTIONS, checked_options

from .bench import Bench
from .choosing import EFFORTS, chosen_checks, chosen_engines, known_name
from .default_structures import default_structures
from .finding import Finding, Grade
from .provenance import facts_of, provenance_of
from .report import BAD, Asked, Configuration, Report
from .structure_files import checked_structures, read_structures, with_inputs
from .table import Check

if TYPE_CHECKING:
    import ase

    from metatomic_core.engine import Structure

# how a model declares that it breaks what a check asks, in the `extra` of its metadata: the rest is the name
BY_DESIGN = "by design: "

Tell = Callable[[int, int, str], Any]


def check_model(
    model: str | os.PathLike[str],
    structures: "str | os.PathLike[str] | Sequence[ase.Atoms] | None" = None,
    *,
    engines: Iterable[str] | None = None,
    effort: str = "normal",
    only: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    by_design: Mapping[str, str] | None = None,
    seed: int = 0,
    date: str = "",
    command: str = "",
    tell: Tell | None = None,
) -> Report:
    """Ask a model all checks.

    Parameters
    ----------
    model
        The model file.
    structures
        What it is checked on: a file that ASE reads, or structures; by default some made of its species.
    engines
        Names of simulation engines to compare; None for all that are installed.
    effort
        "quick" for some checks, "normal" for all, "full" for all with more structures, finer steps and longer runs.
    only
        Names of checks, or of groups; by default all.
    options
        Options of `metatomic_core.engine.Engine`: "device", "variants", "non_conservative", ...
    by_design
        Reasons by the names of checks that the model breaks by design, besides those that its metadata declare.
    seed
        Seed of all random numbers.
    date, command
        For the report: when, and how it is made again.
    tell
        Called before each check with its number, the number of checks, and its name.

    Returns
    -------
    Report
        What was found.  A check that raises is a failure, and the others go on.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong, the model can not be loaded, or a structure is none that it can be checked on.
    """
    check_choice("effort", effort, EFFORTS)
    check_type("seed", seed, int, "an integer")
    given = dict(options or {})
    checked_options("check_model", given, ENGINE_OPTIONS)
    check_type("by_design", {} if by_design is None else by_design, Mapping, "a mapping of names to reasons")
    declared = {known_name(name, "by_design"): reason for name, reason in (by_design or {}).items()}
    checks, (subjects, absent) = chosen_checks(only, effort), chosen_engines(engines)
    file = Path(model)
    with tempfile.TemporaryDirectory(prefix="metatomic-check-") as folder:
        bench = Bench(file, {}, given, effort == "full", Path(folder), subjects, seed, absent)
        bench.structures = _structures(bench, structures)
        declared = {**declared_by_design(bench.engine.model.metadata().extra), **declared}
        asked, findings = _asked(bench, checks, declared, tell or (lambda *_: None))
        return Report(
            facts_of(file, bench.engine),
            provenance_of(bench.engine, given, date=date, command=command, effort=effort, seed=seed),
            tuple(asked),
            tuple(findings),
            bench.structures,
            tuple(_configurations(bench, findings)),
        )


def _structures(bench: Bench, given: "str | os.PathLike[str] | Sequence[ase.Atoms] | None") -> "dict[str, Structure]":
    """Give the structures to check on, by name, with the inputs that the model requests."""
    requested = bench.engine.model.requested_inputs()
    if given is None:
        return with_inputs(default_structures(bench.species, bench.engine), requested)
    if isinstance(given, (str, os.PathLike)):
        return read_structures(given, bench.species, requested)
    return checked_structures(given, bench.species, requested, "structures")


def _asked(
    bench: Bench, checks: Sequence[Check], declared: Mapping[str, str], tell: Tell
) -> tuple[list[Asked], list[Finding]]:
    asked, findings = [], []
    for number, check in enumerate(checks):
        tell(number, len(checks), check.name)
        start = time.perf_counter()
        with _quiet() as noted:
            found = list(_findings(check, bench))
        seconds = time.perf_counter() - start
        asked.append(Asked(check.name, check.group, check.meaning, seconds, _texts(noted)))
        findings += [_with_design(one, declared) for one in found]
    tell(len(checks), len(checks), "")
    return asked, findings


def _findings(check: Check, bench: Bench) -> Iterator[Finding]:
    """Run a check; an error is a failure, after what was found before it."""
    empty = True
    try:
        for finding in check.run(bench):
            empty = False
            yield finding
    except Exception as error:  # noqa: BLE001  (whatever a model raises is what was found)
        text = f"raised {type(error).__name__}: {one_line(error)}; no answer is not a right one, so this is a failure"
        yield Finding(check.name, Grade.FAIL, text, part="error")
        return
    if empty:
        yield Finding(check.name, Grade.NOT_APPLICABLE, "found nothing to look at in these structures")


@contextlib.contextmanager
def _quiet() -> Iterator[list[warnings.WarningMessage]]:
    """Keep standard output for the report, and collect warnings."""
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("default")
        # said by torch about itself, whatever the model
        warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
        yield noted


def _texts(noted: Sequence[warnings.WarningMessage]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(" ".join(str(one.message).split()) for one in noted))


def declared_by_design(extra: Mapping[str, str]) -> dict[str, str]:
    """Give what a model declares to break by design.

    Parameters
    ----------
    extra
        The `extra` of its metadata.

    Returns
    -------
    dict
        Reasons by the names of checks.
    """
    return {key[len(BY_DESIGN) :].strip(): text for key, text in extra.items() if key.startswith(BY_DESIGN)}


def _with_design(finding: Finding, declared: Mapping[str, str]) -> Finding:
    reason = declared.get(finding.check)
    if reason is None or finding.grade not in BAD:
        return finding
    return replace(finding, grade=Grade.BY_DESIGN, text=f"by design: {reason} ({finding.text})")


def _configurations(bench: Bench, findings: Sequence[Finding]) -> Iterator[Configuration]:
    """Give the structures of findings, with what the model says about them."""
    # numbers that are not finite are what a finding may be about
    bench.engine.check_finite = False
    for finding in findings:
        for name, structure in finding.structures.items():
            energy, forces = _results(bench, structure)
            yield Configuration(finding.check, finding.part, name, structure, energy, forces)


def _results(bench: Bench, structure: "Structure") -> tuple[float | None, np.ndarray | None]:
    try:
        with _quiet():
            found = bench.evaluate(structure)
    except Exception:  # noqa: BLE001  (that it raises is in the report)
        return None, None
    energy, forces = found.energy, found.forces
    return (
        float(energy[0]) if energy is not None and np.isfinite(energy).all() else None,
        forces if forces is not None and np.isfinite(forces).all() else None,
    )
