"""
A map of structures
===================

What a model has learned about surroundings is in its *features*. Structures with similar ones are similar for the
model, and a map of them shows what a data set holds. A small model that gives features only is enough for one.
"""

import gzip
import itertools
import json
import tempfile
from pathlib import Path
from typing import Dict, List, Optional

import chemiscope
import matplotlib.pyplot as plt
import numpy as np
import torch
from ase import Atoms, units
from ase.md.langevin import Langevin
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
from metatomic_core.potentials import stillinger_weber

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
# Three ways from one structure to another
# ----------------------------------------
#
# Two of them stretch a crystal along one axis. Body centered tetragonal becomes cubic where its edges are equal, and
# face centered cubic where one is :math:`\sqrt 2` times the others: the path of Bain. The second has the atoms of
# diamond, where the same ratio is :math:`\sqrt 2`, and of white tin, where it is 0.55. All have the volume of silicon,
# so that the map shows how atoms are arranged, and not how dense they are.

VOLUME = 20.0  # of an atom, in Å³
SITES = {
    "body centered": [(0, 0, 0), (0.5, 0.5, 0.5)],
    "diamond": [(0, 0, 0), (0.5, 0.5, 0.5), (0, 0.5, 0.25), (0.5, 0, 0.75)],
}


def tetragonal(name, ratio):
    """Make a crystal with this ratio of its edges."""
    edge = (VOLUME * len(SITES[name]) / ratio) ** (1 / 3)
    cell = [edge, edge, ratio * edge]
    return Atoms("Si" * len(SITES[name]), scaled_positions=SITES[name], cell=cell, pbc=True)


random = np.random.default_rng(0)
bain, tin = np.linspace(0.9, 1.55, 40), np.linspace(0.5, 1.6, 40)
paths = {
    "body to face centered": [
        tetragonal("body centered", ratio).repeat(3) for ratio in bain
    ],
    "diamond to white tin": [
        tetragonal("diamond", ratio).repeat((3, 3, 2)) for ratio in tin
    ],
}
for atoms in itertools.chain(*paths.values()):
    atoms.rattle(0.05, rng=random)  # as heat would do it

# %%
# The third is a run of molecular dynamics with the potential of Stillinger and Weber, in which diamond is heated to
# 4000 K. In the end atoms are further from their sites than the length of a bond, 2.35 Å: it has melted.

atoms = tetragonal("diamond", np.sqrt(2)).repeat((3, 3, 2))
sites = atoms.positions.copy()
atoms.calc = MetatomicCalculator(stillinger_weber())
dynamics = Langevin(
    atoms,
    2 * units.fs,
    temperature_K=300,
    friction=0.02 / units.fs,
    fixcm=False,
    rng=random,
)
paths["diamond, heated"] = []
for temperature in np.minimum(np.linspace(300, 7000, 40), 4000):
    dynamics.set_temperature(temperature_K=temperature)
    dynamics.run(40)
    paths["diamond, heated"].append(atoms.copy())
moved = atoms.positions - sites
moved -= moved.mean(axis=0)  # of the whole
moved = np.linalg.norm(moved, axis=1).mean()
print(f"atoms end {moved:.1f} Å from their sites")

# %%
# The map
# -------
#
# Features are averaged over the atoms of each structure, and scaled to a standard deviation of one. Their principal
# components are the directions in which structures differ most.

frames = list(itertools.chain(*paths.values()))
features = np.array(
    [calculator.get_features(atoms, per_atom=True).mean(axis=0) for atoms in frames]
)
scaled = (features - features.mean(axis=0)) / features.std(axis=0)
_, weights, directions = np.linalg.svd(scaled, full_matrices=False)
coordinates = scaled @ directions[:2].T
part = weights**2 / (weights**2).sum()
print(f"variance in the first component {part[0]:.0%}, in the second {part[1]:.0%}")

figure, axes = plt.subplots(figsize=(5.5, 4), layout="constrained")
ends = np.cumsum([len(structures) for structures in paths.values()])
for (name, structures), end, marker in zip(paths.items(), ends, "os^", strict=True):
    axes.plot(*coordinates[end - len(structures) : end].T, marker, markersize=4, label=name)
known = {
    "bcc": (np.abs(bain - 1).argmin(), (8, -3)),
    "fcc": (np.abs(bain - np.sqrt(2)).argmin(), (8, -3)),
    "white tin": (len(bain) + np.abs(tin - 0.55).argmin(), (-52, -3)),
    "diamond": (len(bain) + np.abs(tin - np.sqrt(2)).argmin(), (-20, 10)),
    "liquid": (len(frames) - 1, (14, 8)),
}
for text, (number, offset) in known.items():
    axes.annotate(text, coordinates[number], xytext=offset, textcoords="offset points")
axes.margins(0.15)
axes.set(xlabel="first component", ylabel="second component")
axes.legend(frameon=False, loc="upper center")

# %%
# Paths in structure are lines on the map, though the model was never told what the structures are, and diamond is one
# point, whichever of two paths it lies on. The run stays near it while atoms only vibrate, crosses a gap as the crystal
# melts, and is then a cloud.
#
# To look at the structures behind the points, `chemiscope <https://chemiscope.org>`_ takes them with any properties,
# and its page opens the file.

file = Path(tempfile.mkdtemp()) / "map.json.gz"
properties = {
    "first component": coordinates[:, 0],
    "second component": coordinates[:, 1],
    "path": [name for name, structures in paths.items() for _ in structures],
}
chemiscope.write_input(str(file), structures=frames, properties=properties)
with gzip.open(file) as written:
    content = json.load(written)
print(len(content["structures"]), "structures in", file.name)
print("with", ", ".join(content["properties"]))

# %%
# Next: take a model that :doc:`was imported </importing>`, whose features know about elements and angles, too.
