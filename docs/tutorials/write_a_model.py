"""
Write a model
=============

A model is a PyTorch module that gives energies. Units of the engine, neighbor lists, forces and stress are not its
business. This page writes the smallest one that is worth having, a Morse potential for copper, and runs it. The long
text is :doc:`/how-to-write-a-model`.
"""

import tempfile
from pathlib import Path
from typing import Dict, List, Optional

import matplotlib.pyplot as plt
import numpy as np
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.md.velocitydistribution import thermalize_momenta
from ase.md.verlet import VelocityVerlet
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

# %%
# The module
# ----------
#
# ``requested_neighbor_lists`` says which pairs it needs; the engine finds them, across periodic boundaries too. `pairs`
# makes tensors of them: the atom that each pair belongs to, its neighbor, and the vector between them. The list is
# *full*: each pair is there from both ends, so that each atom takes half of its energy. The factor at the end takes
# energy and force to zero at the cutoff: with a step there, molecular dynamics would not conserve energy.


class Morse(torch.nn.Module):
    """E = 1/2 sum_ij D ((1 - exp(-a (r - r0)))^2 - 1), taken to zero at the cutoff."""

    def __init__(self, depth: float, width: float, r0: float, cutoff: float):
        super().__init__()
        self.depth, self.width, self.r0 = depth, width, r0
        self.pairs = NeighborListOptions(cutoff, full_list=True, strict=True)

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [self.pairs]

    def forward(
        self,
        systems: List[System],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels],
    ) -> Dict[str, TensorMap]:
        first, _, vectors = pairs(systems, self.pairs)
        r = torch.linalg.vector_norm(vectors, dim=1)
        morse = self.depth * ((1 - torch.exp(-self.width * (r - self.r0))) ** 2 - 1)
        smooth = (1 - (r / self.pairs.cutoff) ** 4) ** 2
        atomic = sum_at_atoms(systems, 0.5 * morse * smooth, first)
        return {
            name: energy_output(systems, atomic, output, selected_atoms)
            for name, output in outputs.items()
        }


# %%
# Export
# ------
#
# The capabilities tell engines what they may ask for, and in which units the numbers are. The file holds code and
# parameters: whoever runs it does not need this script.

capabilities = ModelCapabilities(
    outputs={"energy": ModelOutput(unit="eV", sample_kind="atom")},
    atomic_types=[29],
    interaction_range=6.0,
    length_unit="angstrom",
    supported_devices=["cpu", "cuda"],
    dtype="float64",
)
model = AtomisticModel(
    Morse(0.343, 1.359, 2.866, 6.0).eval(), ModelMetadata(name="Morse copper"), capabilities
)
file = Path(tempfile.mkdtemp()) / "copper.pt"
model.save(file)
calculator = MetatomicCalculator(file)

# %%
# A first look: the energy of two atoms. No step at the cutoff.

distances = np.linspace(2.0, 6.5, 120)
curve = [
    calculator.compute_energy(Atoms("Cu2", [(0, 0, 0), (0, 0, r)]))["energy"]
    for r in distances
]
figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
axes.plot(distances, curve)
axes.axvline(6.0, color="gray", linestyle=":")
axes.annotate("cutoff", (5.95, 0.3), ha="right")
axes.set(xlabel="distance (Å)", ylabel="energy (eV)", ylim=(-0.4, 0.5))

# %%
# Dynamics
# --------
#
# The total energy of a run without a thermostat stays where it was, if forces are the derivatives of the energy. They
# are, because nobody wrote them.

atoms = bulk("Cu", a=3.61, cubic=True).repeat(2)
atoms.calc = calculator
thermalize_momenta(atoms, temperature_K=300, rng=np.random.default_rng(0))
dynamics = VelocityVerlet(atoms, timestep=2 * units.fs)
start = atoms.get_total_energy()
for _ in range(5):
    dynamics.run(20)
    drift = 1000 * (atoms.get_total_energy() - start) / len(atoms)
    print(
        f"{2 * dynamics.nsteps:4d} fs  {atoms.get_temperature():4.0f} K  drift {abs(drift):.1f} meV/atom"
    )

# %%
# Next: give ``depth`` as a :py:class:`torch.nn.Parameter` and train it (:doc:`train_silicon`); run the file in LAMMPS
# (:doc:`/engines/lammps`) or i-PI (:doc:`/engines/ipi`); compile it (:doc:`/compile`).
