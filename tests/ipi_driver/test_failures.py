"""What goes wrong around a run, with real processes: each ends in time, with a status and a last line that say why."""

import re
import signal
import socket
import time

import numpy as np
import pytest
from ipi_cases import N_OSCILLATORS, oscillators, write_structure
from ipi_models import Oscillators, exported
from ipi_processes import Bench, assert_same_run, ffdirect, ffsocket, write_input

from metatomic_ipi.cli import pes_file

# fails at the 5th call of the model
FAIL_AFTER = 4
STEPS = 10


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """Give models that fail after some calls."""
    folder = tmp_path_factory.mktemp("failing")
    for failure in ("raise", "nan"):
        exported(Oscillators(N_OSCILLATORS, FAIL_AFTER, failure), folder / f"{failure}.pt")
    return folder


def ready(bench, server):
    bench.until(lambda: "Created unix socket" in server.text())


@pytest.fixture(scope="module")
def undisturbed(models, tmp_path_factory):
    """Give the trajectory of a run in which nothing goes wrong, by number of beads."""
    found = {}
    for beads in (1, 4):
        directory = tmp_path_factory.mktemp("undisturbed")
        write_structure(directory, oscillators())
        write_input(directory, ffsocket(), steps=STEPS, beads=beads)
        with Bench(directory) as bench:
            server = bench.ipi()
            bench.client(models / "oscillators.pt")
            assert server.wait() == 0
            found[beads] = bench.record()
    return found


def assert_same(bench, undisturbed):
    assert_same_run(bench.record(), undisturbed)


def test_client_waits_for_server(bench, models):
    write_input(bench.directory, ffsocket())
    client = bench.client(models / "oscillators.pt")
    bench.until(lambda: "waiting up to 60 s for i-PI" in client.text())
    server = bench.ipi()
    assert server.wait() == 0
    assert client.wait(10) == 0
    assert client.last_line() == "metatomic-ipi: i-PI has finished"


def test_client_gives_up_without_server(bench, models):
    client = bench.client(models / "oscillators.pt", "--wait", "0.5")
    assert client.wait(15) == 1
    assert "expected i-PI at unix socket" in client.last_line()
    assert "within 0.5 s, got 'No such file or directory'; start i-PI" in client.last_line()


def test_client_gives_up_without_server_tcp(bench, models):
    client = bench.client(models / "oscillators.pt", "--wait", "0.5", address=["--host", "localhost", "--port", "1"])
    assert client.wait(15) == 1
    assert "expected i-PI at localhost port 1 within 0.5 s, got 'Connection refused'" in client.last_line()


def test_client_names_unknown_host_at_once(bench, models):
    client = bench.client(models / "oscillators.pt", address=["--host", "no.such.host.invalid"])
    assert client.wait(20) == 1
    assert "expected the name of a host for `--host`" in client.last_line()


def test_client_names_stale_socket(bench, models):
    write_input(bench.directory, ffsocket(), steps=100000)
    server = bench.ipi()
    ready(bench, server)
    server.kill()
    server.wait()
    client = bench.client(models / "oscillators.pt", "--wait", "0.5")
    assert client.wait(15) == 1
    assert "no i-PI listens on this file, which a run that was killed has left: remove it" in client.last_line()


def test_client_ends_when_server_is_killed(bench, models):
    write_input(bench.directory, ffsocket(), steps=100000)
    server = bench.ipi()
    client = bench.client(models / "oscillators.pt")
    bench.until(lambda: bench.steps_done() > 3)
    server.kill()
    assert client.wait(5) == 1
    # an end, a reset or a broken pipe, by what was under way when it was killed: a read or a write
    assert re.search(r"expected (a message of i-PI|i-PI to take a message), got ", client.last_line())
    assert "waiting for i-PI" in client.text()


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("mode", ["unix", "shm"])
def test_second_client_takes_over_when_model_raises(mode, batch, bench, models, failing, undisturbed):
    write_input(bench.directory, ffsocket(batch, mode), steps=STEPS, beads=4)
    options = ["--shm"] if mode == "shm" else []
    server = bench.ipi()
    client = bench.client(failing / "raise.pt", *options)
    assert client.wait() == 1
    assert client.last_line().endswith("error: expected a calm sea, got a storm")
    assert server.running()
    second = bench.client(models / "oscillators.pt", *options)
    assert server.wait() == 0
    assert second.wait(10) == 0
    assert_same(bench, undisturbed[4])


@pytest.mark.parametrize("threaded", ["true", "false"])
@pytest.mark.parametrize("failure", ["raise", "nan"])
def test_failing_model_stops_ipi_in_direct_mode(failure, threaded, bench, failing):
    parameters = {"model": failing / f"{failure}.pt", "template": "template.xyz"}
    write_input(bench.directory, ffdirect(pes_file(), parameters, threaded=threaded), steps=STEPS)
    server = bench.ipi()
    assert server.wait(30) == 1
    expected = {"raise": "expected a calm sea, got a storm", "nan": "expected finite forces from the model"}[failure]
    assert expected in server.last_line()
    assert (bench.directory / "RESTART").exists()


def test_failing_model_in_driver_of_ipi_leaves_ipi_able_to_go_on(bench, models, failing, undisturbed):
    write_input(bench.directory, ffsocket(), steps=STEPS)
    server = bench.ipi()
    ready(bench, server)
    options = f"model={failing / 'raise.pt'},template=template.xyz"
    driver = bench.stock_driver("-m", "custom", "-P", pes_file(), "-u", "-a", "test", "-S", bench.prefix, "-o", options)
    assert driver.wait() == 1
    assert "expected a calm sea, got a storm" in driver.last_line()
    bench.client(models / "oscillators.pt")
    assert server.wait() == 0
    assert_same(bench, undisturbed[1])


def test_nan_stops_client_and_not_ipi(bench, models, failing, undisturbed):
    write_input(bench.directory, ffsocket(), steps=STEPS)
    server = bench.ipi()
    client = bench.client(failing / "nan.pt")
    assert client.wait() == 1
    assert (
        "expected finite forces from the model, got nan or infinity on atom 0; `on_nan` is 'stop'" in client.last_line()
    )
    bench.client(models / "oscillators.pt")
    assert server.wait() == 0
    assert_same(bench, undisturbed[1])


def evaluating(client):
    """Tell whether a client is inside its model: i-PI itself does not survive the loss of one with unread messages."""
    before = client.seconds_of_cpu()
    time.sleep(0.05)
    return client.seconds_of_cpu() - before >= 0.04


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_second_client_takes_over_after_signal(number, bench, models, tmp_path_factory, undisturbed):
    slow = exported(Oscillators(N_OSCILLATORS, pause=0.3), tmp_path_factory.mktemp("slow") / "slow.pt")
    write_input(bench.directory, ffsocket(), steps=STEPS, beads=4)
    server = bench.ipi()
    client = bench.client(slow)
    bench.until(lambda: bench.steps_done() > 0)
    bench.until(lambda: evaluating(client))
    client.kill(number)
    status = client.wait(10)
    if number == signal.SIGKILL:
        assert status == -number
    else:
        assert status == 128 + number
        assert client.last_line().endswith(f"stopped by {number.name}; i-PI goes on when another client connects")
    bench.client(models / "oscillators.pt")
    assert server.wait() == 0
    assert_same(bench, undisturbed[4])


def test_idle_client_ends_on_sigterm_and_ipi_goes_on(bench, models, undisturbed):
    write_input(bench.directory, ffsocket(), steps=STEPS)
    server = bench.ipi()
    ready(bench, server)
    server.kill(signal.SIGSTOP)
    client = bench.client(models / "oscillators.pt")
    bench.until(lambda: "connected to i-PI" in client.text())
    client.kill(signal.SIGTERM)
    assert client.wait(10) == 143
    server.kill(signal.SIGCONT)
    bench.client(models / "oscillators.pt")
    assert server.wait() == 0
    assert_same(bench, undisturbed[1])


class FakeServer:
    """A server that sends what a test wants."""

    def __init__(self, path):
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(path)
        self._listening.listen(1)
        self._listening.settimeout(30)
        self.socket = None

    def accept(self):
        self.socket, _ = self._listening.accept()

    def close(self):
        for sock in (self.socket, self._listening):
            if sock is not None:
                sock.close()


@pytest.fixture
def fake(bench):
    server = FakeServer(bench.prefix + "test")
    yield server
    server.close()


FIRST = b"INIT        " + bytes(4)
INIT = FIRST + bytes(4)
POSDATA = b"POSDATA     "


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"GET / HTTP/1.1\r\n", "expected a message of i-PI, got b'GET / HTTP/1'; is another program listening there"),
        (b"REFORCE     ", "expected one of STATUS, INIT, POSDATA, GETFORCE, EXIT from i-PI, got 'REFORCE'"),
        (b"POSDA", "got the end of the connection after 5 of 12 bytes"),
        (POSDATA, "expected INIT before POSDATA from i-PI, got none"),
        (b"GETFORCE    ", "expected POSDATA before GETFORCE from i-PI, got none"),
        (INIT + POSDATA + bytes(100), "got the end of the connection after 100 of 144 bytes"),
        (INIT + POSDATA + bytes(144) + np.int32(-7).tobytes(), "expected the number of atoms between 0 and"),
        (INIT + POSDATA + bytes(144) + np.int32(5).tobytes() + bytes(120), "expected 8 atoms as in the template, got"),
        (FIRST + np.int32(1 << 30).tobytes(), "expected the length of the parameters"),
        (FIRST + np.int32(13).tobytes() + b"batch_size:-2", "expected a number for batch"),
    ],
    ids=["http", "unknown", "header", "early", "force", "cell", "negative", "atoms", "long", "batch"],
)  # fmt: skip
def test_garbage_and_half_messages(sent, expected, fake, bench, models):
    client = bench.client(models / "oscillators.pt")
    fake.accept()
    fake.socket.sendall(sent)
    fake.socket.shutdown(socket.SHUT_WR)
    assert client.wait(15) == 1
    assert expected in client.last_line()


def test_silent_server(fake, bench, models):
    client = bench.client(models / "oscillators.pt", "--timeout", "1")
    fake.accept()
    time.sleep(0.5)
    before = client.seconds_of_cpu()
    time.sleep(0.3)
    assert client.seconds_of_cpu() - before < 0.1
    assert client.wait(15) == 1
    assert "expected a message of i-PI within 1 s, got none; is it still running" in client.last_line()


def test_server_that_is_busy_with_another_client(fake, bench, models):
    client = bench.client(models / "oscillators.pt", "--wait", "0.1")
    fake.accept()
    bench.until(lambda: "nothing from i-PI for 1 s; it takes no new client as long as" in client.text())
    fake.socket.sendall(b"STATUS      ")
    assert fake.socket.recv(12) == b"NEEDINIT    "
    fake.socket.sendall(b"EXIT        ")
    assert client.wait(15) == 0


def test_server_that_ends_while_the_model_computes(fake, bench, models):
    client = bench.client(models / "oscillators.pt")
    fake.accept()
    positions = np.float64(oscillators().positions * 2).tobytes()
    # in pieces, so that EXIT is neither with the positions nor with GETFORCE
    fake.socket.sendall(INIT + POSDATA + bytes(144) + np.int32(N_OSCILLATORS).tobytes() + positions)
    fake.socket.sendall(b"GETFORCE    ")
    fake.socket.sendall(b"EXIT        ")
    fake.socket.shutdown(socket.SHUT_RDWR)
    fake.socket.close()
    assert client.wait(15) == 0, client.text()
    assert client.last_line() == "metatomic-ipi: i-PI has finished"
    assert "1 structures in 1 requests" in client.text()


def test_server_that_falls_silent(fake, bench, models):
    client = bench.client(models / "oscillators.pt", "--timeout", "0.5")
    fake.accept()
    fake.socket.sendall(b"STATUS      ")
    assert fake.socket.recv(12) == b"NEEDINIT    "
    assert client.wait(15) == 1
    assert "expected a message of i-PI within 0.5 s" in client.last_line()
