"""A client as a process: signals, what is printed at start and end, and the exit status."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from metatomic_core.adapters.memory import keep_freed_memory

from .client import Client
from .connecting import Address, connect, described
from .evaluation import Evaluator
from .protocol import Connection

# Seconds in which i-PI must send its first message, if no other limit is given: it takes no new client as long as
# another one computes.
FIRST_LIMIT = 600.0


class Stopped(Exception):  # noqa: N818  (it is no error)
    """The process was asked to stop by a signal."""

    def __init__(self, number: int):
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.status = 128 + number


STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def stop_on_signals(again: bool = False) -> Iterator[None]:
    """Turn SIGTERM, SIGINT and SIGHUP (a terminal that is closed) into `Stopped`, wherever the program is.

    Parameters
    ----------
    again
        Whether a second signal is `Stopped`, too, for a caller that has to clean up; otherwise it ends the process.
    """

    def stop(number: int, _: Any) -> None:
        if not again:
            signal.signal(number, signal.SIG_DFL)
        raise Stopped(number)

    # what is ignored stays so: nohup ignores SIGHUP
    numbers = [number for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def run_client(
    evaluator: Evaluator,
    address: Address,
    say: Callable[[str], None],
    *,
    use_shm: bool = False,
    wait: float = 60.0,
    timeout: float = 0.0,
) -> int:
    """Connect to i-PI, serve it until it ends, and say where the time went.

    Parameters
    ----------
    evaluator
        Evaluates the structures.
    address
        Where i-PI listens.
    say
        Called with each line for the user.
    use_shm
        Shared memory mode.
    wait
        Seconds to wait for i-PI.
    timeout
        Seconds of silence after which to give up; zero for never, and for `FIRST_LIMIT` before the first message.

    Returns
    -------
    int
        Exit status: 0 after EXIT, 128 + number after a signal.

    Raises
    ------
    ConnectionError, TimeoutError
        If i-PI is not there, goes away, or sends nonsense.
    ValueError
        If the model fails, or a guard stops the run.
    """
    start = time.perf_counter()
    say(evaluator.described())
    keep_freed_memory()
    where = described(address)
    with stop_on_signals():
        try:
            connection = connect(
                address, wait, lambda: say(f"waiting up to {wait:g} s for i-PI at {described(address)}")
            )
            say(f"connected to i-PI at {where}")
            first_limit = timeout or max(wait, FIRST_LIMIT)
            client = Client(connection, evaluator, use_shm=use_shm, first_limit=first_limit, idle_limit=timeout or None)
            try:
                _wait_for_first(connection, min(max(wait, 1.0), first_limit), say)
                client.run()
            finally:
                for line in summary(client, evaluator, time.perf_counter() - start):
                    say(line)
        except Stopped as stopped:
            say(f"{stopped}; i-PI goes on when another client connects")
            return stopped.status
    say("i-PI has finished")
    return 0


def _wait_for_first(connection: Connection, limit: float, say: Callable[[str], None]) -> None:
    """Wait for the first message for some time, and tell the user if none has come."""
    try:
        connection.wait(limit)
    except TimeoutError:
        say(f"nothing from i-PI for {limit:g} s; it takes no new client as long as another one computes")


def summary(client: Client, evaluator: Evaluator, total: float) -> Iterator[str]:
    """Give lines that say what was done and where the time went."""
    n = evaluator.n_evaluated
    yield f"{n} structures in {client.n_requests} requests, {total:.1f} s"
    if client.n_requests == 0:
        return
    engine = evaluator.engine.seconds
    seconds = client.seconds
    rows = {
        "model": engine["model"],
        "neighbor lists": engine["neighbors"],
        "client": seconds["evaluation"] - engine["model"] - engine["neighbors"],
        "messages": seconds["transfer"],
        "waiting for i-PI": seconds["waiting"],
    }
    for name, value in rows.items():
        each = 1000 * value / client.n_requests
        yield f"  {name:17}{value:9.2f} s {100 * value / total:5.1f} % {each:9.3f} ms per request"
    yield f"  kernel: {evaluator.engine.kernel}"
    guards = evaluator.guards.summary()
    if guards:
        yield guards
