"""Links out of README and documentation: well formed, and to places that somebody has put on a list.

No machine of the tests has the internet, so nobody follows them. What is inside the documentation is checked when it is
built: a link to nothing is an error there.
"""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    "*.md",
    "*.cff",
    "docs/*.rst",
    "docs/*/*.rst",
    "docs/conf.py",
    "docs/tutorials/*.py",
    "packages/*/README.md",
    "examples/*/README.md",
]
URL = re.compile(r"https?://[^\s`\"'<>)(,;\]]+")
# host: what it is for
HOSTS = {
    "ase-lib.org": "ASE",
    "chemiscope.org": "chemiscope",
    "doi.org": "papers",
    "docs.metatensor.org": "metatensor, and the reference implementation",
    "docs.python.org": "Python",
    "docs.pytorch.org": "torch",
    "download.pytorch.org": "an index for pip",
    "ipi-code.org": "i-PI",
    "keepachangelog.com": "the form of the changelog",
    "numpy.org": "NumPy",
    "phonopy.github.io": "phonopy",
    "www.gromacs.org": "GROMACS",
    "www.lammps.org": "LAMMPS",
}


def links():
    """Give all links, with the page of each."""
    for pattern in PAGES:
        for path in ROOT.glob(pattern):
            # made of docs/tutorials when the documentation is built
            if path.parent == ROOT / "docs" / "gallery":
                continue
            for url in URL.findall(path.read_text("utf-8")):
                yield path.relative_to(ROOT).as_posix(), url.rstrip(".:")


def test_links_are_well_formed_and_known():
    found = {(page, url): urlsplit(url) for page, url in links()}
    assert len(found) > 15
    assert [link for link, parts in found.items() if parts.scheme != "https"] == []
    assert [link for link, parts in found.items() if parts.hostname not in HOSTS] == []
    assert [host for host in HOSTS if host not in {parts.hostname for parts in found.values()}] == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/inventories/*.txt")), ids=lambda path: path.stem)
def test_names_of_others_are_sorted_and_of_one_form(path):
    """A name, its kind and its page; Sphinx reads them, in the oldest form of its inventories, which is plain text."""
    first, project, version, *rows = path.read_text("utf-8").splitlines()
    assert first == "# Sphinx inventory version 1"
    assert project.startswith("# Project: ")
    assert version.startswith("# Version: ")
    assert rows == sorted(set(rows))
    assert [row for row in rows if not re.fullmatch(r"[\w.]+ class [\w./-]+\.html", row)] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_to_files_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", (ROOT / page).read_text("utf-8"))
    assert [target for target in targets if not (ROOT / target).exists()] == []
