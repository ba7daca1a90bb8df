"""
Neighbors across periodic boundaries
====================================

A model gets pairs, and never asks how the engine found them. What is in such a list, why the same two atoms may be in it
many times, and what *full* and *half* mean, is drawn here. :doc:`/conventions` has the rules in one place.
"""

import matplotlib.pyplot as plt
import numpy as np
from ase import Atoms

from metatomic_core import NeighborListOptions
from metatomic_core.neighbor_lists import NeighborLists, PairRequest

# %%
# A cell smaller than the cutoff
# ------------------------------
#
# Two atoms in a flat cell whose edges are 3 Å, periodic along x and y only, and a cutoff of 4 Å. Pairs are told apart by
# their *shift*: by how many cells the neighbor lies away.

atoms = Atoms("HO", [(0.6, 0.6, 0), (1.9, 1.5, 0)], cell=[[3, 0, 0], [0.8, 3, 0], [0, 0, 10]], pbc=[True, True, False])
CUTOFF = 4.0


def find(full, pbc=atoms.pbc):
    """Give first atoms, second atoms, and shifts of all pairs."""
    lists = NeighborLists([PairRequest(CUTOFF, full)])
    (found,) = lists.compute(atoms.positions, atoms.cell.array, np.array(pbc))
    return found


