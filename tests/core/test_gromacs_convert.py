"""``metatomic convert --to gromacs``: what it prints and writes, and what it refuses."""

import json
import shlex
import warnings
import zipfile
from pathlib import Path

import models
import pytest
import torch
from command_line import fail, process, succeed

from metatomic_core import ModelCapabilities, ModelMetadata, ModelOutput, load_atomistic_model
from metatomic_core.files.extensions import Extension, Library
from metatomic_core.gromacs.convert import convert
from metatomic_core.gromacs.libraries import library_paths
from metatomic_core.model.atomistic_model import AtomisticModel
from metatomic_core.potentials import lennard_jones

ENERGY = ModelOutput(unit="eV", sample_kind="atom")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Models in files: one of argon, and one with two energies and more."""
    folder = tmp_path_factory.mktemp("models")
    lennard_jones("Ar", cutoff=8.5).save(str(folder / "argon.pt"))
    variants = {
        f"energy/{name}": ModelOutput(unit="eV", sample_kind="atom", description=name) for name in ("pbe", "doubled")
    }
    outputs = {**variants, "energy_uncertainty": ENERGY}
    models.wrap(models.TwoLists(), outputs).save(str(folder / "variants.pt"))
    return folder


def lines_of(text):
    """Give the lines of an mdp file, which every line has to be."""
    lines = [line for line in text.splitlines() if not line.startswith("; ")]
    return dict(line.replace(" ", "").split("=") for line in lines)


def record(path, name):
    with zipfile.ZipFile(path) as archive:
        (found,) = [member for member in archive.namelist() if member.endswith(f"/extra/{name}")]
        return archive.read(found).decode()


def test_lines_for_2025(folder, tmp_path):
    path = tmp_path / "gmx.pt"
    text = succeed("convert", folder / "argon.pt", path, "--to", "gromacs").stdout
    assert lines_of(text) == {
        "nnpot-active": "true",
        "nnpot-modelfile": str(path),
        "nnpot-input-group": "System",
        "nnpot-model-input1": "atom-positions",
        "nnpot-model-input2": "atom-numbers",
        "nnpot-model-input3": "box",
        "nnpot-model-input4": "pbc",
    }
    assert "GROMACS 2025 and later" in text
    assert "; no NPT" in text
    assert "; a group that is bonded to other atoms needs nnpot-link-type = Ar" in text
    libraries = record(path, "extension_libs").split(":")
    assert [Path(library).name.split(".")[0] for library in libraries] == ["libmetatensor", "libmetatensor_torch"]
    assert all(Path(library).is_file() and Path(library).is_absolute() for library in libraries)


def test_pairs_library_directory_and_json(folder, tmp_path):
    path = tmp_path / "gmx.pt"
    options = ["--pairs", "--library-dir", "/opt/lib", "--json"]
    data = json.loads(succeed("convert", folder / "argon.pt", path, "--to", "gromacs", *options).stdout)
    inputs = ["atom-positions", "atom-numbers", "atom-pairs", "pair-shifts", "box", "pbc"]
    assert [data["mdp"][f"nnpot-model-input{i}"] for i in range(1, 7)] == inputs
    # the cutoff, and what atoms may move between two pair searches
    assert float(data["mdp"]["nnpot-pair-cutoff"]) == float(data["mdp"]["rlist"]) == pytest.approx(0.85 + 0.1)
    assert data["mdp"]["verlet-buffer-tolerance"] == "-1"
    assert data["mdp"]["nnpot-modelfile"] == "gmx.pt"
    assert data["release"] == "2026"
    assert record(path, "extension_libs").split(":") == data["libraries"]
    assert all(library.startswith("/opt/lib/libmetatensor") for library in data["libraries"])
    assert json.loads(record(path, "metatomic-gromacs.json")) == data


def test_variants_and_what_is_left_out(folder, tmp_path):
    source, path = folder / "variants.pt", tmp_path / "gmx.pt"
    error = fail("convert", source, path, "--to", "gromacs")
    assert "expected a variant for 'energy', which has no default, got none; choose from 'pbe' (pbe)" in error
    assert "got 'blyp'" in fail("convert", source, path, "--to", "gromacs", "--variant", "energy=blyp")
    for wrong in ("blyp", "energy=", "dipole=a"):
        error = fail("convert", source, path, "--to", "gromacs", "--variant", wrong, status=2)
        assert f"expected a variant of the energy, such as energy=pbe, got '{wrong}'" in error
    assert not path.exists()
    text = succeed("convert", source, path, "--to", "gromacs", "--variant", "energy=doubled").stdout
    assert "; not available in GROMACS: energy/pbe, energy_uncertainty" in text
    # hydrogen is one of its elements
    assert "link-type" not in text


def file_of(module, folder, outputs, types=(1, 6), length_unit="angstrom"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is missing is the point
        capabilities = ModelCapabilities(outputs, list(types), 4.0, length_unit, ["cpu"], "float64")
        AtomisticModel(module.eval(), ModelMetadata(), capabilities).save(str(folder / "model.pt"))
    return folder / "model.pt"


@pytest.mark.parametrize(
    ("module", "settings", "expected"),
    [
        (
            models.Pairs,
            {"outputs": {"tests::pairs": ModelOutput(sample_kind="atom_pair")}},
            "that gives tests::pairs",
        ),
        (models.WithInputs, {"outputs": {"energy": ENERGY}}, "one that wants 'masses' for each atom, which GROMACS"),
        (models.NoLists, {"outputs": {"energy": ModelOutput(sample_kind="atom")}}, "a unit of 'energy', got none"),
        (models.NoLists, {"outputs": {"energy": ENERGY}, "length_unit": ""}, "a unit of length, got none"),
        (models.NoLists, {"outputs": {"energy": ENERGY}, "types": (0, 200)}, "got the types [0, 200]"),
    ],
)
def test_models_that_gromacs_can_not_run_are_refused(tmp_path, module, settings, expected):
    source = file_of(module(), tmp_path, **settings)
    with pytest.raises(ValueError, match="expected a model") as raised:
        convert(source, tmp_path / "gmx.pt")
    assert expected in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_pairs_are_refused_for_a_model_without(tmp_path):
    source = file_of(models.NoLists(), tmp_path, {"energy": ENERGY})
    with pytest.raises(ValueError, match="expected a model that wants pairs for `--pairs`"):
        convert(source, tmp_path / "gmx.pt", pairs=True)


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (["argon.pt", "OUT/gmx.pth", "--to", "gromacs"], 1, "expected a file name that ends in '.pt'"),
        (["argon.pt", "OUT/none/gmx.pt", "--to", "gromacs"], 1, "create it first"),
        (["none.pt", "OUT/gmx.pt", "--to", "gromacs"], 1, "which does not exist"),
        (["argon.pt", "OUT/gmx.pt", "--to", "gromacs", "--library-dir", "lib"], 1, "expected an absolute path"),
        (["argon.pt", "OUT/gmx.pt", "--to", "gromacs", "--library-dir", "/a:b"], 1, "paths of libraries without ':'"),
        (["argon.pt", "OUT/gmx.pt", "--pairs"], 2, "expected --pairs with --to gromacs, got --to metatomic-core"),
        (
            ["argon.pt", "OUT/gmx.pt", "--to", "gromacs", "--collect-extensions", "d"],
            2,
            "expected --collect-extensions",
        ),
        (["argon.pt", "OUT/gmx.pt", "--to", "gromax"], 2, "gromax"),
    ],
)
def test_wrong_use_is_refused_before_any_work(folder, tmp_path, monkeypatch, arguments, status, expected):
    monkeypatch.chdir(folder)
    given = [argument.replace("OUT", str(tmp_path)) for argument in arguments]
    assert expected in fail("convert", *given, status=status)
    assert list(tmp_path.iterdir()) == []


def test_files_for_gromacs_are_told_from_models(folder, tmp_path):
    convert(folder / "argon.pt", tmp_path / "gmx.pt")
    with pytest.raises(ValueError, match="which is a file for GROMACS; give the model that it was made from"):
        load_atomistic_model(tmp_path / "gmx.pt")


def test_libraries_of_extensions_follow_those_that_they_need(monkeypatch):
    loaded = [Path("/x/libfirst.so"), Path("/x/libsecond.so"), *map(Path, sorted(torch.ops.loaded_libraries))]
    monkeypatch.setattr("metatomic_core.gromacs.libraries.loaded_extensions", lambda: loaded)
    extension = Extension("libsecond.so", "0", registers=["a.B"], dependencies=[Library("libfirst.so", "0")])
    names = [Path(path).name.split(".")[0] for path in library_paths([extension], None)]
    assert names == ["libmetatensor", "libmetatensor_torch", "libfirst", "libsecond"]
    with pytest.raises(ValueError, match="'libthird"):
        library_paths([Extension("libthird.so", "0")], None)


def commands_of(page):
    """Give the words of each ``metatomic`` command in the literal blocks of a page, without redirections."""
    lines = (Path(__file__).parents[2] / "docs" / page).read_text().splitlines()
    found = [line.strip() for line in lines if line.startswith("    metatomic ")]
    return [shlex.split(line.partition(">>")[0])[1:] for line in found]


def test_commands_of_the_page_run_in_order_in_one_folder(tmp_path):
    commands = commands_of("engines/gromacs.rst")
    assert len(commands) == 3
    for words in commands:
        done = process(*words, cwd=tmp_path)
        _, errors = done.communicate(timeout=120)
        assert done.returncode == 0, (words, errors)
