"""
Uncertainty in molecular dynamics
=================================

A model knows what it has been trained on. Models that were trained alike agree there, and differ elsewhere: their
spread tells a run that has left known ground. Here three potentials for argon that agree at its minimum stand for five
trained networks.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from ase import units
from ase.build import bulk
from ase.md.langevin import Langevin

from metatomic_ase import MetatomicCalculator
from metatomic_core.combining import combine
from metatomic_core.potentials import lennard_jones

# %%
# A committee
# -----------
#
# `combine` makes one model of several: its energy and forces are their means, and their standard deviation is the
# energy's uncertainty. Saved, it is one file for all engines (:doc:`/combine`).

sigmas = 3.40 + 0.02 * np.arange(-1, 2)
members = [lennard_jones("Ar", epsilon=0.0104, sigma=sigma, cutoff=7.0) for sigma in sigmas]
committee = combine(members, "committee", name="Three argons")
# the limit is where the calculator would warn; this page looks at the numbers itself
calculator = MetatomicCalculator(committee, uncertainty_threshold=None)

# %%
# A run that gets hotter
# ----------------------
#
# A crystal is heated from 20 K to 600 K, far beyond its melting point. Collisions get harder, atoms come closer than
# in any crystal at rest, and the members disagree there: about the repulsion, which grows with the twelfth power.

atoms = bulk("Ar", a=5.4, cubic=True).repeat(2)
atoms.calc = calculator
dynamics = Langevin(
    atoms,
    4 * units.fs,
    temperature_K=20,
    friction=0.02 / units.fs,
    fixcm=False,
    rng=np.random.default_rng(0),
)
targets, uncertainties, closest = [], [], []
for target in np.linspace(20, 600, 15):
    dynamics.set_temperature(temperature_K=target)
    dynamics.run(10)
    distances = atoms.get_all_distances(mic=True) + 100 * np.eye(len(atoms))
    targets.append(target)
    closest.append(distances.min())
    uncertainties.append(
        1000 * calculator.get_energy_uncertainty(atoms, per_atom=True).max()
    )

for number in (0, 7, 14):
    print(
        f"{targets[number]:3.0f} K  closest {closest[number]:.2f} Å  largest {uncertainties[number]:.1f} meV"
    )

# %%
# The most uncertain atom, along the run: a limit on it stops the run, or picks structures to label and to train on.

LIMIT = 5.0
figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
axes.plot(targets, uncertainties, "o-", markersize=3)
axes.axhline(LIMIT, color="gray", linestyle=":")
axes.annotate("limit", (30, 1.1 * LIMIT))
axes.set(
    xlabel="temperature of the thermostat (K)",
    ylabel="largest uncertainty (meV)",
    yscale="log",
)
print(
    "structures to label:",
    sum(value > LIMIT for value in uncertainties),
    "of",
    len(uncertainties),
)

# %%
# The calculator looks by itself, at each step: above ``uncertainty_threshold``, per atom and in eV, it warns.

watching = MetatomicCalculator(committee, uncertainty_threshold=LIMIT / 1000)
atoms.calc = watching
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    atoms.get_potential_energy()
print("warned:", any("uncertain" in str(one.message) for one in caught))

# %%
# Forces of each member
# ---------------------
#
# `get_ensemble` has what each member says. Where forces spread, structures are worth labelling even if energies agree.

ensemble = calculator.get_ensemble(atoms, derivatives=True)
print(
    f"spread of forces: {np.std(ensemble.forces, axis=0).max():.3f} eV/Å, of {np.abs(ensemble.forces).max():.1f} eV/Å"
)

# %%
# Next: train some networks of :doc:`train_silicon` with other seeds, and combine these. ``metatomic md`` has the same
# guard as ``--uncertainty-threshold``, and the client of i-PI as ``--max-uncertainty`` (:doc:`/engines/ipi`).
