"""``metatomic export``, ``inspect``, and what ``convert`` says before anything is converted."""

import hashlib
import json

import models
import pytest
import torch
from command_line import fail, succeed

from metatomic_core import ModelOutput, load_atomistic_model
from metatomic_core.adapters import console
from metatomic_core.cli import inspect as inspect_command
from metatomic_core.foundation.elements import SYMBOLS, symbols
from metatomic_core.potentials import lennard_jones


def test_elements_are_where_they_belong():
    assert len(SYMBOLS) == len(set(SYMBOLS)) == 118
    assert symbols([1, 14, 26, 79, 92, 118]) == ["H", "Si", "Fe", "Au", "U", "Og"]
    assert symbols([0, -3, 119]) == ["0", "-3", "119"]


@pytest.mark.parametrize(
    ("arguments", "species", "dtype"),
    [
        (["lj"], [18], "float64"),
        (["lj", "--dtype", "float32", "--shift", "smooth"], [18], "float32"),
        (["lj", "--species", "Ne", "--sigma", "2.78", "--epsilon", "0.003", "--cutoff", "7"], [10], "float64"),
        (["sw"], [14], "float64"),
        (["sw", "--energy-sharing", "thirds"], [14], "float64"),
        (["eam"], [29], "float64"),
        (["sw", "--species", "Ge", "--parameter", "epsilon=1.93", "--parameter", "sigma=2.181"], [32], "float64"),
    ],
)
def test_export_writes_a_model_that_loads(tmp_path, arguments, species, dtype):
    path = tmp_path / "model.pt"
    result = succeed("export", *arguments, "-o", path)
    assert result.stdout.startswith(f"wrote {path}: ")
    assert result.stdout.count("\n") == 1
    model = load_atomistic_model(path)
    assert model.capabilities().atomic_types == species
    assert model.capabilities().dtype == dtype


@pytest.mark.parametrize("potential", ["lj", "sw", "eam"])
def test_export_gives_data(tmp_path, potential):
    path = tmp_path / "model.pt"
    data = json.loads(succeed("export", potential, "-o", path, "--length-unit", "bohr", "--json").stdout)
    capabilities = load_atomistic_model(path).capabilities()
    assert data["file"] == str(path)
    assert data["atomic_types"] == capabilities.atomic_types
    assert data["type_names"] == symbols(capabilities.atomic_types)
    assert data["interaction_range"] == capabilities.interaction_range
    assert (data["length_unit"], data["dtype"]) == ("bohr", "float64")


def test_export_lj_takes_parameters_of_pairs(tmp_path):
    path = tmp_path / "mixture.pt"
    values = ["--sigma", "Ar=3.4", "--sigma", "Kr=3.6", "--sigma", "Ar-Kr=3.45", "--epsilon", "0.01"]
    succeed("export", "lj", "-o", path, "--species", "Ar", "--species", "Kr", *values, "--cutoff", 9)
    sigma = {"Ar": 3.4, "Kr": 3.6, ("Ar", "Kr"): 3.45}
    expected = lennard_jones(["Ar", "Kr"], sigma, 0.01, 9.0).module.state_dict()
    found = load_atomistic_model(path).module.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], values) for name, values in expected.items())


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (["lj", "--species", "ar"], 1, "did you mean 'Ar'"),
        (["lj", "--species", "Ne"], 1, "expected `sigma` for Ne, got None"),
        (["lj", "--sigma", "big"], 2, "expected a number, got 'big'"),
        (["lj", "--sigma", "3.4", "--sigma", "3.5"], 2, "expected NAME=VALUE, got '3.4'"),
        (["lj", "--cutoff", "-1"], 1, "`cutoff`"),
        (["lj", "--energy-unit", "angstrom"], 2, "'--energy-unit': expected a unit of energy, such as eV, kcal/mol"),
        (["sw", "--length-unit", "foo"], 2, "'--length-unit': expected a unit of length, such as angstrom, bohr, nm"),
        (["sw", "--parameter", "epsilon"], 2, "expected NAME=VALUE, got 'epsilon'"),
        (["sw", "--parameter", "epsilom=2"], 1, "did you mean 'epsilon'"),
        (["sw", "--parameter", "epsilon=2", "--file", "Si.sw"], 2, "expected one of --file and --parameter, got both"),
        (["sw", "--parameter", "epsilon=2", "--parameter", "epsilon=3"], 2, "each name once, got 'epsilon' twice"),
        (["lj", "--sigma", "Ar-Kr=3", "--sigma", "Kr-Ar=4"], 2, "expected each name once, got 'Kr-Ar' twice"),
        (["sw", "--file", "none.sw"], 1, "none.sw"),
        (["lj", "--sgma", "3"], 2, "--sigma"),
        (["eam", "--file", "none.alloy"], 1, "none.alloy"),
        (["eam", "--species", "Au"], 1, "Au"),
        (["jl"], 2, "expected a command of metatomic export, got 'jl'; did you mean 'lj'"),
    ],
)
def test_export_refuses(tmp_path, arguments, status, expected):
    path = tmp_path / "model.pt"
    assert expected in fail("export", *arguments, "-o", path, status=status)
    assert list(tmp_path.iterdir()) == []


def test_export_keeps_existing_files_without_force(tmp_path):
    path = tmp_path / "model.pt"
    path.write_text("mine")
    assert "which exists; choose another or add --force" in fail("export", "lj", "-o", path)
    assert path.read_text() == "mine"
    succeed("export", "lj", "-o", path, "--force")
    assert "no such" in fail("export", "lj", "-o", tmp_path / "other.pt", "--forec", status=2)


@pytest.fixture
def model_file(tmp_path):
    """A model with two neighbor lists and outputs in variants and both spellings."""
    outputs = {
        "energy": ModelOutput(unit="kcal/mol", sample_kind="atom", description="the usual one"),
        "energy/pbe": ModelOutput(unit="eV", description="with PBE"),
        "features": ModelOutput(sample_kind="atom"),
    }
    model = models.wrap(models.TwoLists(), outputs, length_unit="nm", interaction_range=4.5)
    model.save(str(tmp_path / "model.pt"))
    return tmp_path / "model.pt"


def test_inspect_shows_everything_a_person_asks(model_file):
    text = succeed("inspect", model_file).stdout
    rows = {line.split("  ")[0]: line for line in text.splitlines()}
    assert rows["species"].split()[1:] == ["H", "C", "O", "Si"]
    assert rows["interaction range"].endswith(" 4.5 nm")
    assert rows["dtype"].endswith(" float64")
    assert rows["devices"].endswith(" cpu")
    assert rows["local"].endswith(" no: an atom needs pairs between others")
    assert rows["runs as"].endswith(" script")
    assert rows["format version"].split()[-1].isdigit()
    assert f"torch {torch.__version__}" in rows["written by"]
    outputs = [line.split() for line in text[text.index("Outputs") :].splitlines()]
    assert ["energy", "-", "kcal/mol", "atom", "1", "-", "the", "usual", "one"] in outputs
    assert ["energy", "pbe", "eV", "structure", "1", "-", "with", "PBE"] in outputs
    # once, though the file lists both spellings
    assert sum(line[:1] == ["feature"] for line in outputs) == 1
    assert "features" not in text
    assert "\x1b" not in text
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_inspect_as_json_is_the_header(model_file):
    data = json.loads(succeed("inspect", model_file, "--json").stdout)
    assert data["queries"]["type_names"] == ["H", "C", "O", "Si"]
    assert data["queries"]["interaction_range"] == 4.5
    assert data["queries"]["outputs"]["energy"]["unit"] == "kcal/mol"
    assert len(data["queries"]["neighbor_lists"]) == 2
    assert data["queries"]["is_local"] is False
    assert data["queries"]["outputs"]["energy"]["n_properties"] == 1
    assert (data["file"], data["ways"], data["reader"]) == (str(model_file), ["script"], None)


def test_inspect_shows_the_hash_of_the_file(model_file):
    digest = hashlib.sha256(model_file.read_bytes()).hexdigest()
    assert digest in succeed("inspect", model_file).stdout
    assert json.loads(succeed("inspect", model_file, "--json").stdout)["sha256"] == digest


def test_defect_inspect_cuts_no_names(monkeypatch, capsys):
    """At 80 columns, force and stress without energy looked the same, as did all outputs of one prefix."""
    names = ["non_conservative_force", "non_conservative_stress", "mtt::aux::non_conservative_forces_uncertainty"]
    monkeypatch.setattr(console, "_FILE_WIDTH", 80)
    inspect_command._print_quantities("Outputs", {name: ModelOutput(description="long " * 20) for name in names}, {})
    text = capsys.readouterr().out
    assert "\u2026" not in text
    assert all(any(line.startswith(name) for line in text.splitlines()) for name in names[:2])
    assert names[2] in "".join(line.split("  ")[0].strip() for line in text.splitlines())


def test_inspect_of_an_infinite_range_is_null(tmp_path):
    models.wrap(models.NoLists(), interaction_range=float("inf")).save(str(tmp_path / "model.pt"))
    data = json.loads(succeed("inspect", tmp_path / "model.pt", "--json").stdout)
    assert data["queries"]["interaction_range"] is None
    assert "inf angstrom" in succeed("inspect", tmp_path / "model.pt").stdout


def test_inspect_executes_nothing(model_file, monkeypatch):
    def refuse(*arguments, **keywords):
        raise AssertionError("expected nothing to be loaded")

    monkeypatch.setattr(torch.jit, "load", refuse)
    succeed("inspect", model_file)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"", "which is empty"), (b"hello", "which is something else"), (b"PK\x03\x04", "truncated or damaged")],
)
def test_inspect_refuses_other_files(tmp_path, content, expected):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    assert expected in fail("inspect", path)
    assert "which does not exist" in fail("inspect", tmp_path / "none.pt")
    assert "the directory" in fail("inspect", tmp_path)


def test_convert_refuses_before_any_work(tmp_path):
    lennard_jones().save(tmp_path / "argon.pt")
    existing = tmp_path / "there.pt"
    existing.write_text("keep me")
    assert "which exists" in fail("convert", tmp_path / "argon.pt", existing)
    assert "which does not exist" in fail("convert", tmp_path / "none.pt", tmp_path / "out.pt")
    assert "one of metatomic-core already" in fail("convert", tmp_path / "argon.pt", tmp_path / "out.pt")
    assert "'--to'" in fail("convert", tmp_path / "argon.pt", tmp_path / "out.pt", "--to", "gulp", status=2)
    assert existing.read_text() == "keep me"
    assert not (tmp_path / "out.pt").exists()
