"""How a connection to i-PI is opened: with patience, and with errors that say what to do."""

import errno
import socket
import time
from collections.abc import Callable
from pathlib import Path

from .protocol import Connection

DEFAULT_PORT = 31415
_FIRST_DELAY, _LONGEST_DELAY = 0.05, 1.0
# Why connecting may work a moment later: no socket yet, nobody listens, or too many clients at once.
_NOT_YET = (errno.ENOENT, errno.ECONNREFUSED, errno.EAGAIN, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ECONNRESET)

Address = str | tuple[str, int]


def described(address: Address) -> str:
    """Name an address in messages."""
    if isinstance(address, str):
        return f"unix socket '{address}'"
    return f"{address[0]} port {address[1]}"


def connect(address: Address, limit: float, waiting: Callable[[], None] | None = None) -> Connection:
    """Connect to i-PI, trying again until it is there.

    Parameters
    ----------
    address
        Path of a unix socket, or host and port.
    limit
        Seconds after which to give up.
    waiting
        Called once when the first attempt has failed.

    Raises
    ------
    ConnectionError
        If there is no i-PI after this time, or the address can never work; the message says why.
    """
    end = time.monotonic() + limit
    delay = _FIRST_DELAY
    while True:
        try:
            return Connection(_connected_socket(address, max(0.1, end - time.monotonic())))
        except socket.gaierror as error:
            raise ConnectionError(f"expected the name of a host for `--host`, got '{address[0]}': {error}") from error
        except OSError as error:
            final = error.errno not in _NOT_YET and not isinstance(error, TimeoutError)
            if final or time.monotonic() + delay > end:
                raise ConnectionError(_no_server(address, limit, error, final)) from error
        if waiting is not None:
            waiting()
            waiting = None
        time.sleep(delay)
        delay = min(2 * delay, _LONGEST_DELAY)


def _connected_socket(address: Address, timeout: float) -> socket.socket:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET:
            # small messages go out at once, and a host that has vanished is noticed
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.settimeout(timeout)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _no_server(address: Address, limit: float, error: OSError, final: bool) -> str:
    when = "" if final else f" within {limit:g} s"
    text = f"expected i-PI at {described(address)}{when}, got '{error.strerror or error}'"
    if isinstance(address, str) and error.errno == errno.ECONNREFUSED and Path(address).exists():
        return f"{text}; no i-PI listens on this file, which a run that was killed has left: remove it, `rm {address}`"
    if isinstance(address, str) and error.errno == errno.ENOENT:
        return f"{text}; start i-PI with an <ffsocket mode='unix'> of this <address>, or wait longer with --wait"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{text}; the socket belongs to another user: choose another <address> in the input of i-PI and here"
    return f"{text}; start i-PI first, or wait longer with --wait"
