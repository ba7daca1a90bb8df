"""The calculators of ASE, as the potentials here are compared with them."""

import ase
import numpy as np
from ase.calculators.eam import EAM
from scipy.interpolate import CubicHermiteSpline


def as_atoms(structure):
    return ase.Atoms(structure.types, structure.positions, cell=structure.cell, pbc=structure.pbc)


def results_of(atoms, calculator):
    atoms = atoms.copy()
    atoms.calc = calculator
    results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    if atoms.pbc.all():
        results["stress"] = atoms.get_stress()
    return results


def hermite(x, values):
    """Make the spline whose slopes are differences of five points, of three next to the ends and of two at the ends."""
    slopes = np.gradient(values, x)
    h = x[1] - x[0]
    slopes[2:-2] = np.convolve(values, [-1, 8, 0, -8, 1], mode="valid") / (12 * h)
    return CubicHermiteSpline(x, values, slopes)


def over_r(spline):
    """Divide a spline of r times a function by r, with derivatives as ASE asks for them."""
    slope = spline.derivative()
    return lambda r, n=0: spline(r) / r if n == 0 else slope(r) / r - spline(r) / r**2


def with_slope(spline):
    slope = spline.derivative()
    return lambda x, n=0: spline(x) if n == 0 else slope(x)


def ase_eam(path, form):
    """Give the calculator of ASE on a file, with interpolation as in LAMMPS in place of its own splines."""
    oracle = EAM(potential=str(path), form=form)
    n = range(oracle.Nelements)
    for i in n:
        oracle.embedded_energy[i] = with_slope(hermite(oracle.rho, oracle.embedded_data[i]))
        oracle.d_embedded_energy[i] = oracle.deriv(oracle.embedded_energy[i])
    for index in np.ndindex(oracle.density_data.shape[:-1]):
        place = index if form == "fs" else index[0]
        oracle.electron_density[place] = with_slope(hermite(oracle.r, oracle.density_data[index]))
        oracle.d_electron_density[place] = oracle.deriv(oracle.electron_density[place])
    for i, j in ((i, j) for i in n for j in n):
        oracle.phi[i, j] = over_r(hermite(oracle.r, oracle.rphi_data[min(i, j), max(i, j)]))
        oracle.d_phi[i, j] = oracle.deriv(oracle.phi[i, j])
    return oracle
