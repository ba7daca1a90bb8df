"""The wire format of i-PI's socket protocol: headers, numbers and arrays, and how a connection is closed.

Headers are 12 bytes, upper case, padded with blanks; integers are int32, numbers float64, in the byte order of the
machine.  What the messages mean is in `client`.
"""

import contextlib
import math
import select
import socket
import time

import numpy as np

HEADER_LENGTH = 12
EXIT = "EXIT"
# Seconds in which the rest of a message must arrive once it has begun.
MESSAGE_LIMIT = 60.0
# Seconds to wait for the GETFORCE that i-PI sends together with the positions.
_GETFORCE_DELAY = 1e-3
# Seconds that a close waits for i-PI to notice.
_LINGER = 1.0
_CHUNK = 1 << 16
# Bytes of a message for which there is room at once: positions of a million atoms.
_TRUSTED = 1 << 25


class ServerGoneError(ConnectionError):
    """The connection ended without the message EXIT."""


class ProtocolError(ConnectionError):
    """What arrived is not i-PI's protocol."""


def header(name: str) -> bytes:
    """Give the 12 bytes of a header."""
    return name.ljust(HEADER_LENGTH).encode()


def int32(value: int) -> bytes:
    """Give the bytes of an integer."""
    return np.int32(value).tobytes()


def _broken(error: OSError) -> ServerGoneError:
    return ServerGoneError(f"expected a message of i-PI, got a broken connection: {error}")


def _too_late(error: OSError) -> bool:
    """Tell whether nothing has come in the time that was given: the limits of the system itself come with a number."""
    return isinstance(error, BlockingIOError) or (isinstance(error, TimeoutError) and error.errno is None)


class Connection:
    """A connection to i-PI.

    Parameters
    ----------
    sock
        The connected socket.
    message_limit
        Seconds in which the rest of a message must arrive once it has begun.
    """

    def __init__(self, sock: socket.socket, message_limit: float = MESSAGE_LIMIT):
        self._socket = sock
        self._message_limit = message_limit
        # what has arrived and was not asked for yet
        self._ahead = memoryview(b"")
        self._getforce_delay = _GETFORCE_DELAY

    def wait(self, limit: float | None) -> None:
        """Wait for the next message.

        Raises
        ------
        ServerGoneError
            If i-PI has closed the connection.
        TimeoutError
            If none arrives within ``limit`` seconds; None waits for ever.
        """
        if self._ahead:
            return
        self._socket.settimeout(limit)
        try:
            self._ahead = memoryview(self._socket.recv(_CHUNK))
        except OSError as error:
            if not _too_late(error):
                raise _broken(error) from error
            raise TimeoutError(
                f"expected a message of i-PI within {limit:g} s, got none; is it still running"
            ) from None
        if not self._ahead:
            raise ServerGoneError("expected a message of i-PI, got the end of the connection without EXIT")

    def receive_header(self) -> str:
        """Receive a header, and give its name.

        Raises
        ------
        ServerGoneError
            If i-PI has closed the connection.
        ProtocolError
            If the bytes are no header.
        """
        data = bytes(self.receive(HEADER_LENGTH))
        name = data.rstrip(b" ")
        if not (name.isalpha() and name.isupper()):
            raise ProtocolError(f"expected a message of i-PI, got {data!r}; is another program listening there")
        return name.decode()

    def receive(self, n_bytes: int) -> memoryview:
        """Receive a number of bytes.

        Raises
        ------
        ServerGoneError
            If i-PI has closed the connection.
        TimeoutError
            If they do not arrive in time.
        """
        if n_bytes <= len(self._ahead):
            # as a rule: one call of the system takes all that i-PI has sent
            taken, self._ahead = self._ahead[:n_bytes], self._ahead[n_bytes:]
            return taken
        data = bytearray(min(n_bytes, max(_TRUSTED, 2 * len(self._ahead))))
        position = len(self._ahead)
        data[:position] = self._ahead
        self._ahead = memoryview(b"")
        end = time.monotonic() + self._message_limit
        position = self._receive_rest(data, position, n_bytes, end)
        while len(data) < n_bytes:
            # what arrives takes room, not what another program says will
            data.extend(bytes(min(n_bytes, 2 * len(data)) - len(data)))
            position = self._receive_rest(data, position, n_bytes, end)
        return memoryview(data)

    def _receive_rest(self, data: bytearray, position: int, n_bytes: int, end: float) -> int:
        """Fill the room for a message from a position on; give the next position."""
        buffer = memoryview(data)
        while position < len(buffer):
            self._socket.settimeout(max(1e-3, end - time.monotonic()))
            try:
                received = self._socket.recv_into(buffer[position:])
            except OSError as error:
                if not _too_late(error):
                    raise _broken(error) from error
                raise TimeoutError(
                    f"expected the rest of a message of i-PI within {self._message_limit:g} s, got {position} of "
                    f"{n_bytes} bytes"
                ) from None
            if received == 0:
                raise ServerGoneError(
                    f"expected a whole message of i-PI, got the end of the connection after {position} of {n_bytes} "
                    "bytes"
                )
            position += received
        # or else it could not grow
        buffer.release()
        return position

    def read_ahead(self) -> None:
        """Take what has arrived out of the hands of the system, before a long silence.

        i-PI sends GETFORCE along with the positions.  If this process were killed with that unread, the system would
        reset the connection, and i-PI's thread would die of it; with nothing unread it sees an orderly end, and gives
        the positions to another client.
        """
        if self._ahead:
            return
        self._socket.settimeout(self._getforce_delay)
        try:
            self._ahead = memoryview(self._socket.recv(_CHUNK))
        except OSError as error:
            if not _too_late(error):
                raise _broken(error) from error
            # an i-PI that sends it later, when it has asked for the status: waiting again would be of no use
            self._getforce_delay = 0.0

    def has_exit(self) -> bool:
        """Tell whether EXIT is the next message, and has arrived."""
        with contextlib.suppress(OSError):
            self._socket.setblocking(False)  # noqa: FBT003  (it has no name)
            self._ahead = memoryview(bytes(self._ahead) + self._socket.recv(_CHUNK))
        return bytes(self._ahead[:HEADER_LENGTH]) == header(EXIT)

    def receive_array(self, shape: tuple[int, ...]) -> np.ndarray:
        """Receive an array of float64."""
        n_bytes = 8 * math.prod(shape)
        return np.frombuffer(self.receive(n_bytes), dtype=np.float64).reshape(shape)

    def receive_int(self, name: str, largest: int) -> int:
        """Receive an integer from 0 to ``largest``."""
        value = int(np.frombuffer(self.receive(4), dtype=np.int32)[0])
        if not 0 <= value <= largest:
            raise ProtocolError(f"expected {name} between 0 and {largest} from i-PI, got {value}")
        return value

    def receive_text(self, name: str, longest: int = 1 << 20) -> str:
        """Receive a text after its length."""
        return bytes(self.receive(self.receive_int(f"the length of {name}", longest))).decode(errors="replace")

    def send(self, parts: list[bytes]) -> None:
        """Send parts of a message, in one go.

        Raises
        ------
        ServerGoneError
            If i-PI has closed the connection.
        """
        self._socket.settimeout(self._message_limit)
        try:
            self._socket.sendall(b"".join(parts))
        except OSError as error:
            raise ServerGoneError(f"expected i-PI to take a message, got a broken connection: {error}") from error

    def close(self) -> None:
        """Close the connection so that i-PI sees its end rather than a reset; see `close_socket`."""
        close_socket(self._socket)


def close_socket(sock: socket.socket, linger: float = _LINGER) -> None:
    """Close a socket so that i-PI sees the end of the connection, whatever it has sent and may still send.

    A close with unread data, such as the GETFORCE that i-PI sends along with the positions, resets the connection;
    i-PI's thread then dies on a ConnectionResetError, and i-PI hangs for ever.  With an orderly end it gives the
    positions to another client.
    """
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        _drain(sock, linger)
        # from here on, sending to a unix socket fails at once, so that nothing can come between drain and close
        sock.shutdown(socket.SHUT_RD)
        _drain(sock, 0.0)
    with contextlib.suppress(OSError):
        sock.close()


def _drain(sock: socket.socket, limit: float) -> None:
    """Read and drop what arrives until the other end closes."""
    end = time.monotonic() + limit
    sock.setblocking(False)  # noqa: FBT003  (it has no name)
    while True:
        ready, _, _ = select.select([sock], [], [], max(0.0, end - time.monotonic()))
        if not ready or not sock.recv(_CHUNK):
            return
