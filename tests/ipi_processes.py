"""i-PI, clients and drivers as processes with time limits, which end with the test; shared by the tests of i-PI.

Processes are forked from a server that has imported torch and i-PI already: each starts in a moment rather than in
seconds, and is a process like any other: with its own socket, signals, log and exit status.
"""

import contextlib
import multiprocessing
import os
import runpy
import shutil
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

LIMIT = 60.0
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["torch", "ase.io", "metatomic_ipi.cli", "metatomic_ipi.session", "ipi.engine.simulation", "ipi_processes"]
)

INPUT = """<simulation verbosity='medium'>
  <output prefix='sim'>
    <properties stride='1' filename='out'> [ step, conserved, potential, kinetic_md, {columns} ] </properties>
    <trajectory filename='pos' stride='{stride}' format='xyz'> positions </trajectory>
    {trajectories}
    <checkpoint stride='{checkpoint}'/>
  </output>
  <total_steps> {steps} </total_steps>
  <prng><seed> 12345 </seed></prng>
  {forcefield}
  <system>
    <initialize nbeads='{beads}'>
      <file mode='xyz'> init.xyz </file><velocities mode='thermal' units='kelvin'> {temperature} </velocities>
    </initialize>
    <forces><force forcefield='ff'>{force}</force></forces>
    {motion}
    <ensemble> <temperature units='kelvin'> {temperature} </temperature> {ensemble} </ensemble>
  </system>
</simulation>
"""
TIMESTEP = "<timestep units='femtosecond'> {} </timestep>"
NVE = "<motion mode='dynamics'><dynamics mode='nve'>" + TIMESTEP.format(1.0) + "</dynamics></motion>"
NPT = (
    "<motion mode='dynamics'><dynamics mode='npt'>" + TIMESTEP.format(1.0) + "<barostat mode='isotropic'>"
    "<tau units='femtosecond'> 100 </tau><thermostat mode='langevin'><tau units='femtosecond'> 100 </tau></thermostat>"
    "</barostat><thermostat mode='pile_g'><tau units='femtosecond'> 100 </tau></thermostat></dynamics></motion>"
)


def ffsocket(batch=1, mode="unix", port=0, extra="", address="test"):
    where = (
        f"<address> localhost </address><port> {port} </port>" if mode == "inet" else f"<address> {address} </address>"
    )
    return (
        f"<ffsocket name='ff' mode='{mode}' pbc='false'>{where}<latency> 1e-4 </latency>"
        f"<batch_size> {batch} </batch_size>{extra}</ffsocket>"
    )


def ffdirect(pes_path, parameters, batch=1, threaded="true"):
    inside = ", ".join(f"{key}: {value}" for key, value in parameters.items())
    return (
        f"<ffdirect name='ff' pbc='false' threaded='{threaded}'><pes> custom </pes><pes_path> {pes_path} </pes_path>"
        f"<parameters> {{ {inside} }} </parameters><batch_size> {batch} </batch_size></ffdirect>"
    )


def write_input(directory, forcefield, **settings):
    defaults = {
        "steps": 10, "beads": 1, "temperature": 300, "motion": NVE, "ensemble": "", "columns": "temperature",
        "stride": 1, "checkpoint": 1000, "trajectories": "", "force": "", "forcefield": forcefield,
    }  # fmt: skip
    assert not set(settings) - set(defaults)
    (Path(directory) / "input.xml").write_text(INPUT.format(**{**defaults, **settings}))


def _main(argv, cwd, log):
    """Run in a process of its own."""
    os.setsid()
    os.chdir(cwd)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # what tests wait for is in the file at once, whatever PYTHONUNBUFFERED says
    sys.stdout.reconfigure(line_buffering=True)
    sys.argv = argv
    # whoever runs the tests may be deaf to one of them, as after `nohup`
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    if argv[0] == "metatomic-ipi":
        from metatomic_ipi.cli import main

        main()
    if Path(argv[0]).name == "i-pi":
        _hurry()
        _keep_final_state()
    runpy.run_path(argv[0], run_name="__main__")


def _hurry():
    """Shorten the pauses of i-PI, a second and a half in each run: for more clients, and before it ends."""
    import ipi.interfaces.sockets
    import ipi.utils.softexit

    ipi.interfaces.sockets.SERVERTIMEOUT = 0.1
    ipi.utils.softexit.SOFTEXITLATENCY = 0.05


def _keep_final_state():
    """Let i-PI save its last state in full: its own files have six to nine digits."""
    from ipi.engine.simulation import Simulation

    run = Simulation.run

    def run_and_save(self):
        run(self)
        system = self.syslist[0]
        np.savez("final.npz", q=system.beads.q, p=system.beads.p, h=system.cell.h)

    Simulation.run = run_and_save


class Process:
    """A process with a log."""

    def __init__(self, argv, cwd, name):
        self.log = Path(cwd) / f"{name}.log"
        self._process = _CONTEXT.Process(target=_main, args=([str(a) for a in argv], str(cwd), str(self.log)))
        self._process.start()
        self.started = time.monotonic()

    @property
    def pid(self):
        return self._process.pid

    def running(self):
        return self._process.is_alive()

    def wait(self, limit=LIMIT):
        """Give the exit status; the test fails if there is none within the limit."""
        self._process.join(limit)
        assert not self.running(), f"expected an end within {limit} s, got\n{self.text()[-2000:]}"
        return self._process.exitcode

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def last_line(self):
        return [line for line in self.text().splitlines() if line.strip()][-1]

    def kill(self, number=signal.SIGKILL):
        os.kill(self._process.pid, number)

    def seconds_of_cpu(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        if self.running():
            self._process.kill()
        self._process.join(10)


class Bench:
    """A directory for one run, its sockets, and its processes, all of which end with it."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self._private = tempfile.mkdtemp(prefix="mtt-")
        self.prefix = f"{self._private}/"
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.close()
        shutil.rmtree(self._private)

    def _start(self, argv, name):
        process = Process(argv, self.directory, name)
        self.processes.append(process)
        return process

    def ipi(self, input_file="input.xml"):
        return self._start([script("i-pi"), "-S", self.prefix, input_file], f"i-pi-{len(self.processes)}")

    def client(self, model, *options, address=None, template="template.xyz"):
        where = ["--unix", "test", "-S", self.prefix] if address is None else address
        return self._start(["metatomic-ipi", model, template, *where, *options], f"client-{len(self.processes)}")

    def stock_driver(self, *options):
        return self._start([script("i-pi-py_driver"), *options], f"driver-{len(self.processes)}")

    def until(self, condition, limit=LIMIT):
        """Wait until something holds."""
        end = time.monotonic() + limit
        while not condition():
            assert time.monotonic() < end, "expected a condition to hold in time, got none"
            time.sleep(0.02)

    def steps_done(self):
        with contextlib.suppress(OSError):
            return sum(not line.startswith("#") for line in (self.directory / "sim.out").read_text().splitlines())
        return 0

    def record(self):
        """Give all that `assert_same_run` compares."""
        return *self.trajectory(), self.final()

    def trajectory(self):
        """Give properties (n_steps, n_columns) and positions of the beads (n_beads, n_steps, n, 3) at all steps."""
        beads = [positions(path) for path in sorted(self.directory.glob("sim.pos_*.xyz"))]
        return np.loadtxt(self.directory / "sim.out", ndmin=2), np.array(beads)

    def final(self):
        """Give positions and momenta, shape (n_beads, 3 n), and cell at the end, to all digits."""
        with np.load(self.directory / "final.npz") as arrays:
            return dict(arrays)


def assert_same_run(first, second, tolerance=1e-10):
    """Compare what two benches give at all steps (to the digits of i-PI's files) and at the end (to all digits)."""
    np.testing.assert_allclose(first[0], second[0], rtol=2e-8, atol=tolerance)
    assert first[1].shape == second[1].shape
    for name, values in first[2].items():
        np.testing.assert_allclose(values, second[2][name], rtol=0, atol=tolerance)


def positions(path):
    frames, lines = [], path.read_text().splitlines()
    n = int(lines[0])
    for start in range(0, len(lines), n + 2):
        frames.append([[float(x) for x in line.split()[1:4]] for line in lines[start + 2 : start + 2 + n]])
    return np.array(frames)


def free_port():
    with socket.socket() as sock:
        sock.bind(("localhost", 0))
        return sock.getsockname()[1]


def script(name):
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
