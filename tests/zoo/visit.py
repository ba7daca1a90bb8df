"""Asks models of the zoo the checks of ``metatomic check``, and says which of them they fail."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from metatomic_check.bench import Bench, default_structures
from metatomic_check.finding import Finding, Grade
from metatomic_check.table import all_checks
from zoo.models import Specimen

# simulation engines are asked elsewhere
GROUPS = ("contract", "numerics", "physics")
BAD = {Grade.FAIL: "fail", Grade.WARN: "warn"}


def check_names() -> list[str]:
    """Give the names of all checks that need no simulation engine."""
    return [check.name for check in all_checks().values() if check.group in GROUPS]


def findings(specimen: Specimen, folder: Path, names: Sequence[str] | None = None) -> list[Finding]:
    """Ask a model some checks, by default all that need no simulation engine."""
    with warnings.catch_warnings():
        # the very defect may be one that the file warns about as it is written
        warnings.filterwarnings("ignore", "expected a model that runs on all structures")
        file = specimen.save(folder)
    bench = Bench(file, default_structures(specimen.types), specimen.options, False, folder)
    found = []
    for name in check_names() if names is None else names:
        try:
            found += list(all_checks()[name].run(bench))
        except Exception as error:  # noqa: BLE001  (a model that raises fails the check)
            found.append(Finding(name, Grade.FAIL, f"raised {type(error).__name__}: {error}", part="error"))
    return found


def caught(found: Sequence[Finding]) -> dict[str, str]:
    """Give the worst grade of each check that found something bad, by its name."""
    grades: dict[str, str] = {}
    for finding in found:
        if finding.grade in BAD and grades.get(finding.check) != "fail":
            grades[finding.check] = BAD[finding.grade]
    return grades
