"""
Path integrals
==============

Nuclei are quantum particles. At low temperature they move even where classical ones would be at rest, and i-PI samples
that with rings of copies of the system, *beads*, held together by springs. How many does it take? The kinetic energy
of solid argon tells: with one bead it is the classical one, and it grows to that of the quantum crystal.
"""

import subprocess
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from ase.build import bulk
from ase.units import kB

from metatomic_core.potentials import lennard_jones

# %%
# A run for each number of beads
# ------------------------------
#
# ``metatomic-ipi run`` writes the input, starts i-PI and the client, and waits. The client has all beads evaluated in
# one call of the model. With more time, take more atoms and steps: these runs are as short as can be.

TEMPERATURE, ATOMS, STEPS = 20.0, 32, 800
BEADS = (1, 3, 12)
folder = Path(tempfile.mkdtemp())
lennard_jones().save(folder / "argon.pt")
bulk("Ar", "fcc", a=5.3, cubic=True).repeat(2).write(folder / "argon.xyz")
kinetic = {}
for beads in BEADS:
    options = [
        "--case",
        "pimd",
        "--beads",
        str(beads),
        "--temperature",
        str(TEMPERATURE),
        "--timestep",
        "5",
    ]
    options += [
        "--steps",
        str(STEPS),
        "--stride",
        "2",
        "--thermostat-time",
        "50",
        "-o",
        f"run-{beads}",
    ]
    command = ["metatomic-ipi", "run", "argon.pt", "argon.xyz", *options]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    # the last column is the centroid-virial estimator, in eV; the start, which is a perfect crystal, is left out
    values = np.loadtxt(folder / f"run-{beads}" / "simulation.out")[STEPS // 8 :, -1]
    kinetic[beads] = values / ATOMS

# %%
# What to expect
# --------------
#
# Classical atoms have 3/2 kT each. Oscillators of a Debye crystal have 9/16 k times the Debye temperature, 92 K for
# argon, at zero temperature, and a little more at 20 K.

classical = 1.5 * kB * TEMPERATURE
energies = np.linspace(1e-6, kB * 92.0, 2000)
# half of the energy of oscillators, weighted with the density of states of Debye, which grows as the square
half = 0.25 * energies / np.tanh(energies / (2 * kB * TEMPERATURE))
debye = 3 * np.sum(half * energies**2) / np.sum(energies**2)
means = {beads: values.mean() for beads, values in kinetic.items()}
print("more beads, more kinetic energy:", list(means) == sorted(means, key=means.get))

figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
axes.plot(
    list(means), [1000 * value for value in means.values()], "o-", label="path integrals"
)
axes.axhline(1000 * classical, color="#888888", linestyle=":", label="classical")
axes.axhline(1000 * debye, color="#2a7f62", linestyle="--", label="Debye crystal")
axes.set(xlabel="beads", ylabel="kinetic energy per atom (meV)", ylim=(0, None))
axes.legend(frameon=False)

# %%
# One bead gives the classical value, and a dozen are nearly enough at this temperature: the product of beads and
# temperature is what counts, a few times the Debye temperature.
#
# Next: ``--case pimd-npt`` for the volume; committees and dipoles as ``--extra``, and more than one client, are in
# :doc:`/engines/ipi`.
