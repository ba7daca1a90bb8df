"""Silent wrong answers that were found by review, and must not come back."""

import copy
import pickle

import models
import numpy as np
import pytest
import torch
from ase_models import Electrostatics, all_atoms, argon, argon_model
from metatensor.torch import Labels

from metatomic_ase import MetatomicCalculator
from metatomic_core import ModelOutput

ATOMS = all_atoms()


def rich_model():
    atom = "atom"
    outputs = {
        "energy": ModelOutput(unit="eV", sample_kind=atom),
        "energy/doubled": ModelOutput(unit="eV", sample_kind=atom, description="twice"),
        "energy_uncertainty": ModelOutput(unit="eV", sample_kind=atom),
    }
    return models.wrap(models.TwoLists(), outputs)


def direct_model():
    outputs = {
        "energy": ModelOutput(unit="eV", sample_kind="atom"),
        "non_conservative_forces": ModelOutput(unit="eV/angstrom", sample_kind="atom"),
        "non_conservative_stress": ModelOutput(unit="eV/angstrom^3"),
    }
    return models.wrap(models.Direct(), outputs)


def electrostatic_model(scale=1.0):
    outputs = {
        "energy": ModelOutput(unit="eV", sample_kind="atom"),
        "dipole": ModelOutput(unit="e*angstrom"),
        "charge": ModelOutput(unit="e", sample_kind="atom"),
    }
    return models.wrap(Electrostatics(), outputs)


def test_unit_of_an_additional_energy_does_not_change_results():
    atoms = ATOMS["triclinic"]
    options = {"variants": {"energy": "doubled"}, "uncertainty_threshold": None}
    plain = MetatomicCalculator(rich_model(), **options)
    wanted = {"energy/doubled": ModelOutput(unit="meV", sample_kind="system")}
    other = MetatomicCalculator(rich_model(), additional_outputs=wanted, **options)
    for name in ("energy", "forces", "stress"):
        np.testing.assert_allclose(other.get_property(name, atoms), plain.get_property(name, atoms), rtol=1e-12)
    extra = float(other.additional_outputs["energy/doubled"].block().values)
    assert extra == pytest.approx(1000 * plain.get_property("energy", atoms))


def test_unit_of_additional_direct_forces_does_not_change_results():
    atoms = ATOMS["triclinic"]
    plain = MetatomicCalculator(direct_model(), non_conservative=True)
    wanted = {
        "non_conservative_forces": ModelOutput(unit="eV/nm", sample_kind="atom"),
        "non_conservative_stress": ModelOutput(unit="GPa"),
    }
    other = MetatomicCalculator(direct_model(), non_conservative=True, additional_outputs=wanted)
    for name in ("forces", "stress"):
        np.testing.assert_allclose(other.get_property(name, atoms), plain.get_property(name, atoms), rtol=1e-12)


def test_unit_of_an_additional_dipole_does_not_change_the_dipole():
    atoms = ATOMS["molecule"]
    wanted = {"dipole": ModelOutput(unit="D")}
    calculator = MetatomicCalculator(electrostatic_model(), additional_outputs=wanted)
    dipole = calculator.get_property("dipole", atoms)
    np.testing.assert_allclose(dipole, atoms.numbers / 10 @ atoms.positions, rtol=1e-12)
    in_debye = calculator.additional_outputs["dipole"].block().values.numpy().reshape(3)
    np.testing.assert_allclose(in_debye, dipole / 0.20819434, rtol=1e-7)  # 1 D in e angstrom, CODATA 2018


def test_additional_uncertainties_do_not_change_the_warning():
    atoms = ATOMS["triclinic"]
    wanted = {"energy_uncertainty": ModelOutput(unit="meV", sample_kind="system")}
    calculator = MetatomicCalculator(rich_model(), additional_outputs=wanted, uncertainty_threshold=100.0)
    calculator.get_property("energy", atoms)  # a warning would fail this test
    assert calculator.additional_outputs["energy_uncertainty"].block().values.shape == (1, 1)


def test_additional_outputs_are_the_variant_that_was_chosen():
    atoms = ATOMS["triclinic"]
    wanted = {"energy": ModelOutput(unit="eV", sample_kind="system")}
    options = {"variants": {"energy": "doubled"}, "uncertainty_threshold": None}
    calculator = MetatomicCalculator(rich_model(), additional_outputs=wanted, **options)
    energy = calculator.get_property("energy", atoms)
    assert float(calculator.additional_outputs["energy"].block().values) == pytest.approx(energy, rel=1e-12)


def test_failed_calculations_leave_no_results():
    calculator = MetatomicCalculator(models.wrap(models.TwoLists()))
    good, bad = ATOMS["molecule"], ATOMS["molecule"].copy()
    bad.numbers[0] = 79
    calculator.calculate(good)
    for _ in range(2):
        with pytest.raises(ValueError, match="got type 79"):
            calculator.calculate(bad)
        with pytest.raises(ValueError, match="got type 79"):
            calculator.get_potential_energy(bad)


def test_nan_in_other_outputs_is_refused():
    atoms = ATOMS["molecule"].copy()
    model = electrostatic_model()
    forward = model.module.forward

    def with_nan(systems, outputs, selected_atoms):
        results = forward(systems, outputs, selected_atoms)
        if "dipole" in outputs:
            results["dipole"].block().values[0, 1] = float("nan")
        return results

    model.module.forward = with_nan
    with pytest.raises(ValueError, match="expected finite values of 'dipole' from the model, got nan"):
        MetatomicCalculator(model).get_property("dipole", atoms)


def test_selected_atoms_that_do_not_exist_are_refused():
    calculator = MetatomicCalculator(models.wrap(models.TwoLists()))
    outputs = {"energy": ModelOutput(unit="eV", sample_kind="atom")}
    atoms = [ATOMS["molecule"], ATOMS["molecule"]]
    for selected in ([[0, 4]], [[1, -1]], [[2, 0]]):
        labels = Labels(["system", "atom"], torch.tensor(selected))
        with pytest.raises(ValueError, match="`selected_atoms`"):
            calculator.run_model(atoms, outputs, labels)


def test_energy_with_variants_and_no_default_wants_a_choice():
    outputs = {
        "energy/a": ModelOutput(unit="eV", sample_kind="atom", description="first"),
        "energy/b": ModelOutput(unit="eV", sample_kind="atom", description="second"),
    }
    with pytest.raises(ValueError, match=r"expected a variant for 'energy', which has no default, .*'a' \(first\)"):
        MetatomicCalculator(models.wrap(models.TwoLists(), outputs))


def test_used_calculators_can_be_copied_and_pickled(tmp_path):
    path = tmp_path / "argon.pt"
    argon_model().save(str(path))
    atoms = argon(1)
    atoms.calc = MetatomicCalculator(path)
    energy = atoms.get_potential_energy()
    copied = copy.deepcopy(atoms)
    copied.positions += 0.01
    assert copied.get_potential_energy() == pytest.approx(energy)
    again = pickle.loads(pickle.dumps(MetatomicCalculator(path)))
    assert again.get_property("energy", atoms) == energy


def test_inference_mode_of_the_caller_does_not_matter(tmp_path):
    atoms = argon(1)
    expected = MetatomicCalculator(argon_model()).get_property("forces", atoms)
    calculator = MetatomicCalculator(argon_model())
    with torch.inference_mode():
        np.testing.assert_array_equal(calculator.get_property("forces", atoms), expected)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"variants": "pbe"}, TypeError, "expected `variants` to be a dictionary"),
        ({"additional_outputs": ["energy"]}, TypeError, "expected `additional_outputs` to be a dictionary, got list"),
        ({"additional_outputs": {"energy": ModelOutput(unit="nm")}}, ValueError, "additional output 'energy'"),
        ({"neighbor_skin": "a"}, TypeError, "expected `neighbor_skin` to be a number, got str"),
        ({"neighbor_skin": float("inf")}, ValueError, "expected `neighbor_skin` to be zero or more, got inf"),
        ({"non_conservative": ["forces"]}, TypeError, "expected `non_conservative` to be True, False or a string"),
        ({"uncertainty_threshold": -1.0}, ValueError, "expected `uncertainty_threshold` to be positive, got -1.0"),
        ({"check_consistency": "yes"}, TypeError, "expected `check_consistency` to be True or False, got str"),
        ({"do_gradients_with_energy": 1}, TypeError, "expected `do_gradients_with_energy` to be True or False"),
    ],
)
def test_options_of_the_wrong_type_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        MetatomicCalculator(models.wrap(models.TwoLists()), **options)


def test_empty_batches_are_refused():
    with pytest.raises(ValueError, match="expected at least one structure in `atoms`, got an empty list"):
        MetatomicCalculator(models.wrap(models.TwoLists())).compute_energy([])


@pytest.mark.parametrize("threshold", [None, 100.0])
@pytest.mark.parametrize(("kind", "n_samples"), [("system", 1), ("atom", 6)])
def test_additional_energies_and_uncertainties_need_no_second_pass(kind, n_samples, threshold):
    atoms = ATOMS["triclinic"]
    wanted = {
        "energy": ModelOutput(unit="meV", sample_kind=kind),
        "energy_uncertainty": ModelOutput(unit="kJ/mol", sample_kind="atom"),
    }
    model = rich_model()
    expected = MetatomicCalculator(model).run_model(atoms, wanted)
    calculator = MetatomicCalculator(model, additional_outputs=wanted, uncertainty_threshold=threshold)
    calls = []
    model.module.register_forward_hook(lambda *_: calls.append(1))
    energy = calculator.get_property("energy", atoms)
    assert len(calls) == 1
    got = calculator.additional_outputs
    assert got["energy"].block().values.shape == (n_samples, 1)
    assert float(got["energy"].block().values.sum()) == pytest.approx(1000 * energy, rel=1e-12)
    for name in wanted:
        np.testing.assert_allclose(got[name].block().values, expected[name].block().values, rtol=1e-12)


@pytest.mark.parametrize("kind", ["system", "atom"])
def test_additional_energies_beside_energies_per_atom(kind):
    atoms = ATOMS["triclinic"]
    wanted = {"energy": ModelOutput(unit="meV", sample_kind=kind)}
    calculator = MetatomicCalculator(rich_model(), additional_outputs=wanted)
    energies = calculator.get_property("energies", atoms)
    got = calculator.additional_outputs["energy"].block().values.numpy().reshape(-1)
    expected = 1000 * (energies if kind == "atom" else energies.sum(keepdims=True))
    np.testing.assert_allclose(got, expected, rtol=1e-12)
