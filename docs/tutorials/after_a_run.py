"""
After a run
===========

A trajectory is read by ASE and turned into what experiments measure: distances, diffusion, vibrations. Here it is a
classic run of a liquid, argon at 94.4 K and 1.374 g/cm³ (`Rahman 1964 <https://doi.org/10.1103/PhysRev.136.A405>`_),
made by two commands, with 256 atoms rather than 864.
"""

import subprocess
import tempfile
from pathlib import Path

import ase.io
import matplotlib.pyplot as plt
import numpy as np
from ase import units
from ase.build import bulk
from ase.geometry.rdf import get_rdf
from ase.md.analysis import DiffusionCoefficient
from ase.md.velocitydistribution import Stationary

folder = Path(tempfile.mkdtemp())
MASS, DENSITY = 39.948, 1.374
edge = (4 * MASS / (DENSITY * units.mol * 1e-24)) ** (1 / 3)
bulk("Ar", "fcc", a=edge, cubic=True).repeat(4).write(folder / "argon.xyz")

# %%
# Two runs
# --------
#
# The crystal melts at 300 K, and is cooled, with a thermostat; then energy is conserved, since a thermostat changes how
# atoms move. The second run begins with the velocities of the last frame of the first, less those of the whole: Langevin's
# thermostat lets the liquid drift, which would count as diffusion.


def metatomic(*arguments):
    """Run a command, here without what it says."""
    command = ["metatomic", *map(str, arguments)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


lennard_jones = ["--epsilon", 0.01034, "--sigma", 3.4, "--cutoff", 7.65]
metatomic("export", "lj", "-o", "argon.pt", *lennard_jones)
melting = ["--ensemble", "nvt", "--temperature", "300 K:300 K@4 ps:94.4 K@6 ps"]
melting += ["--timestep", "5 fs", "--steps", 2000, "-o", "melt"]
metatomic("md", "argon.pt", "argon.xyz", *melting)
liquid = ase.io.read(folder / "melt.traj")
Stationary(liquid)
liquid.write(folder / "liquid.traj")
running = ["--timestep", "5 fs", "--steps", 4000, "--trajectory-every", 4, "-o", "run"]
metatomic("md", "argon.pt", "liquid.traj", *running)

frames = ase.io.read(folder / "run.traj", ":")
temperature = np.mean([atoms.get_temperature() for atoms in frames])
step = 4 * 5  # fs between frames
print(f"{len(frames)} frames, mean temperature {temperature:.0f} K")

# %%
# Distances
# ---------
#
# The radial distribution function is the density around an atom, over the mean density. Its first peak is where Rahman
# found it, at 3.7 Å.

found = [get_rdf(atoms, rmax=10.0, nbins=200) for atoms in frames[::20]]
distances, density = found[0][1], np.mean([each[0] for each in found], axis=0)
print(f"first peak at {distances[density.argmax()]:.1f} Å")

# %%
# Diffusion
# ---------
#
# Atoms of a liquid walk: the square of their displacement grows by 6 times the coefficient of diffusion and time. The
# trajectory has positions that were never put back into the cell, as this needs them. Rahman found 2.43e-5 cm²/s, with
# 864 atoms; what a run as short as this one is worth, its parts say.

walk = DiffusionCoefficient(frames, step * units.fs)
walk.calculate(ignore_n_images=0, number_of_segments=5)
((slope, *_), (spread, *_)) = walk.get_diffusion_coefficients()
CM2_PER_S = 0.1  # of an Å²/fs
scale = units.fs * CM2_PER_S * 1e5
print(
    f"D = {slope * scale:.1f}e-5 cm²/s by displacements; parts of the run differ by {spread * scale:.1f}e-5"
)

# %%
# Vibrations
# ----------
#
# The spectrum of the velocities is the density of states: a Fourier transform of each coordinate, squared, summed and
# scaled to the three degrees of freedom of an atom. At zero frequency it is diffusion once more.

velocities = np.array([atoms.get_velocities() for atoms in frames])
window = np.hanning(len(velocities))[:, None, None]
spectrum = (np.abs(np.fft.rfft(velocities * window, axis=0)) ** 2).sum(axis=(1, 2))
frequencies = np.fft.rfftfreq(len(velocities), step)  # 1/fs
states = 3 * spectrum / (spectrum.sum() * frequencies[1])  # fs
slowest = states[:6].mean() * units.kB * temperature / (12 * MASS) * units.fs**2  # Å²/fs
print(f"D = {slowest * CM2_PER_S * 1e5:.1f}e-5 cm²/s by velocities")

figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
left.plot(distances, density)
left.set(xlabel="distance (Å)", ylabel="radial distribution")
right.plot(1000 * frequencies, states / 1000)
right.set(xlim=(0, 4), xlabel="frequency (THz)", ylabel="density of states (1/THz)")

# %%
# Next: ``--plot run.pdf`` draws temperature and energies of a run; :doc:`/properties` has the vibrations of a crystal at
# rest; :doc:`/engines/lammps` and :doc:`/engines/ipi` write trajectories that ASE reads in the same way.
