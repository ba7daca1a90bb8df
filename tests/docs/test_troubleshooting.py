"""docs/troubleshooting.rst is true: versions and sections are those of ``metatomic doctor``, its example runs."""

import importlib.metadata
import runpy

import pytest

pytest.importorskip("docutils", reason="`nox -s walkthrough` has the parsers of the pages")
pytest.importorskip("markdown_it", reason="`nox -s walkthrough` has the parsers of the pages")

from doc_pages import ROOT, table_rows
from doctor_cases import by_name, saved_trial

from metatomic_core.adapters.diagnoses import DIAGNOSES
from metatomic_core.diagnosis.known_versions import KNOWN_VERSIONS
from metatomic_core.diagnosis.parts import OF_CORE

PAGE = "docs/troubleshooting.rst"
# status of findings, and what the table calls it
WORDS = {"problem": "problem", "warning": "warning", "ok": "note"}


def rows_below(header):
    """Give the rows of the table that begins with a row."""
    rows = table_rows(PAGE)
    found = rows[rows.index(header) + 1 :]
    return [row for row in found if len(row) == len(header)]


def test_page_has_the_table_of_versions():
    rows = rows_below(["package", "what goes wrong", "what to do"])
    expected = [
        [
            f"{row.package} {row.versions}: {WORDS[row.status]}",
            f"{row.what} ({row.source})",
            row.advice.replace("`", ""),
        ]
        for row in KNOWN_VERSIONS
    ]
    assert rows == expected


def test_page_has_all_sections_in_their_order():
    titles = [row[0] for row in rows_below(["section", "what it says"])]
    of_core = [diagnosis.title for part in OF_CORE.values() for diagnosis in part]
    assert titles[: len(of_core)] == of_core
    installed = {entry.load().title for entry in importlib.metadata.entry_points(group=DIAGNOSES)}
    assert installed <= set(titles[len(of_core) :])


def test_example_of_a_package_runs(tmp_path):
    diagnosis = runpy.run_path(str(ROOT / "docs/examples/diagnosis.py"))["DIAGNOSIS"]
    found = by_name(diagnosis.findings(saved_trial(tmp_path)))
    assert {name: finding.status for name, finding in found.items()} == {"library": "warning", "run": "ok"}
