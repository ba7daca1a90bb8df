"""A family of models in a package of its own, that of the documentation, and checkpoints of it."""

import dataclasses
from pathlib import Path
from types import ModuleType

import pytest
import torch
from text_potentials import install

SOURCE = Path(__file__).parents[2] / "docs" / "examples" / "toy_family" / "toy_family.py"
CONTENT = {"format": "toy-morse", "species": [18, 14, 6], "parameters": {"epsilon": 0.1, "r0": 2.5, "rho0": 3.0}}


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> ModuleType:
    """The module of the family, whose package is installed for the tests of a file."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        entry_points = {"metatomic.importers": {"toy": "toy_family:FAMILY"}}
        modules = {"toy_family": SOURCE.read_text("utf-8")}
        install(monkeypatch, tmp_path_factory.mktemp("site"), entry_points, modules, "toy-family")
        import toy_family

        yield toy_family


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A checkpoint of the family: argon, silicon and carbon."""
    path = tmp_path_factory.mktemp("checkpoints") / "toy.ckpt"
    torch.save({**CONTENT, "licence": "MIT, by the toy makers"}, path)
    return path


@pytest.fixture
def changed(toy, monkeypatch):
    """Put a changed family in the place of the one that is installed: give fields of `Family`, or of what it reads."""

    def change(of_imported=None, **of_family):
        before = toy.FAMILY.read

        def read(request):
            return dataclasses.replace(before(request), **of_imported)

        if of_imported is not None:
            of_family["read"] = read
        family = dataclasses.replace(toy.FAMILY, **of_family)
        monkeypatch.setattr(toy, "FAMILY", family)
        return family

    return change
