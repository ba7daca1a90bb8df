"""
A map of structures
===================

What a model has learned about surroundings is in its *features*. Structures with similar ones are similar for the
model, and a map of them shows what a data set holds. A small model that gives features only is enough for one.
"""

import gzip
import json
import tempfile
from pathlib import Path
from typing import Dict, List, Optional

import chemiscope
import matplotlib.pyplot as plt
import numpy as np
import torch
from ase.build import bulk
from metatensor.torch import Labels, TensorMap

from metatomic_ase import MetatomicCalculator
from metatomic_core import (
    AtomisticModel,
    ModelCapabilities,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
)
from metatomic_core.authors import pairs, per_atom_output, sum_at_atoms

# %%
# Features
# --------
#
# For each atom the density of neighbors at twelve distances. `per_atom_output` gives it the labels of
# :doc:`/quantities`, per atom or summed over a structure, whichever is asked for.


class Shells(torch.nn.Module):
    """The density of neighbors around each atom."""

    def __init__(self):
        super().__init__()
        self.pairs = NeighborListOptions(5.0, full_list=True, strict=True)
        self.register_buffer("centers", torch.linspace(2.0, 4.75, 12, dtype=torch.float64))

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [self.pairs]

    def forward(
        self,
        systems: List[System],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels],
    ) -> Dict[str, TensorMap]:
        first, _, vectors = pairs(systems, self.pairs)
        r = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        smooth = torch.cos(0.5 * torch.pi * r / self.pairs.cutoff) ** 2
        density = sum_at_atoms(
            systems, torch.exp(-8.0 * (r - self.centers) ** 2) * smooth, first
        )
        return {
            name: per_atom_output(name, systems, density, output, selected_atoms)
            for name, output in outputs.items()
        }


capabilities = ModelCapabilities(
    outputs={"feature": ModelOutput(sample_kind="atom")},
    atomic_types=[14],
    interaction_range=5.0,
    length_unit="angstrom",
    supported_devices=["cpu", "cuda"],
    dtype="float64",
)
calculator = MetatomicCalculator(
    AtomisticModel(Shells().eval(), ModelMetadata(name="Shells"), capabilities)
)

# %%
# Structures on a path
# --------------------
#
# A tetragonal crystal is body centered where its axes are equal, and face centered where one of them is the square root
# of two times the others: the path of Bain goes from one to the other at constant volume.
# All crystals have atoms displaced a little, as heat would do it.

VOLUME = 15.0  # of an atom, in Å³
random = np.random.default_rng(0)
frames, ratios = [], []
for ratio in np.linspace(0.9, 1.55, 53):
    edge = (2 * VOLUME / ratio) ** (1 / 3)
    atoms = bulk("Si", "bcc", a=edge, cubic=True)
    atoms.set_cell([edge, edge, ratio * edge], scale_atoms=True)
    frames.append(atoms.repeat(3))
    ratios.append(ratio)
for atoms in frames:
    atoms.rattle(0.05, rng=random)

# %%
# The map
# -------
#
# Principal components of the features, averaged over the atoms of each structure, are the directions in which the
# structures differ most.

features = np.array(
    [calculator.get_features(atoms, per_atom=True).mean(axis=0) for atoms in frames]
)
centered = features - features.mean(axis=0)
_, weights, directions = np.linalg.svd(centered, full_matrices=False)
coordinates = centered @ directions[:2].T
part = weights**2 / (weights**2).sum()
print(
    f"of the variance, {part[0]:.0%} is in the first component, {part[1]:.0%} in the second"
)

figure, axes = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
points = axes.scatter(*coordinates.T, c=ratios, cmap="viridis", s=22)
figure.colorbar(points, label="ratio of the axes")
for text, ratio in {"body centered": 1.0, "face centered": np.sqrt(2)}.items():
    nearest = coordinates[np.argmin(np.abs(np.array(ratios) - ratio))]
    axes.annotate(text, nearest, xytext=(0, 10), textcoords="offset points", ha="center")
axes.margins(0.25)
axes.set(xlabel="first component", ylabel="second component")

# %%
# A path in structure is a line on the map, though the model was never told what the structures are. The line turns back at
# the two cubic crystals: whether they are stretched or pressed, neighbors at one distance come to be at two.
#
# To look at the structures behind the points, `chemiscope <https://chemiscope.org>`_ takes them with any properties,
# and its page opens the file.

file = Path(tempfile.mkdtemp()) / "map.json.gz"
properties = {
    "first component": coordinates[:, 0],
    "second component": coordinates[:, 1],
    "ratio of the axes": np.array(ratios),
}
chemiscope.write_input(str(file), structures=frames, properties=properties)
with gzip.open(file) as written:
    print(len(json.load(written)["structures"]), "structures in", file.name)

# %%
# Next: take a model that :doc:`was imported </importing>`, whose features know about elements and angles, too.
