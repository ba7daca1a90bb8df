"""The built pages: what is public is in the reference, and they are the same in every build and without a network.

Run by ``nox -s docs``, which builds the pages first.
"""

import importlib
import inspect
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

inventory = pytest.importorskip("sphinx.util.inventory", reason="pages are built and checked by `nox -s docs`")

ROOT = Path(__file__).parents[2]
HTML = ROOT / "docs" / "_build" / "html"
pytestmark = pytest.mark.skipif(not (HTML / "objects.inv").exists(), reason="`nox -s docs` builds the pages first")

PRIVATE = re.compile(r"\bmetatomic_[a-z]+(?:\.[a-z]\w*)*\._(?!_)\w+")
PACKAGES = sorted(path.name for path in ROOT.glob("packages/*/src/metatomic_*"))
# of core, what docs/architecture.rst calls public; and a part of a package that users import
PUBLIC = [
    *(f"metatomic_core.{wing}" for wing in ("adapters", "authors", "combining", "engine", "loading", "potentials")),
    *(f"metatomic_core.{wing}" for wing in ("heat_flux", "o3", "testing", "units", "writing")),
    "metatomic_ase.batched",
]
# what people look for -> a page that they must find
SEARCHED = {
    "cite": "cite",
    "citation": "cite",
    "troubleshooting": "troubleshooting",
    "elastic": "properties",
    "train": "index",
    "conda": "installation",
    "install": "installation",
    "virial": "conventions",
    "MetatomicCalculator": "engines/ase",
    "sevennet": "importing",
    "changelog": "changelog",
}


class VisibleText(HTMLParser):
    """What is between the tags of a page."""

    def __init__(self):
        super().__init__()
        self.parts = []

    def handle_data(self, data):
        self.parts.append(data)


@pytest.fixture(scope="module")
def documented():
    """Names of all Python objects in the inventory that other projects link to."""
    objects = inventory.InventoryFile.loads((HTML / "objects.inv").read_bytes(), uri="").data
    return {name for kind, names in objects.items() if kind.startswith("py:") for name in names}


@pytest.fixture(scope="module")
def pages():
    return {page: page.read_text("utf-8") for page in sorted(HTML.rglob("*.html"))}


@pytest.fixture(scope="module")
def index():
    """What the search of the pages looks into."""
    text = (HTML / "searchindex.js").read_text("utf-8")
    return json.loads(text[text.index("(") + 1 : text.rindex(")")])


@pytest.mark.parametrize("package", [*PACKAGES, *PUBLIC])
def test_public_names_are_in_the_reference(package, documented):
    """Under the name that users import, or the one of the module where the object lives."""
    module = importlib.import_module(package)
    missing = []
    for name in set(module.__all__) - {"__version__"}:
        value = getattr(module, name)
        if not {f"{package}.{name}", f"{getattr(value, '__module__', package)}.{name}"} & documented:
            missing.append(name)
    assert sorted(missing) == []


def test_options_of_the_calculator_are_in_the_reference(pages):
    calculator = importlib.import_module("metatomic_ase").MetatomicCalculator
    page = pages[HTML / "reference" / "ase.html"]
    options = [name for name in inspect.signature(calculator).parameters if name not in ("self", "kwargs")]
    missing = [name for name in options if f"<strong>{name}</strong>" not in page]
    assert len(options) > 5
    assert missing == []


def test_pages_hold_no_memory_addresses(pages):
    """They would differ from build to build, and tell nothing."""
    assert [page.name for page, text in pages.items() if "object at 0x" in text] == []


def test_pages_load_nothing_from_elsewhere(pages):
    """Clusters have no internet: scripts, styles and formulas come with the pages."""
    tags = ['<script src="http', '<script async="async" src="http', "mathjax"]
    found = {page.name: tag for page, text in pages.items() for tag in tags if tag in text.lower()}
    assert found == {}
    assert "<math" in pages[HTML / "conventions.html"]


def test_reference_shows_no_private_modules(pages):
    """What a reader cannot import or look up is not named."""
    private = []
    for page, text in pages.items():
        if page.parent.name == "reference":
            reader = VisibleText()
            reader.feed(text)
            private += [(page.name, name) for name in PRIVATE.findall("".join(reader.parts))]
    assert private == []


def test_every_option_of_commands_can_be_linked_to():
    """By name, from other pages and from the search."""
    objects = inventory.InventoryFile.loads((HTML / "objects.inv").read_bytes(), uri="").data["std:cmdoption"]
    assert {"metatomic-md.--timestep", "metatomic-ipi-run.--case", "metatomic-lammps.-np", "metatomic.--debug"} <= {
        *objects
    }


@pytest.mark.parametrize("word", SEARCHED)
def test_search_finds(word, index):
    """As the search does it: the word is cut to its stem, and looked up in titles and texts."""
    stemmer = pytest.importorskip("sphinx.search.en").SearchEnglish({})
    found = set()
    for table in ("terms", "titleterms"):
        pages_of_word = index[table].get(stemmer.stem(word.lower()), [])
        found |= {pages_of_word} if isinstance(pages_of_word, int) else set(pages_of_word)
    assert SEARCHED[word] in {index["docnames"][number] for number in found}


def test_calculator_leads_to_its_options(pages):
    """From the page of ASE to the class, which lists them, and back to how they are used."""
    page = pages[HTML / "engines" / "ase.html"]
    assert 'href="../reference/ase.html#metatomic_ase.calculator.MetatomicCalculator"' in page
    assert "extensions_directory" in page


def test_drawings_take_the_colors_of_the_theme(pages):
    """They stand in the page, have words for those who do not see them, and no color of their own."""
    for name, drawn in {"index": 1, "conventions": 3}.items():
        drawings = re.findall(r"<svg[^>]*role=\"img\".*?</svg>", pages[HTML / f"{name}.html"], re.DOTALL)
        assert len(drawings) == drawn
        for drawing in drawings:
            assert "<title" in drawing
            assert "<desc" in drawing
            colors = re.findall(r"(?:fill|stroke): *([^;]+);", drawing)
            assert colors
            assert all(color.startswith(("var(--", "none")) for color in colors)


def test_names_of_others_are_links(pages):
    """To the documentation of torch, NumPy, ASE, metatensor and Python."""
    text = "".join(text for page, text in pages.items() if page.parent.name == "reference")
    for place in ("docs.pytorch.org", "numpy.org/doc", "ase-lib.org", "docs.metatensor.org", "docs.python.org"):
        assert f'class="reference external" href="https://{place}' in text


def test_names_in_backquotes_are_links(pages):
    """Of docstrings and pages: names of one object, and pages; words of the field are not."""
    text = "".join(text for page, text in pages.items() if "_modules" not in page.parts)
    link = r'<a class="reference internal" href="[^"]*" title="([\w.]+)"><code class="docutils literal notranslate">'
    linked = re.findall(link, text)
    assert {"System", "metatomic_core.engine.Engine", "metatomic_ase.batched.relax"} <= set(linked)
    assert len(linked) > 150
    assert "metatomic_core.testing.Answer.forces" not in linked
    assert "see docs/" not in text


def test_formulas_are_whole(pages):
    """The converter swallows what follows a command without braces: fractions then hold each other."""
    formulas = re.findall(r"<math.*?</math>", "".join(pages.values()), re.DOTALL)
    assert len(formulas) > 15
    swallowed = re.compile(r"<mfrac>(?:(?!</mfrac>).)*<mo>=</mo>", re.DOTALL)
    assert [formula for formula in formulas if swallowed.search(formula)] == []
