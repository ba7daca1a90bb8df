"""The engine: molecular dynamics in nm, ps, g/mol and kJ/mol, with the coordinates of atoms in columns."""

import numpy as np


class System:
    """Periodic atoms: numbers and masses (n,), positions and velocities (3, n), cell (3, 3), vectors as columns."""

    def __init__(self, numbers, masses, x, h):
        self.numbers, self.masses = np.array(numbers), np.array(masses, float)
        self.x, self.h = np.array(x, float), np.array(h, float)
        self.v = np.zeros_like(self.x)

    def kinetic_energy(self):
        return 0.5 * (self.masses * self.v**2).sum()


def velocity_verlet(system, potential, dt, n_steps):
    """Move the atoms; the potential gives energy, forces (3, n) and stress (3, 3). Yields the potential energy."""
    energy, f, _ = potential(system)
    for _ in range(n_steps):
        system.v += 0.5 * dt * f / system.masses
        system.x += dt * system.v
        energy, f, _ = potential(system)
        system.v += 0.5 * dt * f / system.masses
        yield energy
