"""The recipe of an image has all packages, and what it copies is there and is sent to whoever builds it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "recipes" / "Dockerfile").read_text("utf-8").replace("\\\n", " ")


def test_image_has_all_packages():
    (line,) = re.findall(r"^RUN pip install .*\./core .*$", TEXT, re.MULTILINE)
    installed = {name for name in line.split() if name.startswith("./")}
    assert installed == {f"./{path.parent.name}" for path in ROOT.glob("packages/*/pyproject.toml")}


def test_what_is_copied_is_there_and_not_ignored():
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    copied = re.findall(r"^COPY (\S+) ", TEXT, re.MULTILINE)
    assert copied == ["constraints.txt", "packages"]
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored


def test_versions_are_those_of_the_tests():
    """Each pip has the constraints, and torch is that of the index that the comment and the page name."""
    pips = re.findall(r"^RUN pip install .*$", TEXT, re.MULTILINE)
    assert len(pips) == 2
    assert all("-c /src/constraints.txt" in line for line in pips)
    page = (ROOT / "docs" / "installation.rst").read_text("utf-8")
    (index,) = re.findall(r"^ARG TORCH_INDEX=(\S+)$", TEXT, re.MULTILINE)
    assert index in page
    assert "docker build -f recipes/Dockerfile" in page
