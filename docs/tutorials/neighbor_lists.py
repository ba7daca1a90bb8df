"""
Neighbors across periodic boundaries
====================================

A model gets pairs, and never asks how the engine found them. What is in such a list, why the same two atoms may be in
it many times, and what *full* and *half* mean, is drawn here. :doc:`/conventions` has the rules in one place.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from ase import Atoms

from metatomic_core.neighbor_lists import NeighborLists

# %%
# A cell smaller than the cutoff
# ------------------------------
#
# Two atoms in a flat cell whose edges are about 3 Å, periodic along two of its vectors, and a cutoff of 4 Å. Pairs are
# told apart by their *shift*: by how many cells the neighbor lies away.

atoms = Atoms(
    "HO",
    [(0.6, 0.6, 0), (1.9, 1.5, 0)],
    cell=[[3, 0, 0], [0.8, 3, 0], [0, 0, 10]],
    pbc=[True, True, False],
)
CUTOFF = 4.0


def find(full_list, pbc=(True, True, False)):
    """Give atoms and shifts of all pairs, and their vectors."""
    lists = NeighborLists([(CUTOFF, full_list, True)], skin=0.0)
    geometry = [
        torch.from_numpy(np.array(values))
        for values in (atoms.positions, atoms.cell.array, pbc)
    ]
    (pairs,), (vectors,) = lists.compute(*geometry)
    return pairs.numpy(), vectors.numpy()


pairs, vectors = find(full_list=True)
print("first second   shift     distance")
for (first, second, *shift), vector in list(zip(pairs.tolist(), vectors, strict=True))[:6]:
    print(f"  {first}     {second}    {shift}   {np.linalg.norm(vector):.2f} Å")
print(
    len(pairs),
    "pairs, and",
    sum(pairs[:, 0] == pairs[:, 1]),
    "of an atom with its own images",
)

# %%
# Each vector is :math:`\mathbf{r}_j - \mathbf{r}_i + \mathbf{S} \mathbf{h}`, with the shift :math:`\mathbf{S}` and the
# cell :math:`\mathbf{h}`, whose vectors are rows. Models take it as it is; to compute it again from positions wants
# the shift.

i, j, shifts = pairs[:, 0], pairs[:, 1], pairs[:, 2:]
again = atoms.positions[j] - atoms.positions[i] + shifts @ atoms.cell.array
print("vectors are these:", np.allclose(again, vectors))

# %%
# The neighbors of the first atom: those inside of the circle, wherever they are. Taking the nearest image alone would
# find two, and be wrong.

figure, axes = plt.subplots(figsize=(4.8, 4.8), layout="constrained")
corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]) @ atoms.cell.array[:2, :2]
for shift in np.ndindex(5, 5):
    origin = (np.array(shift) - 2) @ atoms.cell.array[:2, :2]
    axes.plot(*(corners + origin).T, color="lightgray", linewidth=0.8, zorder=0)
    axes.scatter(
        *(atoms.positions[:, :2] + origin).T,
        c=["white", "tab:red"],
        edgecolors="gray",
        s=40,
    )
for vector in vectors[i == 0]:
    axes.annotate(
        "",
        atoms.positions[0, :2] + vector[:2],
        atoms.positions[0, :2],
        arrowprops={"arrowstyle": "->"},
    )
axes.plot(*corners.T, color="black")
axes.add_patch(plt.Circle(atoms.positions[0, :2], CUTOFF, fill=False, color="tab:blue"))
axes.set(xlim=(-4.2, 5.4), ylim=(-4.2, 5.4), aspect="equal", xlabel="x (Å)", ylabel="y (Å)")

# %%
# Full and half
# -------------
#
# A full list has each pair from both ends, which is what sums over neighbors of each atom want; a half list has one of
# the two, which is less work for energies of pairs. In periodic directions only are there images at all.

for pbc in ((True, True, False), (True, False, False), (False, False, False)):
    counts = [len(find(full_list, pbc)[0]) for full_list in (True, False)]
    print(
        f"periodic along {'abc'[: sum(pbc)] or 'nothing':8s} full {counts[0]:2d}  half {counts[1]:2d}"
    )

# %%
# Next: turn on the third direction with a short vector; ask for two lists in one model, as on
# :doc:`/how-to-write-a-model`.
