"""What ``metatomic doctor`` looks at for i-PI: the client with a server of a few lines, and a step of i-PI itself."""

import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from metatomic_core.adapters.diagnoses import PROBLEM, Diagnosis, Finding, Trial, output_of

if TYPE_CHECKING:
    from .protocol import Connection

_SECONDS = 60.0
_TEMPLATE = "argon.xyz"
_INPUT = """<simulation verbosity='low'>
  <output prefix='sim'>
    <properties stride='1' filename='out'> [ step, potential{{electronvolt}} ] </properties>
    <trajectory stride='1' filename='frc' format='xyz'> forces{{ev/ang}} </trajectory>
  </output>
  <total_steps> 1 </total_steps>
  <ffdirect name='ff' pbc='false'>
    <pes> custom </pes> <pes_path> {pes} </pes_path>
    <parameters> {{ template: {template}, model: {model} }} </parameters>
  </ffdirect>
  <system>
    <initialize nbeads='1'>
      <file mode='ase' units='angstrom'> {template} </file>
      <velocities mode='thermal' units='kelvin'> 0 </velocities>
    </initialize>
    <forces> <force forcefield='ff'/> </forces>
    <motion mode='dynamics'> <dynamics mode='nve'> <timestep units='femtosecond'> 1 </timestep> </dynamics> </motion>
    <ensemble> <temperature units='kelvin'> 0 </temperature> </ensemble>
  </system>
</simulation>
"""


def _template(trial: Trial) -> Path:
    import ase
    import ase.io

    path = trial.folder / _TEMPLATE
    atoms = ase.Atoms(numbers=trial.types, positions=trial.positions, cell=trial.cell, pbc=True)
    ase.io.write(path, atoms, format="extxyz")
    return path


def client(trial: Trial) -> Iterator[Finding]:
    """Let a server of a few lines, which speaks i-PI's protocol, ask the client once."""
    from .client import Client
    from .evaluation import Evaluator
    from .protocol import Connection

    evaluate = Evaluator(str(trial.model_file()), str(_template(trial)), device="cpu")
    near, far = socket.socketpair()
    server = _Server(Connection(far, message_limit=_SECONDS), trial)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        Client(Connection(near), evaluate, first_limit=_SECONDS, idle_limit=_SECONDS).run()
    except ConnectionError:
        # the server has closed because of what the client sent: that says more
        thread.join(_SECONDS)
        if server.failure is not None:
            raise server.failure from None
        raise
    thread.join(_SECONDS)
    yield trial.compared("client", server.energy, server.forces)


class _Server:
    """Asks for one structure, as i-PI does.

    Parameters
    ----------
    connection
        To the client.
    trial
        The structure.
    """

    def __init__(self, connection: "Connection", trial: Trial):
        self._connection = connection
        self._trial = trial
        self.failure: Exception | None = None
        self.energy = float("nan")
        self.forces: list[list[float]] = []

    def run(self) -> None:
        """Go through the states of the protocol, and close; what goes wrong is kept for the other thread."""
        try:
            self._ask()
        except Exception as error:  # noqa: BLE001  (raised again by who waits for it)
            self.failure = error
        finally:
            self._connection.close()

    def _ask(self) -> None:
        import numpy as np
        from ipi.utils.units import unit_to_internal

        from .protocol import EXIT, HEADER_LENGTH, header, int32

        connection, trial = self._connection, self._trial
        # by i-PI's own values, not by ours
        length, energy = unit_to_internal("length", "angstrom", 1.0), unit_to_internal("energy", "electronvolt", 1.0)
        positions = length * np.array(trial.positions)
        cell = length * np.array(trial.cell).T

        def expect(name: str) -> None:
            found = bytes(connection.receive(HEADER_LENGTH))
            if found != header(name):
                raise RuntimeError(f"expected {name} from the client, got {found!r}")

        connection.send([header("STATUS")])
        expect("NEEDINIT")
        connection.send([header("INIT"), int32(0), int32(0), header("STATUS")])
        expect("READY")
        numbers = [cell.tobytes(), np.linalg.inv(cell).tobytes(), int32(len(positions)), positions.tobytes()]
        connection.send([header("POSDATA"), *numbers, header("GETFORCE")])
        expect("FORCEREADY")
        self.energy = float(connection.receive_array((1,))[0]) / energy
        n_atoms = connection.receive_int("the number of atoms", len(positions))
        self.forces = (connection.receive_array((n_atoms, 3)) * (length / energy)).tolist()
        connection.receive_array((3, 3))
        connection.receive_text("the extras")
        connection.send([header(EXIT)])


def step(trial: Trial) -> Iterator[Finding]:
    """Let i-PI itself make one step, with the model inside it."""
    import importlib.metadata

    from ._console import pes_file
    from .runner import find_ipi

    model, template = trial.model_file(), _template(trial)
    (trial.folder / "input.xml").write_text(_INPUT.format(pes=pes_file(), template=template, model=model), "utf-8")
    done = output_of([sys.executable, find_ipi(), "input.xml"], trial.folder)
    name = f"a step of i-PI {importlib.metadata.version('ipi')}"
    output = trial.folder / "sim.out"
    rows = [line.split() for line in output.read_text("utf-8").splitlines()] if output.exists() else []
    values = [row for row in rows if row and row[0] != "#"]
    if done.status != 0 or not values:
        advice = "do what the message says, or run `pip install --force-reinstall ipi`"
        yield Finding(name, done.why(), PROBLEM, advice)
        return
    yield trial.compared(name, float(values[0][1]))


DIAGNOSIS = Diagnosis("i-PI", (client, step))
