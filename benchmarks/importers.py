"""Time per force call of an imported model beside the ASE calculator of the package that it comes from.

Both compute the same crystal, which moves a little at each round, one call of each in turn, in one thread: the
package's own calculator, and ours with the kernels that are asked for. Medians are printed, and ratios: ours over own.
It runs in an environment that has the package of the family.

    OMP_NUM_THREADS=1 python benchmarks/importers.py sevennet 7net-0
    OMP_NUM_THREADS=1 python benchmarks/importers.py sevennet 7net-mf-0 --modal PBE --kernel script --kernel compiled
    OMP_NUM_THREADS=1 python benchmarks/importers.py chgnet 0.3.0 --smallest    # some seconds: whether it runs
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ase
import ase.build
import ase.data
import numpy as np
import torch

from metatomic_ase import MetatomicCalculator
from metatomic_core import AtomisticModel
from metatomic_importers import Imported, Request
from metatomic_importers.checkpoints import checked_checkpoint
from metatomic_importers.family import DTYPES, PARTS
from metatomic_importers.registry import family as family_of
from metatomic_importers.requirements import check_requirements

KERNELS = ("script", "eager", "compiled")
# elements of crystals of the diamond structure, the first that the model knows
ELEMENTS = (14, 6, 32, 8, 1)
# calls before those that count
N_WARM = 5
# how far the atoms move at each round, in angstrom
STEP = 0.01


def crystal(types: list[int], species: str | None, size: int) -> ase.Atoms:
    """Give a crystal with the structure of diamond, 8 atoms in each cubic cell."""
    known = [number for number in ELEMENTS if number in types] or types
    symbol = species or ase.data.chemical_symbols[known[0]]
    radius = ase.data.covalent_radii[ase.data.atomic_numbers[symbol]]
    atoms = ase.build.bulk(symbol, "diamond", a=8 * radius / np.sqrt(3), cubic=True).repeat(size)
    atoms.rattle(0.05, seed=0)
    return atoms


def read(arguments: argparse.Namespace) -> Imported:
    """Read the checkpoint."""
    family = family_of(arguments.family)
    check_requirements(family)
    parts = {part: getattr(arguments, part) for part in PARTS}
    given = [part for part, value in parts.items() if value is not None]
    if given not in ([], [family.part]):
        raise SystemExit(f"expected --{family.part or 'no part'} for {family.name}, got --{given[0]}")
    file = checked_checkpoint(family, arguments.checkpoint)
    dtype = arguments.dtype or family.dtypes[0]
    return family.read(Request(file, arguments.checkpoint, dtype, parts[given[0]] if given else None))


def timed(atoms: ase.Atoms) -> float:
    """Time a force call."""
    start = time.perf_counter()
    atoms.get_forces()
    return time.perf_counter() - start


def measure(imported: Imported, model: Path, arguments: argparse.Namespace) -> dict[str, object]:
    """Measure all in turn; give medians in milliseconds, and ratios."""
    atoms = crystal(imported.capabilities.atomic_types, arguments.species, arguments.size)
    copies = {"own": atoms.copy()}
    copies["own"].calc = imported.calculator()
    for kernel in arguments.kernel:
        copies[kernel] = atoms.copy()
        copies[kernel].calc = MetatomicCalculator(model, device="cpu", kernel=kernel)
    rng = np.random.default_rng(0)
    times: dict[str, list[float]] = {name: [] for name in copies}
    for step in range(arguments.repeats + min(arguments.repeats, N_WARM)):
        atoms.positions += rng.normal(scale=STEP, size=atoms.positions.shape)
        for name, one in copies.items():
            one.positions = atoms.positions
            seconds = timed(one)
            if step >= min(arguments.repeats, N_WARM):
                times[name].append(seconds)
    energies = {name: one.get_potential_energy() / len(atoms) for name, one in copies.items()}
    if max(energies.values()) - min(energies.values()) > 2 * imported.tolerances.energy:
        raise RuntimeError(f"expected the same energies, got {energies}")
    medians = {name: 1000 * statistics.median(values) for name, values in times.items()}
    return {
        "family": arguments.family,
        "checkpoint": Path(arguments.checkpoint).name,
        "dtype": imported.capabilities.dtype,
        "n_atoms": len(atoms),
        "milliseconds": medians,
        "over own": {name: value / medians["own"] for name, value in medians.items() if name != "own"},
    }


def line(found: dict[str, object]) -> str:
    """Give what is printed."""
    times = "  ".join(f"{name} {value:.1f} ms" for name, value in found["milliseconds"].items())
    ratios = ", ".join(f"{name} {value:.2f}" for name, value in found["over own"].items())
    what = f"{found['family']} {found['checkpoint']} {found['dtype']}, {found['n_atoms']} atoms"
    return f"{what}:  {times}   over own: {ratios}"


def main() -> None:
    """Import, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", help="family of models, as for `metatomic import`")
    parser.add_argument("checkpoint", help="file, or name of a checkpoint that comes with the package")
    parser.add_argument("--size", type=int, default=2, metavar="N", help="cubic cells along each vector, of 8 atoms")
    parser.add_argument("--species", metavar="SYMBOL", help="element of the crystal; silicon where it is known")
    parser.add_argument("--dtype", choices=DTYPES, help="what our model computes in; that of the family by default")
    parser.add_argument("--kernel", choices=KERNELS, action="append", help="of our calculator, once for each; script")
    parser.add_argument("--repeats", type=int, default=20, metavar="N", help="calls of each that count, 3 at least")
    parser.add_argument("--smallest", action="store_true", help="8 atoms, few calls: whether it runs, not how fast")
    parser.add_argument("--json", action="store_true", help="print what was measured as data")
    for part in PARTS:
        parser.add_argument(f"--{part}", metavar="NAME", help=f"which {part}, for models with several")
    arguments = parser.parse_args()
    arguments.kernel = arguments.kernel or ["script"]
    arguments.repeats = max(arguments.repeats, 3)
    if arguments.smallest:
        arguments.size, arguments.repeats = 1, 3
    torch.set_num_threads(1)
    imported = read(arguments)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.pt"
        of_programs = {"eager", "compiled"} & set(arguments.kernel)
        written = AtomisticModel(imported.module, imported.metadata, imported.capabilities)
        written.save(str(model), exported=bool(of_programs))
        if "compiled" in arguments.kernel:
            command = [sys.executable, "-m", "metatomic_core", "compile", str(model), "--flavor", "forces"]
            subprocess.run(command, capture_output=True, check=True)
        found = measure(imported, model, arguments)
    print(json.dumps(found) if arguments.json else line(found), flush=True)


if __name__ == "__main__":
    main()
