"""A format that another package reads runs in the calculator."""

import ase
import pytest
from text_potentials import install_text_potentials

from metatomic_ase import MetatomicCalculator
from metatomic_core.potentials import lennard_jones


def test_calculator_runs_a_format_of_another_package(monkeypatch, tmp_path):
    atoms = ase.Atoms("Ar2", positions=[[0, 0, 0], [1, 2, 3]])
    energies = []
    for model in (install_text_potentials(monkeypatch, tmp_path), lennard_jones(["Ar"], 3.405, 0.01032)):
        atoms.calc = MetatomicCalculator(model)
        energies.append(atoms.get_potential_energy())
    assert energies[0] == pytest.approx(energies[1], rel=1e-14)
    assert energies[0] != 0.0
