"""Time per force call of the ASE calculator, and how it compares with the reference implementation's calculator.

For argon crystals of several sizes that move a little at each call, times are measured side by side, one call of each
in turn: the model alone (forward and backward on tensors with a neighbor list at hand), ``atoms.get_forces()`` with all
that ASE does for each kernel (the scripted model, and code that ``metatomic compile`` makes of it), and that of the
reference implementation's calculator with the same potential written for it. Their distributions have the name of ours,
so they run in a process of its own with a folder of its own, made once in the cache of the user. ASE's own
Lennard-Jones calculator is there for comparison at the smaller sizes. Ratios are to the reference implementation.

    OMP_NUM_THREADS=1 python benchmarks/ase_overhead.py
    OMP_NUM_THREADS=1 python benchmarks/ase_overhead.py --sizes 3 --repeats 5    # some seconds, for CI
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
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

SIZES = (3, 6, 12)
LARGEST_FOR_ASE = 1000
SIGMA, EPSILON = 3.405, 0.0103
CUTOFF = 2.5 * SIGMA
REFERENCE = "metatomic-ase==0.1.4"
# calls before those that count: the scripted models compile themselves at the first ones
N_WARM = 8


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
            leaves.append(block.values.requires_grad_())
        start = time.perf_counter()
        # as the engine does: without the optimizer of TorchScript
        with torch.jit.optimized_execution(should_optimize=False):
            energy = engine.model.module([system], output, None)["energy"].block().values.sum()
            torch.autograd.grad(energy, leaves)
        return time.perf_counter() - start

    return run


def force_call(atoms: ase.Atoms) -> Callable[[], float]:
    """Give a function that times a force call through ASE."""

    def run() -> float:
        start = time.perf_counter()
        atoms.get_forces()
        return time.perf_counter() - start

    return run


def cache_folder() -> Path:
    """Give the folder for what is made once: $METATOMIC_CACHE, or the cache of the user."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("METATOMIC_CACHE") or Path(base) / "metatomic") / "benchmarks"


def reference_folder() -> Path | None:
    """Give a folder with the reference implementation's calculator, which is installed if it is not there yet."""
    named = os.environ.get("METATOMIC_REFERENCE_ASE")
    if named:
        return Path(named)
    wanted = [REFERENCE] if find_spec("metatomic") else [REFERENCE, "metatomic-torch"]
    folder = cache_folder() / "-".join(wanted).replace("==", "-")
    if not (folder / "complete").exists():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--upgrade", "--target", str(folder)]
        done = subprocess.run([*command, *wanted], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"without the reference implementation: pip says {done.stderr.strip().splitlines()[-1:]}")
            return None
        (folder / "complete").touch()
    return folder


class Reference:
    """The reference implementation's calculator for one structure, in a process of its own."""

    def __init__(self, python_path: Path, atoms: ase.Atoms, folder: Path):
        script = Path(__file__).parent / "reference" / "ase_calls.py"
        arguments = [sys.executable, str(script), str(SIGMA), str(EPSILON), str(CUTOFF), str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(python_path), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=folder
        )
        self._atoms = atoms
        self._send(json.dumps([atoms.numbers.tolist(), atoms.cell.tolist()]).encode() + b"\n")
        self.energy = 0.0

    def _send(self, content: bytes) -> None:
        self._process.stdin.write(content)
        self._process.stdin.flush()

    def __call__(self) -> float:
        """Time a force call."""
        self._send(self._atoms.positions.tobytes())
        seconds, self.energy = json.loads(self._process.stdout.readline())
        return float(seconds)

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()


def compiled(model: Path) -> bool:
    """Compile a model, unless that was done before; tell whether it is there."""
    command = [sys.executable, "-m", "metatomic_core", "compile", str(model)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"without compiled kernels: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    return done.returncode == 0


def calculators(model: Path, atoms: ase.Atoms, with_compiled: bool) -> dict[str, ase.Atoms]:
    """Give copies of atoms with a calculator for each kernel."""
    found = {}
    for kernel in ("script", "compiled") if with_compiled else ("script",):
        found[kernel] = atoms.copy()
        found[kernel].calc = MetatomicCalculator(model, device="cpu", kernel=kernel)
    if len(atoms) <= LARGEST_FOR_ASE:
        found["ASE's own"] = atoms.copy()
        found["ASE's own"].calc = LennardJones(sigma=SIGMA, epsilon=EPSILON, rc=CUTOFF)
    return found


def measure(model: Path, size: int, repeats: int, with_compiled: bool, python_path: Path | None) -> None:
    """Measure one size, and print a line."""
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True).repeat(size)
    rng = np.random.default_rng(0)
    atoms.rattle(0.1, rng=rng)
    engine = Engine(model, length_unit="angstrom", energy_unit="eV", device="cpu", kernel="script")
    copies = calculators(model, atoms, with_compiled)
    timers: dict[str, Callable[[], float]] = {"model": model_alone(engine, atoms)}
    timers.update({name: force_call(one) for name, one in copies.items()})
    reference = None if python_path is None else Reference(python_path, atoms, model.parent)
    if reference is not None:
        timers["reference"] = reference
    times: dict[str, list[float]] = {name: [] for name in timers}
    for step in range(repeats + min(repeats, N_WARM)):
        atoms.positions += rng.normal(scale=0.005, size=atoms.positions.shape)
        for one in copies.values():
            one.positions = atoms.positions
        for name, timer in timers.items():
            seconds = timer()
            if step >= min(repeats, N_WARM):
                times[name].append(seconds)
    energies = {name: one.get_potential_energy() for name, one in copies.items()}
    if reference is not None:
        energies["reference"] = reference.energy
        reference.close()
    if max(energies.values()) - min(energies.values()) > 1e-9 * len(atoms):
        raise RuntimeError(f"expected the same energies, got {energies}")
    print(line(len(atoms), {name: statistics.median(values) for name, values in times.items()}), flush=True)


def line(n_atoms: int, medians: dict[str, float]) -> str:
    """Give what is printed for one size."""
    shown = f"{n_atoms:6d} atoms:  " + "  ".join(f"{name} {1000 * value:.2f} ms" for name, value in medians.items())
    if "reference" in medians:
        names = [name for name in ("script", "compiled") if name in medians]
        ratios = [f"{name} {medians['reference'] / medians[name]:.1f} times faster" for name in names]
        return f"{shown}   than the reference: {', '.join(ratios)}"
    return shown


def main() -> None:
    """Measure all sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30, metavar="N", help="calls of each that count, 3 at least")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="cubic cells along each vector, of 4 atoms"
    )
    parser.add_argument("--smallest", action="store_true", help="108 atoms, few calls: whether it runs, not how fast")
    arguments = parser.parse_args()
    if arguments.smallest:
        arguments.sizes, arguments.repeats = [3], 3
    torch.set_num_threads(1)
    python_path = None
    if arguments.smallest:
        print("without the reference implementation, which would have to be installed first")
    else:
        python_path = reference_folder()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "argon.pt"
        lennard_jones("Ar", sigma=SIGMA, epsilon=EPSILON, cutoff=CUTOFF).save(str(model), exported=True)
        with_compiled = compiled(model)
        for size in arguments.sizes:
            measure(model, size, max(arguments.repeats, 3), with_compiled, python_path)


if __name__ == "__main__":
    main()
