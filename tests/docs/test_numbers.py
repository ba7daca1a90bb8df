"""A page that says how quick something is names what measures it."""

import re

import pytest

pytest.importorskip("docutils", reason="`nox -s walkthrough` has the parsers of the pages")
pytest.importorskip("markdown_it", reason="`nox -s walkthrough` has the parsers of the pages")

from doc_pages import PAGES, ROOT

MEASURED = re.compile(r"\b\d[\d.]* (?:ms|µs)\b|\d times (?:as fast|as much|faster)|times faster")
MEASURES = re.compile(r"benchmarks/\w+\.py|nox -s models|timeit|:doc:`/?(?:compile|design)`|docs/compile\.rst")


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ("CHANGELOG.md", "docs/changelog.rst")])
def test_times_come_from_a_script(page):
    text = (ROOT / page).read_text("utf-8")
    if MEASURED.search(text):
        assert MEASURES.search(text)


def test_scripts_that_measure_are_there():
    named = {name for page in PAGES for name in re.findall(r"benchmarks/\w+\.py", (ROOT / page).read_text("utf-8"))}
    assert len(named) > 2
    assert [name for name in named if not (ROOT / name).is_file()] == []
