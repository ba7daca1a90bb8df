"""
A universal potential in every engine
=====================================

Potentials that know most elements come as checkpoints of the package that trained them, with a calculator for ASE.
Imported once, such a model is a file that ASE, i-PI and LAMMPS run, and that no longer needs its package. Here it is
SevenNet-0, whose weights are in the package ``sevenn``; :doc:`/importing` has the others.
"""

import subprocess
import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from ase.build import bulk

from metatomic_ase import MetatomicCalculator
from metatomic_core.engine import Structure
from metatomic_core.testing import Request, installed_subjects
from metatomic_importers import import_model

folder = Path(tempfile.mkdtemp())

# %%
# From checkpoint to file
# -----------------------
#
# Before the file is written, it is compared with the calculator of the package, for crystals, a surface, a molecule,
# an atom and all elements at once. ``exported=False`` leaves out what ``metatomic compile`` needs, to be quick. On the
# command line this is ``metatomic import sevennet 7net-0 -o 7net0.pt``.

file = folder / "7net0.pt"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the package
    report = import_model("sevennet", "7net-0", file, exported=False)
capabilities = report.model.capabilities()
worst = max(row.differences["forces"] for row in report.rows)
print(f"{len(report.rows)} structures, forces as in sevenn to 1e-4 eV/Å: {worst < 1e-4}")
print(
    f"{len(capabilities.atomic_types)} elements, range {capabilities.interaction_range} Å"
)

# %%
# A phase transition
# ------------------
#
# Table salt has the structure that is named after it, until pressure turns it into that of cesium chloride, which has
# less volume and more neighbors. All crystals are evaluated in one call of the model.

calculator = MetatomicCalculator(file)
structures = {
    "rocksalt": np.linspace(4.9, 5.9, 11),
    "cesiumchloride": np.linspace(3.0, 3.6, 11),
}
curves = {}
for name, edges in structures.items():
    crystals = [bulk("NaCl", name, a=a) for a in edges]
    volumes = np.array([atoms.get_volume() for atoms in crystals])
    energies = calculator.compute_energy(crystals)["energy"]
    curves[name] = volumes, np.polynomial.Polynomial.fit(volumes, energies, 4), energies

figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
for (name, (volumes, fit, energies)), marker in zip(curves.items(), "os", strict=True):
    fine = np.linspace(volumes.min(), volumes.max(), 200)
    (line,) = axes.plot(fine, fit(fine), linewidth=1)
    axes.plot(volumes, energies, marker, color=line.get_color(), label=name)
axes.set(xlabel="volume (Å³ per NaCl)", ylabel="energy (eV per NaCl)")
axes.legend(frameon=False)

# %%
# The enthalpies :math:`E + pV` of the two are equal at the pressure of the transition, by this model without heat.


def enthalpy(name, pressure):
    """Give the lowest enthalpy of a structure at a pressure in eV/Å³."""
    volumes, fit, _ = curves[name]
    fine = np.linspace(volumes.min(), volumes.max(), 2000)
    return (fit(fine) + pressure * fine).min()


GPA = 160.2177  # GPa in an eV/Å³
pressures = np.linspace(0, 45, 451)
gain = [
    enthalpy("cesiumchloride", p / GPA) - enthalpy("rocksalt", p / GPA) for p in pressures
]
print(f"rocksalt is the stable one without pressure: {gain[0] > 0}")
print(f"the other one is above {pressures[np.argmax(np.array(gain) < 0)]:.0f} GPa")

# %%
# The same numbers in every engine
# --------------------------------
#
# The file goes to each engine as its users give it one; each has its own units, neighbor lists and order of numbers.

atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
atoms.rattle(0.1, seed=1)
request = Request(
    file, [Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)]
)
answers = {
    name: installed_subjects()[name].evaluate(request)[0]
    for name in ("ase", "ipi", "lammps")
}
for name, answer in answers.items():
    difference = np.abs(answer.forces - answers["ase"].forces).max()
    agrees = bool(difference < 1e-4)
    print(f"{name:6s}  {answer.energy:.4f} eV  forces as in ASE to 1e-4 eV/Å: {agrees}")

# %%
# A run, of some steps, in i-PI: the ions as rings of four beads. They begin at one place, with the energy that ASE has
# there, and what the dynamics should conserve stays where it was.

atoms.write(folder / "salt.xyz")
command = "metatomic-ipi run 7net0.pt salt.xyz --case pimd --temperature 300 --beads 4"
options = ["--steps", "20", "--timestep", "0.5", "-o", "quantum"]
subprocess.run([*command.split(), *options], cwd=folder, check=True, capture_output=True)
potential, conserved = np.loadtxt(folder / "quantum" / "simulation.out")[:, 2:4].T
start = abs(potential[0] - answers["ase"].energy)
drift = np.abs(conserved - conserved[0]).max()
print(f"{len(potential) - 1} steps, begun at the energy of ASE to 1e-3 eV: {start < 1e-3}")
print(f"conserved to 1 meV per atom: {drift < 1e-3 * len(atoms)}")

# %%
# Next: :doc:`/universal` runs dynamics with it in the three engines; ``metatomic check 7net0.pt --quick``
# (:doc:`/check`) tells what it keeps of what potentials promise; ``metatomic compile 7net0.pt`` (:doc:`/compile`)
# makes it faster. With :doc:`dispersion added </combine>` it is still one file.
