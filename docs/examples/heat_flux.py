"""Thermal conductivity of liquid argon from its heat flux in two simulations, by the formula of Green and Kubo.

Usage: python heat_flux.py [PICOSECONDS]
"""

import sys

import numpy as np
from ase import units
from ase.build import bulk
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet

from metatomic_ase import MetatomicCalculator
from metatomic_core import ModelOutput
from metatomic_core.heat_flux import HeatFlux
from metatomic_core.potentials import lennard_jones

picoseconds = float(sys.argv[1]) if len(sys.argv) > 1 else 40.0
# near the triple point: 1.374 g/cm^3 and 94.4 K (Rahman, Physical Review 136, A405, 1964)
lattice, temperature = 5.78, 94.4
step, every, longest = 5.0, 4, 2000.0  # fs, steps between fluxes, fs of the correlation
to_si = 1e25 / units.C  # eV/(fs angstrom K) in W/(m K): as many coulombs are a charge of e

potential = lennard_jones()
# forces are those of the potential, which is quicker without the flux
flux_of = MetatomicCalculator(HeatFlux.wrap(potential)).run_model
wanted = {"heat_flux": ModelOutput(unit="eV*angstrom/fs", sample_kind="system")}

for size in (2, 3):
    atoms = bulk("Ar", a=lattice, cubic=True) * [size, size, size]
    atoms.calc = MetatomicCalculator(potential)
    rng = np.random.default_rng(size)
    # melts at a high temperature first
    for hot in (4 * temperature, temperature):
        Langevin(
            atoms, step * units.fs, temperature_K=hot, friction=0.05, fixcm=False, rng=rng
        ).run(400)
    # the liquid does not flow
    atoms.set_velocities(atoms.get_velocities() - atoms.get_velocities().mean(0))

    fluxes, temperatures = [], []
    dynamics = VelocityVerlet(atoms, step * units.fs)
    for _ in range(int(1000 * picoseconds / (step * every))):
        dynamics.run(every)
        fluxes.append(flux_of(atoms, wanted)["heat_flux"].block().values.reshape(3).numpy())
        temperatures.append(atoms.get_temperature())

    n, n_lags = len(fluxes), min(int(longest / (step * every)), len(fluxes) // 2)
    padded = np.fft.rfft(np.array(fluxes), 2 * n, axis=0)
    correlation = np.fft.irfft((np.abs(padded) ** 2).sum(1))[:n_lags] / (
        n - np.arange(n_lags)
    )
    integral = step * every * (correlation.sum() - 0.5 * correlation[0])
    conductivity = (
        to_si * integral / (3 * atoms.get_volume() * units.kB * np.mean(temperatures) ** 2)
    )
    print(f"{len(atoms)} atoms, {np.mean(temperatures):.0f} K: {conductivity:.3f} W/(m K)")
