"""
Train a potential for silicon
=============================

A machine-learned potential is fitted to energies and forces of a reference method, exported once, and run anywhere. The
reference is density functional theory as a rule; here it is the potential of Stillinger and Weber, so that this page
takes seconds. Nothing else would change.
"""

import tempfile
from pathlib import Path
from typing import Dict, List, Optional

import matplotlib.pyplot as plt
import numpy as np
import torch
from ase.build import bulk
from metatensor.learn.data import DataLoader, Dataset, group
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
from metatomic_core.authors import energy_output, pairs, sum_at_atoms
from metatomic_core.engine import Structure
from metatomic_core.potentials import stillinger_weber
from metatomic_core.testing import Request, installed_subjects

torch.manual_seed(0)
folder = Path(tempfile.mkdtemp())

# %%
# Data
# ----
#
# Crystals of several volumes, with all atoms displaced at random. The last eight are never trained on: they tell
# whether the model has learned the potential, or only these structures.


def displaced(seed):
    """Make one crystal of eight atoms."""
    atoms = bulk("Si", a=np.random.default_rng(seed).uniform(5.25, 5.65), cubic=True)
    atoms.rattle(0.12, seed=seed)
    return atoms


reference = MetatomicCalculator(stillinger_weber())
frames = [displaced(seed) for seed in range(72)]
for atoms in frames:
    atoms.calc = reference
energies = torch.tensor(
    [[atoms.get_potential_energy()] for atoms in frames], dtype=torch.float64
)
forces = torch.stack([torch.from_numpy(atoms.get_forces()) for atoms in frames])

# %%
# The model
# ---------
#
# Each atom sees its neighbors through smooth functions of distance. Sums of these, of unit vectors and of their
# products describe the surroundings; squares of the sums do not change when everything is turned, and know about
# angles. A small network makes an energy of them. Forces are not written: they are derived from the energy.


class SmallPotential(torch.nn.Module):
    """A network on invariants of the neighbors' density."""

    def __init__(self, offset: float):
        super().__init__()
        self.pairs = NeighborListOptions(4.0, full_list=True, strict=True)
        self.register_buffer("centers", torch.linspace(1.8, 3.8, 7, dtype=torch.float64))
        self.offset = offset
        self.network = torch.nn.Sequential(
            torch.nn.Linear(21, 24),
            torch.nn.Tanh(),
            torch.nn.Linear(24, 24),
            torch.nn.Tanh(),
            torch.nn.Linear(24, 1),
        ).to(torch.float64)

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
        radial = (
            torch.exp(-4.0 * (r - self.centers) ** 2)
            * torch.cos(0.5 * torch.pi * r / self.pairs.cutoff) ** 2
        )
        unit = vectors / r
        products = (unit.unsqueeze(2) * unit.unsqueeze(1)).reshape(-1, 9)
        angular = torch.cat([unit, products], dim=1)
        density = sum_at_atoms(systems, radial, first)
        moments = sum_at_atoms(systems, radial.unsqueeze(2) * angular.unsqueeze(1), first)
        dipoles, tensors = moments[:, :, :3], moments[:, :, 3:]
        features = torch.cat(
            [density, dipoles.square().sum(2), tensors.square().sum(2)], dim=1
        )
        atomic = self.network(features).squeeze(1) + self.offset
        return {
            name: energy_output(systems, atomic, output, selected_atoms)
            for name, output in outputs.items()
        }


module = SmallPotential(offset=float(energies.mean()) / 8).eval()
capabilities = ModelCapabilities(
    outputs={"energy": ModelOutput(unit="eV", sample_kind="atom")},
    atomic_types=[14],
    interaction_range=4.0,
    length_unit="angstrom",
    supported_devices=["cpu", "cuda"],
    dtype="float64",
)
model = AtomisticModel(module, ModelMetadata(name="Small silicon"), capabilities)

# %%
# Training
# --------
#
# `MetatomicCalculator.systems` gives what the model takes, with neighbor lists that are connected to the positions, so
# that the loss may have forces in it. These say far more than the energy: 24 numbers a structure rather than one.
# Structures and what they are fitted to go into the data set of `metatensor-learn
# <https://docs.metatensor.org/latest/learn/index.html>`_, which gives them in batches, in another order each time.

calculator = MetatomicCalculator(model)
systems = calculator.systems(frames)
N_TRAINED = 64
trained = Dataset(
    system=systems[:N_TRAINED], energy=[*energies[:N_TRAINED]], forces=[*forces[:N_TRAINED]]
)
batches = DataLoader(trained, batch_size=8, shuffle=True, collate_fn=group)
wanted = {"energy": ModelOutput(unit="eV", sample_kind="system")}


def predict(systems):
    """Give energies and forces of some structures."""
    energy = module(list(systems), wanted, None)["energy"].block().values
    positions = [system.positions for system in systems]
    gradients = torch.autograd.grad(energy.sum(), positions, create_graph=True)
    return energy, -torch.stack(gradients)


module.requires_grad_(requires_grad=True).train()
EPOCHS = 150
optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
for epoch in range(EPOCHS):
    losses = []
    for batch in batches:
        energy, force = predict(batch.system)
        per_atom = (energy - torch.stack(batch.energy)) / 8
        loss = (
            10 * per_atom.square().mean()
            + (force - torch.stack(batch.forces)).square().mean()
        )
        optimizer.zero_grad()
        loss.backward(retain_graph=True, inputs=list(module.parameters()))
        optimizer.step()
        losses.append(loss.item())
    schedule.step()
    if epoch % 50 == 0:
        print(f"epoch {epoch:3d}  loss {np.mean(losses):.2g}")

# %%
# Parity: what the model says of structures that it has not seen, against the reference.

test = slice(N_TRAINED, len(frames))
energy, force = (values.detach() for values in predict(systems[test]))
figure, axes = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
axes.plot(forces[test].ravel(), force.ravel(), ".", alpha=0.6)
axes.axline((0, 0), slope=1, color="black", linewidth=0.8)
axes.set(
    xlabel="force of the reference (eV/Å)",
    ylabel="force of the model (eV/Å)",
    aspect="equal",
)
print(f"error of forces {float((force - forces[test]).square().mean().sqrt()):.2f} eV/Å")
print(f"spread of forces {float(forces[test].std()):.2f} eV/Å")
print(
    f"error of energies {1000 * float((energy - energies[test]).abs().mean()) / 8:.1f} meV/atom"
)

# %%
# One file, three engines
# -----------------------
#
# Saved once, the model runs in ASE, i-PI and LAMMPS, each with its own units and neighbor lists. What they say about
# one structure is compared through the subjects of :py:mod:`metatomic_core.testing`, which start the engines
# themselves.

module.eval().requires_grad_(requires_grad=False)
AtomisticModel(module, ModelMetadata(name="Small silicon"), capabilities).save(
    folder / "silicon.pt"
)
atoms = frames[-1]
structure = Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
request = Request(folder / "silicon.pt", [structure])
answers = {
    name: installed_subjects()[name].evaluate(request)[0]
    for name in ("ase", "ipi", "lammps")
}
for name, answer in answers.items():
    difference = np.abs(answer.forces - answers["ase"].forces).max()
    print(
        f"{name:6s}  {answer.energy:.5f} eV  forces as in ASE to 1e-5 eV/Å: {bool(difference < 1e-5)}"
    )

# %%
# Next: train with fewer structures, or without forces, and see the parity get worse. Give the model stress to learn;
# write another one by :doc:`/how-to-write-a-model`; ask it what a potential promises with ``metatomic check``
# (:doc:`/check`).
