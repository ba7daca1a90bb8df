"""``metatomic eval``: results of the calculator, files of every kind, and refusals."""

import json
import signal
import warnings

import ase.build
import ase.io
import models
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase_models import Electrostatics, argon, argon_model
from command_line import fail, invoke, load_models_once, succeed

from metatomic_ase import MetatomicCalculator
from metatomic_core import ModelOutput


@pytest.fixture(scope="module", autouse=True)
def _load_once():
    with load_models_once():
        yield


def model_with_outputs():
    """Give a model with a dipole, charges, moments, and what it calls an uncertainty: the energy of each atom."""
    outputs = {
        "energy": ModelOutput(unit="eV", sample_kind="atom"),
        "energy_uncertainty": ModelOutput(unit="meV", sample_kind="atom"),
        "dipole": ModelOutput(unit="e*angstrom"),
        "charge": ModelOutput(unit="e", sample_kind="atom"),
        "magnetic_moment": ModelOutput(unit="mu_B", sample_kind="atom"),
    }
    return models.wrap(Electrostatics(), outputs)


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
    assert data["origin"]["versions"]["ase"] == ase.__version__
    data = data["structures"]
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


def bad_structures():
    """Give five structures that no model evaluates, of each kind, among good ones."""
    nan, twice, iron = argon(1), argon(1), argon(1)
    nan.positions[1, 2] = np.nan
    twice.positions[3] = twice.positions[1]
    iron.numbers[2] = 26
    return [nan, *structures()[:2], twice, structures()[4], iron, ase.Atoms()]


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_bad_structures_stop_no_others(files, tmp_path, batch_size):
    source = tmp_path / "in.traj"
    ase.io.write(source, bad_structures())
    command = ["eval", files / "argon.pt", source, "--batch-size", batch_size]
    result = invoke(*command, "-o", tmp_path / "out.extxyz")
    lines = result.stderr.splitlines()
    assert result.exit_code == 1
    assert lines[-1] == "metatomic: error: expected results for all 7 structures, got 4 that failed, left out"
    for line, number, reason in zip(
        lines[-5:-1], (0, 3, 5, 6), ("finite positions", "atoms 1 and 3 are 0", "got Fe", "expected atoms, got none")
    ):
        assert line.startswith(f"metatomic: structure {number} of '{source}': expected")
        assert reason in line
    assert ["failed", "4"] in [line.split() for line in result.stdout.splitlines()]
    calculator = MetatomicCalculator(argon_model())
    for atoms, expected in zip(ase.io.read(tmp_path / "out.extxyz", ":"), structures()[:2] + structures()[4:]):
        assert atoms.info["label"] == expected.info["label"]
        expected.calc = calculator
        np.testing.assert_allclose(atoms.get_forces(), expected.get_forces(), atol=1e-7)
    data = json.loads(invoke(*command, "--json").stdout)
    assert [one["structure"] for one in data["failed"]] == [0, 3, 5, 6]
    assert [one["n_atoms"] for one in data["structures"]] == [4, 32, 4]


def test_interrupted_eval_of_bad_structures_goes_on(files, tmp_path, monkeypatch):
    ase.io.write(tmp_path / "in.traj", bad_structures())
    command = ["eval", files / "argon.pt", tmp_path / "in.traj", "-o"]
    fail(*command, tmp_path / "whole.extxyz")
    compute, calls = MetatomicCalculator.compute_energy, []

    def interrupted(self, batch, **keywords):
        calls.append(1)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return compute(self, batch, **keywords)

    out = tmp_path / "out.extxyz"
    with monkeypatch.context() as patch:
        patch.setattr(MetatomicCalculator, "compute_energy", interrupted)
        result = invoke(*command, out, "--batch-size", 1)
    assert result.exit_code == 130
    assert "stopped after 2 of 7 structures" in result.stderr.splitlines()[-1]
    assert len(ase.io.read(out, ":")) == 1
    assert "got 4 that failed" in fail(*command, out, "--resume")
    assert out.read_bytes() == (tmp_path / "whole.extxyz").read_bytes()
    # a good structure that is not there was not left out
    ase.io.write(out, ase.io.read(out, ":")[1:])
    assert "expected the first results of this command in" in fail(*command, out, "--resume")


def test_eval_names_the_structure_that_fails(files, tmp_path):
    images = structures()
    images[3].positions[1, 2] = np.nan
    ase.io.write(tmp_path / "nan.traj", images)
    out = ["-o", tmp_path / "out.traj", "--strict"]
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


def test_eval_writes_energies_per_atom_and_outputs_of_the_model(tmp_path):
    """Through extended XYZ, which other tools read, and as data."""
    model_with_outputs().save(str(tmp_path / "model.pt"))
    images = [argon(1), argon(2)]
    for atoms in images:
        atoms.numbers[:] = [14, 8] * (len(atoms) // 2)
    ase.io.write(tmp_path / "in.extxyz", images)
    names = ["energies", "energy_uncertainty", "charge", "dipole", "magnetic_moment"]
    arguments = [part for name in names for part in ("--property", name)]
    command = ["eval", tmp_path / "model.pt", tmp_path / "in.extxyz", *arguments]
    succeed(*command, "-o", tmp_path / "out.extxyz", "--batch-size", 2)
    data = json.loads(succeed(*command, "--json").stdout)["structures"]
    calculator = MetatomicCalculator(model_with_outputs())
    for atoms, one, original in zip(ase.io.read(tmp_path / "out.extxyz", index=":"), data, images):
        original.calc = calculator
        energies = original.get_potential_energies()
        np.testing.assert_allclose(atoms.get_potential_energies(), energies, atol=1e-7)
        np.testing.assert_allclose(one["energies_eV"], energies, atol=1e-12)
        np.testing.assert_allclose(atoms.get_charges(), original.get_charges(), atol=1e-7)
        np.testing.assert_allclose(one["charges"], original.get_charges(), atol=1e-12)
        np.testing.assert_allclose(atoms.get_magnetic_moments(), original.get_magnetic_moments(), atol=1e-7)
        np.testing.assert_allclose(one["magmoms"], original.get_magnetic_moments(), atol=1e-12)
        np.testing.assert_allclose(atoms.get_dipole_moment(), original.get_dipole_moment(), atol=1e-6)
        uncertainty = atoms.arrays["energy_uncertainty"]
        assert uncertainty.shape == (len(atoms),)
        # the model says meV, and ASE has eV
        np.testing.assert_allclose(uncertainty, (atoms.numbers / 10) ** 2 / 1000, atol=1e-7)
    assert "expected an .extxyz file for `--property`" in fail(*command, "-o", tmp_path / "out.traj")
    error = fail("eval", tmp_path / "model.pt", tmp_path / "in.extxyz", "--json", "--property", "colour")
    assert "expected `--property` to be energies or an output of the model" in error


def test_outputs_say_what_they_come_from(files, tmp_path):
    succeed("eval", files / "argon.pt", files / "all.traj", "-o", tmp_path / "out.extxyz")
    info = ase.io.read(tmp_path / "out.extxyz").info
    assert info["metatomic_model"] == "Lennard-Jones Ar"
    assert len(info["metatomic_sha256"]) == 64
    assert "metatomic eval, metatomic-core" in info["metatomic_command"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("suffix", ["extxyz", "traj"])
def test_interrupt_keeps_what_is_done_and_resume_does_the_rest(files, tmp_path, monkeypatch, number, suffix):
    output = tmp_path / f"out.{suffix}"
    command = ["eval", files / "argon.pt", files / "all.traj", "-o", output, "--batch-size", 2]
    compute, calls = MetatomicCalculator.compute_energy, []

    def interrupted(self, batch, **keywords):
        calls.append(len(batch))
        if sum(calls) == 4:
            signal.raise_signal(number)
        return compute(self, batch, **keywords)

    monkeypatch.setattr(MetatomicCalculator, "compute_energy", interrupted)
    result = invoke(*command)
    assert result.exit_code == 128 + number
    assert result.stderr.splitlines()[-1] == (
        f"metatomic: stopped after 4 of 5 structures; '{output}' has them; go on with the same command and --resume"
    )
    assert len(ase.io.read(output, index=":")) == 4
    calls.clear()
    succeed(*command, "--resume")
    assert calls == [1]
    succeed(*command[:4], tmp_path / f"all.{suffix}")
    for one, other in zip(ase.io.read(output, index=":"), ase.io.read(tmp_path / f"all.{suffix}", index=":")):
        np.testing.assert_allclose(one.get_forces(), other.get_forces(), atol=1e-7)
        assert one.get_potential_energy() == pytest.approx(other.get_potential_energy(), abs=1e-7)
        assert one.info == other.info


def test_resume_refuses_other_files(files, tmp_path):
    command = ["eval", files / "argon.pt", files / "all.traj", "-o", tmp_path / "out.extxyz", "--resume"]
    ase.io.write(tmp_path / "out.extxyz", argon(2))
    assert "expected the first results of this command in" in fail(*command)
    succeed("eval", files / "argon.pt", files / "all.traj", "-o", tmp_path / "out.extxyz", "--force", "--check")
    assert "expected results of the same options" in fail(*command)


def test_index_and_device_that_are_none_are_named(files, tmp_path):
    command = ["eval", files / "argon.pt", files / "all.traj", "--json"]
    assert "expected `--index` to be a number or a slice" in fail(*command, "--index", "a")
    assert "got 'gpu'; did you mean 'cuda'" in fail(*command, "--device", "gpu")


def test_what_ase_says_of_a_file_is_one_line_of_text(files, tmp_path):
    (tmp_path / "garbage.xyz").write_text("garbage\nmore\n")
    error = fail("eval", files / "argon.pt", tmp_path / "garbage.xyz", "--json")
    assert error.endswith("base 10: 'garbage'; if it has another format, name it with `--format`")


def test_file_that_declares_more_atoms_than_it_holds_is_refused_at_once(files, tmp_path):
    (tmp_path / "long.xyz").write_text("99999999999\n\nAr 0 0 0\n")
    error = fail("eval", files / "argon.pt", tmp_path / "long.xyz", "--json")
    assert "expected 99999999999 atoms in" in error
    (tmp_path / "short.xyz").write_text("1\n\nAr 0 0 0")
    succeed("eval", files / "argon.pt", tmp_path / "short.xyz", "--json")


@pytest.mark.parametrize("command", ["eval", "md", "relax"])
def test_atoms_at_one_place_are_named(files, tmp_path, command):
    atoms = argon(2)
    atoms.positions[7] = atoms.positions[3] + atoms.cell[0]
    ase.io.write(tmp_path / "twice.extxyz", atoms)
    more = ["--temperature", 10] if command == "md" else []
    error = fail(command, files / "argon.pt", tmp_path / "twice.extxyz", "-o", tmp_path / "out.extxyz", *more)
    assert "finite" in error
    assert error.endswith("atoms 3 and 7 are 0 Å apart: move one of them")
