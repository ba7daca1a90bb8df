"""The built pages: what is public is in the reference, and they are the same in every build and without a network.

Run by ``nox -s docs``, which builds the pages first.
"""

import importlib
import inspect
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


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_in_the_reference(package, documented):
    """Under the name that users import, or the one of the module where the object lives."""
    module = importlib.import_module(package)
    missing = []
    for name in set(module.__all__) - {"__version__"}:
        value = getattr(module, name)
        if not {f"{package}.{name}", f"{value.__module__}.{name}"} & documented:
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
