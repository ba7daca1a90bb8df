"""
Compile a model
===============

A model file has the model twice: as TorchScript, which always runs, and as an exported program, from which
``metatomic compile`` makes machine code for the processor that it is on. Nothing else changes, so this page is short:
the same file, the same calls, the same numbers, less time.
"""

import os
import subprocess
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from ase.build import bulk

from metatomic_core.engine import Engine, Structure
from metatomic_core.potentials import stillinger_weber

# %%
# The package
# -----------
#
# Packages of code go to a cache of the user, here to one of its own. ``forces`` is what molecular dynamics in Python
# takes; without ``--flavor`` those for LAMMPS are made as well. Before code is kept, it is compared with the model.

folder = Path(tempfile.mkdtemp())
file = folder / "silicon.pt"
stillinger_weber().save(file, exported=True)
os.environ["METATOMIC_CACHE"] = str(folder / "cache")
command = ["metatomic", "compile", str(file), "--flavor", "forces"]
done = subprocess.run(command, check=True, capture_output=True, text=True)
print("compiled" if "differs by" in done.stdout else done.stdout)

# %%
# The same numbers
# ----------------
#
# ``kernel`` says how a model is run: ``script``, ``compiled``, or ``auto``, the default, which takes compiled code
# where there is some that fits.

atoms = bulk("Si", "diamond", 5.43, cubic=True).repeat(3)
atoms.rattle(0.05, seed=0)
structure = Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
engines = {
    kernel: Engine(file, length_unit="angstrom", energy_unit="eV", kernel=kernel)
    for kernel in ("script", "compiled")
}
results = {
    kernel: engine.evaluate([structure], ["energy", "forces"])
    for kernel, engine in engines.items()
}
difference = np.abs(results["script"].forces - results["compiled"].forces).max()
print("forces agree:", bool(difference < 1e-12))
print(
    "kernel that 'auto' takes:",
    Engine(file, length_unit="angstrom", energy_unit="eV").kernel,
)

# %%
# Less time
# ---------
#
# Both are timed side by side, on whatever built this page: take the ratio as one digit. Light models gain most, as
# most of their time goes between operations; large networks, whose matrix products are fast already, gain little.

seconds = {kernel: [] for kernel in engines}
for step in range(10):
    for kernel, engine in engines.items():
        moved = atoms.positions + 1e-3 * step
        engine.evaluate(
            [Structure(atoms.numbers, moved, atoms.cell.array, atoms.pbc)],
            ["energy", "forces"],
        )
        seconds[kernel].append(sum(engine.seconds.values()))
best = {kernel: min(np.diff([0.0, *values])[1:]) for kernel, values in seconds.items()}

figure, axes = plt.subplots(figsize=(4.5, 2.4), layout="constrained")
axes.barh(
    list(best),
    [best["script"] / value for value in best.values()],
    color=["#888888", "#2a7f62"],
)
axes.set(xlabel="times as fast as TorchScript")

# %%
# Next: :doc:`/compile` says what is compiled and what is not, and how to do it for a cluster; :doc:`/traceable` how to
# write models that can be traced.
