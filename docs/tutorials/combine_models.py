"""
Combine models
==============

Energies add up, and so do models: a correction to a model that is there, or a mean of two that were fitted to
different data. Here two potentials for argon, in different units and with different cutoffs, become one file.
:doc:`/combine` has all that can be made of models.
"""

import matplotlib.pyplot as plt
import numpy as np
from ase import Atoms

from metatomic_ase import MetatomicCalculator
from metatomic_core.combining import combine
from metatomic_core.potentials import lennard_jones

# %%
# Two parts
# ---------
#
# The first has Å and eV; the second has nm and kJ/mol, and sees farther. `combine` converts the units to those of the
# first, and brings the neighbor lists of both.

parts = {
    "weak": lennard_jones("Ar", epsilon=0.0090, sigma=3.40, cutoff=7.0),
    "strong": lennard_jones(
        "Ar", epsilon=1.2, sigma=0.335, cutoff=0.9, length_unit="nm", energy_unit="kJ/mol"
    ),
}
models = {
    **parts,
    "mixed": combine(list(parts.values()), "sum", weights=[0.7, 0.3], name="Mixed argon"),
}

# %%
# The energy of a pair of atoms: the sum lies between its parts, nearer to the first.

distances = np.linspace(3.2, 7.5, 60)
dimers = [Atoms("Ar2", [(0, 0, 0), (0, 0, r)]) for r in distances]
curves = {}
figure, axes = plt.subplots(figsize=(5, 3.4), layout="constrained")
for (name, model), style in zip(models.items(), ("--", ":", "-"), strict=True):
    calculator = MetatomicCalculator(model)
    curves[name] = np.array(
        [1000 * calculator.get_potential_energy(dimer) for dimer in dimers]
    )
    axes.plot(distances, curves[name], style, label=name)
axes.set(xlabel="distance (Å)", ylabel="energy (meV)", ylim=(-14, 8))
axes.legend(frameon=False)

# %%
# It is the sum of the parts, each times its weight, to rounding:

difference = curves["mixed"] - 0.7 * curves["weak"] - 0.3 * curves["strong"]
print("sum of the parts:", np.allclose(difference, 0, atol=1e-9))
for r in (3.4, 3.8):
    at = np.abs(distances - r).argmin()
    print(
        f"at {distances[at]:.1f} Å:",
        "  ".join(f"{name} {curve[at]:.2f} meV" for name, curve in curves.items()),
    )

# %%
# Next: make a committee of them, as in :doc:`uncertainty`; save the sum with
# ``models["mixed"].save("mixed.pt")`` and run it in LAMMPS.
