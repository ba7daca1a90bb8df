"""
Files of the reference implementation
=====================================

metatomic-torch is the reference of this interface, and all models that metatrain exports are files of it. They run here
as they are, and models of this package run there. This page goes both ways, with a model small enough to know the
answer: :doc:`/convert` says what is kept and what is refused.
"""

import tempfile
from pathlib import Path
from typing import Dict, List, Optional

import matplotlib.pyplot as plt
import metatomic.torch as reference
import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from metatensor.torch import Labels, TensorBlock, TensorMap

from metatomic_ase import MetatomicCalculator
from metatomic_core import load_atomistic_model
from metatomic_core.engine import Structure
from metatomic_core.potentials import stillinger_weber
from metatomic_core.testing import Request, installed_subjects
from metatomic_core.writing import convert

folder = Path(tempfile.mkdtemp())

# %%
# A model written for metatomic-torch
# -----------------------------------
#
# Nothing of this package is in it: the classes are those of ``metatomic.torch``, and so is the file.


class Pairs(torch.nn.Module):
    """Lennard-Jones, shifted to zero at the cutoff."""

    def __init__(self, epsilon: float, sigma: float, cutoff: float):
        super().__init__()
        self.epsilon, self.sigma, self.cutoff = epsilon, sigma, cutoff
        self.shift = 4 * epsilon * ((sigma / cutoff) ** 12 - (sigma / cutoff) ** 6)

    def requested_neighbor_lists(self) -> List[reference.NeighborListOptions]:
        return [reference.NeighborListOptions(self.cutoff, full_list=False, strict=True)]

    def forward(
        self,
        systems: List[reference.System],
        outputs: Dict[str, reference.ModelOutput],
        selected_atoms: Optional[Labels],
    ) -> Dict[str, TensorMap]:
        energies: List[torch.Tensor] = []
        for system in systems:
            neighbors = system.get_neighbor_list(self.requested_neighbor_lists()[0])
            inverse = self.sigma**2 / neighbors.values.squeeze(-1).square().sum(dim=1)
            pairs = 4 * self.epsilon * (inverse**6 - inverse**3) - self.shift
            energies.append(pairs.sum())
        values = torch.stack(energies).reshape(-1, 1)
        numbers = torch.arange(len(systems), device=values.device).reshape(-1, 1)
        properties = Labels(["energy"], torch.tensor([[0]], device=values.device))
        block = TensorBlock(values, Labels(["system"], numbers), [], properties)
        return {
            "energy": TensorMap(
                Labels(["_"], torch.tensor([[0]], device=values.device)), [block]
            )
        }


capabilities = reference.ModelCapabilities(
    outputs={"energy": reference.ModelOutput(unit="eV", sample_kind="system")},
    atomic_types=[18],
    interaction_range=7.0,
    length_unit="angstrom",
    supported_devices=["cpu"],
    dtype="float64",
)
module = Pairs(epsilon=0.0104, sigma=3.4, cutoff=7.0).eval()
metadata = reference.ModelMetadata(name="Argon of the reference")
reference.AtomisticModel(module, metadata, capabilities).save(str(folder / "theirs.pt"))

# %%
# It runs as it is
# ----------------
#
# The calculator takes the file as it takes ours; the numbers are those of ASE's own Lennard-Jones.

dimers = [
    Atoms("Ar2", [[0, 0, 0], [0, 0, distance]]) for distance in np.linspace(3.2, 7.5, 60)
]
native = LennardJones(epsilon=0.0104, sigma=3.4, rc=7.0)
expected = [native.get_potential_energy(atoms) for atoms in dimers]
found = MetatomicCalculator(folder / "theirs.pt").compute_energy(dimers)["energy"]
print("energies as in ASE:", np.allclose(found, expected, atol=1e-10))

figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
distances = [atoms.get_distance(0, 1) for atoms in dimers]
axes.plot(distances, 1000 * np.array(expected), color="#888888", label="ASE")
axes.plot(distances[::3], 1000 * np.array(found)[::3], "o", label="file of metatomic-torch")
axes.set(xlabel="distance (Å)", ylabel="energy (meV)")
axes.legend(frameon=False)

# %%
# LAMMPS, too
# -----------
#
# The plugin of LAMMPS wants a file of this package: ``metatomic convert theirs.pt ours.pt`` on the command line.

convert(folder / "theirs.pt", folder / "ours.pt")
atoms = bulk("Ar", "fcc", a=5.3, cubic=True)
atoms.rattle(0.1, seed=2)
structure = Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
atoms.calc = native
for name in ("ase", "ipi", "lammps"):
    answer = installed_subjects()[name].evaluate(Request(folder / "ours.pt", [structure]))[
        0
    ]
    difference = np.abs(answer.forces - atoms.get_forces()).max()
    print(
        f"{name:6s}  {answer.energy:.6f} eV  forces as in ASE to 1e-6 eV/Å: {bool(difference < 1e-6)}"
    )

# %%
# The other way
# -------------
#
# A model of this package becomes a file that the reference loads, and everything that loads such files: its calculator,
# the driver of i-PI, its LAMMPS and GROMACS. Here metatomic-torch itself opens it, and says whose it is.

stillinger_weber().save(folder / "silicon-core.pt")
convert(folder / "silicon-core.pt", folder / "silicon.pt", "metatomic-torch")
theirs = reference.load_atomistic_model(str(folder / "silicon.pt"))
print(type(theirs).__module__.partition(".")[0], "loads", theirs.metadata().name)
print(
    "its neighbor lists:", [options.cutoff for options in theirs.requested_neighbor_lists()]
)
again = load_atomistic_model(folder / "silicon.pt")
crystal = bulk("Si", cubic=True)
energies = [
    MetatomicCalculator(model).compute_energy(crystal)["energy"]
    for model in (again, stillinger_weber())
]
print("there and back, the same energy:", bool(np.allclose(*energies, rtol=1e-12)))

# %%
# Next: :doc:`/porting` says what code of the reference needs to run here. Files that were exported by metatrain,
# PET-MAD among them, take the first way, with nothing to convert but for LAMMPS.
