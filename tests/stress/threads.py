"""Many evaluations by many threads on one calculator; not part of the test suite, takes minutes.

Run ``python tests/stress/threads.py``.  Each run is a process of its own, because what goes wrong may be a crash.
"""

import argparse
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ase.build
import numpy as np

from metatomic_ase import MetatomicCalculator
from metatomic_core.potentials import lennard_jones


def main() -> None:
    """Run the modes again and again, and tell how often a force was wrong or a process died."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--evaluations", type=int, default=1000, help="of each thread")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--one", metavar="MODEL", help="one run, in this process")
    options = parser.parse_args()
    if options.one is not None:
        one_run(options.one, options.threads, options.evaluations)
        return
    with tempfile.TemporaryDirectory() as folder:
        model = str(Path(folder) / "lj.pt")
        lennard_jones().save(model)
        size = ["--threads", str(options.threads), "--evaluations", str(options.evaluations)]
        failed = 0
        for run in range(options.runs):
            done = subprocess.run([sys.executable, __file__, *size, "--one", model])
            sys.stderr.write(f"run {run}: status {done.returncode}\n")
            failed += done.returncode != 0
    sys.stderr.write(f"{failed} of {options.runs} runs failed\n")
    sys.exit(1 if failed else 0)


def one_run(model: str, n_threads: int, n_evaluations: int) -> None:
    """Let all threads evaluate at once, half of them by ``get_forces`` and half by ``compute_energy``."""
    calculator = MetatomicCalculator(model)
    structures = []
    for seed in range(n_threads):
        atoms = ase.build.bulk("Ar", cubic=True) * (2, 1, 1 + seed % 3)
        atoms.rattle(0.1, seed=seed)
        structures.append(atoms)
    expected = [by_batch(MetatomicCalculator(model), atoms) for atoms in structures]

    def n_wrong(number: int) -> int:
        forces = by_property if number % 2 else by_batch
        wrong = 0
        for _ in range(n_evaluations):
            found = forces(calculator, structures[number])
            right = found.shape == expected[number].shape and np.abs(found - expected[number]).max() <= 1e-10
            wrong += 0 if right else 1
        return wrong

    with ThreadPoolExecutor(n_threads) as pool:
        wrong = sum(pool.map(n_wrong, range(n_threads)))
    sys.stderr.write(f"{wrong} of {n_threads * n_evaluations} wrong\n")
    sys.exit(1 if wrong else 0)


def by_property(calculator: MetatomicCalculator, atoms: ase.Atoms) -> np.ndarray:
    """Give forces as ASE asks for them."""
    atoms = atoms.copy()
    atoms.calc = calculator
    return atoms.get_forces()


def by_batch(calculator: MetatomicCalculator, atoms: ase.Atoms) -> np.ndarray:
    """Give forces as computed in one batch."""
    return calculator.compute_energy([atoms], compute_forces_and_stresses=True)["forces"][0]


if __name__ == "__main__":
    main()
