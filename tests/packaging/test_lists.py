"""Lists that tools want written out agree with the packages, and versions with the constraints."""

import re
import shlex
from pathlib import Path

import pytest

from metatomic_core.cli import _group

tomllib = pytest.importorskip("tomllib", reason="tomllib is new in Python 3.11")

ROOT = Path(__file__).parents[2]
CONTENTS = {
    path.parent.name: tomllib.loads(path.read_text("utf-8")) for path in sorted(ROOT.glob("packages/*/pyproject.toml"))
}
PROJECTS = {folder: contents["project"] for folder, contents in CONTENTS.items()}
TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
PINNED = set(re.findall(r"^([\w-]+)==", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE))


def name_of(requirement):
    return re.split(r"[\[<>=!~; ]", requirement)[0]


def test_mypy_finds_the_sources_of_each_package():
    listed = [path.removeprefix("$MYPY_CONFIG_FILE_DIR/") for path in TOOLS["mypy"]["mypy_path"]]
    assert sorted(listed) == [f"packages/{folder}/src" for folder in PROJECTS]


def test_core_announces_the_commands_of_each_package():
    """Its help names them where they are not installed, and so cannot ask them."""
    commands = {
        name: project["name"]
        for project in PROJECTS.values()
        for name in project.get("entry-points", {}).get("metatomic.commands", {})
    }
    assert {name: row[0] for name, row in _group._ADAPTERS.items()} == commands
    folders = {project["name"]: f"packages/{folder}" for folder, project in PROJECTS.items()}
    assert folders == {**_group._FOLDERS, "metatomic-core": "packages/core"}


@pytest.mark.parametrize("folder", CONTENTS)
def test_constraints_pin_all_that_a_package_and_its_tests_need(folder):
    own = {project["name"] for project in PROJECTS.values()}
    needed = [*PROJECTS[folder]["dependencies"], *CONTENTS[folder].get("dependency-groups", {}).get("test", [])]
    assert {name_of(text) for text in needed} - own - PINNED == set()


@pytest.mark.parametrize("folder", PROJECTS)
def test_each_requirement_has_an_oldest_version(folder):
    """The session `minimums` installs it."""
    own = {project["name"] for project in PROJECTS.values()}
    needed = [text for text in PROJECTS[folder]["dependencies"] if name_of(text) not in own]
    assert [text for text in needed if text.count(">=") != 1] == []


def test_packages_share_pythons_and_minimums():
    """What one package says about Python, or about a requirement, holds for all."""
    pythons = {
        (project["requires-python"], *(text for text in project["classifiers"] if "Python ::" in text))
        for project in PROJECTS.values()
    }
    assert len(pythons) == 1
    texts = {text for project in PROJECTS.values() for text in project["dependencies"]}
    assert len({name_of(text) for text in texts}) == len(texts)


def test_hooks_use_tools_whose_versions_the_constraints_pin():
    """They are commands of the environment, which `nox -s lint` makes: they have no version of their own."""
    text = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    assert set(re.findall(r"repo: (\S+)", text)) == {"local"}
    assert not re.search(r"\brev:", text)
    assert set(re.findall(r"language: (\S+)", text)) == {"system", "pygrep"}
    entries = re.findall(r"entry: (.+)\n +language: system", text)
    commands = {shlex.split(entry)[0] for entry in entries} - {"bash"}
    assert {"ruff", "codespell", "clang-format"} <= commands <= PINNED
