"""What a check finds."""

import dataclasses
import enum

import numpy as np

from metatomic_core.engine import Structure


class Grade(enum.Enum):
    """What a finding means for a user."""

    PASS = "pass"  # noqa: S105  (no password)
    # right, and worth a look: what the model does is unusual, or near a limit
    WARN = "warn"
    # results are wrong, or wrong in some engine
    FAIL = "fail"
    # breaks it, and its author says so: direct forces, an external field
    BY_DESIGN = "by design"
    # a number or a picture to look at, without a limit
    INFORMATION = "information"
    NOT_APPLICABLE = "not applicable"


# from the worst: the grade of a report is the first of these that it has
WORST_FIRST = (Grade.FAIL, Grade.WARN, Grade.BY_DESIGN, Grade.PASS, Grade.INFORMATION, Grade.NOT_APPLICABLE)


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of a plot: `x` and `y` of shape (n,), and what it is."""

    label: str
    x: np.ndarray
    y: np.ndarray


@dataclasses.dataclass(frozen=True)
class Plot:
    """A plot that belongs to a finding.

    Attributes
    ----------
    title
        What it shows.
    x_label, y_label
        The axes, with units.
    lines
        What is drawn.
    x_log, y_log
        Whether an axis is logarithmic.
    marks
        Positions on the x axis with a vertical line and its label, such as a cutoff.
    points
        Whether lines are drawn as points alone.
    """

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    x_log: bool = False
    y_log: bool = False
    marks: tuple[tuple[float, str], ...] = ()
    points: bool = False


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one check found, or one part of it.

    Attributes
    ----------
    check
        Name of the check.
    part
        What it is about, where a check has several findings: a structure, a pair of species, an engine.
    grade
        What it means.
    text
        One sentence: what was found; for warnings and failures also what it means for a user and what to do.
    number
        What was measured; None where there is no number.
    limit
        Up to where it passes; None where there is no limit.
    unit
        Unit of both.
    structures
        By name the structures that show it, which the report saves to be looked at: the worst one of a failure.
    plots
        Plots.
    """

    check: str
    grade: Grade
    text: str
    part: str = ""
    number: float | None = None
    limit: float | None = None
    unit: str = ""
    structures: dict[str, Structure] = dataclasses.field(default_factory=dict)
    plots: tuple[Plot, ...] = ()


def graded(
    check: str,
    number: float,
    limit: float,
    text: str,
    *,
    unit: str = "",
    warn_above: float | None = None,
    **more: object,
) -> Finding:
    """Grade a number by its limit: what is no number fails.

    Parameters
    ----------
    check
        Name of the check.
    number, limit
        What was measured, and up to where it passes.
    text
        One sentence.
    unit
        Unit of both.
    warn_above
        Above which number, below the limit, it is a warning; None for never.
    more
        Other attributes of the finding.
    """
    grade = Grade.PASS if number <= limit else Grade.FAIL
    if grade is Grade.PASS and warn_above is not None and number > warn_above:
        grade = Grade.WARN
    return Finding(check, grade, text, number=float(number), limit=float(limit), unit=unit, **more)  # type: ignore[arg-type]
