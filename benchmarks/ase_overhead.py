"""Time per force call of the ASE calculator, and the share of it that is not the model's own.

For argon crystals of several sizes that move a little at each call, three times are measured side by side, one call of
each in turn: the model alone (forward and backward on tensors with a neighbor list at hand), the pipeline on tensors
(what `Engine.seconds` counts), and ``atoms.get_forces()`` with all that ASE does.  ASE's own Lennard-Jones calculator
is there for comparison at the smaller sizes.

    OMP_NUM_THREADS=1 python benchmarks/ase_overhead.py
    OMP_NUM_THREADS=1 python benchmarks/ase_overhead.py --sizes 3 --repeats 5    # some seconds, for CI
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Callable

import ase
import numpy as np
import torch
from ase.build import bulk
from ase.calculators.lj import LennardJones

from metatomic_ase import MetatomicCalculator
from metatomic_core import ModelOutput
from metatomic_core.engine import Engine, Structure
from metatomic_core.potentials import lennard_jones

SIZES = (3, 6, 14)
LARGEST_FOR_ASE = 1000
SIGMA, EPSILON = 3.405, 0.0103
CUTOFF = 2.5 * SIGMA


def structure_of(atoms: ase.Atoms) -> Structure:
    """Give atoms as a structure for the engine."""
    return Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)


def model_alone(engine: Engine, atoms: ase.Atoms) -> Callable[[], float]:
    """Give a function that times forward and backward of the bare module."""
    output = {"energy": ModelOutput(unit="eV", sample_kind="system")}

    def run() -> float:
        (system,) = engine.systems([structure_of(atoms)])
        leaves = []
        for options in system.known_neighbor_lists():
            block = system.get_neighbor_list(options)
            leaves.append(block.values.requires_grad_(True))
        start = time.perf_counter()
        # as the engine does: without the optimizer of TorchScript
        with torch.jit.optimized_execution(False):
            energy = engine.model.module([system], output, None)["energy"].block().values.sum()
            torch.autograd.grad(energy, leaves)
        return time.perf_counter() - start

    return run


def pipeline(engine: Engine, atoms: ase.Atoms) -> Callable[[], float]:
    """Give a function that times the pipeline on tensors, neighbor list excluded."""

    def run() -> float:
        before = engine.seconds["model"]
        engine.evaluate([structure_of(atoms)], ["energy", "forces"])
        return engine.seconds["model"] - before

    return run


def force_call(atoms: ase.Atoms) -> Callable[[], float]:
    """Give a function that times a force call through ASE."""

    def run() -> float:
        start = time.perf_counter()
        atoms.get_forces()
        return time.perf_counter() - start

    return run


def measure(model: Path, size: int, repeats: int) -> None:
    """Measure one size, and print a line."""
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True).repeat(size)
    rng = np.random.default_rng(0)
    atoms.rattle(0.1, rng=rng)
    other = atoms.copy()
    atoms.calc = MetatomicCalculator(model, device="cpu")
    engine = Engine(model, length_unit="angstrom", energy_unit="eV", device="cpu")
    timers = {
        "model": model_alone(engine, atoms),
        "pipeline": pipeline(engine, atoms),
        "calculator": force_call(atoms),
    }
    if len(atoms) <= LARGEST_FOR_ASE:
        other.calc = LennardJones(sigma=SIGMA, epsilon=EPSILON, rc=CUTOFF)
        timers["ASE's own"] = force_call(other)
    times: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(repeats):
        step = rng.normal(scale=0.005, size=atoms.positions.shape)
        atoms.positions += step
        other.positions += step
        for name, timer in timers.items():
            times[name].append(timer())
    medians = {name: 1000 * statistics.median(values[2:]) for name, values in times.items()}
    shown = "  ".join(f"{name} {value:8.2f} ms" for name, value in medians.items())
    share = 1 - medians["model"] / medians["calculator"]
    print(f"{len(atoms):6d} atoms: {shown}   outside the model {100 * share:.0f} %")


def main() -> None:
    """Measure all sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=30, metavar="N", help="calls of each, 3 at least")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="cubic cells along each vector, of 4 atoms"
    )
    parser.add_argument("--smallest", action="store_true", help="108 atoms, few calls: whether it runs, not how fast")
    arguments = parser.parse_args()
    if arguments.smallest:
        arguments.sizes, arguments.repeats = [3], 3
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "argon.pt"
        lennard_jones("Ar", sigma=SIGMA, epsilon=EPSILON, cutoff=CUTOFF).save(str(model))
        for size in arguments.sizes:
            measure(model, size, max(arguments.repeats, 3))


if __name__ == "__main__":
    main()
