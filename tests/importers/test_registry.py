"""Families are found by entry points, those of other packages too; what is wrong with one is said."""

import pytest
from command_line import fail
from text_potentials import install

from metatomic_importers import families
from metatomic_importers.registry import family

OTHER = """
import dataclasses
from toy_family import FAMILY

same = FAMILY
another = dataclasses.replace(FAMILY, name="another")
nothing = 3
"""


def test_own_families_and_those_of_others_are_listed_without_loading_any(toy):
    packages = {name: plugin.package for name, plugin in families().items()}
    assert packages.pop("toy") == "toy-family"
    assert packages == dict.fromkeys(
        ["sevennet", "chgnet", "mace", "nequip", "allegro", "torchani"], "metatomic-importers"
    )


def test_family_of_another_package_is_found(toy):
    assert family("toy") is toy.FAMILY


@pytest.mark.parametrize(("name", "nearest"), [("tpy", "toy"), ("MACE", None), ("sevenet", "sevennet"), ("", None)])
def test_family_that_is_not_there_is_refused_with_the_nearest(name, nearest, toy, tmp_path):
    hint = f"; did you mean '{nearest}'" if nearest else ""
    message = f"'toy', got '{name}'{hint}" if hint else f"'toy', got '{name}'"
    assert message in fail("import", name, "some.ckpt", "-o", tmp_path / "out.pt")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"toy": "other:same"}, "expected one importer 'toy', got two, of .* and of .*; remove one of the packages"),
        (
            {"x": "other:missing"},
            "the importer 'x' to be importable from 'other:missing' of other-family, got an error",
        ),
        ({"x": "no_such_module:x"}, "from 'no_such_module:x' of other-family, got an error: No module named 'no_such"),
        ({"x": "other:nothing"}, "expected a Family for the importer 'x' in 'other:nothing' of other-family, got int"),
        ({"x": "other:another"}, "the importer 'x' of other-family to have this `name`, got 'another'; upgrade or"),
    ],
)
def test_families_that_are_wrong_are_named(entries, message, toy, monkeypatch, tmp_path):
    install(monkeypatch, tmp_path, {"metatomic.importers": entries}, {"other": OTHER}, "other-family")
    with pytest.raises(ValueError, match=message) as caught:
        family(next(iter(entries)))
    assert "\n" not in str(caught.value)


def test_family_that_does_not_load_leaves_the_others(toy, monkeypatch, tmp_path):
    entries = {"x": "no_such_module:x"}
    install(monkeypatch, tmp_path, {"metatomic.importers": entries}, {}, "other-family")
    assert family("toy") is toy.FAMILY


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "expected a `name` and `requirements` of a family, got ''"),
        ({"requirements": ()}, "expected a `name` and `requirements` of a family, got 'toy'"),
        ({"part": "branch"}, "expected `part` to be one of head, modal, task, got 'branch'"),
        ({"dtypes": ()}, r"expected `dtypes` among float32, float64, got \(\)"),
        ({"dtypes": ("float16",)}, r"expected `dtypes` among float32, float64, got \('float16',\)"),
    ],
)
def test_families_are_checked_when_they_are_made(fields, message, changed):
    with pytest.raises(ValueError, match=message):
        changed(**fields)
