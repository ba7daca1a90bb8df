"""The packages keep apart what must be apart, and agree on what they share."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib", reason="tomllib is new in Python 3.11")

PACKAGES = Path(__file__).parents[2] / "packages"
FOLDERS = sorted(path.parent.name for path in PACKAGES.glob("*/pyproject.toml"))
ADAPTERS = [folder for folder in FOLDERS if folder != "core"]
MODULES = {path.parts[-3]: path.name for path in sorted(PACKAGES.glob("*/src/metatomic_*"))}
TITLES = {"BSD-3-Clause": "BSD 3-Clause License", "GPL-2.0-only": "GNU GENERAL PUBLIC LICENSE"}
TOOLS = tomllib.loads((PACKAGES.parent / "pyproject.toml").read_text("utf-8"))["tool"]
ENGINES = TOOLS["ruff"]["lint"]["flake8-tidy-imports"]["banned-module-level-imports"]

# modules that only the contract suite loads, and no command
SUBJECTS = ("inputs", "subject")

# imports a package and all its modules, with some packages made impossible to import
IMPORT_ALL = """
import importlib, pkgutil, sys
sys.modules.update(dict.fromkeys({blocked!r}))
package = importlib.import_module({module!r})
for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if info.name.rpartition(".")[2] not in {but!r}:
        importlib.import_module(info.name)
"""


def project(folder):
    return tomllib.loads((PACKAGES / folder / "pyproject.toml").read_text("utf-8"))["project"]


def run_python(code):
    """Run code in a fresh process; give its standard error if it fails, else nothing."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


def test_each_package_has_one_module():
    assert sorted(MODULES) == FOLDERS
    assert len(set(MODULES.values())) == len(FOLDERS)


@pytest.mark.parametrize("folder", ADAPTERS)
def test_engine_of_adapter_is_banned_from_core(folder):
    """Ruff and the tests below keep out of core what is in one list, which a new engine joins."""
    needed = {re.split(r"[\[<>=!~; ]", text)[0] for text in project(folder)["dependencies"]}
    assert needed & set(ENGINES)


def test_core_imports_without_any_engine():
    code = IMPORT_ALL.format(blocked=[*ENGINES, "matplotlib"], module="metatomic_core", but=())
    assert run_python(code) == ""


def test_core_does_not_import_installed_engines():
    code = f"import sys, metatomic_core\nloaded = set({ENGINES!r}) & sys.modules.keys()\n"
    assert run_python(code + "assert not loaded, loaded") == ""


def test_importing_core_does_not_load_the_compiler_of_torch():
    """That takes a second or two, which who only runs a model need not wait for."""
    code = (
        "import sys, metatomic_core.engine\nloaded = {'torch._dynamo', 'torch._inductor', 'sympy'} & set(sys.modules)\n"
    )
    assert run_python(code + "assert not loaded, loaded") == ""


@pytest.mark.parametrize("folder", ["lammps-glue"])
def test_announced_adapter_imports_neither_torch_nor_engine(folder):
    """Every ``metatomic`` command loads these packages: they must cost nothing."""
    code = IMPORT_ALL.format(blocked=[*ENGINES, "torch"], module=MODULES[folder], but=SUBJECTS)
    assert run_python(code) == ""


def test_versions_agree():
    versions = {folder: project(folder)["version"] for folder in FOLDERS}
    assert set(versions.values()) == {versions["core"]}


def test_versions_are_apart_from_those_of_the_reference():
    """Its `metatomic-ase` has the name of ours, and metatomic-torch 0.1 wants >=0.1.1,<0.2.

    Ours start at 0.1.100, where it has no release: pip, which takes the newest of all that it finds, takes ours.
    """
    major, minor, patch = (int(part) for part in project("core")["version"].split("."))
    assert (major, minor) == (0, 1)
    assert patch >= 100


def test_citation_names_the_version():
    text = (PACKAGES.parent / "CITATION.cff").read_text("utf-8")
    assert f"version: {project('core')['version']}" in text.splitlines()


@pytest.mark.parametrize("folder", FOLDERS)
def test_installed_version_is_the_declared_one(folder):
    declared = project(folder)
    assert importlib.metadata.version(declared["name"]) == declared["version"]
    code = f"import {MODULES[folder]} as m\nassert m.__version__ == {declared['version']!r}"
    assert run_python(code) == ""


@pytest.mark.parametrize("folder", ADAPTERS)
def test_adapter_requires_core_of_its_own_series(folder):
    dependencies = project(folder)["dependencies"]
    assert f"metatomic-core>={project('core')['version']},<0.2" in dependencies


@pytest.mark.parametrize("folder", FOLDERS)
def test_license_is_declared_and_present(folder):
    declared = project(folder)
    assert declared["license-files"] == ["LICENSE"]
    text = (PACKAGES / folder / "LICENSE").read_text("utf-8")
    assert TITLES[declared["license"]] in text
    assert "metatomic-core developers" in text


@pytest.mark.parametrize("folder", FOLDERS)
def test_package_ships_its_type_hints(folder):
    assert (PACKAGES / folder / "src" / MODULES[folder] / "py.typed").is_file()
