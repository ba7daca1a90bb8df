"""Equation of state: energies of scaled cells, and the Birch-Murnaghan equation through them.

F. Birch, Phys. Rev. 71, 809 (1947), doi:10.1103/PhysRev.71.809, as `ase.eos` fits it.
"""

import dataclasses
import warnings
from collections.abc import Sequence

import ase
import numpy as np
from ase import units
from ase.eos import EquationOfState as AseEquationOfState
from ase.eos import birchmurnaghan

from metatomic_ase.calculator import MetatomicCalculator

from ._strained import check_crystal, deformed
from .points import Points

# parameters of the equation
_N_PARAMETERS = 4


@dataclasses.dataclass(frozen=True)
class EquationOfState:
    """Birch-Murnaghan equation of state.

    Attributes
    ----------
    volumes
        Of the points, in angstrom^3, ascending.
    energies
        Of the points, in eV.
    volume
        Of the minimum, in angstrom^3.
    energy
        Of the minimum, in eV.
    bulk_modulus
        At the minimum, in GPa.
    derivative
        Of the bulk modulus by pressure, at the minimum.
    residual
        Root of the mean square of what the equation leaves, in eV.
    """

    volumes: np.ndarray
    energies: np.ndarray
    volume: float
    energy: float
    bulk_modulus: float
    derivative: float
    residual: float

    def energy_at(self, volumes: np.ndarray) -> np.ndarray:
        """Give energies of the equation in eV, for volumes in angstrom^3."""
        modulus = self.bulk_modulus * units.GPa
        return np.asarray(birchmurnaghan(np.asarray(volumes), self.energy, modulus, self.derivative, self.volume))

    def pressure_at(self, volumes: np.ndarray) -> np.ndarray:
        """Give pressures of the equation in GPa, for volumes in angstrom^3."""
        ratio = (self.volume / np.asarray(volumes)) ** (1 / 3)
        found = 1.5 * self.bulk_modulus * (ratio**7 - ratio**5) * (1 + 0.75 * (self.derivative - 4) * (ratio**2 - 1))
        return np.asarray(found)


def scaled_structures(atoms: ase.Atoms, strain: float = 0.02, n_points: int = 11) -> list[ase.Atoms]:
    """Give copies in cells of the same shape, with vectors from 1 - strain to 1 + strain times as long.

    Parameters
    ----------
    atoms
        A crystal.
    strain
        Largest relative change of lengths.
    n_points
        Number of copies; with an odd number the structure itself is in the middle.

    Returns
    -------
    list of ase.Atoms
        The copies, the smallest first.

    Raises
    ------
    ValueError
        If the structure is no crystal, or there are too few points for an equation of state.
    """
    check_crystal(atoms, "an equation of state")
    if not 0 < strain < 0.5:
        raise ValueError(f"expected `strain` between 0 and 0.5, got {strain:g}; 0.02 is usual")
    if n_points <= _N_PARAMETERS:
        raise ValueError(f"expected `n_points` to be at least {_N_PARAMETERS + 1}, got {n_points}")
    return [deformed(atoms, np.eye(3) * scale) for scale in np.linspace(1 - strain, 1 + strain, n_points)]


def fit_equation_of_state(structures: Sequence[ase.Atoms]) -> EquationOfState:
    """Fit the Birch-Murnaghan equation to structures of several volumes.

    Parameters
    ----------
    structures
        The structures, whose calculators give energies.

    Returns
    -------
    EquationOfState
        The equation, for the cell of the structures.

    Raises
    ------
    ValueError
        If the energies have no minimum among these volumes.
    """
    volumes = np.array([atoms.get_volume() for atoms in structures])
    energies = np.array([atoms.get_potential_energy() for atoms in structures])
    order = np.argsort(volumes)
    volumes, energies = volumes[order], energies[order]
    lowest = int(energies.argmin())
    if lowest in (0, len(volumes) - 1):
        end = "smallest" if lowest == 0 else "largest"
        raise ValueError(
            f"expected a minimum of the energy between the smallest and the largest volume, got the lowest energy at "
            f"the {end}, {volumes[lowest]:.6g} Å^3; relax the structure first, or use a larger strain"
        )
    with warnings.catch_warnings():
        # of scipy, where points are so exact that the matrix of covariances is not known
        warnings.simplefilter("ignore")
        fit = AseEquationOfState(volumes, energies, eos="birchmurnaghan")
        fit.fit()
    energy, modulus, derivative, volume = (float(value) for value in fit.eos_parameters)
    if not (modulus > 0 and volumes[0] < volume < volumes[-1]):
        raise ValueError(
            f"expected energies with one minimum between {volumes[0]:.6g} and {volumes[-1]:.6g} Å^3, got an equation "
            f"with volume {volume:.6g} Å^3 and bulk modulus {modulus / units.GPa:.3g} GPa; see whether energies jump"
        )
    found = EquationOfState(volumes, energies, volume, energy, modulus / units.GPa, derivative, 0.0)
    residual = float(np.sqrt(np.mean((found.energy_at(volumes) - energies) ** 2)))
    return dataclasses.replace(found, residual=residual)


def equation_of_state(
    atoms: ase.Atoms,
    calculator: MetatomicCalculator,
    *,
    strain: float = 0.02,
    n_points: int = 11,
    relax: bool = True,
    fmax: float = 1e-3,
    steps: int = 500,
) -> EquationOfState:
    """Compute the equation of state of a crystal, with all points in one call of the model.

    Parameters
    ----------
    atoms
        The crystal, close to its minimum.
    calculator
        The calculator.
    strain, n_points
        As for `scaled_structures`.
    relax
        Whether atoms relax in each cell.
    fmax
        Largest force that is left, in eV/angstrom.
    steps
        Largest number of steps of a relaxation.

    Returns
    -------
    EquationOfState
        The equation of state.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from metatomic_ase import MetatomicCalculator
    >>> from metatomic_core.potentials import stillinger_weber
    >>> silicon = equation_of_state(bulk("Si", a=5.43), MetatomicCalculator(stillinger_weber()))
    >>> print(f"{silicon.bulk_modulus:.0f} GPa")
    101 GPa
    """
    structures = scaled_structures(atoms, strain, n_points)
    points = Points(calculator)
    return fit_equation_of_state(points.relax(structures, fmax, steps) if relax else points.evaluate(structures))
