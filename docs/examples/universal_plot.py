"""Distances between lithium and its hydrogen neighbors: classical in ASE and in LAMMPS, quantum in i-PI."""

from pathlib import Path

import ase.io
import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

START = ase.io.read("relaxed.extxyz")
# the first fifth of each run is left out: it is when the crystal warms up
WARMING = 0.2


def neighbor_distances(frames):
    """Give the distances of the six nearest hydrogen atoms of each lithium atom, of all frames."""
    lithium, hydrogen = START.symbols == "Li", START.symbols == "H"
    inverse = np.linalg.inv(START.cell.array)
    found = []
    for positions in frames[int(WARMING * len(frames)) :]:
        vectors = positions[hydrogen][None, :, :] - positions[lithium][:, None, :]
        fractions = vectors @ inverse
        # images of a small cell: those within one cell to each side of the nearest
        shifts = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3), axis=-1).reshape(-1, 3)
        images = (fractions - np.round(fractions))[:, :, None, :] + shifts
        lengths = np.linalg.norm(images @ START.cell.array, axis=-1).reshape(
            lithium.sum(), -1
        )
        found.append(np.sort(lengths, axis=1)[:, :6])
    return np.concatenate(found).ravel()


dump = ase.io.read("lammps.dump", ":", format="lammps-dump-text")
beads = [
    ase.io.read(path, ":") for path in sorted(Path("quantum").glob("simulation.pos_*.xyz"))
]
runs = {
    "classical, ASE": [atoms.positions for atoms in ase.io.read("classical.traj", ":")],
    "classical, LAMMPS on 2 ranks": [atoms.positions for atoms in dump],
    f"quantum, i-PI with {len(beads)} beads": [
        atoms.positions for frames in zip(*beads) for atoms in frames
    ],
}

figure, axes = plt.subplots(figsize=(5.0, 3.2), layout="constrained")
for (name, frames), style in zip(runs.items(), ("-", "--", "-")):
    distances = neighbor_distances(frames)
    print(f"{name}: {distances.mean():.3f} Å, standard deviation {distances.std():.3f} Å")
    density, edges = np.histogram(distances, bins=60, range=(1.4, 2.8), density=True)
    axes.plot(0.5 * (edges[1:] + edges[:-1]), density, style, label=name)
axes.set_xlabel("distance Li–H (Å)")
axes.set_ylabel("probability density (1/Å)")
axes.set_ylim(bottom=0)
axes.legend(frameon=False, fontsize="small")
for suffix in ("png", "pdf"):
    figure.savefig(f"lih.{suffix}", dpi=200)
