"""Code blocks of README and documentation, in the order of each page, as parsers of the two formats find them."""

from dataclasses import dataclass
from pathlib import Path

import docutils.core
import docutils.nodes
import generated
from docutils.parsers.rst import Directive, directives
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]

_PATTERNS = [
    "*.md",
    "packages/*/README.md",
    "examples/*/README.md",
    "docs/*.rst",
    "docs/engines/*.rst",
    "docs/reference/*.rst",
]
# pages whose blocks are run
PAGES = sorted({path.relative_to(ROOT).as_posix() for pattern in _PATTERNS for path in ROOT.glob(pattern)})
# of blocks that are not
OTHER_LANGUAGES = {
    "cpp": "examples/cpp is compiled and run by tests/core",
    "ini": "settings of another program",
    "lammps": "lines of a LAMMPS input; tests/lammps_glue run such inputs",
    "mdp": "settings of GROMACS",
    "none": "a line of code, a command that is not run, or a syntax",
    "text": "a drawing, a message, or a syntax",
    "toml": "settings of a package that does not exist",
    "yaml": "options of a command; tests/core and tests/ase_calc run such files",
    "xml": "part of an i-PI input; tests/ipi_driver run such inputs",
}


@dataclass(frozen=True)
class Block:
    """A block of code: where it stands, in what language (empty: a shell, as all unnamed blocks here), and its text."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self):
        return f"{self.page}:{self.line}"


class LiteralInclude(Directive):
    """Sphinx's directive for files: the text of the file, in the language that the option names."""

    required_arguments = 1
    option_spec = dict.fromkeys(["language", "start-at", "end-at", "end-before"], directives.unchanged)

    def run(self):
        page = Path(self.state.document.current_source)
        text = self._part((page.parent / self.arguments[0]).read_text("utf-8"))
        block = docutils.nodes.literal_block(text, text, classes=["code", self.options.get("language", "text")])
        block.line = self.lineno
        return [block]

    def _part(self, text):
        """Give the part that the options name."""
        if "start-at" in self.options:
            text = text[text.index(self.options["start-at"]) :]
        if "end-at" in self.options:
            end = text.index(self.options["end-at"])
            return text[: text.find("\n", end)]
        return text.partition(self.options["end-before"])[0] if "end-before" in self.options else text


def code_blocks(page):
    """Give the blocks of a page, named relative to the root of the repository."""
    return _of_markdown(page) if page.endswith(".md") else _of_rst(page)


def _of_markdown(page):
    tokens = MarkdownIt().parse((ROOT / page).read_text("utf-8"))
    tokens = [token for token in tokens if token.type in ("fence", "code_block")]
    return [Block(page, token.map[0] + 1, token.info.strip(), token.content) for token in tokens]


def table_rows(page):
    """Give the rows of all tables of an rst page, each as the texts of its cells."""
    rows = doctree(page).findall(docutils.nodes.row)
    return [[cell.astext().replace("\n", " ") for cell in row.findall(docutils.nodes.entry)] for row in rows]


def doctree(page):
    """Give an rst page as docutils reads it, with what Sphinx would add left out."""
    directives.register_directive("literalinclude", LiteralInclude)
    generated.register()
    settings = {"report_level": 5, "halt_level": 5, "input_encoding": "utf-8", "syntax_highlight": "none"}
    text = (ROOT / page).read_text("utf-8")
    return docutils.core.publish_doctree(text, source_path=str(ROOT / page), settings_overrides=settings)


def _of_rst(page):
    found = []
    for node in doctree(page).findall(docutils.nodes.literal_block):
        if not _in_message(node):  # where docutils quotes what it does not know of Sphinx
            language = next((name for name in node["classes"] if name != "code"), "")
            found.append(Block(page, node.line or 0, language, node.astext()))
    return found


def _in_message(node):
    while node is not None:
        if isinstance(node, docutils.nodes.system_message):
            return True
        node = node.parent
    return False
