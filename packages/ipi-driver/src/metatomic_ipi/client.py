"""`Client`: answers i-PI's messages until i-PI says EXIT.

The states of the protocol: NEEDINIT until INIT has come, then READY, and HAVEDATA between POSDATA and GETFORCE.  INIT
announces batches; POSDATA is a single structure, a batch, or a hint to look into shared memory.  i-PI sends GETFORCE
along with POSDATA without asking for the status in between.
"""

import re
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing import resource_tracker, shared_memory
from typing import Protocol
from unittest import mock

import numpy as np

from metatomic_core.adapters import in_one_line

from .evaluation import Result
from .protocol import EXIT, Connection, ProtocolError, ServerGoneError, header, int32

_MAX_ATOMS = 100_000_000
_MAX_BATCH = 1 << 20
_NUMBER = re.compile(r"[0-9]{1,9}")
# order in which i-PI names its segments, with the size per structure as a function of the number of atoms
_SEGMENTS: dict[str, Callable[[int], int]] = {
    "pos": lambda n: 3 * n,
    "h": lambda n: 9,
    "ih": lambda n: 9,
    "pot": lambda n: 1,
    "force": lambda n: 3 * n,
    "vir": lambda n: 9,
}


class Evaluate(Protocol):
    """What evaluates structures: `evaluation.Evaluator`, or anything like it."""

    def __call__(self, cells: Sequence[np.ndarray], positions: Sequence[np.ndarray]) -> list[Result]:
        """Give one result for each structure."""


class Client:
    """One connection to i-PI.

    Parameters
    ----------
    connection
        The connection.
    evaluate
        Gives the results for a list of structures.
    use_shm
        Whether i-PI runs this forcefield in shared memory mode.
    first_limit
        Seconds in which i-PI must send its first message.
    idle_limit
        Seconds of silence after which to give up; None for never.
    """

    def __init__(
        self,
        connection: Connection,
        evaluate: Evaluate,
        *,
        use_shm: bool = False,
        first_limit: float | None = None,
        idle_limit: float | None = None,
    ):
        self._connection = connection
        self._evaluate = evaluate
        self._use_shm = use_shm
        self._limit = first_limit
        self._idle_limit = idle_limit
        self._batch_size = 0
        self._n_atoms = 0
        self._results: list[Result] | None = None
        self._segments: list[shared_memory.SharedMemory] = []
        self._views: dict[str, np.ndarray] = {}
        self._answers = {
            "STATUS": self._status,
            "INIT": self._init,
            "POSDATA": self._posdata,
            "GETFORCE": self._getforce,
        }
        self.seconds = {"waiting": 0.0, "transfer": 0.0, "evaluation": 0.0}
        self.n_requests = 0

    def run(self) -> None:
        """Answer i-PI until it says EXIT, then close; also closes cleanly on any error.

        Raises
        ------
        ServerGoneError
            If the connection ends without EXIT.
        ProtocolError
            If i-PI sends what is not in the protocol.
        TimeoutError
            If a message does not arrive in time.
        """
        try:
            while self._answer_one():
                pass
        finally:
            self._release_segments()
            self._connection.close()

    def _answer_one(self) -> bool:
        """Answer the next message; False after EXIT."""
        start = time.perf_counter()
        self._connection.wait(self._limit)
        self._limit = self._idle_limit
        arrived = time.perf_counter()
        self.seconds["waiting"] += arrived - start
        name = self._connection.receive_header()
        if name == EXIT:
            return False
        if name not in self._answers:
            raise ProtocolError(f"expected one of {', '.join(self._answers)}, {EXIT} from i-PI, got '{name}'")
        evaluated = self.seconds["evaluation"]
        self._answers[name]()
        inside = self.seconds["evaluation"] - evaluated
        self.seconds["transfer"] += time.perf_counter() - arrived - inside
        return True

    def _status(self) -> None:
        if self._batch_size == 0:
            # never READY at once: only INIT tells of batches
            state = "NEEDINIT"
        else:
            state = "READY" if self._results is None else "HAVEDATA"
        self._connection.send([header(state)])

    def _init(self) -> None:
        self._connection.receive(4)  # number of the bead; only that of the first one, so of no use
        text = self._connection.receive_text("the parameters of INIT")
        self._batch_size = _announced_batch(text)

    def _posdata(self) -> None:
        if self._batch_size == 0:
            raise ProtocolError("expected INIT before POSDATA from i-PI, got none")
        cells, positions = self._received_shm() if self._use_shm else self._received()
        self._connection.read_ahead()
        start = time.perf_counter()
        self._results = self._evaluate(cells, positions)
        self.seconds["evaluation"] += time.perf_counter() - start
        self.n_requests += 1

    def _received(self) -> "tuple[list[np.ndarray], list[np.ndarray]]":
        receive = self._connection.receive_array
        n = self._batch_size
        if n == 1:
            cells = receive((2, 3, 3))[None, :]
            self._n_atoms = self._connection.receive_int("the number of atoms", _MAX_ATOMS)
        else:
            self._n_atoms = self._connection.receive_int("the number of atoms", _MAX_ATOMS)
            cells = receive((n, 2, 3, 3))
        positions = receive((n, self._n_atoms, 3))
        return [cell[0] for cell in cells], list(positions)

    def _received_shm(self) -> "tuple[list[np.ndarray], list[np.ndarray]]":
        n_atoms = self._connection.receive_int("the number of atoms", _MAX_ATOMS)
        if not self._views:
            self._n_atoms = n_atoms
            self._attach()
        elif n_atoms != self._n_atoms:
            raise ProtocolError(f"expected {self._n_atoms} atoms as before from i-PI, got {n_atoms}")
        n = self._batch_size
        return list(self._views["h"].reshape(n, 3, 3)), list(self._views["pos"].reshape(n, n_atoms, 3))

    def _attach(self) -> None:
        """Attach to i-PI's shared memory, the names of which come with the first positions."""
        for kind, size in _SEGMENTS.items():
            name = self._connection.receive_text("the name of a shared memory segment", 255)
            try:
                segment = _attached(name)
            except (OSError, ValueError) as error:
                raise ProtocolError(
                    f"expected shared memory '{in_one_line(name)}' of i-PI, got {in_one_line(error)}"
                ) from error
            self._segments.append(segment)
            shape = (self._batch_size, size(self._n_atoms))
            if segment.size < 8 * shape[0] * shape[1]:
                raise ProtocolError(
                    f"expected shared memory '{in_one_line(name)}' for {shape} numbers, got {segment.size} bytes"
                )
            self._views[kind] = np.ndarray(shape, dtype=np.float64, buffer=segment.buf)

    def _getforce(self) -> None:
        if self._results is None:
            raise ProtocolError("expected POSDATA before GETFORCE from i-PI, got none")
        results, self._results = self._results, None
        parts = [header("FORCEREADY")]
        if self._use_shm:
            for index, result in enumerate(results):
                self._views["pot"][index] = result.energy
                self._views["force"][index] = result.forces.reshape(-1)
                self._views["vir"][index] = result.virial.reshape(-1)
        else:
            parts.append(np.array([result.energy for result in results]).tobytes())
            parts.append(int32(self._n_atoms))
            parts.extend(np.ascontiguousarray(result.forces, dtype=np.float64).tobytes() for result in results)
            parts.extend(np.ascontiguousarray(result.virial, dtype=np.float64).tobytes() for result in results)
        for result in results:
            extras = result.extras.encode()
            parts += [int32(len(extras)), extras]
        try:
            self._connection.send(parts)
        except ServerGoneError:
            # i-PI has ended while this was computed, as it does when it is asked to stop, and has said so
            if not self._connection.has_exit():
                raise

    def _release_segments(self) -> None:
        self._results = None
        self._views.clear()
        while self._segments:
            try:
                self._segments.pop().close()
            except BufferError:
                # a structure still refers to it; the memory goes when the process ends
                continue


def _announced_batch(text: str) -> int:
    """Give the size of batches from the parameters of INIT; 1 if there are none."""
    for token in text.split(","):
        key, _, value = token.partition(":")
        if key.strip() == "batch_size":
            digits = value.strip()
            # not all that Python calls a digit is a number, and not every length of them
            if not _NUMBER.fullmatch(digits) or not 1 <= int(digits) <= _MAX_BATCH:
                raise ProtocolError(f"expected a number for batch_size from i-PI, got '{in_one_line(digits, 40)}'")
            return int(value)
    return 1


def _attached(name: str) -> shared_memory.SharedMemory:
    """Attach to memory that i-PI owns, without the wish of Python to remove it at the end of this process."""
    if sys.version_info >= (3, 13):
        return shared_memory.SharedMemory(name=name, track=False)
    with mock.patch.object(resource_tracker, "register"):
        return shared_memory.SharedMemory(name=name)
