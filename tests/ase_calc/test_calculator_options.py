"""Options of the calculator, its other methods, and what it refuses."""

import json

import ase
import models
import numpy as np
import pytest
import torch
from ase import units
from ase.calculators.calculator import PropertyNotImplementedError
from ase_models import FromAtoms, all_atoms, atoms_with_everything
from metatensor.torch import Labels

from metatomic_ase import MetatomicCalculator
from metatomic_core import ModelOutput

ATOMS = all_atoms()


def direct_model(**variants):
    outputs = {
        "energy": ModelOutput(unit="eV", sample_kind="atom"),
        "non_conservative_forces": ModelOutput(unit="eV/nm", sample_kind="atom"),
        "non_conservative_stress": ModelOutput(unit="eV/angstrom^3"),
        **variants,
    }
    return models.wrap(models.Direct(), outputs)


def rich_model():
    outputs = {
        "energy": ModelOutput(unit="eV", sample_kind="atom"),
        "energy/doubled": ModelOutput(unit="eV", sample_kind="atom", description="twice the energy"),
        "energy_uncertainty": ModelOutput(unit="eV", sample_kind="atom"),
        "energy_ensemble": ModelOutput(unit="meV", sample_kind="atom"),
    }
    return models.wrap(models.TwoLists(), outputs)


@pytest.mark.parametrize("check", [False, True])
def test_defect_direct_forces_follow_sample_labels(check):
    """The model gives its atoms in reverse order: (number of the atom, 0, x) in eV/nm."""
    atoms = ATOMS["triclinic"].copy()
    atoms.calc = MetatomicCalculator(direct_model(), non_conservative=True, check_consistency=check)
    n = len(atoms)
    expected = 0.1 * np.stack([np.arange(n), np.zeros(n), atoms.positions[:, 0]], axis=1)
    np.testing.assert_allclose(atoms.get_forces(), expected - expected.mean(axis=0), atol=1e-14)
    np.testing.assert_allclose(atoms.get_forces().sum(axis=0), 0, atol=1e-14)


@pytest.mark.parametrize("mode", [False, True, "forces", "stress"])
def test_direct_forces_and_stress_are_chosen_separately(mode):
    atoms = ATOMS["triclinic"].copy()
    atoms.calc = MetatomicCalculator(direct_model(), non_conservative=mode)
    conservative = -2 * atoms.positions
    stress = atoms.get_stress(voigt=False)
    assert np.allclose(atoms.get_forces(), conservative) == (mode in (False, "stress"))
    symmetric = (atoms.cell.array + atoms.cell.array.T) / 2
    assert np.allclose(stress, symmetric) == (mode in (True, "stress"))
    assert atoms.get_potential_energy() == pytest.approx((atoms.positions**2).sum())


def test_variants_choose_outputs_and_defect_old_spelling_is_accepted():
    atoms = ATOMS["triclinic"]
    plain = MetatomicCalculator(rich_model()).get_property("forces", atoms)
    doubled = MetatomicCalculator(rich_model(), variants={"energy": "doubled"}).get_property("forces", atoms)
    np.testing.assert_allclose(doubled, 2 * plain)
    variant = ModelOutput(unit="eV/angstrom", sample_kind="atom", description="PBE")
    model = direct_model(**{"non_conservative_force/pbe": variant})
    for name in ("non_conservative_forces", "non_conservative_force"):
        calculator = MetatomicCalculator(model, non_conservative=True, variants={name: "pbe"})
        assert calculator.get_property("forces", atoms)[-1, 0] == pytest.approx(2.5)


def test_unknown_variants_are_refused_with_what_there_is():
    with pytest.raises(
        ValueError, match=r"expected a variant of 'energy', got 'pbe'; it has .*'doubled' \(twice the en"
    ):
        MetatomicCalculator(rich_model(), variants={"energy": "pbe"})
    with pytest.raises(ValueError, match="expected `variants` of outputs that the model has"):
        MetatomicCalculator(rich_model(), variants={"dipole": "pbe"})


def test_uncertain_atoms_are_named_in_a_warning():
    atoms = ATOMS["triclinic"].copy()
    energies = np.abs(MetatomicCalculator(models.wrap(models.TwoLists())).get_property("energies", atoms))
    threshold = 0.1 * np.sort(energies)[-3] + 1e-9
    atoms.calc = MetatomicCalculator(rich_model(), uncertainty_threshold=threshold)
    with pytest.warns(UserWarning, match=r"expected uncertainties .* for 2 atoms: \d, \d"):
        atoms.get_potential_energy()
    MetatomicCalculator(rich_model(), uncertainty_threshold=None).get_property("energy", atoms)


def test_defect_custom_outputs_may_be_called_like_uncertainties():
    outputs = {"energy": ModelOutput(unit="eV", sample_kind="atom"), "my::energy_uncertainty": ModelOutput()}
    atoms = ATOMS["molecule"]
    assert np.isfinite(MetatomicCalculator(models.wrap(models.NoLists(), outputs)).get_property("energy", atoms))


def test_additional_outputs_come_with_each_calculation():
    atoms = ATOMS["triclinic"].copy()
    wanted = {"energy_ensemble": ModelOutput(unit="eV", sample_kind="atom")}
    atoms.calc = MetatomicCalculator(rich_model(), additional_outputs=wanted, uncertainty_threshold=None)
    energies = atoms.get_potential_energies()
    values = atoms.calc.additional_outputs["energy_ensemble"].block().values.numpy()
    np.testing.assert_allclose(values, 1e-3 * energies[:, None] * np.array([0.9, 1.0, 1.1]), rtol=1e-12)


def test_additional_outputs_may_have_explicit_gradients():
    atoms = ATOMS["molecule"].copy()
    outputs = {"energy": ModelOutput(unit="eV", sample_kind="atom", explicit_gradients=["positions"])}
    wanted = {"energy": ModelOutput(unit="meV", sample_kind="atom", explicit_gradients=["positions"])}
    atoms.calc = MetatomicCalculator(models.wrap(models.NoLists(), outputs), additional_outputs=wanted)
    forces = atoms.get_forces()
    block = atoms.calc.additional_outputs["energy"].block()
    np.testing.assert_allclose(block.gradient("positions").values[..., 0], -1000 * forces, rtol=1e-12)


def test_inputs_are_taken_from_atoms_and_defect_arrays_and_info_work():
    atoms = atoms_with_everything()
    atoms.calc = MetatomicCalculator(models.wrap(FromAtoms(), {"energy": ModelOutput(unit="eV")}))
    to_fs = units.fs  # ASE times are in angstrom * sqrt(u / eV)
    parts = [
        atoms.get_masses().sum(), atoms.get_momenta().sum() * to_fs, atoms.get_velocities().sum() * to_fs,
        -1.0, 2.0, -0.25, 3.5, 7.0, 1.25, 0.7,
    ]  # fmt: skip
    expected = sum(part / (i + 2) for i, part in enumerate(parts))
    assert atoms.get_potential_energy() == pytest.approx(expected, rel=1e-7)
    computed = atoms.calc.compute_energy([atoms, atoms])["energy"]
    assert computed / 2.0 == pytest.approx(np.array([expected, expected]) / 2.0, rel=1e-7)


@pytest.mark.parametrize("change", ["info", "momenta", "tags", "array", "masses"])
def test_changed_inputs_are_never_answered_from_the_cache(change):
    atoms = atoms_with_everything()
    atoms.calc = MetatomicCalculator(models.wrap(FromAtoms(), {"energy": ModelOutput(unit="eV")}))
    before = atoms.get_potential_energy()
    if change == "info":
        atoms.info["charge"] = 1
    elif change == "momenta":
        atoms.set_momenta(atoms.get_momenta() + 0.1)
    elif change == "tags":
        atoms.set_tags([3, 5])
    elif change == "array":
        atoms.arrays["weight"][0] += 0.5
    else:
        atoms.set_masses([2.0, 16.0])
    assert abs(atoms.get_potential_energy() - before) > 1e-4


def test_missing_inputs_are_named():
    atoms = ase.Atoms("H")
    atoms.calc = MetatomicCalculator(models.wrap(FromAtoms(), {"energy": ModelOutput(unit="eV")}))
    with pytest.raises(ValueError, match=r"expected 'weight' in `atoms.arrays`, which the model requests"):
        atoms.get_potential_energy()
    atoms.calc = MetatomicCalculator(models.wrap(models.WithInputs()))
    with pytest.raises(ValueError, match=r"expected 'field' in `atoms.info`, which the model requests, got \[\]"):
        atoms.get_potential_energy()


def test_batches_equal_one_by_one():
    calculator = MetatomicCalculator(models.wrap(models.TwoLists()))
    all_of_them = list(ATOMS.values())
    batch = calculator.compute_energy(all_of_them, compute_forces_and_stresses=True, per_atom=True)
    for i, atoms in enumerate(all_of_them):
        alone = MetatomicCalculator(models.wrap(models.TwoLists()))
        assert batch["energy"][i] == pytest.approx(alone.get_property("energy", atoms), abs=1e-13)
        np.testing.assert_allclose(batch["forces"][i], alone.get_property("forces", atoms), atol=1e-13)
        np.testing.assert_allclose(batch["energies"][i], alone.get_property("energies", atoms), atol=1e-13)
        stress = alone.results.get("stress")
        assert (stress is None) == (batch["stress"][i] is None)
        if stress is not None:
            np.testing.assert_allclose(batch["stress"][i][[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], stress, atol=1e-14)


def test_compute_energy_of_one_molecule():
    computed = MetatomicCalculator(models.wrap(models.TwoLists())).compute_energy(ATOMS["molecule"], True)
    assert set(computed) == {"energy", "forces"}
    assert isinstance(computed["energy"], float)


def test_direct_stress_of_a_batch_with_a_molecule():
    calculator = MetatomicCalculator(direct_model(), non_conservative="stress")
    batch = calculator.compute_energy([ATOMS["triclinic"], ATOMS["molecule"]], True)
    np.testing.assert_allclose(batch["stress"][0], ATOMS["triclinic"].cell.array, atol=1e-13)
    assert batch["stress"][1] is None


def test_run_model_gives_outputs_for_selected_atoms():
    calculator = MetatomicCalculator(models.wrap(models.TwoLists()))
    selected = Labels(["system", "atom"], torch.tensor([[0, 1], [1, 0]]))
    outputs = {"energy": ModelOutput(unit="meV", sample_kind="atom")}
    atoms = [ATOMS["triclinic"], ATOMS["slab"]]
    block = calculator.run_model(atoms, outputs, selected)["energy"].block()
    assert block.samples == selected
    expected = [calculator.get_property("energies", atoms[0])[1], calculator.get_property("energies", atoms[1])[0]]
    np.testing.assert_allclose(block.values.flatten(), 1000 * np.array(expected), rtol=1e-12)


def test_model_without_energy_serves_run_model_only():
    outputs = {"tests::pairs": ModelOutput(unit="angstrom", sample_kind="atom_pair")}
    calculator = MetatomicCalculator(models.wrap(models.Pairs(), outputs))
    atoms = ATOMS["triclinic"].copy()
    values = calculator.run_model(atoms, {"tests::pairs": ModelOutput(unit="nm", sample_kind="atom_pair")})
    assert 0 < values["tests::pairs"].block().values.max() <= 0.3
    with pytest.raises(PropertyNotImplementedError):
        calculator.get_property("energy", atoms)


def test_arguments_survive_as_json(tmp_path):
    path = tmp_path / "model.pt"
    rich_model().save(str(path))
    calculator = MetatomicCalculator(path, variants={"energy": "doubled"}, uncertainty_threshold=None)
    again = MetatomicCalculator.fromdict(json.loads(json.dumps(calculator.todict())))
    atoms = ATOMS["slab"]
    assert again.get_property("energy", atoms) == calculator.get_property("energy", atoms)
    in_memory = MetatomicCalculator(rich_model()).todict()
    assert in_memory["model"] is None
    with pytest.raises(ValueError, match="expected the path of a model in `arguments`, got those of"):
        MetatomicCalculator.fromdict(in_memory)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": 3}, TypeError, "expected `model` to be a path or an AtomisticModel, got int"),
        ({"model": torch.nn.Linear(1, 1)}, TypeError, "expected `model` to be a path or an AtomisticModel, got Linear"),
        ({"model": "nowhere.pt"}, FileNotFoundError, "'nowhere.pt', which does not exist"),
        ({"device": "cuda"}, ValueError, "expected `device` to be one of 'cpu', got 'cuda'"),
        ({"non_conservative": "force"}, ValueError, "got 'force'; did you mean 'forces'"),
        ({"non_conservative": True}, ValueError, "expected an output of the model, .* got 'non_conservative_force'"),
        ({"neighbor_skin": -1.0}, ValueError, "expected `neighbor_skin` to be zero or more, got -1.0"),
        ({"additional_outputs": {"energy": "eV"}}, TypeError, "expected `additional_outputs` to be ModelOutput"),
        ({"additional_outputs": {"dipole": ModelOutput()}}, ValueError, "expected an output of the model"),
        ({"cutoff": 3}, TypeError, "cutoff"),
    ],
)
def test_bad_options_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        MetatomicCalculator(**{"model": models.wrap(models.TwoLists()), **options})


def test_unknown_types_and_nan_are_refused():
    calculator = MetatomicCalculator(models.wrap(models.TwoLists()))
    with pytest.raises(ValueError, match=r"expected atomic types that this model knows, \[1, 6, 8, 14\], got type 79"):
        calculator.get_property("energy", ase.Atoms("Au"))
    nan = ase.Atoms("H2", [[0, 0, 0], [0, 0, np.nan]])
    with pytest.raises(ValueError, match="expected finite positions and cell, got nan"):
        calculator.get_property("energy", nan)
    with pytest.raises(TypeError, match=r"expected `atoms` to be ase\.Atoms"):
        calculator.compute_energy("H2")


def test_default_threshold_asks_for_no_choice():
    described = ModelOutput(unit="eV", sample_kind="atom", description="one of two")
    outputs = {
        "energy": ModelOutput(unit="eV", sample_kind="atom"),
        "energy_uncertainty/a": described,
        "energy_uncertainty/b": described,
    }
    model = models.wrap(models.TwoLists(), outputs)
    MetatomicCalculator(model)
    with pytest.raises(ValueError, match="expected a variant for 'energy_uncertainty', which has no default"):
        MetatomicCalculator(model, uncertainty_threshold=0.1)
