"""Asks models of the zoo the checks of ``metatomic check``, and says which of them they fail."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.models import Specimen

if TYPE_CHECKING:
    import ase

from metatomic_check.checking import check_model
from metatomic_check.finding import Grade
from metatomic_check.report import Report
from metatomic_check.table import all_checks

# simulation engines are asked elsewhere
GROUPS = ("contract", "numerics", "physics")
BAD = {Grade.FAIL: "fail", Grade.WARN: "warn"}


def check_names() -> list[str]:
    """Give the names of all checks that need no simulation engine."""
    return [check.name for check in all_checks().values() if check.group in GROUPS]


def visit(
    specimen: Specimen,
    folder: Path,
    names: Sequence[str] = GROUPS,
    engines: Sequence[str] = (),
    structures: "Sequence[ase.Atoms] | None" = None,
) -> Report:
    """Ask a model some checks, by their names or groups; by default all that need no simulation engine."""
    with warnings.catch_warnings():
        # the very defect may be one that the file warns about as it is written
        warnings.filterwarnings("ignore", "expected a model that runs on all structures")
        file = specimen.save(folder)
    return check_model(file, structures, engines=engines, only=names, options=specimen.options)


def caught(report: Report) -> dict[str, str]:
    """Give the worst grade of each check that found something bad, by its name."""
    grades: dict[str, str] = {}
    for finding in report.findings:
        if finding.grade in BAD and grades.get(finding.check) != "fail":
            grades[finding.check] = BAD[finding.grade]
    return grades
