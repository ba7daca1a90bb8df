"""`Connection` on sockets that do what real ones rarely do."""

import errno
import socket

import pytest

from metatomic_ipi.protocol import Connection, ProtocolError, ServerGoneError, header


@pytest.fixture
def pair():
    """Give a connection, and the other end of it."""
    near, far = socket.socketpair()
    with near, far:
        yield Connection(near, message_limit=0.2), far


class Broken:
    """A socket of a host that has vanished: the system gives up, in its own time."""

    def settimeout(self, _):
        pass

    def recv(self, _):
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    recv_into = recv


@pytest.mark.parametrize("method", ["wait", "receive"])
def test_host_that_has_vanished(method):
    connection = Connection(Broken())
    with pytest.raises(ServerGoneError, match=r"got a broken connection: .*Connection timed out"):
        connection.wait(None) if method == "wait" else connection.receive(4)


def test_messages_in_arbitrary_pieces(pair):
    connection, far = pair
    numbers = bytes(range(200)) * 4
    sent = header("POSDATA") + numbers + header("GETFORCE")
    for start in range(0, len(sent), 7):
        far.sendall(sent[start : start + 7])
        connection.read_ahead()
    connection.wait(1.0)
    assert connection.receive_header() == "POSDATA"
    assert connection.receive_array((20, 5)).tobytes() == numbers
    assert connection.receive_header() == "GETFORCE"


def test_message_larger_than_what_the_system_gives_at_once(pair):
    connection, far = pair
    far.setblocking(False)
    sent = bytes(range(256)) * 600
    done = far.send(sent)
    connection.wait(1.0)
    far.send(sent[done:])
    assert bytes(connection.receive(len(sent))) == sent


def test_rest_of_a_message_has_a_limit_also_if_it_trickles(pair):
    connection, far = pair
    far.sendall(b"POSDA")
    connection.wait(1.0)
    with pytest.raises(TimeoutError, match=r"expected the rest of a message of i-PI within 0.2 s, got 5 of 12 bytes"):
        connection.receive_header()


def test_forces_that_are_asked_for_later_are_waited_for_once(pair):
    connection, far = pair
    connection.read_ahead()
    assert connection._getforce_delay == 0.0
    # nothing to read is no error from then on
    connection.read_ahead()
    far.sendall(header("GETFORCE"))
    connection.read_ahead()
    assert connection.receive_header() == "GETFORCE"


def test_exit_is_seen_after_what_came_before(pair):
    connection, far = pair
    assert not connection.has_exit()
    far.sendall(header("STATUS") + header("EXIT"))
    assert not connection.has_exit()
    assert connection.receive_header() == "STATUS"
    assert connection.has_exit()
    far.close()
    assert connection.receive_header() == "EXIT"


@pytest.mark.parametrize("data", [b"posdata     ", b"POS DATA    ", b"            ", bytes(12), b"\xff" * 12])
def test_garbage_is_no_header(data, pair):
    connection, far = pair
    far.sendall(data)
    with pytest.raises(ProtocolError, match="is another program listening there"):
        connection.receive_header()
