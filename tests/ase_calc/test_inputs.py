"""Inputs that models request: from where ASE has them, by the names that people use, and refused if they are wrong."""

from typing import Dict, List, Optional

import ase
import ase.io
import numpy as np
import pytest
import torch
from ase import units
from ase.build import molecule
from metatensor.torch import Labels, TensorMap
from models import wrap

from metatomic_ase import MetatomicCalculator
from metatomic_ase.batched import relax, run_together
from metatomic_core import ModelOutput, System
from metatomic_core.authors import all_positions, per_system_output


class Reading(torch.nn.Module):
    """Gives the sum of an input that it requests as energy, and a spring to the origin for each atom."""

    def __init__(self, name: str, kind: str, unit: str):
        super().__init__()
        self.requested = {name: ModelOutput(unit=unit, sample_kind=kind)}

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies = []
        for system in systems:
            values = system.get_data(next(iter(self.requested))).block_by_id(0).values
            energies.append((values.sum() + 0.5 * all_positions([system]).square().sum()).reshape(1))
        return {"energy": per_system_output("energy", systems, torch.cat(energies))}

    def requested_inputs(self) -> Dict[str, ModelOutput]:
        return self.requested


def reader(name, kind, unit=""):
    return MetatomicCalculator(wrap(Reading(name, kind, unit), {"energy": ModelOutput(unit="eV")}))


def pair(**info):
    """Give two atoms at the origin's sides, whose springs have an energy of 1 eV."""
    atoms = ase.Atoms("HO", [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    atoms.info.update(info)
    return atoms


def value(calculator, atoms):
    return calculator.get_property("energy", atoms) - 1.0


def with_arrays(**arrays):
    atoms = pair()
    for name, values in arrays.items():
        atoms.set_array(name, np.asarray(values))
    return atoms


def moving():
    atoms = pair()
    atoms.set_masses([2.0, 8.0])
    atoms.set_velocities([[0.5, 0.0, 0.25], [0.0, 1.0, 0.0]])
    return atoms


FROM_ATOMS = {
    "mass": (("mass", "atom", "u"), moving(), 10.0),
    "masses": (("masses", "atom", "1000*u"), moving(), 0.01),
    "velocity": (("velocity", "atom", "angstrom/fs"), moving(), 1.75 * units.fs),
    "momentum": (("momentum", "atom", "u*angstrom/fs"), moving(), (2 * 0.75 + 8 * 1.0) * units.fs),
    "charges of atoms": (("charge", "atom", "e"), with_arrays(initial_charges=[0.5, -0.125]), 0.375),
    "no charges of atoms": (("charge", "atom", "e"), pair(), 0.0),
    "moments": (("magnetic_moment", "atom", "mu_B"), with_arrays(initial_magmoms=[1.5, -0.25]), 1.25),
    "no moments": (("magnetic_moment", "atom", "mu_B"), pair(), 0.0),
    "tags": (("ase::tags", "atom"), with_arrays(tags=[3, 4]), 7.0),
    "no tags": (("ase::tags", "atom"), pair(), 0.0),
    "moments that are vectors": (("ase::initial_magmoms", "atom"), with_arrays(initial_magmoms=np.ones((2, 3))), 6.0),
    "ASE's array": (("ase::arrays::weight", "atom"), with_arrays(weight=[0.5, 0.25]), 0.75),
    "ASE's info": (("ase::info::field", "system"), pair(field=[1.0, 2.0, 4.0]), 7.0),
    "array": (("mine::weight", "atom"), with_arrays(weight=[0.5, 0.25]), 0.75),
    "array of rows": (("mine::weight", "atom"), with_arrays(weight=[[0.5, 1.0], [0.25, 2.0]]), 3.75),
    "array with its domain": (("mine::weight", "atom"), with_arrays(**{"mine::weight": [1, 2]}), 3.0),
    "array of truth": (("mine::frozen", "atom"), with_arrays(frozen=[True, False]), 1.0),
    "array in plain letters": (("mine::my weight", "atom"), with_arrays(my_weight=[1, 2]), 3.0),
    "info": (("mine::field", "system", "eV/angstrom"), pair(field=np.array([1.0, 2.0, 4.0])), 7.0),
    "info that is one number": (("mine::temperature", "system", "K"), pair(temperature=300), 300.0),
    "standard quantity by its name": (("dipole", "atom", "e*angstrom"), with_arrays(dipole=np.ones((2, 3))), 6.0),
}
CHARGES = {
    "none": ({}, 0.0),
    "charge": ({"charge": -1}, -1.0),
    "total charge": ({"total_charge": 2}, 2.0),
    "both alike": ({"charge": 2, "total_charge": 2.0}, 2.0),
    "numpy": ({"charge": np.int64(1)}, 1.0),
    "one number in a row": ({"charge": [1.0]}, 1.0),
    "nothing": ({"charge": None}, 0.0),
}
SPINS = {
    "none": ({}, 1.0),
    "spin": ({"spin": 3}, 3.0),
    "multiplicity": ({"multiplicity": 2}, 2.0),
    "spin multiplicity": ({"spin_multiplicity": 4}, 4.0),
}


@pytest.mark.parametrize("name", FROM_ATOMS)
def test_inputs_are_those_of_the_atoms(name):
    request, atoms, expected = FROM_ATOMS[name]
    assert value(reader(*request), atoms) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("name", CHARGES)
def test_charges_of_structures_have_several_names(name):
    info, expected = CHARGES[name]
    assert value(reader("charge", "system", "e"), pair(**info)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", SPINS)
def test_spins_have_several_names(name):
    info, expected = SPINS[name]
    assert value(reader("spin_multiplicity", "system"), pair(**info)) == pytest.approx(expected, abs=1e-12)


def test_inputs_survive_extended_xyz(tmp_path):
    atoms = with_arrays(weight=[[0.5, 1.0], [0.25, 2.0]])
    atoms.info.update(charge=-2, field=[1.0, 2.0, 4.0])
    ase.io.write(tmp_path / "atoms.extxyz", atoms)
    again = ase.io.read(tmp_path / "atoms.extxyz")
    for request in (("charge", "system", "e"), ("mine::field", "system"), ("mine::weight", "atom")):
        assert value(reader(*request), again) == pytest.approx(value(reader(*request), atoms), abs=1e-7)


PER_ATOM, FIELD, CHARGE = ("mine::weight", "atom"), ("mine::field", "system"), ("charge", "system", "e")
WRONG = {
    "missing": (
        PER_ATOM,
        pair(),
        ValueError,
        r"expected 'weight' in `atoms\.arrays`, .* got \['numbers', 'positions'\]",
    ),
    "missing info": (FIELD, pair(a=1), ValueError, r"expected 'field' in `atoms\.info`, which .* got \['a'\]$"),
    "elsewhere": (PER_ATOM, pair(weight=1), ValueError, r"; `atoms\.info` has 'weight', per structure"),
    "elsewhere per atom": (FIELD, with_arrays(field=[1, 2]), ValueError, r"; `atoms\.arrays` has 'field', per atom"),
    "nan": (
        PER_ATOM,
        with_arrays(weight=[1, np.nan]),
        ValueError,
        r'`atoms\.arrays\["weight"\]` .* got nan for atom 1',
    ),
    "infinite": (FIELD, pair(field=[1, -np.inf]), ValueError, r'`atoms\.info\["field"\]` to be finite, got -inf$'),
    "words": (CHARGE, pair(charge="-1 e"), TypeError, r"""`atoms\.info\["charge"\]` to be numbers, got str '-1 e'"""),
    "complex": (FIELD, pair(field=1j), TypeError, r"to be numbers, got complex 1j"),
    "rows of two lengths": (
        FIELD,
        pair(field=[[1], [2, 3]]),
        ValueError,
        r"rows of one length, got \[\[1\], \[2, 3\]\]",
    ),
    "several charges": (
        CHARGE,
        pair(charge=[1, 2]),
        ValueError,
        r"to have the shape \(\), the input 'charge' .* \(2,\)",
    ),
    "two charges": (CHARGE, pair(charge=1, total_charge=2), ValueError, r"expected one value in `atoms\.info`, got \{"),
    "flat dipoles": (
        ("dipole", "atom", "e*angstrom"),
        with_arrays(dipole=[1.0, 2.0]),
        ValueError,
        r'`atoms\.arrays\["dipole"\]` to have the shape \(2, 3\), the input \'dipole\' of the model, got \(2,\)',
    ),
    "vectors for numbers": (
        ("magnetic_moment", "atom", "mu_B"),
        with_arrays(initial_magmoms=np.ones((2, 3))),
        ValueError,
        r"to have the shape \(2,\), the input 'magnetic_moment' of the model, got \(2, 3\)",
    ),
    "charged atoms, neutral structure": (
        CHARGE,
        with_arrays(initial_charges=[1.0, 0.0]),
        ValueError,
        r'expected `atoms\.info\["charge"\]` for atoms with initial charges of 1 e together, got none; set it',
    ),
    "oxygen as a singlet": (
        ("spin_multiplicity", "system"),
        molecule("O2"),
        ValueError,
        r'expected `atoms\.info\["spin_multiplicity"\]` for atoms .* of 2 in all, got none; set it to 3',
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_inputs_are_refused(name):
    request, atoms, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        reader(*request).get_property("energy", atoms)


def test_arrays_of_another_length_are_refused():
    atoms = pair()
    atoms.arrays["weight"] = np.ones(3)
    with pytest.raises(ValueError, match=r"to have a row for each of 2 atoms, the input 'mine::weight' .* got \(3,\)"):
        reader(*PER_ATOM).get_property("energy", atoms)


def test_partial_charges_that_nearly_cancel_are_neutral():
    atoms = with_arrays(initial_charges=[0.4, -0.41])
    assert value(reader(*CHARGE), atoms) == pytest.approx(0.0, abs=1e-12)
    atoms.set_initial_magnetic_moments([1.0, -1.0])
    assert value(reader("spin_multiplicity", "system"), atoms) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (
            ("mass", "system", "u"),
            r"inputs ASE can provide, .* 'mass' per system; known are 'mass' per atom, .*, any other",
        ),
        (
            ("ase::arrays::weight", "system"),
            "expected input 'ase::arrays::weight' per atom, got a model that wants it per",
        ),
        (
            ("ase::info::field", "atom"),
            "expected input 'ase::info::field' per system, got a model that wants it per atom",
        ),
    ],
)
def test_inputs_that_cannot_be_are_refused_before_any_atoms(request_, message):
    with pytest.raises(ValueError, match=message):
        reader(*request_)


def test_batches_take_inputs_of_each_structure():
    calculator = reader(*FIELD)
    structures = [pair(field=[k, 2.0]) for k in range(3)]
    np.testing.assert_allclose(calculator.compute_energy(structures)["energy"], [3.0, 4.0, 5.0], rtol=1e-12)
    del structures[1].info["field"]
    with pytest.raises(ValueError, match=r"expected 'field' in `atoms\.info`, .* got \[\], in structure 1"):
        calculator.compute_energy(structures)
    with pytest.raises(ValueError, match="in structure 1"):
        calculator.run_model(structures, {"energy": ModelOutput(unit="eV")})


def test_relaxations_take_inputs_and_say_which_structure_lacks_them():
    structures = [pair(field=5.0), pair(), pair(field=7.0)]
    found = relax(structures, reader(*FIELD), fmax=1e-4)
    assert [one.converged for one in found] == [True, False, True]
    assert "expected 'field' in `atoms.info`" in str(found[1].error)
    assert found[0].atoms.get_potential_energy() == pytest.approx(5.0, abs=1e-7)
    assert found[2].atoms.get_potential_energy() == pytest.approx(7.0, abs=1e-7)
    assert found[2].atoms.info == {"field": 7.0}


def test_what_algorithms_change_reaches_the_model():
    def charging(atoms):
        energies = []
        for charge in (0, 1, -1):
            atoms.info["charge"] = charge
            energies.append(atoms.get_potential_energy() - 1.0)
        return energies

    found = run_together([pair(), pair()], reader(*CHARGE), charging)
    np.testing.assert_allclose(found, [[0.0, 1.0, -1.0]] * 2, atol=1e-12)
