"""Targets: what i-PI sends over a socket, its inputs and restart files, and the tables that it writes."""

import socket
import struct
from pathlib import Path
from typing import Any, List, Sequence, Tuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from metatomic_ipi.client import Client
from metatomic_ipi.evaluation import Result
from metatomic_ipi.output import columns, frequencies, last_row
from metatomic_ipi.protocol import Connection
from metatomic_ipi.restart import make_permanent, write_continuation

from . import seeds
from .harness import ACCEPTED, REFUSED, FindingError, Target
from .mutations import mutated_bytes, mutated_text, mutated_xml, one_of

# Stands for a byte that is no text.
_BROKEN = "\ue000"
_ANSWERS = (b"NEEDINIT    ", b"READY       ", b"HAVEDATA    ", b"FORCEREADY  ")


def _message(name: str) -> bytes:
    return name.ljust(12).encode()


def _as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass").replace(_BROKEN.encode(), b"\xff")


def _init(text: str) -> bytes:
    return _message("INIT") + struct.pack("<ii", 0, len(text.encode())) + text.encode()


def _positions(n_atoms: int, told: int) -> bytes:
    values = np.arange(18 + 3 * n_atoms, dtype=np.float64).tobytes()
    return _message("POSDATA") + values[: 18 * 8] + struct.pack("<i", told) + values[18 * 8 :]


_WHOLE = [
    _message("STATUS")
    + _init("nat:2")
    + _message("STATUS")
    + _positions(2, 2)
    + _message("GETFORCE")
    + _message("EXIT"),
    _init("batch_size:1") + 2 * (_positions(2, 2) + _message("GETFORCE")) + _message("EXIT"),
    _init("batch_size:3") + _message("POSDATA") + struct.pack("<i", 1) + bytes(8 * (54 + 9)) + _message("GETFORCE"),
]
_TOLD = one_of([0, 1, 2, 3, -1, 1000, 100_000_000, 100_000_001, 2**31 - 1, -(2**31)])
_BATCHES = one_of(["1", "0", "-1", "1048576", "1048577", "x", "²", "1" * 5000, "", "2,batch_size:3"])


def _conversations() -> SearchStrategy[bytes]:
    parts = st.one_of(
        one_of(["STATUS", "INIT", "POSDATA", "GETFORCE", "EXIT", "posdata", "NEWS", "", "STATUSSTATUS"]).map(_message),
        one_of(["", "nat:2", "batch_size:1"]).map(_init),
        _BATCHES.map(lambda text: _init(f"batch_size:{text}")),
        st.builds(_positions, one_of([0, 1, 2]), _TOLD),
        _TOLD.map(lambda told: _message("INIT") + struct.pack("<ii", 0, told)),
        st.binary(max_size=30),
    )
    made = st.lists(parts, max_size=8).map(b"".join)
    return st.one_of(made, made, mutated_bytes(_WHOLE, [_message("POSDATA"), _message("GETFORCE"), _message("EXIT")]))


def _results(cells: Sequence[np.ndarray], positions: Sequence[np.ndarray]) -> List[Result]:
    return [Result(1.0, np.zeros_like(each), np.zeros((3, 3)), "{}") for each in positions]


def _serve(sent: bytes, folder: Path, use_shm: bool = False) -> None:
    """Let a client read what a server sends, all at once, before it goes away."""
    near, far = socket.socketpair()
    with near, far:
        far.setblocking(False)
        # what a socket holds; the rest would be sent later
        far.send(sent[:100_000])
        far.shutdown(socket.SHUT_WR)
        try:
            Client(Connection(near, message_limit=0.2), _results, use_shm=use_shm, idle_limit=0.2).run()
        finally:
            _check_answers(_everything(far))


def _everything(sock: socket.socket) -> bytes:
    found = b""
    while chunk := sock.recv(1 << 16):
        found += chunk
    return found


def _check_answers(sent: bytes) -> None:
    """Check that the client said only what is in the protocol."""
    while sent:
        name, sent = sent[:12], sent[12:]
        if name not in _ANSWERS:
            raise FindingError(f"expected an answer of the protocol, got {name!r}")
        if name == _ANSWERS[-1]:
            return  # sizes depend on the batch


def _serve_shared(sent: bytes, folder: Path) -> None:
    _serve(sent, folder, use_shm=True)


def _shared_conversations() -> SearchStrategy[bytes]:
    names = one_of(["", "x", "../x", "/dev/zero", "a\0b", "a" * 300, "psm_nothing", "\ud7ff", "/"])

    def named(told: int, texts: Sequence[str]) -> bytes:
        parts = [struct.pack("<i", len(text.encode())) + text.encode() for text in texts]
        return _init("") + _message("POSDATA") + struct.pack("<i", told) + b"".join(parts)

    made = st.builds(named, _TOLD, st.lists(names, max_size=6))
    return st.one_of(made, mutated_bytes([named(2, ["a", "b", "c"])]), _conversations())


def _go_on(given: Tuple[str, str, Any], folder: Path) -> None:
    restart, first, steps = given
    place = folder / "out"
    for name, text in (("RESTART", restart), ("input.xml", first)):
        (folder / name).write_bytes(_as_bytes(text))
    (folder / "template.xyz").write_text("")
    try:
        settings = write_continuation(folder, steps)
    except ValueError:
        if (folder / "continue.xml").exists():
            (place / "continue.xml").touch()  # left of what was refused
        raise
    if not isinstance(settings["steps"], int) or settings["mode"] not in ("unix", "inet", "shm", "ffdirect"):
        raise FindingError(f"expected settings, got {settings}")
    if not (folder / "continue.xml").is_file():
        raise FindingError("expected a continuation, got none")


def _continuations() -> SearchStrategy[Tuple[str, str, Any]]:
    firsts = list(seeds.ipi_inputs().values())
    # as i-PI writes it: the input, with the step and without comments
    restarts = [text.replace("<total_steps>", "<step> 3 </step>\n  <total_steps>") for text in firsts]
    bomb = (
        '<!DOCTYPE a [<!ENTITY a "'
        + 50 * "b"
        + '">'
        + "".join(f'<!ENTITY {chr(97 + i)} "{10 * f"&{chr(96 + i)};"}">' for i in range(1, 12))
        + "]><simulation>&l;</simulation>"
    )
    tokens = [
        "<step> x </step>",
        "<total_steps> 1e3 </total_steps>",
        "</simulation>",
        "<instance>",
        "[ 0_, x ]",
        bomb,
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        "<port> x </port>",
        "mode='x'",
        "&x;",
        _BROKEN,
    ]
    values = ["[ 0_, 300 ]", "[ 0_, x ]", "[]", "inet", "shm"]
    texts = st.one_of(mutated_text(restarts, tokens, 2), mutated_xml(restarts, values), mutated_xml(restarts, values))
    given = st.one_of(one_of(firsts), mutated_text(firsts, tokens, 2), mutated_xml(firsts, values))
    return st.tuples(texts, given, one_of([None, 5, 10**9]))


def _make_permanent(text: str, folder: Path) -> None:
    path = folder / "RESTART"
    path.write_bytes(_as_bytes(text))
    make_permanent(path)
    if not path.is_file() or (folder / "RESTART.new").exists():
        raise FindingError("expected one file, whole")


_TABLE = """\
# column   1     --> step : The current simulation time step.
# column   2     --> time{picosecond} : The elapsed simulation time.
# column   3     --> potential{electronvolt} : The potential energy.
# cols.    4-6   --> pressure_cv : more than one
     0.00000000e+00   0.00000000e+00  -1.50000000e+00
     1.00000000e+00   5.00000000e-04  -1.49000000e+00
     2.00000000e+00   1.00000000e-03  -1.48000000e+00
"""


def _read_table(text: str, folder: Path) -> None:
    path = folder / "simulation.out"
    path.write_bytes(_as_bytes(text))
    found = columns(path)
    if len({len(values) for values in found.values()}) > 1:
        raise FindingError("expected columns of one length")
    if not all(isinstance(value, float) for value in last_row(path).values()):
        raise FindingError("expected numbers")


def _read_frequencies(text: str, folder: Path) -> None:
    (folder / "simulation.phonons.eigval").write_bytes(_as_bytes(text))
    frequencies(folder, "simulation")


IPI_TARGETS: List[Target] = [
    Target("ipi_messages", _conversations(), _serve, 400, (ConnectionError, TimeoutError)),
    Target(
        "ipi_shared_memory",
        _shared_conversations(),
        _serve_shared,
        200,
        (ConnectionError, TimeoutError),
        outcomes=(REFUSED,),
    ),
    Target("ipi_restart", st.deferred(_continuations), _go_on, 200),
    Target(
        "ipi_sockets",
        st.deferred(lambda: _continuations().map(lambda given: given[0])),
        _make_permanent,
        100,
        outcomes=(ACCEPTED,),
    ),
    Target(
        "ipi_table",
        mutated_text([_TABLE], ["#", _BROKEN, "-->", "step", "{", "}"]),
        _read_table,
        300,
        outcomes=(ACCEPTED,),
    ),
    Target("ipi_frequencies", mutated_text(["1.0e-5\n2.0e-5\n-1.0e-6\n"], ["#"]), _read_frequencies, 100),
]
