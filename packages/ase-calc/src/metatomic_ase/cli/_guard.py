"""Limits of molecular dynamics: a run that explodes must not end as if all were well."""

import dataclasses

import ase
import numpy as np
from ase import units

# the mean energy of an atom of condensed matter is rarely further than this from that of another state, in eV
LARGEST_ENERGY_CHANGE = 50.0
# a step in which an atom moves as far as to the next one is not integrated, in angstrom
LARGEST_MOVE = 2.0
_LARGEST_TEMPERATURE = 20000.0


def largest_temperature(target: float | None) -> float:
    """Give the default limit of the temperature in K: 20000, or three times that of the conditions if that is more."""
    return max(_LARGEST_TEMPERATURE, 3 * (target or 0.0))


@dataclasses.dataclass
class Limits:
    """What ends a run with an error.

    Attributes
    ----------
    temperature
        Highest temperature in K.
    energy_change
        Largest change of the potential energy per atom since the first step of the process, in eV.
    move
        Largest way of an atom in one step, in angstrom.
    """

    temperature: float
    energy_change: float = LARGEST_ENERGY_CHANGE
    move: float = LARGEST_MOVE

    def as_data(self) -> dict[str, float]:
        """Give the limits as plain data."""
        return dataclasses.asdict(self)


class Guard:
    """Checks atoms after each step.

    Parameters
    ----------
    limits
        The limits.
    atoms
        The atoms at the start, with a calculator that has their energy.
    timestep
        Time step in fs.
    """

    def __init__(self, limits: Limits, atoms: ase.Atoms, timestep: float):
        self._limits = limits
        self._start = float(atoms.get_potential_energy()) / len(atoms)
        # angstrom per (momentum of ASE): the way of each atom in a step
        self._ways = timestep * units.fs / atoms.get_masses()

    def check(self, atoms: ase.Atoms) -> None:
        """Check the state after a step.

        Raises
        ------
        ValueError
            If a limit is passed, or a number is not finite; the message says what to change.
        """
        momenta = atoms.arrays["momenta"]
        # one number that is not finite makes a sum that is not
        if not np.isfinite(momenta.sum() + atoms.positions.sum() + atoms.cell.array.sum()):
            raise ValueError("expected finite positions and velocities, got nan or infinity; use a smaller --timestep")
        ways = np.sqrt(np.einsum("ij,ij->i", momenta, momenta)) * self._ways
        atom = int(ways.argmax())
        if ways[atom] > self._limits.move:
            raise ValueError(
                f"expected atoms that move at most {self._limits.move:g} Å in a step, got {ways[atom]:.3g} Å for atom "
                f"{atom}, which flies away; use a smaller --timestep or relax the structure first, or raise --max-move"
            )
        temperature = float(atoms.get_temperature())
        if not temperature <= self._limits.temperature:
            raise ValueError(
                f"expected a temperature of at most {self._limits.temperature:g} K, got {temperature:.3g} K; use a "
                "smaller --timestep or relax the structure first, or raise --max-temperature"
            )
        # not `get_potential_energy`, which compares all atoms; after a restart file there are no results
        energy = atoms.calc.results.get("energy")
        if energy is not None and not abs(energy / len(atoms) - self._start) <= self._limits.energy_change:
            raise ValueError(
                f"expected a potential energy within {self._limits.energy_change:g} eV per atom of that at the start, "
                f"got a change by {energy / len(atoms) - self._start:.3g} eV per atom; use a smaller --timestep, or a "
                "model that was made for this structure, or raise --max-energy-change"
            )
