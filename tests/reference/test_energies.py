"""The same energies, forces and stresses by the reference's calculator, ours, and i-PI, for models of both."""

import numpy as np
import pytest
from ase import Atoms
from reference_cases import JOBS, OURS, TRAINED, convert, structures_for

from metatomic_ase import MetatomicCalculator

STRUCTURES = ["triclinic", "slab", "wire", "molecule", "small cell", "one atom", "isolated atom"]


def evaluate(calculator, structure):
    atoms = Atoms(structure[0], positions=structure[1], cell=structure[2], pbc=structure[3])
    atoms.calc = calculator
    found = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    if atoms.pbc.all():
        found["stress"] = atoms.get_stress()
    return found


def assert_same(found, expected, tolerance, what):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        scale = max(np.abs(values).max(), 1e-3)
        deviation = np.abs(found[name] - values).max() / scale
        assert deviation < tolerance, f"{name} of {what}: relative deviation {deviation:.1e}"


@pytest.mark.parametrize("name", JOBS)
def test_our_calculator_runs_files_of_the_reference(name, model_files, expected):
    calculator = MetatomicCalculator(model_files[name], uncertainty_threshold=None, check_consistency=True)
    for key, structure in structures_for(name).items():
        assert_same(evaluate(calculator, structure), expected[name][key], TRAINED.get(name, 1e-10), f"{name}, {key}")


@pytest.mark.parametrize("name", OURS)
def test_reference_gives_what_our_file_gives(name, model_files, expected):
    """Our models, converted, in the reference's calculator, against the same models before."""
    calculator = MetatomicCalculator(model_files[f"{name} (core)"])
    for key, structure in structures_for(name).items():
        assert_same(expected[name][key], evaluate(calculator, structure), 1e-10, f"{name}, {key}")


@pytest.mark.parametrize("name", TRAINED)
def test_converted_file_gives_what_the_file_of_the_reference_gives(name, model_files, expected, tmp_path):
    convert(model_files[name], tmp_path / "model.pt")
    calculator = MetatomicCalculator(tmp_path / "model.pt", uncertainty_threshold=None)
    for key, structure in structures_for(name).items():
        assert_same(evaluate(calculator, structure), expected[name][key], TRAINED[name], f"{name}, {key}")
