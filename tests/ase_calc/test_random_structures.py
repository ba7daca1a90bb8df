"""A thousand random structures, against pairs from ASE's neighbor list and formulas in NumPy.

Cells of any shape and handedness, from half the cutoff to several times it, any periodicity with cell vectors along
open directions or without, atoms far outside, and from no atom to a dozen.
"""

import ase
import numpy as np
import pytest
from ase.neighborlist import neighbor_list
from models import CUTOFF, SHORT_CUTOFF, TwoLists, wrap

from metatomic_ase import MetatomicCalculator

COUNT, CHUNK = 1000, 100
SPECIES = [1, 6, 8, 14]


def random_atoms(rng):
    """Give a structure, with atoms no closer to each other or to images than the potential can bear."""
    n_atoms = int(rng.integers(0, 13))
    pbc = rng.random(3) < 0.6
    edge = rng.uniform(0.5, 3.0) * CUTOFF
    cell = edge * (np.eye(3) + rng.uniform(-0.45, 0.45, (3, 3)))
    if rng.random() < 0.3:
        cell = cell[[1, 0, 2]]
    positions = rng.uniform(0, 1, (n_atoms, 3)) @ cell
    # some atoms in other cells, along periodic directions and others
    far = rng.random(n_atoms) < 0.3
    positions[far] += rng.integers(-2, 3, (int(far.sum()), 3)) * pbc @ cell
    atoms = ase.Atoms(rng.choice(SPECIES, n_atoms), positions=positions, cell=cell, pbc=pbc)
    if rng.random() < 0.5:
        # no vector where nothing is periodic, as ASE allows it
        atoms.set_cell(np.where(pbc[:, None], cell, 0.0))
    return atoms


def independent(atoms):
    """Give energies of atoms, forces and dE/dstrain by the formulas of `TwoLists`."""
    n_atoms = len(atoms)
    first, second, vectors, r = neighbor_list("ijDd", atoms, CUTOFF)
    weight = atoms.numbers[second] / 10.0
    density = np.bincount(first, weight * (1 - r / CUTOFF) ** 5, n_atoms)
    close = r < SHORT_CUTOFF
    repulsion = np.where(close, 0.5 * 3.0 * (1 - r / SHORT_CUTOFF) ** 5, 0.0)
    energies = 1.0 - np.sqrt(1.0 + density) + np.bincount(first, repulsion, n_atoms)
    # dE/dr of each directed pair
    along = (-0.5 / np.sqrt(1.0 + density))[first] * weight * (-5 / CUTOFF) * (1 - r / CUTOFF) ** 4
    along += np.where(close, 0.5 * 3.0 * (-5 / SHORT_CUTOFF) * (1 - r / SHORT_CUTOFF) ** 4, 0.0)
    gradient = along[:, None] * vectors / r[:, None]
    forces = np.stack(
        [np.bincount(first, gradient[:, k], n_atoms) - np.bincount(second, gradient[:, k], n_atoms) for k in range(3)],
        axis=1,
    )
    return energies, forces, gradient.T @ vectors


@pytest.fixture(scope="module")
def calculator():
    return MetatomicCalculator(wrap(TwoLists()))


@pytest.mark.parametrize("start", range(0, COUNT, CHUNK))
def test_random_structures_are_those_of_formulas(calculator, start):
    with_pairs = 0
    for seed in range(start, start + CHUNK):
        atoms = random_atoms(np.random.default_rng(seed))
        if len(atoms) == 0:
            # ASE has no neighbor list of nothing
            assert calculator.get_property("energy", atoms) == 0.0
            continue
        energies, forces, strain = independent(atoms)
        atoms.calc = calculator
        where = f"seed {seed}"
        scale = max(1.0, np.abs(energies).max(), np.abs(forces).max(), np.abs(strain).max())
        np.testing.assert_allclose(atoms.get_potential_energies(), energies, rtol=0, atol=1e-9 * scale, err_msg=where)
        assert atoms.get_potential_energy() == pytest.approx(energies.sum(), abs=1e-9 * scale), where
        np.testing.assert_allclose(atoms.get_forces(), forces, rtol=0, atol=1e-9 * scale, err_msg=where)
        if atoms.pbc.any() and atoms.cell.rank == 3:
            stress = atoms.get_stress(voigt=False) * atoms.cell.volume
            np.testing.assert_allclose(stress, strain, rtol=0, atol=1e-9 * scale, err_msg=where)
        with_pairs += bool(np.abs(forces).max() > 0)
    assert with_pairs > CHUNK / 2


def test_random_structures_in_one_call(calculator):
    given = [random_atoms(np.random.default_rng(seed)) for seed in range(COUNT)]
    given = [atoms for atoms in given if len(atoms) > 0]
    found = calculator.compute_energy(given, compute_forces_and_stresses=True, per_atom=True)
    for number, atoms in enumerate(given):
        energies, forces, strain = independent(atoms)
        scale = max(1.0, np.abs(energies).max(), np.abs(forces).max(), np.abs(strain).max())
        np.testing.assert_allclose(found["energies"][number], energies, rtol=0, atol=1e-9 * scale)
        np.testing.assert_allclose(found["forces"][number], forces, rtol=0, atol=1e-9 * scale)
        if found["stress"][number] is not None:
            stress = found["stress"][number] * atoms.cell.volume
            np.testing.assert_allclose(stress, strain, rtol=0, atol=1e-9 * scale)
