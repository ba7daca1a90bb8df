"""Errors of models: against numbers by hand, shifts of energies, and structures that a model does not know."""

import json

import ase.build
import ase.io
import numpy as np
import pytest
from ase import units
from ase.calculators.singlepoint import SinglePointCalculator
from ase_models import argon, argon_model
from command_line import fail, load_models_once, succeed

from metatomic_ase import MetatomicCalculator
from metatomic_ase.cli.compare import _labels
from metatomic_ase.properties.comparison import compare
from metatomic_core.potentials import lennard_jones


@pytest.fixture(scope="module", autouse=True)
def _load_once():
    with load_models_once():
        yield


def kept(atoms, calculator, offset=0.0):
    """Structure with the results of a calculator, and another energy for each krypton atom."""
    energy = calculator.get_potential_energy(atoms) + offset * np.sum(atoms.numbers == 36)
    copy = atoms.copy()
    stress = {"stress": calculator.get_stress(atoms)} if atoms.pbc.all() else {}
    copy.calc = SinglePointCalculator(copy, energy=energy, forces=calculator.get_forces(atoms), **stress)
    return copy


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A model of argon, one of argon and krypton, and structures with results of the second."""
    folder = tmp_path_factory.mktemp("compare")
    argon_model().save(str(folder / "argon.pt"))
    mixture = lennard_jones(
        species=["Ar", "Kr"],
        sigma={"Ar": 3.4, "Kr": 3.6},
        epsilon={"Ar": 0.0104, "Kr": 0.014},
        cutoff=8.0,
        shift="smooth",
    )
    mixture.save(str(folder / "mixture.pt"))
    calculator = MetatomicCalculator(mixture)
    structures = [argon(1, 0.1, seed) for seed in range(4)]
    structures[3].numbers[:2] = 36
    structures.append(ase.Atoms("Ar2", [[0, 0, 0], [0, 0, 3.9]]))
    ase.io.write(folder / "set.extxyz", [kept(atoms, calculator) for atoms in structures])
    ase.io.write(folder / "shifted.extxyz", [kept(atoms, calculator, 0.25) for atoms in structures])
    ase.io.write(folder / "bare.extxyz", structures)
    return folder


def run(*arguments):
    return json.loads(succeed("compare", *arguments, "--json").stdout)


def test_errors_are_those_by_hand(files, tmp_path):
    data = run(files / "argon.pt", files / "set.extxyz", "-o", tmp_path / "out", "--picture", "png")
    model = data["models"]["argon"]
    assert model["n_computed"] == 4
    assert model["not_computed"] == {"3": "species Kr"}
    structures = [atoms for atoms in ase.io.read(files / "set.extxyz", ":") if 36 not in atoms.numbers]
    calculator = MetatomicCalculator(files / "argon.pt")
    energies = [(calculator.get_potential_energy(a) - a.get_potential_energy()) / len(a) * 1000 for a in structures]
    forces = np.concatenate([(calculator.get_forces(a) - a.get_forces()).ravel() for a in structures]) * 1000
    stresses = [(calculator.get_stress(a) - a.get_stress()) / units.GPa for a in structures if a.pbc.all()]
    for name, errors in (("energy", energies), ("forces", forces), ("stress", np.concatenate(stresses))):
        found = model["errors"][name]
        assert found["n"] == len(errors)
        assert found["mean_absolute"] == pytest.approx(np.mean(np.abs(errors)), rel=1e-4)
        assert found["root_mean_square"] == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-4)
        assert found["largest"] == pytest.approx(np.abs(errors).max(), rel=1e-4)
    assert model["errors"]["energy"]["worst_structure"] == [0, 1, 2, 4][int(np.argmax(np.abs(energies)))]
    images = ase.io.read(tmp_path / "out.argon.extxyz", ":")
    assert images[0].get_potential_energy() == pytest.approx(calculator.get_potential_energy(structures[0]), abs=1e-7)
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_model_that_made_the_values_has_no_errors_and_others_are_compared_on_what_all_know(files, tmp_path):
    arguments = ["compare", files / "argon.pt", files / "mixture.pt", files / "set.extxyz", "-o", tmp_path / "out"]
    result = succeed(*arguments, "--picture", "none")
    data = json.loads((tmp_path / "out.json").read_text("utf-8"))
    mixture = data["models"]["mixture"]
    assert mixture["n_computed"] == 5
    for part in ("errors", "errors_on_common"):
        assert max(one["largest"] for one in mixture[part].values()) < 1e-4
    assert data["n_common"] == 4
    assert mixture["errors_on_common"]["energy"]["n"] == 4
    assert data["models"]["argon"]["errors_on_common"] == data["models"]["argon"]["errors"]
    assert "4 of 5 structures; not 1 with species Kr" in result.stdout
    assert "errors on the 4 that all models know" in result.stdout


def test_energies_of_species_are_no_errors_if_shifted(files, tmp_path):
    errors = {}
    for shift in ("none", "mean", "species"):
        arguments = [files / "mixture.pt", files / "shifted.extxyz", "-o", tmp_path / shift, "--picture", "none"]
        errors[shift] = run(*arguments, "--shift", shift)["models"]["mixture"]["errors"]["energy"]
    # half of the atoms of one structure of five
    assert errors["none"]["mean_absolute"] == pytest.approx(125 / 5, rel=1e-4)
    assert errors["none"]["worst_structure"] == 3
    assert errors["mean"]["largest"] == pytest.approx(100, rel=1e-4)
    assert errors["species"]["largest"] < 1e-4


@pytest.mark.parametrize(("shift", "index", "fitted"), [("mean", ":1", 1), ("species", ":1", 1), ("species", "3:5", 2)])
def test_shift_that_leaves_no_errors_is_refused(files, tmp_path, shift, index, fitted):
    arguments = [files / "mixture.pt", files / "shifted.extxyz", "-o", tmp_path / "out", "--picture", "none"]
    message = fail("compare", *arguments, "--shift", shift, "--index", index)
    assert f"expected more structures than energies that are fitted, {fitted}, for `shift` '{shift}'" in message


def test_first_model_is_the_reference_without_values(files, tmp_path):
    models = [files / "mixture.pt", files / "argon.pt"]
    data = run(*models, files / "bare.extxyz", "-o", tmp_path / "out", "--picture", "none")
    assert data["reference"] == "mixture"
    assert data["models"]["mixture"]["errors"] == {}
    with_values = run(files / "argon.pt", files / "set.extxyz", "-o", tmp_path / "other", "--picture", "none")
    for name, found in data["models"]["argon"]["errors"].items():
        assert found["root_mean_square"] == pytest.approx(
            with_values["models"]["argon"]["errors"][name]["root_mean_square"], rel=1e-4
        )


def test_same_file_name_twice_has_two_names(files, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "argon.pt").write_bytes((files / "argon.pt").read_bytes())
    models = [files / "argon.pt", tmp_path / "other" / "argon.pt"]
    data = run(*models, files / "bare.extxyz", "-o", tmp_path / "out", "--picture", "none", "--index", ":2")
    assert list(data["models"]) == ["argon-1", "argon-2"]
    assert data["models"]["argon-2"]["errors"]["forces"]["largest"] == 0
    assert data["n_structures"] == 2


def test_compare_refuses(files, tmp_path):
    out = ["-o", tmp_path / "out", "--picture", "none"]
    assert "expected two models at least, or energies in" in fail(
        "compare", files / "argon.pt", files / "bare.extxyz", *out
    )
    assert "got none in structure 0" in fail(
        "compare", files / "argon.pt", files / "bare.extxyz", *out, "--reference", "file"
    )
    ase.io.write(tmp_path / "silicon.extxyz", ase.build.bulk("Si"))
    models = [files / "argon.pt", files / "mixture.pt"]
    assert "expected structures that the model 'argon' knows, got none: species Si" in fail(
        "compare", *models, tmp_path / "silicon.extxyz", *out
    )
    error = fail("compare", files / "argon.pt", *out, status=2)
    assert "expected MODEL, one or several, and STRUCTURES after them, got" in error
    error = fail("compare", files / "argon.pt", files / "mixture.pt", *out, status=2)
    assert "mixture.pt', which is a model" in error


def test_comparison_refuses_another_shift():
    with pytest.raises(ValueError, match="expected `shift`"):
        compare({}, {}, shift="all")


@pytest.mark.parametrize("models", [("a.pt", "x/a.pt", "a-1.pt"), ("a-2.pt", "a.pt", "x/a.pt")])
def test_models_named_like_numbered_ones_have_names_of_their_own(models):
    assert len(set(_labels(models))) == 3
