"""The report on a terminal: a table of each group, and what went wrong once more at the end, with what it means."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

import click

from metatomic_core.adapters.console import columns, console, print_table

from .finding import Finding, Grade
from .report import BAD, Report
from .structure_files import file_names
from .table import GROUPS, Check

STYLES = {
    Grade.PASS: "green",
    Grade.WARN: "yellow",
    Grade.FAIL: "bold red",
    Grade.BY_DESIGN: "magenta",
    Grade.INFORMATION: "cyan",
    Grade.NOT_APPLICABLE: "dim",
}
VERDICTS = {
    Grade.FAIL: "fails",
    Grade.WARN: "passes with warnings",
    Grade.BY_DESIGN: "passes, but for what its authors declare to be by design",
    Grade.PASS: "passes",
    Grade.INFORMATION: "was not graded",
    Grade.NOT_APPLICABLE: "was not checked",
}
# findings of one check and one grade in as many lines; more are one line, with the worst of them
_MOST_LINES = 3


def number_text(value: float | None) -> str:
    """Give a number in three digits.

    Parameters
    ----------
    value
        The number; None for none.

    Returns
    -------
    str
        The text.
    """
    return "" if value is None else f"{value:.3g}"


def summary(report: Report) -> str:
    """Say in one line what came out.

    Parameters
    ----------
    report
        The report.

    Returns
    -------
    str
        The line.
    """
    counts = ", ".join(f"{n} {grade.value}" for grade, n in report.counts().items() if n)
    checks = f"{len(report.checks)} check{'s' if len(report.checks) != 1 else ''}"
    name = report.model.name or report.model.file
    return f"{name} {VERDICTS[report.grade]}: {checks} in {report.seconds:.3g} s, findings: {counts}"


def print_report(report: Report, saved: Path | None) -> None:
    """Print a report.

    Parameters
    ----------
    report
        The report.
    saved
        Folder that configurations were saved to; None if they were not.
    """
    for group in report.groups():
        _print_group(report, group)
        click.echo()
    _print_bad(report, saved)
    out = console()
    out.print(summary(report), style=STYLES[report.grade], soft_wrap=True)


def _print_group(report: Report, group: str) -> None:
    from rich.text import Text

    table = columns("check", "about", "grade", "number", "limit", "what was found", title=GROUPS[group])
    for column in table.columns[2:5]:
        column.no_wrap = True
    for check in report.checks:
        if check.group != group:
            continue
        name = check.name
        for finding, about in lines_of(report.of(check.name)):
            grade = Text(finding.grade.value, STYLES[finding.grade])
            number = f"{number_text(finding.number)} {finding.unit}".strip()
            table.add_row(name, about, grade, number, number_text(finding.limit), finding.text)
            # once for each check
            name = ""
    print_table(table)


def lines_of(findings: Sequence[Finding]) -> list[tuple[Finding, str]]:
    """Put findings that say the same of many parts into one line: the worst of them, and how many there are.

    Parameters
    ----------
    findings
        Findings of one check.

    Returns
    -------
    list of (Finding, str)
        Findings to show, each with what it is about.
    """
    shown = []
    for grade, same in groupby(findings, key=lambda finding: finding.grade):
        listed = list(same)
        if grade in BAD or len(listed) <= _MOST_LINES:
            shown += [(finding, finding.part) for finding in listed]
            continue
        nearest = max(listed, key=nearness)
        shown.append((nearest, f"{nearest.part}, the nearest to its limit of {len(listed)}"))
    return shown


def nearness(finding: Finding) -> float:
    """Say how near to its limit a number is: 1 at the limit, 0 without one.

    Parameters
    ----------
    finding
        The finding.

    Returns
    -------
    float
        Number over limit.
    """
    if finding.number is None or not finding.limit:
        return 0.0
    return finding.number / finding.limit


def _print_bad(report: Report, saved: Path | None) -> None:
    """Print what went wrong once more, with what it means and the files to look at."""
    bad = [finding for finding in report.findings if finding.grade in BAD]
    meanings = {check.name: check.meaning for check in report.checks}
    files = {(one.check, one.part): name for name, listed in file_names(report).items() for one in listed}
    out = console()
    for name, listed in groupby(sorted(bad, key=lambda one: one.grade is not Grade.FAIL), key=lambda one: one.check):
        found = list(listed)
        out.print(f"{name}: {found[0].grade.value}", style=STYLES[found[0].grade])
        click.echo(f"  what it means: {meanings[name]}")
        for finding in found:
            click.echo(f"  {finding.part + ': ' if finding.part else ''}{finding.text}")
            file = files.get((finding.check, finding.part))
            if file is not None:
                click.echo(f"    {_place(file, saved)}")
        click.echo()


def _place(file: str, saved: Path | None) -> str:
    return f"look at it: {saved / file}" if saved is not None else "--save FOLDER saves the structure"


def print_checks(table: Mapping[str, Check]) -> None:
    """Print all checks with what a failure means.

    Parameters
    ----------
    table
        The checks by name.
    """
    rows = columns("check", "group", "quick", "what a failure means")
    for check in table.values():
        rows.add_row(check.name, check.group, "yes" if check.quick else "no", check.meaning)
    print_table(rows)
