"""The tutorials teach: each has a title, text between its code, and something to see.  The session `docs` runs them."""

import ast
import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
SCRIPTS = sorted((DOCS / "tutorials").glob("*.py"))


def test_order_names_each_script():
    sys.path.insert(0, str(DOCS / "_ext"))
    try:
        from tutorials import ORDER
    finally:
        sys.path.remove(str(DOCS / "_ext"))
    assert {path.stem for path in SCRIPTS} == set(ORDER)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_has_title_text_and_results(path):
    source = path.read_text("utf-8")
    title, underline, *rest = (ast.get_docstring(ast.parse(source)) or "").splitlines()
    assert title
    assert underline == "=" * len(title)
    assert any(rest)
    # blocks of text, each of some words
    blocks = re.findall(r"^# %%\n((?:#.*\n)+)", source, re.MULTILINE)
    assert len(blocks) >= 3
    assert all(len(block.split()) > 5 for block in blocks)
    assert "Next: " in blocks[-1] or "Next: " in source.rpartition("# %%")[2]
    assert "print(" in source or "plt.subplots(" in source


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_links_to_other_pages(path):
    source = path.read_text("utf-8")
    pages = re.findall(r":doc:`(?:[^`<]*<)?([\w/-]+)>?`", source)
    assert pages
    for page in pages:
        where = DOCS / f"{page[1:]}.rst" if page.startswith("/") else DOCS / "tutorials" / f"{page}.py"
        assert where.is_file(), page
