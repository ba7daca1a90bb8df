"""Time of an i-PI step: our client, single and in batches, against i-PI's own driver with its PES for ASE.

Real i-PI processes, Lennard-Jones argon, constant energy; median over steps of the wall-clock time of a step, and
what the client spends outside of the model for each request.  Run on an idle machine:

    OMP_NUM_THREADS=1 python benchmarks/ipi_overhead.py
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ase.build import bulk

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
ASE_PES = """
from ipi.pes._ase import ASEDriver
from metatomic_ase import MetatomicCalculator
__DRIVER_NAME__, __DRIVER_CLASS__ = "bench", "Bench"
class Bench(ASEDriver):
    def check_parameters(self):
        super().check_parameters()
        self.ase_calculator = MetatomicCalculator("../argon.pt")
"""


def seconds_per_step(folder, atoms, beads, steps, batch, stock):
    """Run once; give the median of a step, and the log of the client."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "init.xyz").write_text(xyz_text(atoms))
    atoms.write(folder / "template.xyz", format="extxyz")
    (folder / "input.xml").write_text(INPUT.format(steps=steps, beads=beads, batch=batch))
    (folder / "pes_ase.py").write_text(ASE_PES)
    prefix = f"{folder}/"
    server = subprocess.Popen([sys.executable, "-c", TIMED, prefix], cwd=folder, stdout=subprocess.DEVNULL)
    client = [sys.executable, "-m", "metatomic_ipi", "../argon.pt", "template.xyz", "--unix", "bench", "-S", prefix]
    if stock:
        while not (folder / "bench").exists():
            if server.poll() is not None:
                raise RuntimeError("i-PI does not start")
        program = shutil.which("i-pi-py_driver", path=str(Path(sys.executable).parent)) or "i-pi-py_driver"
        client = [
            sys.executable, program, "-m", "custom", "-P", "pes_ase.py", "-u", "-a", "bench", "-S", prefix,
            "-o", "template=template.xyz",
        ]  # fmt: skip
    try:
        done = subprocess.run(client, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
        server.wait(60)
    finally:
        server.kill()
    return float((folder / "seconds").read_text()), done.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--atoms", type=int, nargs="*", default=list(ATOMS), choices=list(ATOMS))
    parser.add_argument("--beads", type=int, nargs="*", default=list(BEADS))
    parser.add_argument("--evaluations", type=int, default=1200, help="structures to evaluate in each run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mtt-") as name:
        root = Path(name)
        lennard_jones().save(str(root / "argon.pt"))
        print(
            f"{'atoms':>5} {'beads':>5} {'single/ms':>10} {'batch/ms':>10} {'ASE PES/ms':>11} {'outside model/ms':>17}"
        )
        for n in arguments.atoms:
            atoms = bulk("Ar", "fcc", a=5.3, cubic=True) * ATOMS[n]
            atoms.rattle(0.05, seed=1)
            for beads in arguments.beads:
                steps = max(20, arguments.evaluations // beads)
                single, log = seconds_per_step(root / "run", atoms, beads, steps, 1, False)
                batch = single
                if beads > 1:
                    batch, _ = seconds_per_step(root / "run", atoms, beads, steps, beads, False)
                stock, _ = seconds_per_step(root / "run", atoms, beads, steps, 1, True)
                rows = dict(re.findall(r"  (client|neighbor lists|messages) .* (\d+\.\d+) ms per request", log))
                outside = (
                    f"{float(rows['client']):.3f} + {float(rows['neighbor lists']):.3f} + {float(rows['messages']):.3f}"
                )
                print(
                    f"{n:5} {beads:5} {1e3 * single:10.2f} {1e3 * batch:10.2f} {1e3 * stock:11.2f} {outside:>17}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
