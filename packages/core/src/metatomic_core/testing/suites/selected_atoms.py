"""Energies of some of the atoms only."""

import numpy as np

from metatomic_core.testing.bench import Bench
from metatomic_core.testing.contract import standard_test


def _every_third(n_atoms: int) -> np.ndarray:
    """Give some atoms, not in order."""
    return np.arange(1, n_atoms, 3)[::-1]


@standard_test("selected atoms")
def check_energy_of_selected_atoms(bench: Bench) -> None:
    """The energy is that of all atoms, or a number of atoms times their mean: the selection is not passed on.

    If it is another number, atoms are counted from one, or in the order in which the engine keeps them.
    """
    structures = bench.structures("box")
    atoms = _every_third(len(structures["box"].types))
    selected = np.stack([np.zeros_like(atoms), atoms], axis=1)
    bench.check("two lists", structures, ["energy"], selected_atoms=selected)


@standard_test("selected atoms", "forces")
def check_forces_of_selected_atoms(bench: Bench) -> None:
    """Forces are not the gradient of the energy of the selected atoms.

    Others feel forces, too: those that are neighbors of selected ones.  Forces that were set to zero, or that are those
    of all atoms, are wrong.
    """
    structures = bench.structures("box")
    atoms = _every_third(len(structures["box"].types))
    selected = np.stack([np.zeros_like(atoms), atoms], axis=1)
    bench.check("messages", structures, ["energy", "forces"], selected_atoms=selected)


@standard_test("selected atoms", "batch")
def check_selected_atoms_of_batch(bench: Bench) -> None:
    """Atoms are selected in the wrong structure of a batch, or one where none is selected has an energy."""
    structures = bench.structures("box", "other box", "triclinic")
    selected = np.array([[1, 4], [0, 2], [1, 0], [0, 9], [0, 3]])
    bench.check("two lists", structures, ["energy"], selected_atoms=selected, batch=True)
