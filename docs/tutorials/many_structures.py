"""
Many structures at once
=======================

Screening means the same thing for many small structures. One at a time, most of the time goes into what each call of a
model costs besides its arithmetic. :py:mod:`metatomic_ase.batched` evaluates them together; each structure takes the
steps that it would take alone.
"""

import matplotlib.pyplot as plt
import numpy as np
from ase import units
from ase.build import bulk
from ase.md.langevin import Langevin

from metatomic_ase import MetatomicCalculator
from metatomic_ase.batched import relax, run_together
from metatomic_core.potentials import stillinger_weber

# %%
# An equation of state
# --------------------
#
# Crystals of silicon at seven volumes, with atoms displaced. `relax` brings them back with one call of the model for
# all of them; crystals that are done make place for others.

calculator = MetatomicCalculator(stillinger_weber())
crystals = [bulk("Si", a=a, cubic=True) for a in np.linspace(5.25, 5.65, 7)]
for number, crystal in enumerate(crystals):
    crystal.rattle(0.05, seed=number)

relaxed = relax(crystals, calculator, fmax=0.001)
volumes = np.array([one.atoms.get_volume() / 8 for one in relaxed])
energies = np.array([one.atoms.get_potential_energy() / 8 for one in relaxed])
for volume, energy, one in zip(volumes, energies, relaxed, strict=True):
    print(f"{volume:.2f} Å³/atom  {energy:.4f} eV/atom  {one.n_steps} steps")

# %%
# A polynomial through the points gives the volume at rest, and from its curvature the bulk modulus. :doc:`/properties`
# cites the published value for this potential, 101.4 GPa.

fit = np.polynomial.Polynomial.fit(volumes, energies, 4)
fine = np.linspace(volumes[0], volumes[-1], 400)
rest = fine[fit(fine).argmin()]
print(f"bulk modulus {rest * fit.deriv(2)(rest) / units.GPa:.0f} GPa at {rest:.2f} Å³/atom")

figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
axes.plot(fine, fit(fine), color="gray")
axes.plot(volumes, energies, "o")
axes.set(xlabel="volume (Å³/atom)", ylabel="energy (eV/atom)")

# %%
# Any algorithm
# -------------
#
# `run_together` takes a function of one structure, written as if it were the only one. Where it asks for forces, it
# waits for those of all others. Each crystal has random numbers of its own, so that results do not depend on who else
# is there.


def heat(atoms):
    """Heat a crystal to 300 K, and give the kinetic temperature of the second half of the run."""
    rng = np.random.default_rng(0)
    dynamics = Langevin(
        atoms, 2 * units.fs, temperature_K=300, friction=0.1, fixcm=False, rng=rng
    )
    dynamics.run(60)
    return np.mean([atoms.get_temperature() for _ in dynamics.irun(60)])


temperatures = run_together([one.atoms for one in relaxed], calculator, heat)
print("mean temperature:", f"{np.mean(temperatures):.0f} K")

# %%
# Next: let the cell relax too (``cell="full"``), or give `relax` a list of slabs or molecules of different sizes.
# :doc:`/engines/ase` says how many structures go into one call. On the command line, ``metatomic relax`` and
# ``metatomic md`` take many structures, too.
