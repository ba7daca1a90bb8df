"""The calculator against finite differences, in odd units, and what it does where a property is not defined."""

import ase
import models
import numpy as np
import pytest
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.optimize import BFGS
from ase_models import Electrostatics, all_atoms

from metatomic_ase import MetatomicCalculator
from metatomic_core import ModelOutput

ATOMS = all_atoms()
PERIODIC = [name for name, atoms in ATOMS.items() if atoms.pbc.any() and atoms.cell.rank == 3]
OPEN = [name for name in ATOMS if name not in PERIODIC]


def odd_units_model():
    """Give `TwoLists` with lengths in nm and energies in kJ/mol."""
    return models.wrap(
        models.TwoLists(length=0.1), energy_unit="kJ/mol", length_unit="nm", interaction_range=0.1 * models.CUTOFF
    )


def make(kind):
    if kind == "odd units":
        return odd_units_model()
    return models.wrap(getattr(models, kind)())


@pytest.mark.parametrize("kind", ["TwoLists", "odd units", "SquaredGradient", "NoLists"])
@pytest.mark.parametrize("name", ATOMS)
def test_forces_are_derivatives_of_the_energy(name, kind):
    atoms = ATOMS[name].copy()
    atoms.calc = MetatomicCalculator(make(kind))
    forces = atoms.get_forces()
    numerical = calculate_numerical_forces(atoms, eps=1e-4)
    assert np.abs(forces - numerical).max() < 1e-7 * (1 + np.abs(forces).max())


# the volume term of `FieldAndVolume` needs three periodic directions
STRESSES = [(name, kind) for name in PERIODIC for kind in ("TwoLists", "odd units")] + [
    (name, "FieldAndVolume") for name in PERIODIC if ATOMS[name].pbc.all()
]


@pytest.mark.parametrize(("name", "kind"), STRESSES)
def test_stress_is_the_derivative_with_respect_to_strain(name, kind):
    atoms = ATOMS[name].copy()
    atoms.calc = MetatomicCalculator(make(kind))
    stress = atoms.get_stress()
    numerical = calculate_numerical_stress(atoms, eps=1e-5)
    assert np.abs(stress - numerical).max() < 1e-7 * (np.abs(stress).max() + 1e-3)


def test_units_of_the_model_do_not_matter():
    atoms = ATOMS["triclinic"]
    plain, odd = MetatomicCalculator(make("TwoLists")), MetatomicCalculator(odd_units_model())
    factor = 1 / 96.48533212331002  # kJ/mol in eV from the exact SI values of e and the Avogadro constant
    for name in ("energy", "forces", "stress", "energies", "stresses"):
        expected = factor * np.asarray(plain.get_property(name, atoms))
        np.testing.assert_allclose(odd.get_property(name, atoms), expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("name", OPEN)
def test_defect_molecules_have_no_stress_rather_than_nan(name):
    atoms = ATOMS[name].copy()
    atoms.calc = MetatomicCalculator(make("TwoLists"))
    assert np.isfinite(atoms.get_potential_energy())
    assert "stress" not in atoms.calc.results
    with pytest.raises(PropertyNotImplementedError, match="expected a periodic structure with three cell vectors"):
        atoms.get_stress()


def test_defect_slab_stress_is_per_volume_of_the_cell_without_warning():
    """A warning would fail this test: warnings are errors."""
    atoms = ATOMS["slab in a full cell"].copy()
    atoms.calc = MetatomicCalculator(make("TwoLists"))
    stress = atoms.get_stress()
    numerical = calculate_numerical_stress(atoms, eps=1e-5)
    np.testing.assert_allclose(stress, numerical, atol=1e-9)
    assert np.abs(stress[:2]).min() > 1e-6


def test_energies_and_stresses_add_up():
    atoms = ATOMS["triclinic"].copy()
    atoms.calc = MetatomicCalculator(make("TwoLists"))
    np.testing.assert_allclose(atoms.get_potential_energies().sum(), atoms.get_potential_energy(), rtol=1e-13)
    np.testing.assert_allclose(atoms.get_stresses().sum(axis=0), atoms.get_stress(), rtol=1e-10, atol=1e-15)


def test_stresses_are_refused_for_models_that_use_positions():
    atoms = ATOMS["triclinic"].copy()
    atoms.calc = MetatomicCalculator(make("FieldAndVolume"))
    with pytest.raises(ValueError, match="expected a model that sees positions and cell only through neighbor vectors"):
        atoms.get_stresses()


def test_defect_free_energy_dipole_charges_and_magnetic_moments_are_given():
    atoms = ATOMS["molecule"].copy()
    outputs = {
        "energy": ModelOutput(unit="eV", sample_kind="atom"),
        "dipole": ModelOutput(unit="e*nm"),
        "charge": ModelOutput(unit="e", sample_kind="atom"),
        "magnetic_moment": ModelOutput(unit="1000*mu_B", sample_kind="atom"),
    }
    atoms.calc = MetatomicCalculator(models.wrap(Electrostatics(), outputs))
    charges = atoms.numbers / 10
    np.testing.assert_allclose(atoms.get_charges(), charges)
    # the model computes in angstrom and says e*nm
    np.testing.assert_allclose(atoms.get_magnetic_moments(), -3000 * charges)
    np.testing.assert_allclose(atoms.get_dipole_moment(), 10 * charges @ atoms.positions)
    assert atoms.get_potential_energy(force_consistent=True) == pytest.approx((charges**2).sum())


def test_properties_that_the_model_lacks_are_refused_and_not_claimed():
    atoms = ATOMS["molecule"].copy()
    atoms.calc = MetatomicCalculator(make("TwoLists"))
    assert set(atoms.calc.implemented_properties) == {
        "energy", "free_energy", "energies", "forces", "stress", "stresses"
    }  # fmt: skip
    for getter in (atoms.get_dipole_moment, atoms.get_charges, atoms.get_magnetic_moments):
        with pytest.raises(PropertyNotImplementedError):
            getter()


def test_energy_alone_runs_no_backward_pass():
    atoms = ATOMS["triclinic"].copy()
    atoms.calc = MetatomicCalculator(make("TwoLists"), do_gradients_with_energy=False)
    atoms.get_potential_energy()
    assert set(atoms.calc.results) == {"energy", "free_energy"}
    forces = atoms.get_forces()
    atoms.calc = MetatomicCalculator(make("TwoLists"))
    np.testing.assert_array_equal(forces, atoms.get_forces())


def test_relaxation_finds_a_minimum():
    atoms = ATOMS["molecule"].copy()
    atoms.calc = MetatomicCalculator(make("NoLists"))
    BFGS(atoms, logfile=None).run(fmax=1e-6, steps=100)
    assert np.abs(atoms.positions).max() < 1e-5


def test_moving_atoms_never_meet_a_stale_neighbor_list():
    rng = np.random.default_rng(1)
    atoms = ATOMS["triclinic"].copy()
    kept = MetatomicCalculator(make("TwoLists"), neighbor_skin=0.8)
    for step in range(30):
        atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
        if step % 7 == 0:
            atoms.wrap()
        if step % 11 == 0:
            atoms.set_cell(atoms.cell.array * 0.98, scale_atoms=True)
        fresh = MetatomicCalculator(make("TwoLists"), neighbor_skin=0.0)
        np.testing.assert_allclose(kept.get_property("forces", atoms), fresh.get_property("forces", atoms), atol=1e-12)


def test_structures_of_other_sizes_one_after_the_other():
    calculator = MetatomicCalculator(make("TwoLists"))
    for name in [*ATOMS, *reversed(ATOMS)]:
        fresh = MetatomicCalculator(make("TwoLists")).get_property("energy", ATOMS[name])
        assert calculator.get_property("energy", ATOMS[name]) == pytest.approx(fresh, abs=1e-13)


def test_no_atoms_at_all():
    atoms = ase.Atoms()
    atoms.calc = MetatomicCalculator(make("TwoLists"))
    assert atoms.get_potential_energy() == 0.0
    assert atoms.get_forces().shape == (0, 3)


def test_file_model_object_and_loaded_model_agree_to_the_last_bit(tmp_path):
    from metatomic_core import load_atomistic_model

    model = make("TwoLists")
    path = tmp_path / "model.pt"
    model.save(str(path))
    atoms = ATOMS["triclinic"]
    models_ = (path, str(path), load_atomistic_model(path))
    forces = [MetatomicCalculator(m).get_property("forces", atoms) for m in models_]
    np.testing.assert_array_equal(forces[0], forces[1])
    np.testing.assert_array_equal(forces[0], forces[2])
    np.testing.assert_allclose(forces[0], MetatomicCalculator(model).get_property("forces", atoms), atol=1e-14)
