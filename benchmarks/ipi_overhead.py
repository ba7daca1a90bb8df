"""Time of an i-PI step: our client, single and in batches, against i-PI's own driver with two of its PES.

Our client runs with the scripted model, and with what ``metatomic compile`` makes of it. Of the PES of i-PI's driver,
one calls our ASE calculator, with the scripted model, and the other is for files of metatomic-torch, to which the model
is converted where that is installed.

Real i-PI processes, argon (Lennard-Jones, or a small network), constant energy; median over steps of the wall-clock
time of a step, the smallest of some runs, and what the client spends outside of the model for each request of one
structure: by itself, on neighbor lists, and on messages.  Run on an idle machine:

    OMP_NUM_THREADS=1 python benchmarks/ipi_overhead.py [--models lj network] [--atoms 64 500] [--beads 1 8]
"""

import argparse
import itertools
import math
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Dict, List, Optional

import torch
from ase.build import bulk
from metatensor.torch import Labels, TensorMap

from metatomic_core import AtomisticModel, ModelMetadata, ModelOutput, NeighborListOptions, System
from metatomic_core.authors import energy_output, pairs, sum_at_atoms
from metatomic_core.potentials import lennard_jones
from metatomic_ipi.input_xml import xyz_text

ATOMS = {64: (4, 2, 2), 108: (3, 3, 3), 256: (4, 4, 4), 500: (5, 5, 5)}
BEADS = (1, 8, 32)
INPUT = """<simulation verbosity='low'>
  <output prefix='sim'><properties stride='1000' filename='out'> [ step ] </properties></output>
  <total_steps> {steps} </total_steps><prng><seed> 1 </seed></prng>
  <ffsocket name='ff' mode='unix' pbc='false'><address> bench </address><latency> 1e-4 </latency>
    <batch_size> {batch} </batch_size></ffsocket>
  <system>
    <initialize nbeads='{beads}'><file mode='xyz'> init.xyz </file>
      <velocities mode='thermal' units='kelvin'> 40 </velocities></initialize>
    <forces><force forcefield='ff'/></forces>
    <motion mode='dynamics'><dynamics mode='nve'><timestep units='femtosecond'> 2 </timestep></dynamics></motion>
    <ensemble><temperature units='kelvin'> 40 </temperature></ensemble>
  </system>
</simulation>
"""
# i-PI with a clock around each step
TIMED = """
import sys, time, statistics
sys.argv = ["i-pi", "-S", sys.argv[1], "input.xml"]
from ipi.engine.simulation import Simulation
times, run_step = [], Simulation.run_step
def timed(self, step):
    start = time.perf_counter()
    run_step(self, step)
    times.append(time.perf_counter() - start)
run = Simulation.run
def run_and_tell(self):
    run(self)
    open("seconds", "w").write(str(statistics.median(times[len(times) // 4:])))
Simulation.run_step, Simulation.run = timed, run_and_tell
from ipi.utils.softexit import softexit
simulation = Simulation.load_from_xml(open("input.xml"), sockets_prefix=sys.argv[2])
softexit.hard_exit = True
simulation.run()
softexit.trigger(status="success", message="")
"""
COMPILE = [sys.executable, "-m", "metatomic_core", "compile"]
CONVERT = [sys.executable, "-m", "metatomic_core", "convert", "--to", "metatomic-torch"]
ASE_PES = """
from ipi.pes._ase import ASEDriver
from metatomic_ase import MetatomicCalculator
__DRIVER_NAME__, __DRIVER_CLASS__ = "bench", "Bench"
class Bench(ASEDriver):
    def check_parameters(self):
        super().check_parameters()
        self.ase_calculator = MetatomicCalculator("../argon.pt", kernel="script")
"""


class Network(torch.nn.Module):
    """32 radial features and two hidden layers of 128 for each atom, of all structures at once."""

    def __init__(self):
        super().__init__()
        self.list = NeighborListOptions(6.0, full_list=True, strict=True)
        self.register_buffer("centers", torch.linspace(2.5, 6.0, 32, dtype=torch.float64))
        sizes = [32, 128, 128, 1]
        layers = [torch.nn.Linear(a, b, dtype=torch.float64) for a, b in itertools.pairwise(sizes)]
        self.first, self.second, self.last = layers

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        first, _, vectors = pairs(systems, self.list)
        r = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        radial = torch.exp(-4.0 * (r - self.centers) ** 2) * (1.0 - r / 6.0) ** 2
        features = sum_at_atoms(systems, radial, first)
        hidden = torch.nn.functional.silu(self.second(torch.nn.functional.silu(self.first(features))))
        # small, so that the atoms stay where they are
        energies = 1e-3 * self.last(hidden).squeeze(1)
        return {"energy": energy_output(systems, energies, outputs["energy"], selected_atoms)}

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [self.list]


def network():
    torch.manual_seed(0)
    capabilities = lennard_jones().capabilities()
    capabilities.outputs = {"energy": ModelOutput(unit="eV", sample_kind="system")}
    return AtomisticModel(Network().eval(), ModelMetadata("small network"), capabilities)


MODELS = {"lj": lennard_jones, "network": network}


# options of i-PI's own driver: its PES for ASE with our calculator, and its PES for files of metatomic-torch
STOCK = {
    "ase": ["-m", "custom", "-P", "pes_ase.py", "-o", "template=template.xyz"],
    "metatomic": ["-m", "metatomic", "-o", "template=template.xyz,model=../reference.pt"],
}


def seconds_per_step(folder, atoms, beads, steps, batch, stock, kernel="script"):
    """Run once, with our client and a kernel, or a stock one; give the median of a step, and the log of the client."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "init.xyz").write_text(xyz_text(atoms))
    atoms.write(folder / "template.xyz", format="extxyz")
    (folder / "input.xml").write_text(INPUT.format(steps=steps, beads=beads, batch=batch))
    (folder / "pes_ase.py").write_text(ASE_PES)
    prefix = f"{folder}/"
    server = subprocess.Popen([sys.executable, "-c", TIMED, prefix], cwd=folder, stdout=subprocess.DEVNULL)
    client = [sys.executable, "-m", "metatomic_ipi", "../argon.pt", "template.xyz", "--unix", "bench", "-S", prefix]
    client += ["--kernel", kernel]
    if stock:
        while not (folder / "bench").exists():
            if server.poll() is not None:
                raise RuntimeError("i-PI does not start")
        program = shutil.which("i-pi-py_driver", path=str(Path(sys.executable).parent)) or "i-pi-py_driver"
        client = [sys.executable, program, "-u", "-a", "bench", "-S", prefix, *STOCK[stock]]
    try:
        done = subprocess.run(client, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
        server.wait(60)
    finally:
        server.kill()
    return float((folder / "seconds").read_text()), done.stderr


def fastest(repeats, *arguments):
    """Run some times; give what the fastest run gives."""
    return min((seconds_per_step(*arguments) for _ in range(repeats)), key=lambda found: found[0])


def compiled(model):
    """Compile a model, unless that was done before; tell whether it is there."""
    done = subprocess.run([*COMPILE, str(model)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"without compiled kernels: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    return done.returncode == 0


def outside_model(log):
    """Give the milliseconds per request that a client spends by itself, on neighbor lists, and on messages."""
    rows = dict(re.findall(r"  (client|neighbor lists|messages) .* (\d+\.\d+) ms per request", log))
    return " + ".join(f"{float(rows[name]):.3f}" for name in ("client", "neighbor lists", "messages"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--atoms", type=int, nargs="*", default=list(ATOMS), choices=list(ATOMS))
    parser.add_argument("--beads", type=int, nargs="*", default=list(BEADS))
    parser.add_argument("--evaluations", type=int, default=600, help="structures to evaluate in each run")
    parser.add_argument("--repeats", type=int, default=3, help="runs, of which the fastest counts")
    parser.add_argument("--smallest", action="store_true", help="one case, few steps: whether it runs, not how fast")
    arguments = parser.parse_args()
    if arguments.smallest:
        arguments.models, arguments.atoms, arguments.beads = ["lj"], [min(ATOMS)], [2]
        arguments.evaluations, arguments.repeats = 40, 1
    bundled = find_spec("metatomic") is not None
    columns = ("single/ms", "compiled/ms", "batch/ms", "compiled/ms", "ASE PES/ms", "bundled/ms")
    print(f"{'model':8}{'atoms':>6}{'beads':>6}{''.join(f'{name:>13}' for name in columns)}{'outside model/ms':>25}")
    with tempfile.TemporaryDirectory(prefix="mtt-") as name:
        folder, model = Path(name) / "run", Path(name) / "argon.pt"
        for kind in arguments.models:
            MODELS[kind]().save(str(model), exported=True)
            with_compiled = compiled(model)
            if bundled:
                (Path(name) / "reference.pt").unlink(missing_ok=True)
                subprocess.run([*CONVERT, model, Path(name) / "reference.pt"], check=True, stdout=subprocess.DEVNULL)
            for n, beads in itertools.product(arguments.atoms, arguments.beads):
                atoms = bulk("Ar", "fcc", a=5.3, cubic=True) * ATOMS[n]
                atoms.rattle(0.05, seed=1)
                run = (arguments.repeats, folder, atoms, beads, max(20, arguments.evaluations // beads))
                times, log = [], ""
                for batch, kernel in itertools.product(sorted({1, beads}), ("script", "compiled")):
                    if kernel == "compiled" and not with_compiled:
                        times.append(math.nan)
                        continue
                    seconds, log_of_run = fastest(*run, batch, None, kernel)
                    times.append(seconds)
                    log = log_of_run if batch == 1 else log
                if beads == 1:
                    times *= 2
                times.append(fastest(*run, 1, "ase")[0])
                times.append(fastest(*run, 1, "metatomic")[0] if bundled else math.nan)
                shown = "".join(f"{1e3 * seconds:13.2f}" for seconds in times)
                print(f"{kind:8}{n:6}{beads:6}{shown}{outside_model(log):>25}", flush=True)


if __name__ == "__main__":
    main()
