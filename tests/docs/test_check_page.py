"""The page of ``metatomic check`` lists each check with what a failure means, and each option.

``python tests/docs/test_check_page.py`` writes the list again.
"""

import csv
import io
import sys
from pathlib import Path

import pytest

from metatomic_check import Grade, all_checks
from metatomic_check.cli import check_command
from metatomic_core.adapters.options import ENGINE_OPTIONS

DOCS = Path(__file__).parents[2] / "docs"
TABLE = DOCS / "check-table.csv"


def table():
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["check", "group", "what a failure means"])
    rows.writerows([check.name, check.group, check.meaning] for check in all_checks().values())
    return text.getvalue()


def test_list_of_checks_is_that_of_the_package():
    if TABLE.read_text("utf-8") != table():
        pytest.fail("run `python tests/docs/test_check_page.py`")


def test_page_has_all_options_and_grades():
    page = (DOCS / "check.rst").read_text("utf-8")
    own = [option for option in check_command.params if option.name not in ENGINE_OPTIONS]
    flags = [option.opts[-1] for option in own if option.opts[-1].startswith("--")]
    assert len(flags) > 10
    assert [flag for flag in flags if f"``{flag}" not in page and flag != "--force"] == []
    assert [grade.value for grade in Grade if f"``{grade.value}``" not in page] == []


if __name__ == "__main__":
    sys.exit(0 if TABLE.write_text(table(), "utf-8") else 1)
