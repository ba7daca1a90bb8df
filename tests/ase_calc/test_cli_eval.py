"""``metatomic eval``: results of the calculator, files of every kind, and refusals."""

import json
import warnings

import ase.build
import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from command_line import argon, argon_model, fail, load_models_once, succeed

from metatomic_ase import MetatomicCalculator


@pytest.fixture(scope="module", autouse=True)
def _load_once():
    with load_models_once():
        yield


def structures():
    """Give crystals of two sizes, a molecule and a slab, with arrays and info of their own."""
    dimer = ase.Atoms("Ar2", [[0, 0, 0], [0, 0.5, 3.7]])
    slab = argon(1)
    slab.pbc = [True, True, False]
    slab.cell[2] = [0, 0, 15]
    found = [argon(1), argon(2), dimer, slab, argon(1, 0.1, 7)]
    for index, atoms in enumerate(found):
        atoms.info["label"] = f"number {index}"
        atoms.set_array("weights", np.arange(len(atoms)) / 8)
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("eval")
    argon_model().save(str(folder / "argon.pt"))
    ase.io.write(folder / "all.traj", structures())
    return folder


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_eval_gives_what_the_calculator_gives(files, tmp_path, batch_size):
    output = tmp_path / "out.traj"
    succeed("eval", files / "argon.pt", files / "all.traj", "-o", output, "--batch-size", batch_size)
    calculator = MetatomicCalculator(argon_model())
    evaluated = ase.io.read(output, index=":")
    assert len(evaluated) == 5
    for atoms, expected in zip(evaluated, structures()):
        expected.calc = calculator
        assert atoms.get_potential_energy() == pytest.approx(expected.get_potential_energy(), abs=1e-12)
        np.testing.assert_allclose(atoms.get_forces(), expected.get_forces(), atol=1e-12)
        assert ("stress" in atoms.calc.results) == bool(expected.pbc.any())
        if expected.pbc.any():
            np.testing.assert_allclose(atoms.get_stress(), expected.get_stress(), atol=1e-13)
        np.testing.assert_array_equal(atoms.positions, expected.positions)
        assert atoms.info["label"] == expected.info["label"]


def test_eval_keeps_arrays_and_info(files, tmp_path):
    """Through extended XYZ: ``.traj`` holds no arrays that ASE does not know."""
    ase.io.write(tmp_path / "in.extxyz", structures())
    succeed("eval", files / "argon.pt", tmp_path / "in.extxyz", "-o", tmp_path / "out.extxyz")
    for atoms, expected in zip(ase.io.read(tmp_path / "out.extxyz", index=":"), structures()):
        np.testing.assert_array_equal(atoms.arrays["weights"], expected.arrays["weights"])
        assert atoms.info["label"] == expected.info["label"]
        assert {"energy", "forces"} <= atoms.calc.results.keys()


@pytest.mark.parametrize("name", ["out.extxyz", "out.xyz", "out.json", "out.db"])
def test_eval_writes_formats_that_hold_results(files, tmp_path, name):
    succeed("eval", files / "argon.pt", files / "all.traj", "-o", tmp_path / name, "--index", ":2")
    atoms = structures()[1]
    atoms.calc = MetatomicCalculator(argon_model())
    read = ase.io.read(tmp_path / name, index=-1)
    assert read.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), abs=1e-7)
    np.testing.assert_allclose(read.get_forces(), atoms.get_forces(), atol=1e-7)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_eval_as_json(files):
    data = json.loads(succeed("eval", files / "argon.pt", files / "all.traj", "--json").stdout)
    calculator = MetatomicCalculator(argon_model())
    computed = calculator.compute_energy(structures(), compute_forces_and_stresses=True)
    np.testing.assert_allclose([one["energy_eV"] for one in data], computed["energy"], rtol=1e-12)
    np.testing.assert_allclose(data[1]["forces_eV_per_A"], computed["forces"][1], atol=1e-12)
    assert data[2]["stress_eV_per_A3"] is None
    assert data[2]["formula"] == "Ar2"


def test_eval_compares_with_results_of_the_input(files, tmp_path):
    atoms = argon(1)
    atoms.calc = MetatomicCalculator(argon_model())
    results = {"energy": atoms.get_potential_energy() + 0.004, "forces": atoms.get_forces() + 0.002}
    atoms.calc = SinglePointCalculator(atoms, **results)
    ase.io.write(tmp_path / "in.traj", atoms)
    result = succeed("eval", files / "argon.pt", tmp_path / "in.traj", "-o", tmp_path / "out.traj")
    assert "energy RMSE 1 meV per atom" in result.stdout
    assert "force RMSE 2 meV/Å" in result.stdout
    assert "\x1b" not in result.stdout + result.stderr


def test_eval_warns_about_formats_without_results(files, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = succeed("eval", files / "argon.pt", files / "all.traj", "-o", tmp_path / "out.vasp", "--index", 0)
    assert "metatomic: warning: expected a format that holds energies and forces" in result.stderr
    assert (tmp_path / "out.vasp").exists()


def test_eval_names_the_structure_that_fails(files, tmp_path):
    images = structures()
    images[3].positions[1, 2] = np.nan
    ase.io.write(tmp_path / "nan.traj", images)
    out = ["-o", tmp_path / "out.traj"]
    error = fail("eval", files / "argon.pt", tmp_path / "nan.traj", *out)
    assert f"structure 3 of '{tmp_path / 'nan.traj'}': expected finite positions" in error
    images[3] = ase.build.bulk("NaCl", "rocksalt", 5.6)
    ase.io.write(tmp_path / "salt.traj", images)
    error = fail("eval", files / "argon.pt", tmp_path / "salt.traj", *out)
    assert "expected species that the model knows, Ar, got Na Cl in structure 3 of" in error
    assert not (tmp_path / "out.traj").exists()


def test_eval_refuses(files, tmp_path):
    arguments = ["eval", files / "argon.pt", files / "all.traj"]
    assert "expected -o FILE or --json, got neither" in fail(*arguments, status=2)
    assert "such as .extxyz, got" in fail(*arguments, "-o", tmp_path / "out.foo")
    assert "expected a format for 5 structures" in fail(*arguments, "-o", tmp_path / "out.vasp")
    assert "expected an index of a structure in" in fail(*arguments, "-o", tmp_path / "out.traj", "--index", 9)
    assert "got none for `--index` '7:'" in fail(*arguments, "-o", tmp_path / "out.traj", "--index", "7:")
    assert "'--batch-size'" in fail(*arguments, "-o", tmp_path / "out.traj", "--batch-size", 0, status=2)
    existing = tmp_path / "out.traj"
    existing.write_text("mine")
    assert "which exists" in fail(*arguments, "-o", existing)
    assert existing.read_text() == "mine"
    succeed(*arguments, "-o", existing, "--force", "--check")
