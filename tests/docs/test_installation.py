"""The table of docs/installation.rst says what each package needs, as its pyproject.toml does."""

import re

import pytest

pytest.importorskip("docutils", reason="`nox -s walkthrough` has the parsers of the pages")
pytest.importorskip("markdown_it", reason="`nox -s walkthrough` has the parsers of the pages")

from doc_pages import ROOT, table_rows

tomllib = pytest.importorskip("tomllib", reason="tomllib is new in Python 3.11")

FILES = sorted(ROOT.glob("packages/*/pyproject.toml"))
PROJECTS = [tomllib.loads(path.read_text("utf-8"))["project"] for path in FILES]


@pytest.fixture(scope="module")
def rows():
    return {row[0]: row for row in table_rows("docs/installation.rst")}


@pytest.mark.parametrize("project", PROJECTS, ids=[project["name"] for project in PROJECTS])
def test_row_of_package_names_its_requirements_and_license(project, rows):
    _, _, needs, license_name = rows[project["name"]]
    listed = set(needs.partition(";")[0].replace(",", " ").split())
    required = {re.split(r"[<>=!~; ]", requirement)[0] for requirement in project["dependencies"]}
    assert listed == required
    assert license_name == project["license"]
