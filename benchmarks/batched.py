"""Relaxation and dynamics of many small structures: together, and one by one with the same algorithm of ASE.

64 crystals of silicon of 8 to 64 atoms, atoms displaced by 0.12 angstrom on average, Stillinger-Weber, one thread. Both
use our calculator; ratios are of times in one run, and both end in the same minima, which is checked.

    OMP_NUM_THREADS=1 python benchmarks/batched.py
    OMP_NUM_THREADS=1 python benchmarks/batched.py --smallest    # some seconds, for CI
"""

import argparse
import time
import warnings
from typing import Any, Callable

import ase
import numpy as np
import torch
from ase import units
from ase.build import bulk
from ase.filters import FrechetCellFilter
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from ase.optimize import FIRE, LBFGS

from metatomic_ase import MetatomicCalculator
from metatomic_ase.batched import relax, run_together
from metatomic_core.potentials import stillinger_weber

OPTIMIZERS: dict[str, Any] = {"fire": FIRE, "lbfgs": LBFGS}
REPEATS = ((1, 1, 1), (2, 1, 1), (2, 2, 1), (2, 2, 2))
FMAX, STEPS = 0.01, 500
# eV: what two minima may differ by that are the same up to rounding
SAME = 1e-6


def crystals(count: int) -> list[ase.Atoms]:
    """Give displaced crystals of four sizes."""
    rng = np.random.default_rng(0)
    found = []
    for k in range(count):
        atoms = bulk("Si", cubic=True) * REPEATS[k % len(REPEATS)]
        atoms.positions += rng.normal(0, 0.12, atoms.positions.shape)
        found.append(atoms)
    return found


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Give the seconds that a function takes, and what it returns."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def one_by_one(given: list[ase.Atoms], calculator: MetatomicCalculator, optimizer: str, cell: str) -> list[ase.Atoms]:
    """Relax each structure as ASE does it."""
    found = []
    for atoms in given:
        alone = atoms.copy()
        alone.calc = calculator
        target = alone if cell == "fixed" else FrechetCellFilter(alone)
        with OPTIMIZERS[optimizer](target, logfile=None) as dynamics:
            dynamics.run(fmax=FMAX, steps=STEPS)
        found.append(alone)
    return found


def relaxation(given: list[ase.Atoms], calculator: MetatomicCalculator, optimizer: str, cell: str) -> str:
    """Time both ways to relax, check that minima are the same, and give a line."""
    alone_seconds, alone = timed(lambda: one_by_one(given, calculator, optimizer, cell))
    seconds, together = timed(lambda: relax(given, calculator, optimizer=optimizer, fmax=FMAX, steps=STEPS, cell=cell))
    n_steps = sum(one.n_steps for one in together)
    pairs = zip(alone, together, strict=True)
    largest = max(abs(a.get_potential_energy() - b.atoms.get_potential_energy()) for a, b in pairs)
    if not largest < SAME:
        raise RuntimeError(f"expected the same minima, got energies up to {largest:.2g} eV apart")
    return line(f"{optimizer}, cell {cell}", n_steps, alone_seconds, seconds)


def dynamics(given: list[ase.Atoms], calculator: MetatomicCalculator, name: str, steps: int) -> str:
    """Time both ways to run molecular dynamics, check that trajectories are the same, and give a line."""

    def run(atoms: ase.Atoms) -> np.ndarray:
        if name == "nve":
            VelocityVerlet(atoms, units.fs).run(steps)
        else:
            rng = np.random.default_rng(len(atoms))
            Langevin(atoms, units.fs, temperature_K=300, friction=0.01, fixcm=False, rng=rng).run(steps)
        return atoms.positions

    def alone() -> list[np.ndarray]:
        copies = [atoms.copy() for atoms in given]
        for atoms in copies:
            atoms.calc = calculator
        return [run(atoms) for atoms in copies]

    alone_seconds, expected = timed(alone)
    seconds, found = timed(lambda: run_together([atoms.copy() for atoms in given], calculator, run))
    largest = max(np.abs(a - b).max() for a, b in zip(expected, found, strict=True))
    if not largest < SAME:
        raise RuntimeError(f"expected the same trajectories, got positions up to {largest:.2g} angstrom apart")
    return line(name, steps * len(given), alone_seconds, seconds)


def line(name: str, n_steps: int, alone: float, together: float) -> str:
    """Give times per step and structure, and their ratio, as one line."""
    scale = 1e3 / n_steps
    return f"{name:22s} {alone * scale:12.3f} {together * scale:14.3f} {alone / together:8.1f}"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=64, help="number of structures")
    parser.add_argument("--steps", type=int, default=100, help="steps of molecular dynamics")
    parser.add_argument("--smallest", action="store_true", help="a few structures: whether it runs")
    given = parser.parse_args()
    count, steps = (4, 5) if given.smallest else (given.count, given.steps)
    torch.set_num_threads(1)
    # scipy remarks on the rounding of logarithms in ASE's filter
    warnings.filterwarnings("ignore", message="logm", category=RuntimeWarning)
    calculator = MetatomicCalculator(stillinger_weber())
    structures = crystals(count)
    one_by_one(structures[:1], calculator, "lbfgs", "fixed")  # the first calls compile
    print("ms per step and structure   one by one       together    ratio")
    for optimizer in OPTIMIZERS:
        for cell in ("fixed", "full"):
            print(relaxation(structures, calculator, optimizer, cell), flush=True)
    for name in ("nve", "langevin"):
        print(dynamics(structures, calculator, name, steps), flush=True)


if __name__ == "__main__":
    main()
