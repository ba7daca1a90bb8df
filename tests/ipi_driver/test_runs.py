"""Whole runs with real processes: committees, dipoles, several clients, restarts."""

import re

import numpy as np
import pytest
from ipi_cases import N_OSCILLATORS, argon, write_structure
from ipi_models import Oscillators, exported
from ipi_processes import NPT, Bench, assert_same_run, ffsocket, free_port, write_input
from ipi_trajectories import SETTINGS

from metatomic_ipi import Evaluator, session

STEPS = 10
COMMITTEE = "<ffcommittee name='committee'>{}<parse_json> True </parse_json></ffcommittee>"


def run(bench, model, *options, clients=1, input_file="input.xml"):
    server = bench.ipi(input_file)
    started = [bench.client(model, *options) for _ in range(clients)]
    assert server.wait() == 0, server.text()
    assert "reports success" in server.text(), server.text()
    for client in started:
        assert client.wait(10) == 0, client.text()
    return started


@pytest.mark.parametrize("batch", [1, 4])
def test_committee_has_forces_and_virials_of_each_member(batch, bench, models):
    # i-PI 3.3.1 does not pass its option -S on to the members of a committee: not a unix socket here
    port = free_port()
    write_input(
        bench.directory, COMMITTEE.format(ffsocket(batch, "inet", port)), beads=4, motion=NPT,
        ensemble="<pressure units='megapascal'> 10 </pressure>",
        trajectories="<trajectory filename='pots' extra_type='committee_pot'> extras </trajectory>"
        "<trajectory filename='frcs' extra_type='committee_force'> extras </trajectory>",
    )  # fmt: skip
    path = bench.directory / "input.xml"
    # writing a checkpoint with a committee fails in i-PI 3.3.1
    text = re.sub(r"<checkpoint[^>]*/>", "", path.read_text()).replace("forcefield='ff'", "forcefield='committee'")
    path.write_text(text.replace("steps> 10", "steps> 5"))
    server = bench.ipi()
    client = bench.client(
        models / "oscillators.pt", "--committee", "full", address=["--host", "localhost", "--port", port]
    )
    server.wait()
    assert client.wait(10) == 0, client.text()
    table, _ = bench.trajectory()
    assert len(table) == 6
    assert "doesn't have" not in server.text()
    pots = [np.loadtxt(bench.directory / f"sim.pots_{bead}", ndmin=2) for bead in range(4)]
    assert all(members.shape == (6, 3) for members in pots)
    for members in pots:
        np.testing.assert_allclose(members[:, [0, 2]], members[:, [1, 1]] * [0.9, 1.1], rtol=1e-8)
    # the mean member is the model itself, so that the potential is the mean over beads of the second one
    np.testing.assert_allclose(table[:, 2], np.mean([members[:, 1] for members in pots], axis=0), rtol=1e-7)


def test_two_clients_share_the_beads(argon_bench, models, tmp_path_factory):
    settings = {"beads": 8, "temperature": 60, "steps": 20}
    write_input(argon_bench.directory, ffsocket(), **settings)
    clients = run(argon_bench, models / "argon.pt", clients=2)
    counts = [int(re.search(r"(\d+) structures in", client.text()).group(1)) for client in clients]
    assert sum(counts) == 8 * 21
    assert min(counts) > 8
    alone = tmp_path_factory.mktemp("alone")
    write_structure(alone, argon())
    write_input(alone, ffsocket(8), **settings)
    with Bench(alone) as other:
        run(other, models / "argon.pt")
        assert_same_run(argon_bench.record(), other.record())


@pytest.mark.parametrize("mode", ["unix", "shm"])
def test_ipi_that_asks_for_the_status_before_it_wants_forces(mode, argon_bench, models, reference):
    separately = "<consolidate_messages> False </consolidate_messages>"
    write_input(argon_bench.directory, ffsocket(1, mode, extra=separately), **SETTINGS["nve"])
    run(argon_bench, models / "argon.pt", *(["--shm"] if mode == "shm" else []))
    assert_same_run(argon_bench.record(), reference["nve"])


def test_restart_continues_the_same_trajectory(argon_bench, models, tmp_path_factory):
    settings = {"beads": 2, "temperature": 60, "motion": NPT, "columns": "volume",
                "ensemble": "<pressure units='megapascal'> 50 </pressure>"}  # fmt: skip
    write_input(argon_bench.directory, ffsocket(2), steps=10, **settings)
    run(argon_bench, models / "argon.pt")
    restart = argon_bench.directory / "RESTART"
    text = restart.read_text()
    restart.write_text(re.sub(r"<total_steps>\s*\d+\s*</total_steps>", "<total_steps> 20 </total_steps>", text))
    run(argon_bench, models / "argon.pt", input_file="RESTART")
    whole = tmp_path_factory.mktemp("whole")
    write_structure(whole, argon())
    write_input(whole, ffsocket(2), steps=20, **settings)
    with Bench(whole) as other:
        run(other, models / "argon.pt")
        expected, _ = other.trajectory()
    table, _ = argon_bench.trajectory()
    rows = {int(row[0]): row for row in table}
    assert set(rows) == set(range(21))
    np.testing.assert_allclose([rows[step] for step in range(21)], expected, rtol=2e-8, atol=1e-9)


def test_client_tells_where_the_time_went(bench, models):
    write_input(bench.directory, ffsocket(4), beads=4)
    (client,) = run(bench, models / "oscillators.pt")
    text = client.text()
    # i-PI may send the first beads before it has queued the others
    assert re.search(r"(41|44) structures in 1[1-9] requests", text), text
    for name in ("model", "neighbor lists", "client", "waiting for i-PI"):
        assert re.search(rf"{name} +\d+\.\d\d s +\d+\.\d % +\d+\.\d{{3}} ms per request", text), text


def test_client_keeps_freed_memory(models, monkeypatch, tmp_path):
    called = []
    monkeypatch.setattr(session, "keep_freed_memory", lambda: called.append(True))
    with pytest.raises(ConnectionError, match="expected i-PI at unix socket"):
        session.run_client(Evaluator(models / "argon.pt", argon()), str(tmp_path / "none"), lambda _: None, wait=0.0)
    assert called == [True]


@pytest.mark.parametrize("action", ["warn", "log"])
def test_guards_of_a_run(action, bench, models):
    write_input(bench.directory, ffsocket())
    (client,) = run(bench, models / "oscillators.pt", "--max-force", "1e-6", "--on-max-force", action)
    assert f"guards: on_max_force {STEPS + 1}" in client.text()
    warned = client.text().count("expected forces up to 1e-06 eV/angstrom")
    frames = bench.directory / "metatomic-ipi-guards.xyz"
    assert (warned, frames.exists()) == ((2, False) if action == "warn" else (0, True))


def test_force_guard_stops_and_ipi_goes_on(bench, models):
    write_input(bench.directory, ffsocket())
    server = bench.ipi()
    client = bench.client(models / "oscillators.pt", "--max-force", "1e-6")
    assert client.wait() == 1
    assert "on atom" in client.last_line()
    assert "`on_max_force` is 'stop'" in client.last_line()
    bench.client(models / "oscillators.pt")
    assert server.wait() == 0


def test_failing_then_working_model_with_two_clients(bench, models, tmp_path):
    """One of two clients fails; the other one takes its beads."""
    path = exported(Oscillators(N_OSCILLATORS, 6, "raise"), tmp_path / "raise.pt")
    write_input(bench.directory, ffsocket(), beads=4, steps=20)
    server = bench.ipi()
    bench.client(models / "oscillators.pt")
    failing = bench.client(path)
    assert server.wait() == 0
    assert failing.wait(10) == 1
