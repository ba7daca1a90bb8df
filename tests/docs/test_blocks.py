"""No block of code of README or documentation escapes `test_walkthrough`: it is run, or a table says why it is not."""

import re

import pytest

pytest.importorskip("docutils", reason="`nox -s walkthrough` has the parsers of the pages")
pytest.importorskip("markdown_it", reason="`nox -s walkthrough` has the parsers of the pages")

from doc_pages import OTHER_LANGUAGES, PAGES, ROOT, code_blocks

# made by the session `docs`, or looked at by tests of their own
ELSEWHERE = ("docs/_build", "docs/gallery", "docs/tutorials")
DIRECTIVE = re.compile(r"^\s*\.\. (?:code-block|code|sourcecode|literalinclude|parsed-literal)::", re.MULTILINE)
LITERAL = re.compile(r"^(?!\s*\.\. ).*::\n\s*\n", re.MULTILINE)
COMMAND = re.compile(r"^\s*(?:\$ )?(?:metatomic(?:-\w+)*|pip|python3?|conda|cmake|mpiexec|git|i-pi\S*) ", re.MULTILINE)

# (page, start of a block that holds commands and is not run, where else it is, or why it can not be)
NOT_RUN = [
    ("docs/contributing.rst", "python3 -m venv", "of CONTRIBUTING.md, which is followed"),
    ("docs/contributing.rst", "pip install -c constraints.txt -e", "of CONTRIBUTING.md, which is followed"),
    ("docs/engines/cpp.rst", "cmake -S .", "of examples/cpp/README.md, which is followed"),
    ("docs/engines/gromacs.rst", "cmake ..", "GROMACS is not in the environments of the tests"),
    ("docs/engines/lammps.rst", "metatomic compile model.pt", "tests/lammps_glue compile models and run them"),
    ("docs/extending.rst", "pip install ./docs/examples", "run by tests/docs/test_extending.py"),
    ("docs/importing.rst", "pip install -c constraints.txt", "the packages are installed"),
    ("docs/importing.rst", "metatomic import chgnet", "families exclude each other; tests/families import them"),
    ("docs/installation.rst", "conda create", "there is no conda; the page says so"),
    ("docs/nequip.rst", "nequip-compile", "run by tests/nequip"),
    ("docs/porting.rst", "python -m metatomic_core.foreign", "run by tests/reference"),
    ("docs/universal.rst", "pip install -c constraints.txt", "the packages are installed"),
]


def test_all_pages_are_followed():
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.rst")}
    assert {page for page in pages if not page.startswith(ELSEWHERE)} <= set(PAGES)
    readmes = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("packages/*/README.md")}
    assert {"README.md", "CONTRIBUTING.md"} | readmes <= set(PAGES)


@pytest.mark.parametrize("page", [page for page in PAGES if page.endswith(".rst")])
def test_all_blocks_are_found(page):
    """The parser gives as many as one sees in the text: none is lost in what it does not know."""
    text = (ROOT / page).read_text("utf-8")
    if ".. generated:: markdown" in text or page == "docs/reference/command-line.rst":
        return
    seen = len(DIRECTIVE.findall(text)) + len(LITERAL.findall(text))
    assert len(code_blocks(page)) == seen


def unrun():
    """Give the blocks that hold commands, in a language that is not run."""
    for page in PAGES:
        for block in code_blocks(page):
            if block.language in OTHER_LANGUAGES and COMMAND.search(block.text):
                yield block


def test_commands_that_are_not_run_have_a_reason():
    found = [block for block in unrun() if block.page != "docs/reference/command-line.rst"]
    reasons = [[row for row in NOT_RUN if row[0] == block.page and block.text.startswith(row[1])] for block in found]
    assert [str(block) for block, rows in zip(found, reasons, strict=True) if not rows] == []
    assert [row for row in NOT_RUN if not any(row in rows for rows in reasons)] == []
