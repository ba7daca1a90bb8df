"""What a model says besides the properties of ASE, compared with formulas of the models and finite differences."""

import subprocess
import sys
from typing import Dict, List, Optional

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError
from ase.neighborlist import neighbor_list
from ase.vibrations import VibrationsData
from ase_models import Electrostatics, all_atoms
from metatensor.torch import Labels, TensorMap
from models import TwoLists, wrap

from metatomic_ase import Ensemble, MetatomicCalculator
from metatomic_core import ModelOutput, System
from metatomic_core.authors import all_types, energy_output, per_atom_output
from metatomic_core.potentials import lennard_jones

ATOM, SYSTEM = ModelOutput(unit="eV", sample_kind="atom"), ModelOutput(unit="eV", sample_kind="system")
SPREAD = np.array([0.9, 1.0, 1.1])


class Features(torch.nn.Module):
    """Types and their squares as features, summed over structures."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        types = all_types(systems).to(systems[0].dtype)
        results: Dict[str, TensorMap] = {}
        for name, output in outputs.items():
            if name == "feature":
                values = torch.stack([types, types.square()], dim=1)
                results[name] = per_atom_output(name, systems, values, output, selected_atoms)
            else:
                results[name] = energy_output(systems, types, output, selected_atoms)
        return results


@pytest.fixture(scope="module")
def ensemble():
    outputs = {"energy": ATOM, "energy_ensemble": ATOM, "energy_uncertainty": ATOM}
    return MetatomicCalculator(wrap(TwoLists(), outputs), uncertainty_threshold=None)


@pytest.mark.parametrize("name", ["triclinic", "slab in a full cell", "molecule"])
def test_ensemble_is_that_of_the_formula(ensemble, name):
    atoms = all_atoms()[name]
    atoms.calc = ensemble
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    found = ensemble.get_ensemble(atoms, derivatives=True)
    np.testing.assert_allclose(found.energies, SPREAD * energy, rtol=1e-12)
    assert found.mean == pytest.approx(energy, rel=1e-12)
    assert found.standard_deviation == pytest.approx(np.std(SPREAD * energy, ddof=1), rel=1e-12)
    np.testing.assert_allclose(found.forces, SPREAD[:, None, None] * forces, rtol=0, atol=1e-12)
    if name == "molecule":
        assert found.stresses is None
    else:
        np.testing.assert_allclose(found.stresses, SPREAD[:, None] * atoms.get_stress(), rtol=0, atol=1e-12)
    alone = ensemble.get_ensemble(atoms)
    assert isinstance(alone, Ensemble)
    assert (alone.forces, alone.stresses) == (None, None)
    np.testing.assert_allclose(alone.energies, found.energies, rtol=1e-12)


def test_uncertainty_is_that_of_the_formula(ensemble):
    atoms = all_atoms()["triclinic"]
    atoms.calc = ensemble
    found = ensemble.get_energy_uncertainty(atoms, per_atom=True)
    np.testing.assert_allclose(found, 0.1 * np.abs(atoms.get_potential_energies()), rtol=1e-12)
    assert ensemble.get_energy_uncertainty(atoms) == pytest.approx(found.sum(), rel=1e-12)
    # those of the last calculation
    assert ensemble.get_energy_uncertainty() == ensemble.get_energy_uncertainty(atoms)


def test_features_are_per_atom_or_per_structure():
    outputs = {"energy": ATOM, "feature": ModelOutput(sample_kind="atom")}
    calculator = MetatomicCalculator(wrap(Features(), outputs))
    atoms = all_atoms()["molecule"]
    expected = np.stack([atoms.numbers, atoms.numbers**2], axis=1)
    np.testing.assert_array_equal(calculator.get_features(atoms, per_atom=True), expected)
    np.testing.assert_array_equal(calculator.get_features(atoms), expected.sum(axis=0))
    whole = {"energy": ATOM, "feature": ModelOutput(sample_kind="system")}
    calculator = MetatomicCalculator(wrap(Features(), whole))
    np.testing.assert_array_equal(calculator.get_features(atoms), expected.sum(axis=0))
    with pytest.raises(
        PropertyNotImplementedError, match="expected a model with 'feature' per atom, got it per system"
    ):
        calculator.get_features(atoms, per_atom=True)


def test_hessian_is_that_of_finite_differences():
    calculator = MetatomicCalculator(wrap(TwoLists()))
    atoms = all_atoms()["triclinic"]
    found = calculator.get_hessian(atoms)
    step = 1e-4
    expected = np.empty_like(found)
    for i in range(len(atoms)):
        for k in range(3):
            sides = []
            for sign in (1, -1):
                moved = atoms.copy()
                moved.positions[i, k] += sign * step
                moved.calc = calculator
                sides.append(moved.get_forces())
            expected[i, k] = -(sides[0] - sides[1]) / (2 * step)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert np.abs(found).max() > 0.1
    # what ASE makes of it: three modes of a crystal that moves as a whole
    crystal = bulk("Ar", cubic=True, a=5.26)
    data = VibrationsData(crystal, MetatomicCalculator(lennard_jones()).get_hessian(crystal))
    assert np.sum(np.abs(data.get_energies()) < 1e-6) == 3


def test_dipole_derivatives_are_charges():
    outputs = {"energy": ATOM, "dipole": ModelOutput(unit="e*angstrom", sample_kind="system")}
    calculator = MetatomicCalculator(wrap(Electrostatics(), outputs))
    atoms = all_atoms()["molecule"]
    expected = atoms.numbers[:, None, None] / 10 * np.eye(3)
    np.testing.assert_allclose(calculator.get_dipole_derivatives(atoms), expected, rtol=1e-12)


def test_what_a_model_lacks_is_refused():
    calculator = MetatomicCalculator(lennard_jones())
    atoms = bulk("Ar")
    for method, name in (
        (calculator.get_energy_uncertainty, "energy_uncertainty"),
        (calculator.get_ensemble, "energy_ensemble"),
        (calculator.get_features, "feature"),
        (calculator.get_dipole_derivatives, "dipole"),
    ):
        with pytest.raises(PropertyNotImplementedError, match=f"expected a model with the output '{name}', got one"):
            method(atoms)
    with pytest.raises(ValueError, match="expected `atoms`, got None; there was no calculation"):
        calculator.get_hessian()


def test_repr_says_what_runs(tmp_path):
    model = lennard_jones()
    assert repr(MetatomicCalculator(model)) == (
        f"<MetatomicCalculator of {model.metadata().name}, on cpu, kernel script>"
    )
    model.save(str(tmp_path / "argon.pt"))
    assert f"file {tmp_path / 'argon.pt'}" in repr(MetatomicCalculator(tmp_path / "argon.pt"))


def test_ase_lists_the_calculator():
    code = """
import sys
from metatomic_ase._ase_plugin import __ase_plugins__
print([plugin.name for plugin in __ase_plugins__], "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['metatomic'] False"
    from metatomic_ase._ase_plugin import __ase_plugins__

    (plugin,) = __ase_plugins__
    assert plugin.implementation is MetatomicCalculator


def test_results_of_other_atoms_are_not_mixed(ensemble):
    atoms = all_atoms()["molecule"]
    atoms.calc = ensemble
    energy = atoms.get_potential_energy()
    other = ase.Atoms("Si2", positions=[[0, 0, 0], [0, 0, 2.2]])
    ensemble.get_ensemble(other)
    assert atoms.get_potential_energy() == energy


def test_systems_are_training_data():
    """Lists of neighbors are ASE's, gradients reach positions and cell, and what the atoms do later changes nothing."""
    calculator = MetatomicCalculator(wrap(TwoLists()))
    structures = [all_atoms()[name] for name in ("triclinic", "slab in a full cell", "molecule")]
    expected = [(calculator.get_property("energy", one), calculator.get_property("forces", one)) for one in structures]
    systems = calculator.systems(structures)
    module, kept = calculator.model().module, [atoms.copy() for atoms in structures]
    for atoms in structures:
        atoms.positions += np.arange(3) * 0.3
    calculator.systems(structures)
    energies = module(systems, {"energy": SYSTEM}, None)["energy"].block().values
    gradients = torch.autograd.grad(energies.sum(), [system.positions for system in systems], retain_graph=True)
    for number, (energy, forces) in enumerate(expected):
        assert energies[number].item() == pytest.approx(energy, rel=1e-12)
        np.testing.assert_allclose(gradients[number], -forces, rtol=0, atol=1e-12)
    (slope,) = torch.autograd.grad(energies[0].sum(), [systems[0].cell])
    assert slope.abs().max() > 1e-3
    for system, atoms in zip(systems, kept, strict=True):
        for options in system.known_neighbor_lists():
            pairs = system.get_neighbor_list(options)
            distances = np.sort(np.linalg.norm(pairs.values.detach()[..., 0], axis=1))
            wanted = np.sort(neighbor_list("d", atoms, options.cutoff))
            wanted = wanted if options.full_list else wanted[::2]
            np.testing.assert_allclose(distances[distances < options.cutoff], wanted, rtol=0, atol=1e-12)
    (alone,) = calculator.systems(kept[0])
    before = alone.positions.detach().clone(), alone.cell.detach().clone()
    kept[0].positions += 1.0
    kept[0].cell[0] *= 2
    torch.testing.assert_close((alone.positions.detach(), alone.cell.detach()), before, rtol=0, atol=0)
    for wrong in ("H2O", ["H2O"]):
        with pytest.raises(TypeError, match=r"expected `atoms` to be ase\.Atoms.*, got str"):
            calculator.systems(wrong)
