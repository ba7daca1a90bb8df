"""Relax crystals of silicon at several volumes, then heat all of them, with one call of the model for all."""

import numpy as np
from ase import units
from ase.build import bulk
from ase.md.langevin import Langevin

from metatomic_ase import MetatomicCalculator
from metatomic_ase.batched import relax, run_together
from metatomic_core.potentials import stillinger_weber

calculator = MetatomicCalculator(stillinger_weber())
crystals = [bulk("Si", a=a, cubic=True) for a in np.linspace(5.2, 5.7, 8)]
for number, crystal in enumerate(crystals):
    crystal.rattle(0.05, seed=number)

relaxed = relax(crystals, calculator, fmax=0.001)
for crystal, one in zip(crystals, relaxed, strict=True):
    print(
        f"{crystal.cell[0, 0]:.3f} A  {one.atoms.get_potential_energy() / 8:.4f} eV/atom  {one.n_steps} steps"
    )


def heat(atoms):
    """Run a picosecond at 300 K, and give the kinetic temperature of its second half."""
    rng = np.random.default_rng(0)
    dynamics = Langevin(
        atoms, 2 * units.fs, temperature_K=300, friction=0.02, fixcm=False, rng=rng
    )
    dynamics.run(250)
    temperatures = [atoms.get_temperature() for _ in dynamics.irun(250)]
    return np.mean(temperatures)


print(f"{np.mean(run_together([one.atoms for one in relaxed], calculator, heat)):.0f} K")
