"""i-PI as a subject of the contract suite: its own side of the socket, and our client on the other.

i-PI knows only cells with a along x and b in the plane xy, and structures of the same atoms: structures are turned, and
other atoms are another run.  Angstrom and electronvolt are those of i-PI, in which its users write and read.
"""

import itertools
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ase
import numpy as np

from metatomic_core import ModelOutput, unit_dimension_for_quantity
from metatomic_core.engine import Structure
from metatomic_core.testing import Answer, Request, Subject, Tolerances
from metatomic_core.testing.adapting import in_declared_unit, loaded_model, put_inputs, split_row
from metatomic_core.testing.turning import Turned, turned

from .client import Client
from .connecting import connect
from .evaluation import Evaluator

_LIMIT = 60.0
# dimension: powers of energy and length that it is made of
_POWERS = {
    "energy": (1, 0),
    "force": (1, -1),
    "pressure": (1, -3),
    "length": (0, 1),
    "dipole": (0, 1),
}


class Ipi(Subject):
    """Our client, as i-PI's own code for its side of the socket sees it."""

    name = "ipi"
    lacks: Mapping[str, str] = {
        "asymmetric virials": "the virial of i-PI is symmetric",
        "atomic energies": "i-PI takes the energy of a structure and nothing of its atoms",
        "atomic virials": "i-PI takes the virial of a structure and nothing of its atoms",
        "selected atoms": "i-PI always wants the energy of all atoms",
    }
    left_out: Mapping[str, str] = {
        "missing_inputs": "the template is an ase.Atoms, which always has charges, zero unless they are set",
        "outputs_of_atoms": "extras of i-PI are values of structures; of atoms they have charges and uncertainties",
        "outputs_of_batch": "as outputs_of_atoms: it asks for features of atoms",
    }
    # lengths and energies go to i-PI's atomic units and back, by the same constants
    tolerances = Tolerances(energy=1e-12, forces=1e-11, virial=1e-11, outputs=1e-12, relative=1e-13)

    def evaluate(self, request: Request) -> list[Answer]:
        """Evaluate structures, in one run for all that follow each other with the same atoms."""
        model = loaded_model(request)
        requested, offered = model.requested_inputs(), model.capabilities().outputs
        answers: list[Answer] = []
        for _, several in itertools.groupby(request.structures, _same_run):
            frames = [turned(structure) for structure in several]
            evaluator = Evaluator(model, _atoms(frames[0].structure, requested), **_options(request))
            results = _run(evaluator, frames, len(frames) if request.batch else 1)
            answers += [
                frame.back(_answer(result, request, offered)) for frame, result in zip(frames, results, strict=True)
            ]
        return answers


def _same_run(structure: Structure) -> tuple[Any, ...]:
    inputs = tuple((name, np.asarray(values).tobytes()) for name, values in sorted(structure.inputs.items()))
    return tuple(structure.types), tuple(structure.pbc), inputs


def _options(request: Request) -> dict[str, Any]:
    """Give the options of the client: uncertainties are looked at by a guard."""
    options = dict(request.options)
    if "uncertainty_threshold" in options:
        options["max_uncertainty"] = options.pop("uncertainty_threshold")
    return {**options, "extras": tuple(request.outputs)}


def _atoms(structure: Structure, requested: Mapping[str, ModelOutput]) -> ase.Atoms:
    """Give the template: what i-PI does not send."""
    atoms = ase.Atoms(structure.types, structure.positions, cell=structure.cell, pbc=structure.pbc)
    put_inputs(atoms, structure, requested)
    return atoms


def _run(evaluator: Evaluator, frames: Sequence[Turned], batch_size: int) -> list[Any]:
    """Let i-PI send structures to the client; give what i-PI has received."""
    with _listening() as (path, server):
        ipi = _Server(server, frames, batch_size)
        ipi.start()
        try:
            Client(connect(path, _LIMIT), evaluator, first_limit=_LIMIT, idle_limit=_LIMIT).run()
        finally:
            ipi.join()
    if ipi.error is not None:
        raise ipi.error
    return ipi.results


@contextmanager
def _listening() -> Iterator[tuple[str, socket.socket]]:
    with tempfile.TemporaryDirectory(prefix="metatomic-ipi-") as folder, socket.socket(socket.AF_UNIX) as server:
        path = str(Path(folder, "socket"))
        server.bind(path)
        server.listen()
        server.settimeout(_LIMIT)
        yield path, server


class _Server(threading.Thread):
    """i-PI's side of a connection, which sends structures, in batches or one after the other."""

    def __init__(self, server: socket.socket, frames: Sequence[Turned], batch_size: int):
        super().__init__(daemon=True)
        self._socket = server
        self._frames = frames
        self._batch_size = batch_size
        self.results: list[Any] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        """Accept the client, send all structures, and EXIT."""
        from ipi.interfaces.sockets import Driver
        from ipi.utils.messages import verbosity

        verbosity.level = "quiet"
        try:
            accepted, _ = self._socket.accept()
            accepted.settimeout(_LIMIT)
            with accepted, Driver(accepted) as driver:
                driver.batch_size = self._batch_size
                self._send_all(driver)
                driver.shutdown(socket.SHUT_RDWR)
        except BaseException as error:  # noqa: BLE001  (raised again in the thread that asked)
            self.error = error

    def _send_all(self, driver: Any) -> None:
        requests = [_force_request(number, frame.structure) for number, frame in enumerate(self._frames)]
        if self._batch_size == 1:
            jobs, send, receive = requests, driver.dispatch_send, driver.dispatch_recv
        else:
            jobs, send, receive = [requests], driver.dispatch_send_batch, driver.dispatch_recv_batch
        for request in jobs:
            # of i-PI's default way, in which GETFORCE comes along with the positions
            if not (send(request) and receive(request)):
                raise ConnectionError("expected results of the client, got the end of the connection")
        self.results = [request["result"] for request in requests]


def _force_request(number: int, structure: Structure) -> Any:
    """Give a structure as i-PI's forcefields hand it to its sockets."""
    from ipi.engine.forcefields import ForceRequest

    bohr, _ = _units()
    cell = bohr * structure.cell.T
    positions = bohr * structure.positions.reshape(-1)
    return ForceRequest(
        id=number,
        pos=positions,
        active=np.arange(len(positions)),
        cell=(np.ascontiguousarray(cell), np.linalg.inv(cell)),
        pars=" ",
        offset=0.0,
        status="Running",
    )


def _units() -> tuple[float, float]:
    """Give i-PI's values of the angstrom and the electronvolt."""
    from ipi.utils.units import unit_to_internal

    return unit_to_internal("length", "angstrom", 1.0), unit_to_internal("energy", "electronvolt", 1.0)


def _answer(result: Any, request: Request, offered: Mapping[str, ModelOutput]) -> Answer:
    energy, forces, virial, extras = result
    bohr, hartree = _units()
    return Answer(
        energy=float(energy) / hartree,
        forces=forces.reshape(-1, 3) / hartree * bohr,
        virial=virial / hartree,
        outputs={name: _output(name, extras[name], kind, offered) for name, kind in request.outputs.items()},
    )


def _output(name: str, values: Any, kind: str, offered: Mapping[str, ModelOutput]) -> np.ndarray:
    """Give an output in the unit that the model declares, shape (n_samples, components..., n_properties)."""
    array = np.array(values, dtype=float)
    rows = split_row([name], array.reshape(1 if kind == "system" else len(array), -1))[name]
    energies, lengths = _POWERS.get(unit_dimension_for_quantity(name), (0, 0))
    bohr, hartree = _units()
    return in_declared_unit(name, rows / hartree**energies / bohr**lengths, offered[name])


SUBJECT = Ipi()
