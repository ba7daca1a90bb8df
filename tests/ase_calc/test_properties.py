"""What the calculator says that it has, what it gives, and that both are the same."""

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.outputs import all_outputs
from ase_idioms import argon_model, crystal
from ase_models import Electrostatics, all_atoms, water_model
from models import Direct, TwoLists, wrap

from metatomic_ase import MetatomicCalculator
from metatomic_core import ModelOutput

ATOM = ModelOutput(unit="eV", sample_kind="atom")
OUTPUTS = {
    "energy": ATOM,
    "dipole": ModelOutput(unit="e*nm"),
    "charge": ModelOutput(unit="e", sample_kind="atom"),
    "magnetic_moment": ModelOutput(unit="mu_B", sample_kind="atom"),
}
GEOMETRY = ["energy", "free_energy", "energies", "forces", "stress", "stresses"]
DIRECT = {
    "energy": ModelOutput(unit="eV"),
    "non_conservative_forces": ModelOutput(unit="eV/angstrom", sample_kind="atom"),
}
# what makes a model, and its properties
CASES = {
    "pairs": (lambda: wrap(TwoLists()), GEOMETRY),
    "energy of the structure alone": (
        lambda: wrap(TwoLists(), {"energy": ModelOutput(unit="eV")}),
        [name for name in GEOMETRY if name != "energies"],
    ),
    "charges": (
        lambda: wrap(Electrostatics(), OUTPUTS),
        [*GEOMETRY, "dipole", "charges", "magmoms", "born_effective_charges"],
    ),
    "dipole without energy": (
        lambda: wrap(Electrostatics(), {"dipole": OUTPUTS["dipole"]}),
        ["dipole", "born_effective_charges"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_properties_are_those_of_the_model(name):
    make, expected = CASES[name]
    calculator = MetatomicCalculator(make())
    assert sorted(calculator.implemented_properties) == sorted(expected)
    atoms = all_atoms()["triclinic"]
    for one in all_outputs:
        if one not in expected:
            with pytest.raises(PropertyNotImplementedError):
                calculator.get_property(one, atoms)


@pytest.mark.parametrize("name", CASES)
def test_properties_have_the_shapes_that_ase_wants(name):
    make, expected = CASES[name]
    calculator = MetatomicCalculator(make())
    atoms = all_atoms()["triclinic"]
    wanted = [one for one in expected if one != "stresses" or name == "pairs"]
    calculator.calculate(atoms, wanted)
    exported = calculator.export_properties()
    assert set(wanted) <= set(exported)
    for one in wanted:
        got = calculator.get_property(one, atoms)
        assert np.shape(got) == np.shape(exported[one])
        assert isinstance(got, float) or got.dtype == np.float64


def test_free_energy_is_the_energy():
    atoms = crystal()
    atoms.calc = MetatomicCalculator(argon_model())
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
    assert atoms.calc.get_property("free_energy", atoms) == atoms.get_potential_energy()


def test_born_charges_are_differences_of_dipoles():
    """Component of the dipole first, as ASE reads them from other codes."""
    calculator = MetatomicCalculator(wrap(Electrostatics(), OUTPUTS))
    atoms = all_atoms()["molecule"]
    found = calculator.get_property("born_effective_charges", atoms)
    np.testing.assert_allclose(found, 10 * atoms.numbers[:, None, None] / 10 * np.eye(3), rtol=1e-12, atol=1e-14)
    step = 1e-3
    water, calculator = molecule("H2O"), MetatomicCalculator(water_model())
    found = calculator.get_property("born_effective_charges", water)
    for atom in range(3):
        for axis in range(3):
            dipoles = []
            for sign in (1, -1):
                moved = water.copy()
                moved.positions[atom, axis] += sign * step
                dipoles.append(calculator.get_property("dipole", moved))
            np.testing.assert_allclose(found[atom, :, axis], (dipoles[0] - dipoles[1]) / (2 * step), atol=1e-9)


def test_born_charges_come_with_dipole_and_forces_in_one_call():
    calculator = MetatomicCalculator(
        wrap(Electrostatics(), OUTPUTS), additional_outputs={"dipole": ModelOutput(unit="D")}
    )
    atoms = all_atoms()["molecule"]
    calculator.calculate(atoms, ["energy", "dipole", "born_effective_charges"])
    dipole = 10 * atoms.numbers / 10 @ atoms.positions
    np.testing.assert_allclose(calculator.results["dipole"], dipole, rtol=1e-12)
    np.testing.assert_allclose(calculator.get_dipole_derivatives(atoms), calculator.results["born_effective_charges"])
    in_debye = calculator.additional_outputs["dipole"].block().values.numpy().reshape(3)
    np.testing.assert_allclose(in_debye, dipole / 0.20819434, rtol=1e-7)  # 1 D in e angstrom, CODATA 2018


def test_dipoles_of_several_variants_want_a_choice_and_nothing_else_does():
    dipoles = {f"dipole/{name}": ModelOutput(unit="e*nm", description=name) for name in ("first", "second")}
    model = wrap(Electrostatics(), {"energy": ATOM, **dipoles})
    assert sorted(MetatomicCalculator(model).implemented_properties) == sorted(GEOMETRY)
    chosen = MetatomicCalculator(model, variants={"dipole": "second"})
    assert {"dipole", "born_effective_charges"} <= set(chosen.implemented_properties)


def test_direct_forces_have_energies_and_no_stresses_of_their_own():
    calculator = MetatomicCalculator(wrap(Direct(), DIRECT), non_conservative="forces")
    atoms = bulk("Si")
    assert {"energy", "forces", "stress"} <= set(calculator.implemented_properties)
    atoms.calc = calculator
    np.testing.assert_allclose(atoms.get_forces().sum(axis=0), 0, atol=1e-14)


def test_second_derivatives_take_the_atoms_that_they_are_asked_for():
    calculator = MetatomicCalculator(argon_model())
    first, second = crystal(), crystal()
    second.rattle(0.1, seed=5)
    expected = calculator.get_hessian(second)
    calculator.get_property("energy", second)
    np.testing.assert_allclose(calculator.get_hessian(), expected, rtol=0, atol=1e-14)
    assert np.abs(calculator.get_hessian(first) - expected).max() > 1e-3
