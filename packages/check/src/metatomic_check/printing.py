"""The report on a terminal: a table of each group, and what went wrong once more at the end, with what it means."""

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import click

from metatomic_core.adapters.console import columns, console, print_table

from .finding import Finding, Grade
from .report import BAD, Report
from .saved_files import file_names
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
# of lines of the table
_FIRST_NUMBER = 3
_INDENT, _LEAST = 4, 60
_WORD = re.compile(r"[a-z]+(?:[\s,;:.]|$)")
# how units are written for people
_UNITS = {"angstrom": "Å", "degrees": "°"}
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


def unit_text(unit: str) -> str:
    """Give a unit as people write it.

    Parameters
    ----------
    unit
        The unit.

    Returns
    -------
    str
        The text.
    """
    for name, sign in _UNITS.items():
        unit = unit.replace(name, sign)
    return unit


def quantity_text(value: float | None, unit: str) -> str:
    """Give a number with its unit.

    Parameters
    ----------
    value
        The number; None for none.
    unit
        Its unit.

    Returns
    -------
    str
        The text.
    """
    return "" if value is None else f"{number_text(value)} {unit_text(unit)}".strip()


def sentence(text: str) -> str:
    """Give a text with a capital letter and a full stop, whether its author gave it some or not.

    Parameters
    ----------
    text
        The text.

    Returns
    -------
    str
        A sentence.
    """
    text = text.strip()
    # not "pH", "metatomic-ase", nor a name in quotes
    start = text[:1].upper() + text[1:] if _WORD.match(text) else text
    return start if not start or start.endswith((".", "?", "!")) else f"{start}."


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
    """Print the findings of a group: a line each, and under it what was found."""
    shown = [
        (check.name, finding, about)
        for check in report.checks
        if check.group == group
        for finding, about in lines_of(report.of(check.name))
    ]
    rows = [
        (finding.grade.value, name, about, *(quantity_text(value, finding.unit) for value in _numbers(finding)))
        for name, finding, about in shown
    ]
    heads = ("grade", "check", "about", "number", "limit")
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    _print_cells(GROUPS[group], "", "bold")
    _print_cells("", _cells(heads, widths), "bold")
    for row, (_, finding, _) in zip(rows, shown, strict=True):
        first, *others = _cells(row, widths)
        _print_cells(first, others, STYLES[finding.grade])
        _print_wrapped(sentence(finding.text), _INDENT)


def _print_wrapped(text: str, indent: int) -> None:
    """Print a text in the width of the terminal, lines after the first further in."""
    width = max(console().width, _LEAST) - 1
    first, others = " " * indent, " " * (indent if indent == _INDENT else indent + 2)
    lines = textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
    )
    for line in lines:
        click.echo(line)


def _numbers(finding: Finding) -> tuple[float | None, float | None]:
    return finding.number, finding.limit


def _cells(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Give cells of one width in each column; the last ones, numbers, to the right."""
    return [
        cell.ljust(width) if column < _FIRST_NUMBER else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _print_cells(first: str, others: Iterable[str], style: str) -> None:
    """Print a line whose first cell has a style."""
    from rich.text import Text

    line = Text(first, style)
    for cell in others:
        line.append(("   " if line.plain else "") + cell, "" if first else style)
    line.rstrip()
    out = console()
    if out.is_terminal:
        out.print(line, soft_wrap=True)
    else:
        click.echo(line.plain)


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
        shown.append((nearest, f"{nearest.part} (worst of {len(listed)})"))
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
        _print_wrapped(f"what it means: {meanings[name]}", 2)
        for finding in found:
            _print_wrapped(f"{finding.part + ': ' if finding.part else ''}{sentence(finding.text)}", 2)
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
