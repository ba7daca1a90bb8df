"""
Check a model
=============

A model may be wrong in ways that no parity plot shows: a step in the energy at the cutoff heats every long run.
`check_model` asks what potentials promise, and needs no reference data. Here it looks at a right model, and at a
broken one.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from ase import Atoms

from metatomic_ase import MetatomicCalculator
from metatomic_check import check_model
from metatomic_core.potentials import lennard_jones

# %%
# Two models
# ----------
#
# The same potential, its energy taken smoothly to zero at the cutoff, and cut off. What differs is hard to see in a
# plot.

folder = Path(tempfile.mkdtemp())
models = {
    "smooth": lennard_jones("Ar", epsilon=0.0104, sigma=3.4, cutoff=6.0, shift="smooth"),
    "cut": lennard_jones("Ar", epsilon=0.0104, sigma=3.4, cutoff=6.0, shift="none"),
}
figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
distances = np.linspace(3.3, 6.5, 120)
for (name, model), style in zip(models.items(), ("-", "--"), strict=True):
    model.save(folder / f"{name}.pt")
    calculator = MetatomicCalculator(model)
    dimers = [Atoms("Ar2", [(0, 0, 0), (0, 0, r)]) for r in distances]
    axes.plot(
        distances,
        [1000 * calculator.get_potential_energy(dimer) for dimer in dimers],
        style,
        label=name,
    )
axes.set(xlabel="distance (Å)", ylabel="energy (meV)", ylim=(-11, 8))
axes.legend(frameon=False)

# %%
# What the checks say
# -------------------
#
# Each finding has a grade, and says in a sentence what it means. Without ``only`` all checks are asked, and all
# engines that are installed are compared.

for name in models:
    report = check_model(
        folder / f"{name}.pt", only=["continuity", "forces"], engines=[], effort="quick"
    )
    print(f"{name}: {report.grade.value}")
    for finding in report.findings:
        print(f"    {finding.check} {finding.part}: {finding.grade.value}")

# %%
# The forces of the broken model are right, as derivatives: it is the energy that jumps, which derivatives do not see.
#
# Next: ``metatomic check MODEL --html report.html`` writes a page for a referee; :doc:`/check` has all options.
