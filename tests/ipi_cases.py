"""Structures to run i-PI on, and files with them."""

import ase
import numpy as np
from ase.build import bulk
from ipi_models import site_positions

from metatomic_ipi.input_xml import xyz_text

N_OSCILLATORS = 8


def argon():
    """Give a skewed crystal of argon, in i-PI's orientation, away from equilibrium."""
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True) * (2, 1, 1)
    cell = atoms.cell.array.copy()
    cell[1, 0], cell[2, 0], cell[2, 1] = 0.7, -0.4, 0.5
    atoms.set_cell(cell, scale_atoms=True)
    atoms.positions += np.random.default_rng(3).uniform(-0.15, 0.15, atoms.positions.shape)
    # outside of the cell: i-PI does not wrap
    atoms.positions[1] += 2 * atoms.cell[0] - atoms.cell[2]
    return atoms


def oscillators(n=N_OSCILLATORS):
    """Give hydrogen atoms near the sites of the model, in a large box."""
    moved = np.random.default_rng(4).normal(0, 0.1, (n, 3))
    return ase.Atoms(f"H{n}", site_positions(n) + moved, cell=[60.0] * 3, pbc=False)


def write_structure(directory, atoms):
    (directory / "init.xyz").write_text(xyz_text(atoms))
    atoms.write(directory / "template.xyz", format="extxyz")
