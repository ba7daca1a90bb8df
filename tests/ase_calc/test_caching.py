"""How often the model is evaluated: once for what is asked of a structure, and again only if what it reads changes."""

import numpy as np
import pytest
from ase_idioms import Counted, argon_model, cluster, crystal
from ase_models import Electrostatics, FromAtoms, all_atoms, atoms_with_everything
from models import wrap

from metatomic_ase import MetatomicCalculator
from metatomic_ase.batched import run_together
from metatomic_core import ModelOutput

ELECTROSTATIC = {
    "energy": ModelOutput(unit="eV", sample_kind="atom"),
    "dipole": ModelOutput(unit="e*angstrom"),
    "charge": ModelOutput(unit="e", sample_kind="atom"),
}


@pytest.fixture(scope="module")
def counted():
    return Counted(argon_model())


@pytest.fixture(scope="module")
def reading():
    """Give a model that requests everything."""
    return Counted(wrap(FromAtoms(), {"energy": ModelOutput(unit="eV")}))


@pytest.fixture(scope="module")
def electrostatic():
    return Counted(wrap(Electrostatics(), ELECTROSTATIC))


def with_results(counted, atoms, **options):
    atoms.calc = MetatomicCalculator(counted.model, **options)
    atoms.get_potential_energy()
    return atoms


def test_energy_forces_and_stress_are_one_evaluation(counted):
    atoms = crystal()
    atoms.calc = MetatomicCalculator(counted.model)
    with counted.calls(1):
        for _ in range(2):
            atoms.get_potential_energy()
            atoms.get_potential_energy(force_consistent=True)
            atoms.get_forces()
            atoms.get_stress()


def test_properties_given_together_are_one_evaluation(counted):
    atoms, calculator = crystal(), MetatomicCalculator(counted.model)
    properties = ["energy", "forces", "stress", "energies", "stresses", "free_energy"]
    with counted.calls(1):
        calculator.calculate(atoms, properties)
        for name in properties:
            calculator.get_property(name, atoms)
    with counted.calls(1):
        calculator.calculate_properties(atoms, properties)


def test_more_of_the_same_structure_leaves_what_is_known(counted):
    atoms = crystal()
    atoms.calc = MetatomicCalculator(counted.model)
    energy = atoms.get_potential_energy()
    with counted.calls(2):
        for _ in range(2):
            atoms.get_potential_energies()
            atoms.get_stresses()
            assert atoms.get_potential_energy() == energy


def test_what_was_asked_of_a_structure_comes_along_for_the_next(counted):
    atoms = crystal()
    atoms.calc = MetatomicCalculator(counted.model)
    expected = []
    for step in range(3):
        atoms.positions[0, 0] += 0.05
        # the first time it is not known that these are wanted
        with counted.calls(3 if step == 0 else 1):
            found = atoms.get_forces(), atoms.get_potential_energies(), atoms.get_stresses()
        fresh = MetatomicCalculator(argon_model())
        expected = [fresh.get_property(name, atoms) for name in ("forces", "energies", "stresses")]
        for got, right in zip(found, expected, strict=True):
            np.testing.assert_allclose(got, right, rtol=0, atol=1e-13)
    # and is forgotten when nobody asks
    for _ in range(2):
        atoms.positions[0, 0] += 0.05
        atoms.get_forces()
    assert "stresses" not in atoms.calc.results


def test_outputs_that_are_asked_for_at_each_step_cost_no_evaluation(electrostatic):
    atoms = all_atoms()["molecule"]
    atoms.calc = MetatomicCalculator(electrostatic.model)
    for step in range(3):
        atoms.positions[0, 0] += 0.05
        with electrostatic.calls(3 if step == 0 else 1):
            atoms.get_forces()
            dipole, charges = atoms.get_dipole_moment(), atoms.get_charges()
        np.testing.assert_allclose(dipole, atoms.numbers / 10 @ atoms.positions, rtol=1e-12)
        np.testing.assert_allclose(charges, atoms.numbers / 10, rtol=1e-12)


def test_what_only_came_along_makes_no_error(electrostatic):
    atoms, spoiled = all_atoms()["molecule"], []
    forward = electrostatic.model.module.forward

    def spoiling(systems, outputs, selected_atoms):
        results = forward(systems, outputs, selected_atoms)
        if "dipole" in outputs and spoiled:
            results["dipole"].block().values[0, 1] = float("nan")
        return results

    electrostatic.model.module.forward = spoiling
    try:
        atoms.calc = MetatomicCalculator(electrostatic.model)
        atoms.get_dipole_moment()
        spoiled.append(True)
        atoms.positions[0, 0] += 0.05
        assert np.isfinite(atoms.get_forces()).all()
        with pytest.raises(ValueError, match="expected finite values of 'dipole'"):
            atoms.get_dipole_moment()
    finally:
        electrostatic.model.module.forward = forward


def test_energies_alone_stay_alone(counted):
    atoms = with_results(counted, crystal(), do_gradients_with_energy=False)
    atoms.get_forces()
    atoms.get_stresses()
    atoms.positions[0, 0] += 0.05
    with counted.calls(1):
        atoms.get_potential_energy()
    assert set(atoms.calc.results) == {"energy", "free_energy"}


# of a model that reads geometry alone; True for a change that leads to an evaluation
CHANGES = {
    "positions": (lambda atoms: atoms.rattle(1e-6), True),
    "the last bit of a position": (lambda atoms: atoms.set_positions(np.nextafter(atoms.positions, 9.0)), True),
    "the same positions": (lambda atoms: atoms.set_positions(atoms.positions.copy()), False),
    "cell": (lambda atoms: atoms.set_cell(atoms.cell.array * 1.01), True),
    "pbc": (lambda atoms: atoms.set_pbc([True, True, False]), True),
    "order": (lambda atoms: atoms.set_positions(atoms.positions[[1, 0, 2, 3]]), True),
    "initial charges": (lambda atoms: atoms.set_initial_charges([1.0, 0, 0, 0]), False),
    "initial magnetic moments": (lambda atoms: atoms.set_initial_magnetic_moments([1.0, 0, 0, 0]), False),
    "momenta": (lambda atoms: atoms.set_momenta(np.ones((4, 3))), False),
    "masses": (lambda atoms: atoms.set_masses([1.0, 2.0, 3.0, 4.0]), False),
    "tags": (lambda atoms: atoms.set_tags([1, 2, 3, 4]), False),
    "info": (lambda atoms: atoms.info.update(charge=1), False),
    "an array": (lambda atoms: atoms.set_array("mine", np.arange(4)), False),
    "constraints": (lambda atoms: atoms.set_constraint(), False),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_count_if_the_model_reads_them(counted, name):
    change, counts = CHANGES[name]
    atoms = with_results(counted, crystal())
    change(atoms)
    with counted.calls(int(counts)):
        energy = atoms.get_potential_energy()
        atoms.get_forces()
    fresh = atoms.copy()
    assert energy == pytest.approx(MetatomicCalculator(argon_model()).get_property("energy", fresh), abs=1e-13)


def test_elements_count(reading):
    atoms = with_results(reading, atoms_with_everything())
    atoms.numbers[0] = 6
    with reading.calls(1):
        atoms.get_potential_energy()


def test_the_cell_of_a_molecule_counts_not(counted):
    atoms = with_results(counted, cluster())
    atoms.set_cell([20.0, 20.0, 20.0])
    with counted.calls(0):
        atoms.get_forces()
    atoms.pbc = True
    with counted.calls(1):
        atoms.get_stress()


def test_the_height_of_a_slab_counts_for_its_stress(counted):
    atoms = crystal()
    atoms.pbc = [True, True, False]
    stress = with_results(counted, atoms).get_stress()
    cell = atoms.cell.array.copy()
    cell[2] *= 2
    atoms.set_cell(cell)
    with counted.calls(1):
        np.testing.assert_allclose(atoms.get_stress(), stress / 2, rtol=1e-12, atol=1e-16)


READ = {
    "info": lambda atoms: atoms.info.update(charge=-2),
    "info in place": lambda atoms: atoms.info["field"].__setitem__(0, 0.15),
    "another name in info": lambda atoms: atoms.info.update(spin=4),
    "momenta": lambda atoms: atoms.set_momenta(atoms.get_momenta() + 0.1),
    "masses": lambda atoms: atoms.set_masses([2.0, 16.0]),
    "tags": lambda atoms: atoms.set_tags([3, 5]),
    "initial charges": lambda atoms: atoms.set_initial_charges([0.3, -0.5]),
    "initial magnetic moments": lambda atoms: atoms.set_initial_magnetic_moments([1.0, 2.0]),
    "an array in place": lambda atoms: atoms.arrays["weight"].__setitem__(0, 1.5),
}


@pytest.mark.parametrize("name", READ)
def test_inputs_count_if_the_model_reads_them(reading, name):
    atoms = with_results(reading, atoms_with_everything())
    with reading.calls(0):
        atoms.info["comment"] = "read by nobody"
        before = atoms.get_potential_energy()
    READ[name](atoms)
    with reading.calls(1):
        after = atoms.get_potential_energy()
    assert abs(after - before) > 1e-4
    assert after == pytest.approx(MetatomicCalculator(reading.model).get_property("energy", atoms.copy()), abs=1e-12)


@pytest.mark.parametrize("name", READ)
def test_inputs_count_for_algorithms_that_run_together(reading, name):
    def change(atoms):
        before = atoms.get_potential_energy()
        atoms.info["comment"] = "read by nobody"
        unchanged = atoms.get_potential_energy()
        READ[name](atoms)
        return before, unchanged, atoms.get_potential_energy(), atoms.copy()

    calculator = MetatomicCalculator(reading.model)
    with reading.calls(2):
        found = run_together([atoms_with_everything(), atoms_with_everything()], calculator, change)
    for before, unchanged, after, atoms in found:
        assert before == unchanged
        assert after == pytest.approx(calculator.get_property("energy", atoms), abs=1e-12)
        assert abs(after - before) > 1e-4


def test_an_input_that_is_gone_is_missed(reading):
    atoms = with_results(reading, atoms_with_everything())
    del atoms.arrays["weight"]
    assert atoms.calc.calculation_required(atoms, ["energy"])
    with pytest.raises(ValueError, match=r"expected 'weight' in `atoms.arrays`, which the model requests"):
        atoms.get_potential_energy()


def test_nothing_is_computed_where_it_is_not_allowed(counted):
    atoms = crystal()
    calculator = MetatomicCalculator(counted.model)
    with counted.calls(0):
        assert calculator.get_property("energy", atoms, allow_calculation=False) is None
        assert calculator.calculation_required(atoms, ["energy"])
    energy = calculator.get_property("energy", atoms)
    with counted.calls(0):
        assert calculator.get_property("energy", atoms, allow_calculation=False) == energy
        assert not calculator.calculation_required(atoms, ["energy", "forces"])
        assert calculator.calculation_required(atoms, ["energies"])


def test_what_is_given_out_is_not_the_cache(counted):
    atoms = with_results(counted, crystal())
    for get in (atoms.get_forces, atoms.get_stress, atoms.get_potential_energies, atoms.get_stresses):
        first = get()
        kept = first.copy()
        first += 1.0
        np.testing.assert_array_equal(get(), kept)


def test_reset_forgets(counted):
    atoms = crystal()
    wanted = {"energy": ModelOutput(unit="meV", sample_kind="atom")}
    with_results(counted, atoms, additional_outputs=wanted)
    assert atoms.calc.results
    assert atoms.calc.additional_outputs
    atoms.calc.reset()
    assert (atoms.calc.atoms, atoms.calc.results, atoms.calc.additional_outputs) == (None, {}, {})
    with counted.calls(1):
        atoms.get_forces()
