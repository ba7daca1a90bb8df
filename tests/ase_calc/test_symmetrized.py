"""Averages over rotations and the space group: those of formulas that a pencil gives."""

from typing import Dict, List, Optional

import ase
import ase.build
import numpy as np
import pytest
import torch
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.lj import LennardJones
from ase_idioms import Counted, argon_model
from ase_models import FromAtoms, argon, atoms_with_everything
from metatensor.torch import Labels, TensorMap
from models import FieldAndVolume, TwoLists, wrap

from metatomic_ase import MetatomicCalculator, SymmetrizedCalculator
from metatomic_core import ModelOutput, System
from metatomic_core.authors import all_positions, energy_output

FIELD, PRESSURE = np.array([0.3, -0.2, 0.1]), 0.01


class Quartic(torch.nn.Module):
    """Energy x^4 of each atom: of degree 4 in the rotation."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        return {"energy": energy_output(systems, all_positions(systems)[:, 0] ** 4, outputs["energy"], selected_atoms)}


def crystal():
    rng = np.random.default_rng(3)
    atoms = ase.Atoms("OSi3O", rng.uniform(-1.0, 7.0, (5, 3)), pbc=True)
    atoms.cell = [[5.0, 0.0, 0.0], [1.1, 5.4, 0.0], [-0.7, 0.9, 5.2]]
    return atoms


@pytest.fixture(scope="module")
def field():
    return MetatomicCalculator(wrap(FieldAndVolume()))


@pytest.fixture(scope="module")
def invariant():
    return MetatomicCalculator(wrap(TwoLists()))


@pytest.mark.parametrize("batch_size", [None, 1, 7])
def test_field_averages_to_nothing(field, invariant, batch_size):
    atoms, expected = crystal(), crystal()
    atoms.calc = SymmetrizedCalculator(field, l_max=2, batch_size=batch_size, store_rotational_std=True)
    expected.calc = invariant
    assert np.abs(atoms.get_forces()).max() > 0.05
    # all at once: what ASE asks for one by one would be evaluated again
    atoms.calc.calculate(atoms, ["energy", "energies", "forces", "stress"])
    assert atoms.get_potential_energy() == pytest.approx(expected.get_potential_energy(), rel=0, abs=1e-9)
    for name in ("forces", "stress"):
        found, right = (each.calc.get_property(name, each) for each in (atoms, expected))
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-10, err_msg=name)
    assert atoms.calc.results["stress"].shape == (6,)
    # the field turns, and the volume, which is a product of the vectors, changes its sign with them
    spread = np.hypot(
        np.linalg.norm(FIELD) * np.linalg.norm(atoms.positions.sum(0)) / np.sqrt(3), PRESSURE * atoms.get_volume()
    )
    assert atoms.calc.results["energy_rot_std"] == pytest.approx(spread, rel=1e-9)
    assert atoms.calc.results["energies_rot_std"].shape == (5,)
    np.testing.assert_allclose(atoms.calc.results["forces_rot_std"] ** 2 @ np.ones(3), FIELD @ FIELD, rtol=1e-9)


def test_without_inversion_the_volume_stays(field, invariant):
    atoms = crystal()
    energies = [
        SymmetrizedCalculator(field, l_max=1, include_inversion=inversion).get_potential_energy(atoms)
        for inversion in (False, True)
    ]
    right = invariant.get_potential_energy(atoms)
    np.testing.assert_allclose(np.array(energies) - right, [PRESSURE * atoms.get_volume(), 0.0], rtol=0, atol=1e-9)


def test_degree_is_what_is_averaged():
    atoms = ase.Atoms("Si", [[1.0, -0.4, 0.7]])
    base = MetatomicCalculator(wrap(Quartic(), interaction_range=0.0))
    square = (atoms.positions**2).sum()
    right = square**2 / 5
    found = {l_max: SymmetrizedCalculator(base, l_max=l_max) for l_max in (0, 3, 4, 6)}
    energies = {l_max: calc.get_potential_energy(atoms) for l_max, calc in found.items()}
    assert energies[0] == pytest.approx(1.0)
    assert abs(energies[3] - right) > 1e-3
    assert [energies[4], energies[6]] == pytest.approx([right, right], rel=1e-12)
    np.testing.assert_allclose(found[4].get_forces(atoms), -0.8 * square * atoms.positions, rtol=0, atol=1e-12)


def test_space_group_makes_equal_atoms_equal(field, invariant):
    silicon = ase.build.bulk("Si", "diamond", 5.43, cubic=True)
    silicon.positions += 0.3
    plain = SymmetrizedCalculator(field, l_max=0, include_inversion=False)
    exact = SymmetrizedCalculator(field, l_max=0, include_inversion=False, apply_space_group_symmetry=True)
    assert np.abs(plain.get_forces(silicon)).max() > 0.1
    np.testing.assert_allclose(exact.get_forces(silicon), 0.0, rtol=0, atol=1e-10)
    energies = exact.get_property("energies", silicon)
    np.testing.assert_allclose(energies, energies.mean(), rtol=0, atol=1e-10)
    assert energies.sum() == pytest.approx(plain.get_property("energies", silicon).sum())
    # a cubic crystal has one pressure
    np.testing.assert_allclose(exact.get_stress(silicon)[3:], 0.0, rtol=0, atol=1e-12)
    # in a crystal of lower symmetry, what the group allows is kept
    tetragonal = silicon.copy()
    tetragonal.set_cell(silicon.cell * [1.0, 1.0, 1.1], scale_atoms=True)
    found = SymmetrizedCalculator(invariant, l_max=0, apply_space_group_symmetry=True).get_stress(tetragonal)
    np.testing.assert_allclose(found, invariant.get_stress(tetragonal), rtol=0, atol=1e-10)


def test_atoms_go_to_their_places(invariant):
    crystals = [crystal(), ase.build.bulk("Si", "diamond", 5.43, cubic=True)]
    for atoms in crystals:
        atoms.rattle(0.05, seed=2)
        exact = SymmetrizedCalculator(invariant, l_max=0, apply_space_group_symmetry=True)
        # no symmetry is left, and nothing may change
        np.testing.assert_allclose(exact.get_forces(atoms), invariant.get_forces(atoms), rtol=0, atol=1e-10)
    # a screw moves pairs of atoms: their forces are those of the model, which has the symmetry
    pair = ase.Atoms("Si2", [[1.0, 0.7, 0.2], [-1.0, -0.7, 0.2 + 2.2]], cell=[6.0, 5.0, 4.4], pbc=True)
    np.testing.assert_allclose(
        SymmetrizedCalculator(invariant, l_max=0, apply_space_group_symmetry=True).get_forces(pair),
        invariant.get_forces(pair),
        rtol=0,
        atol=1e-10,
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"l_max": -1}, ValueError, "expected `degree` between 0 and 64, got -1"),
        ({"l_max": 1.5}, TypeError, "expected `l_max` to be an integer, got float"),
        ({"batch_size": 0}, ValueError, "expected `batch_size` of at least 1, got 0"),
        ({"batch_size": "all"}, TypeError, "expected `batch_size` to be an integer or None, got str"),
    ],
)
def test_wrong_arguments_are_refused(field, arguments, error, message):
    with pytest.raises(error, match=message):
        SymmetrizedCalculator(field, **arguments)


def test_what_has_no_results_is_refused(field):
    with pytest.raises(TypeError, match="expected `base_calculator` to be a MetatomicCalculator, got LennardJones"):
        SymmetrizedCalculator(LennardJones())
    molecule = ase.Atoms("Si2", [[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    calculator = SymmetrizedCalculator(field, l_max=1, apply_space_group_symmetry=True)
    with pytest.raises(PropertyNotImplementedError, match="expected a periodic structure with a volume"):
        calculator.get_stress(molecule)
    with pytest.raises(ValueError, match="periodic in all directions for `apply_space_group_symmetry`"):
        calculator.get_potential_energy(molecule)


def test_inputs_that_change_are_seen():
    atoms = atoms_with_everything()
    base = MetatomicCalculator(wrap(FromAtoms(), {"energy": ModelOutput(unit="eV")}))
    atoms.calc = SymmetrizedCalculator(base, l_max=1)
    before = atoms.get_potential_energy()
    assert not atoms.calc.calculation_required(atoms, ["energy"])
    atoms.info["charge"] = 1
    assert atoms.calc.calculation_required(atoms, ["energy"])
    fresh = SymmetrizedCalculator(base, l_max=1).get_property("energy", atoms.copy())
    assert atoms.get_potential_energy() == pytest.approx(fresh, abs=1e-12)
    assert abs(atoms.get_potential_energy() - before) > 1e-3


def test_energy_forces_and_stress_are_one_average():
    counted = Counted(argon_model())
    atoms = argon()
    atoms.calc = SymmetrizedCalculator(MetatomicCalculator(counted.model), l_max=1)
    with counted.calls(1):
        atoms.get_potential_energy()
        atoms.get_forces()
        atoms.get_stress()
    atoms.calc.base_calculator.set(do_gradients_with_energy=False)
    atoms.rattle(0.01, seed=2)
    with counted.calls(1):
        atoms.get_potential_energy()
    assert "forces" not in atoms.calc.results


class Pulled(torch.nn.Module):
    """A field that is given with each atom."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        pulls = torch.cat([system.get_data("ase::arrays::pulls").block_by_id(0).values for system in systems])
        energies = (pulls.reshape(-1, 3) * all_positions(systems)).sum(1)
        return {"energy": energy_output(systems, energies, outputs["energy"], selected_atoms)}

    def requested_inputs(self) -> Dict[str, ModelOutput]:
        return {"ase::arrays::pulls": ModelOutput(sample_kind="atom")}


def test_inputs_that_may_turn_are_refused():
    atoms = crystal()
    atoms.set_array("pulls", np.ones((5, 3)))
    calculator = SymmetrizedCalculator(MetatomicCalculator(wrap(Pulled(), interaction_range=0.0)), l_max=1)
    with pytest.raises(
        ValueError, match="expected inputs that do not turn with the structure, got 'ase::arrays::pulls'"
    ):
        calculator.get_potential_energy(atoms)
