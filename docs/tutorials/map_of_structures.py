"""
A map of structures
===================

What a model has learned about surroundings is in its *features*. Structures with similar ones are similar for the
model, and a map of them shows what a data set holds. A small model that gives features only is enough for one.
"""

from typing import Dict, List, Optional

import matplotlib.pyplot as plt
import numpy as np
import torch
from ase.build import bulk
from metatensor.torch import Labels, TensorMap

from metatomic_ase import MetatomicCalculator
from metatomic_core import AtomisticModel, ModelCapabilities, ModelMetadata, ModelOutput, NeighborListOptions, System
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
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        first, _, vectors = pairs(systems, self.pairs)
        r = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        smooth = torch.cos(0.5 * torch.pi * r / self.pairs.cutoff) ** 2
        density = sum_at_atoms(systems, torch.exp(-8.0 * (r - self.centers) ** 2) * smooth, first)
        return {
            name: per_atom_output(name, systems, density, output, selected_atoms) for name, output in outputs.items()
        }


capabilities = ModelCapabilities(
    outputs={"feature": ModelOutput(sample_kind="atom")},
    atomic_types=[14],
    interaction_range=5.0,
    length_unit="angstrom",
    supported_devices=["cpu", "cuda"],
    dtype="float64",
)
calculator = MetatomicCalculator(AtomisticModel(Shells().eval(), ModelMetadata(name="Shells"), capabilities))

# %%
# The map
# -------
#
# Silicon in three lattices, each with atoms displaced a little. Principal components of the features are two
# directions in which the structures differ most.

lattices = {"diamond": 5.43, "bcc": 3.1, "fcc": 3.9}
frames, kinds = [], []
for kind, a in lattices.items():
    for seed in range(12):
        atoms = bulk("Si", kind, a=a, cubic=True).repeat(2)
        atoms.rattle(0.08, seed=seed)
        frames.append(atoms)
        kinds.append(kind)
features = np.array([calculator.get_features(atoms, per_atom=True).mean(axis=0) for atoms in frames])
centered = features - features.mean(axis=0)
_, weights, directions = np.linalg.svd(centered, full_matrices=False)
coordinates = centered @ directions[:2].T
print(f"{(weights[:2] ** 2).sum() / (weights**2).sum():.0%} of the variance is in the map")

figure, axes = plt.subplots(figsize=(5, 3.6), layout="constrained")
for kind, marker in zip(lattices, "osD", strict=True):
    chosen = np.array(kinds) == kind
    axes.plot(*coordinates[chosen].T, marker, label=kind, alpha=0.7)
axes.set(xlabel="first component", ylabel="second component")
axes.legend(frameon=False)

# %%
# To look at the structures behind the points, ``chemiscope.write_input`` makes a file of ``frames`` and
# ``coordinates`` that https://chemiscope.org opens in a browser.
#
# Next: take a model that :doc:`was imported </importing>`, whose features know about elements and angles, too.
