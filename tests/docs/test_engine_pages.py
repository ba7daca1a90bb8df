"""Pages of engines: one skeleton for all of them, and messages that are those of the programs."""

import ast
import re

import pytest

pytest.importorskip("docutils", reason="`nox -s walkthrough` has the parsers of the pages")
pytest.importorskip("markdown_it", reason="`nox -s walkthrough` has the parsers of the pages")

import docutils.nodes
from doc_pages import ROOT, doctree

PAGES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/engines/*.rst"))
# in this order, with others between them
SKELETON = [
    "Install",
    "First run",
    "Options",
    "Units",
    "Supported and not",
    "Troubleshooting",
    "Performance",
    "Own builds and clusters",
    "Citing",
]
# messages of torch, LAMMPS and the loader of the system
OF_OTHERS = [
    "Unknown type name '__torch__.torch.classes.metatensor...'",
    "Unrecognized pair style 'metatomic'",
    "OSError: libmpi.so.12: cannot open shared object file",
]


def titles(page):
    """Give the titles of sections, without those of their parts."""
    sections = doctree(page).findall(docutils.nodes.section)
    return [each.next_node(docutils.nodes.title).astext() for each in sections if each.parent.tagname == "document"]


@pytest.mark.parametrize("page", PAGES)
def test_page_has_the_skeleton(page):
    found = titles(page)
    assert [title for title in found if title in SKELETON] == SKELETON


@pytest.fixture(scope="module")
def messages():
    """Give all texts in the sources of all packages, with a mark for what is put in."""
    found = []
    for path in ROOT.glob("packages/*/src/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(each.value if isinstance(each, ast.Constant) else "\0" for each in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    for path in ROOT.glob("packages/*/src/**/*.cpp"):
        # texts that stand one after the other are one, and so are those with a value between them
        joined = re.sub(r'"\s*\n?\s*"', "", path.read_text("utf-8"))
        found.append(re.sub(r'"\s*\+[^"]*?\+\s*"', "\0", joined))
    return found


@pytest.mark.parametrize("page", PAGES)
def test_messages_are_those_of_the_programs(page, messages):
    """Each piece of a message between dots is in one text of the sources, in that order."""
    for message in quoted(page):
        if message in OF_OTHERS:
            continue
        pieces = [piece.strip() for piece in message.split("...") if piece.strip(" ,;.'`")]
        pattern = re.compile(".*".join(re.escape(piece.rstrip("'")) for piece in pieces), re.DOTALL)
        assert any(pattern.search(text) for text in messages), message


def quoted(page):
    """Give the messages that a page explains: code in the terms of its lists."""
    for term in doctree(page).findall(docutils.nodes.term):
        for code in term.findall(docutils.nodes.literal):
            if code.astext().startswith(("expected ", "the ", "...")) or code.astext() in OF_OTHERS:
                yield code.astext()


def test_pages_explain_messages():
    found = {page: len(list(quoted(page))) for page in PAGES}
    assert min(found.values()) >= 5, found
    assert sum(found.values()) > 30
