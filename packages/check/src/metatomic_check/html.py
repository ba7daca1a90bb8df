"""The report as one HTML file, which needs nothing else: styles, plots and structures are in it.

What a model says about itself was written by others: the template escapes all of it, and the only links are DOIs.
"""

import base64
import dataclasses
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from .finding import Finding, Grade
from .plots import described, svg_of
from .printing import VERDICTS, lines_of, number_text, quantity_text, sentence, unit_text
from .report import BAD, Asked, Configuration, Report
from .saved_files import as_atoms, extended_xyz
from .table import GROUPS

# sign and class of each grade: words and signs say what colors do
SIGNS = {
    Grade.PASS: ("✓", "pass"),
    Grade.WARN: ("!", "warn"),
    Grade.FAIL: ("✗", "fail"),
    Grade.BY_DESIGN: ("◇", "design"),
    Grade.INFORMATION: ("i", "info"),
    Grade.NOT_APPLICABLE: ("–", "na"),
}
EFFORTS = {
    "quick": "the quick checks",
    "normal": "all checks, at normal effort",
    "full": "all checks, with more structures, finer steps and longer runs",
}
# by itself, after "doi:" or in a link to doi.org; not in other links
_DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|\bdoi:\s*|(?<![\w/.=-]))(10\.\d{4,9}/[^\s\"'<>]+)", re.IGNORECASE)
_KINDS = {"model": "Model", "architecture": "Architecture", "implementation": "Implementation"}
_MOST_ELEMENTS = 8


@dataclasses.dataclass(frozen=True)
class _Row:
    """A structure in a table of the page."""

    title: str
    formula: str
    n_atoms: int
    periodic: str
    cell: str
    energy: str
    force: str
    file: str
    data: str


def html_report(report: Report) -> str:
    """Give a report as a page.

    Parameters
    ----------
    report
        The report.

    Returns
    -------
    str
        The page.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("metatomic_check"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        with_dois=with_dois, number=number_text, sentence=sentence, sign=lambda grade: SIGNS[grade], unit=unit_text
    )
    environment.globals["quantity"] = quantity_text
    return environment.get_template("report.html").render(_context(report))


def _context(report: Report) -> dict[str, Any]:
    checks = {group: [check for check in report.checks if check.group == group] for group in report.groups()}
    return {
        "report": report,
        "model": report.model,
        "how": report.provenance,
        "title": report.model.name or report.model.file,
        "verdict": VERDICTS[report.grade],
        "effort": EFFORTS[report.provenance.effort],
        "grades": list(Grade),
        "groups": GROUPS,
        "checks": checks,
        "lines": {check.name: lines_of(report.of(check.name)) for check in report.checks},
        "attention": _attention(report),
        "plots": {group: _plots(report, found) for group, found in checks.items()},
        "structures": [_row(Configuration("", "", name, one)) for name, one in report.structures.items()],
        "configurations": [_row(one) for one in report.configurations],
        "kinds": _KINDS,
    }


def _attention(report: Report) -> list[tuple[Asked, list[Finding]]]:
    """Give the checks with failures, then those with warnings, each with the findings that are bad."""
    found = [(check, [one for one in report.of(check.name) if one.grade in BAD]) for check in report.checks]
    return sorted(
        [(check, bad) for check, bad in found if bad],
        key=lambda pair: all(one.grade is not Grade.FAIL for one in pair[1]),
    )


def _plots(report: Report, checks: Iterable[Asked]) -> list[dict[str, Any]]:
    plots = []
    for check in checks:
        number = 0
        for finding in report.of(check.name):
            for plot in finding.plots:
                number += 1
                name = f"plot-{re.sub(r'[^a-z0-9]+', '-', check.name.lower())}-{number}"
                about = f"{check.name}, {finding.part}" if finding.part else check.name
                plots.append({"about": about, "title": plot.title, "svg": svg_of(plot, name), "words": described(plot)})
    return plots


def _row(one: Configuration) -> _Row:
    structure = one.structure
    atoms = as_atoms(structure)
    elements = len(set(structure.types.tolist()))
    formula = atoms.get_chemical_formula() if elements <= _MOST_ELEMENTS else f"{elements} elements"
    lengths = atoms.cell.cellpar()
    directions = "".join(letter for letter, is_periodic in zip("abc", structure.pbc, strict=True) if is_periodic)
    title = ", ".join(text for text in (one.check, one.part, one.name) if text)
    return _Row(
        title=title,
        formula=formula,
        n_atoms=len(structure.types),
        periodic=directions or "no",
        cell=_cell_text(lengths) if structure.cell.any() else "–",
        energy="–" if one.energy is None else f"{one.energy:.6g}",
        force="–" if one.forces is None else f"{np.linalg.norm(one.forces, axis=1).max():.3g}",
        file=re.sub(r"[^A-Za-z0-9.+]+", "-", title).strip("-.")[:80] + ".extxyz",
        data=base64.b64encode(extended_xyz([one]).encode()).decode(),
    )


def _cell_text(parameters: np.ndarray) -> str:
    """Give lengths, and angles where they are not right ones."""
    text = " × ".join(f"{length:.2f}" for length in parameters[:3])
    angles = parameters[3:]
    return text if np.allclose(angles, 90) else f"{text}; " + ", ".join(f"{angle:.1f}°" for angle in angles)


def with_dois(text: str) -> Any:
    """Give a text in which DOIs are links, everything else escaped.

    Parameters
    ----------
    text
        Text of anybody.

    Returns
    -------
    markupsafe.Markup
        HTML.
    """
    from markupsafe import Markup, escape

    parts, end = [], 0
    for match in _DOI.finditer(text):
        doi = match.group(1).rstrip(".,;)]}")
        parts += [escape(text[end : match.start()])]
        parts += [Markup('<a href="https://doi.org/{0}">doi:{0}</a>').format(doi)]
        end = match.start(1) + len(doi)
    return Markup("").join([*parts, escape(text[end:])])
