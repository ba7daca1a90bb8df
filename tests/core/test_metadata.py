"""`ModelMetadata`: validation, and a card that prints whatever its words are."""

import json

import models
import pytest

from metatomic_core import ModelMetadata, load_atomistic_model

URL = "https://example.org/" + "a-very-long-path/" * 12

METADATA = ModelMetadata(
    name="SiPot",
    description="A potential for silicon, fitted to many things that take more than one line of 80 columns to tell.",
    authors=["Ada Lovelace <ada@example.org>", "Émilie du Châtelet"],
    references={"model": ["10.1000/xyz"], "architecture": [URL], "implementation": ["a code", "another one"]},
    extra={"key": "value"},
)

CARD = f"""\
This is the SiPot model
=======================

A potential for silicon, fitted to many things that take more than one line of
80 columns to tell.

Model authors
-------------

- Ada Lovelace <ada@example.org>
- Émilie du Châtelet

Model references
----------------

Please cite the following when using it:
- about the implementation of this model:
  * a code
  * another one
- about the architecture of this model:
  * {URL}
- about the model of this model:
  * 10.1000/xyz"""


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"name": 1}, TypeError, "expected `name` to be a string, got int"),
        ({"description": 1}, TypeError, "expected `description` to be a string, got int"),
        ({"authors": "me"}, TypeError, "expected `authors` to be a list of strings, got str"),
        ({"authors": [1]}, TypeError, "expected `authors` to be a list of strings, got int"),
        ({"authors": [" "]}, ValueError, "expected `authors` to have no empty entries, got ' '"),
        ({"references": ["x"]}, TypeError, "expected `references` to be a dictionary, got list"),
        (
            {"references": {"model": "x"}},
            TypeError,
            r"expected `references\['model'\]` to be a list of strings, got str",
        ),
        ({"references": {"model": [""]}}, ValueError, r"expected `references\['model'\]` to have no empty entries"),
        (
            {"references": {"models": ["x"]}},
            ValueError,
            "expected `references` to be one of 'implementation', 'architecture', 'model', got 'models'; did you mean",
        ),
        ({"extra": []}, TypeError, "expected `extra` to be a dictionary, got list"),
        ({"extra": {"a": 1}}, TypeError, "expected `extra` to be a dictionary of strings, got int"),
    ],
)
def test_metadata_refuses_when_it_is_made(arguments, kind, message):
    with pytest.raises(kind, match=message):
        ModelMetadata(**arguments)


def test_metadata_defaults():
    metadata = ModelMetadata()
    assert vars(metadata) == {"name": "", "description": "", "authors": [], "references": {}, "extra": {}}
    assert str(metadata) == "This is an unnamed model\n========================"


def test_metadata_equality():
    assert ModelMetadata("a") == ModelMetadata("a")
    assert ModelMetadata("a") != ModelMetadata("b")
    assert ModelMetadata("a") != "a"


def test_card():
    assert str(METADATA) == CARD


def test_defect_card_with_a_very_long_url_prints():
    for arguments in (
        {"name": URL},
        {"description": URL},
        {"authors": [URL]},
        {"references": {"model": [URL]}},
        {"description": f"See {URL} for more."},
    ):
        text = repr(ModelMetadata(**arguments))
        assert URL in text
        # all other lines keep to 80 columns
        assert all(len(line) <= 80 for line in text.splitlines() if URL not in line)


def test_card_keeps_lines_and_hyphens_of_the_description():
    text = str(ModelMetadata("x", description="first line\n\nsecond-line " + "word-with-hyphens " * 9))
    assert "first line\n\nsecond-line word-with-hyphens" in text
    assert not any(line.endswith("-") for line in text.splitlines())


def test_metadata_is_read_as_metatrain_does():
    content = json.loads(METADATA._get_method("__getstate__")())
    assert content.pop("class") == "ModelMetadata"
    assert ModelMetadata(**content) == METADATA
    assert METADATA._get_method("__str__")() == CARD


def test_notebooks_show_models_in_memory_and_loaded(tmp_path):
    model = models.wrap(models.WithInputs())
    shown = model._repr_html_()
    for text in ("AtomisticModel", "WithInputs", "H C O Si", "energy in eV per atom", "spin_multiplicity per system"):
        assert text in shown
    assert shown.count("energy in eV") == 1
    path = tmp_path / "a<b.pt"
    models.wrap(models.TwoLists()).save(str(path))
    shown = load_atomistic_model(path)._repr_html_()
    assert "LoadedModel" in shown
    assert "a&lt;b.pt" in shown
    assert "a<b.pt" not in shown
