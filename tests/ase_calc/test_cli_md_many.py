"""``metatomic md`` of several structures: as each by itself, whatever becomes of the others, and after a stop."""

import json
import resource
import signal
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase_models import argon, argon_model
from command_line import fail, invoke, load_models_once, process, succeed

from metatomic_ase.cli._output import Log

STEP, TOTAL = 0, 4
N = 3
ALL = [f"{number}.extxyz" for number in range(N)]
MORE = ["--timestep", "4 fs", "--temperature", 40, "--steps", 40, "--log-every", 1]
ENSEMBLES = {
    "nve": [],
    "langevin": ["--ensemble", "nvt"],
    "nose-hoover ramp": ["--ensemble", "nvt", "--thermostat", "nose-hoover", "--temperature", "40 K:80 K"],
    "npt": ["--ensemble", "npt", "--pressure", "100 bar", "--barostat", "full"],
}


@pytest.fixture(scope="module", autouse=True)
def _load_once():
    with load_models_once():
        yield


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """A folder with a model, and crystals of several sizes without velocities."""
    monkeypatch.chdir(tmp_path)
    argon_model().save("argon.pt")
    for number in range(N):
        atoms = argon(1 + number % 2, 0.02 + 0.01 * number)
        atoms.calc = None
        ase.io.write(f"{number}.extxyz", atoms)
    return tmp_path


def md(*arguments):
    return ["md", "argon.pt", *arguments]


def log(prefix):
    return np.loadtxt(f"{prefix}.log", ndmin=2)


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_many_are_as_each_by_itself(ensemble):
    conditions = [*MORE, *ENSEMBLES[ensemble]]
    result = succeed(*md(*ALL, "-o", "many", *conditions, "--seed", 5))
    assert [line.split()[:2] for line in result.stdout.splitlines()[1:4]] == [[str(k), "40"] for k in range(N)]
    for number in range(N):
        succeed(*md(f"{number}.extxyz", "-o", "alone", *conditions, "--seed", 5 + number, "--force"))
        np.testing.assert_allclose(log(f"many-{number}"), log("alone"), rtol=1e-6, atol=1e-6)
        one, other = (ase.io.read(f"{prefix}.traj") for prefix in (f"many-{number}", "alone"))
        np.testing.assert_allclose(one.positions, other.positions, atol=1e-8)
        np.testing.assert_allclose(one.get_velocities(), other.get_velocities(), atol=1e-8)
        np.testing.assert_allclose(one.get_forces(), other.get_forces(), atol=1e-8)
    header = Path("many-1.log").read_text().partition("\n#    ")[0]
    assert "structure=structure 0 of '1.extxyz'" in header
    assert "seed=6" in header


def test_structures_of_one_file_that_are_the_same_part():
    """Each has random numbers of its own."""
    ase.io.write("all.extxyz", [ase.io.read("0.extxyz")] * 11)
    arguments = md("all.extxyz", "--index", ":", "-o", "many", *MORE, "--ensemble", "nvt", "--json")
    data = json.loads(succeed(*arguments).stdout)
    names = [one["files"]["log"] for one in data["structures"]]
    assert names == [f"many-all-{k:02d}.log" for k in range(11)]
    energies = [log(name[:-4])[-1, TOTAL] for name in names]
    assert len(set(energies)) == 11
    for one, name in zip(data["structures"], names, strict=True):
        assert one["total_energy_eV"]["mean"] == pytest.approx(log(name[:-4])[:, TOTAL].mean(), abs=1e-8)
        assert (one["step"], one["n_atoms"], one["error"]) == (40, 4, None)
    assert data["settings"]["temperature"] == 40


def test_bad_structures_stop_no_others():
    iron = ase.io.read("0.extxyz")
    iron.symbols[0] = "Fe"
    ase.io.write("iron.extxyz", iron)
    close = ase.io.read("0.extxyz")
    close.positions[1] = close.positions[0] + [0.9, 0, 0]
    ase.io.write("close.extxyz", close)
    error = fail(*md("0.extxyz", "iron.extxyz", "close.extxyz", "1.extxyz", "-o", "many", *MORE))
    assert "expected all 4 structures to get to their last step, got 2 that failed" in error
    result = invoke(*md("iron.extxyz", "close.extxyz", "1.extxyz", "-o", "other", *MORE, "--json"))
    assert result.exit_code == 1
    errors = [one["error"] for one in json.loads(result.stdout)["structures"]]
    assert "expected species that the model knows, Ar, got Fe" in errors[0]
    assert "step 1 failed" in errors[1]
    assert "smaller --timestep" in errors[1]
    assert errors[2] is None
    for name in ("0", "1"):
        assert log(f"many-{name}")[-1, STEP] == 40
    assert not any(Path().glob("*iron.*[gtj]"))


def test_longer_run_goes_on():
    conditions = [*MORE, "--ensemble", "nvt", "--restart-every", 10]
    succeed(*md(*ALL, "-o", "whole", *conditions))
    succeed(*md(*ALL, "-o", "parts", *conditions, "--steps", 20))
    # of one nothing is left but the log, as after a kill before its first restart file
    Path("parts-2.restart").unlink()
    result = succeed(*md(*ALL, "-o", "parts", *conditions, "--resume"))
    assert "80 steps in" in result.stdout
    for number in range(N):
        np.testing.assert_allclose(log(f"parts-{number}"), log(f"whole-{number}"), rtol=1e-6, atol=1e-6)
        assert len(ase.io.read(f"parts-{number}.traj", ":")) == len(ase.io.read(f"whole-{number}.traj", ":"))
    # all is done
    again = succeed(*md(*ALL, "-o", "parts", *conditions, "--resume"))
    assert "0 steps in" in again.stdout
    assert again.stdout.splitlines()[:4] == result.stdout.splitlines()[:4]


def test_interrupt_says_how_to_go_on(files):
    """A real process, interrupted as Ctrl-C does, while no structure is done."""
    arguments = md(*ALL, "-o", "run", *MORE, "--steps", 1000000)
    with process(*arguments, cwd=files) as running:
        path, deadline = files / "run-2.log", time.monotonic() + 60
        while not (path.exists() and path.read_text().count("\n") > 5):
            assert running.poll() is None, running.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, stderr = running.communicate(timeout=60)
    assert running.returncode == 130, stderr
    assert stderr.splitlines()[-1] == "metatomic: stopped; go on with the same command and --resume"
    steps = [int(log(f"run-{number}")[-1, STEP]) for number in range(N)]
    arguments[arguments.index(1000000)] = max(steps) + 2
    succeed(*arguments, "--resume")
    for number in range(N):
        np.testing.assert_array_equal(log(f"run-{number}")[:, STEP], np.arange(max(steps) + 3))


def test_what_does_not_go_together_is_refused():
    again = [*md(*ALL), *MORE]
    assert "expected no --plot with several structures" in fail(*again, "--plot", "run.pdf", status=2)
    assert "expected no --trajectory with several structures" in fail(*again, "--trajectory", "a.traj", status=2)
    error = fail(*md(ALL[0], ALL[0]), *MORE)
    assert "files of different names" in error
    assert "'0' for structure 0 of '0.extxyz' and structure 0 of '0.extxyz'" in error
    assert "only for several structures" in fail(*md(ALL[0]), *MORE, "--resume", status=2)
    error = fail(*again, "--restart", "a.restart", status=2)
    assert "expected no STRUCTURES, --temperature, --timestep with --restart" in error
    assert "got both" in fail(*md("--restart", "a.restart", "--resume"), status=2)
    assert "expected --temperature for initial velocities" in fail(*md(*ALL, "--steps", 3), status=2)
    assert not list(Path().glob("*.log"))


def test_files_of_another_run_are_kept():
    short = [*MORE, "--steps", 2]
    succeed(*md(*ALL, "-o", "run", *short))
    before = Path("run-1.log").read_text()
    assert "got 'run-0.traj', which exists" in fail(*md(*ALL, "-o", "run", *short))
    error = fail(*md(*ALL, "-o", "run", *short, "--resume", "--seed", 1))
    assert "expected 'run-0.restart' to be of the run to continue, got one with other conditions" in error
    assert "expected `--steps` of at least 2" in fail(*md(*ALL, "-o", "run", *MORE, "--steps", 1, "--resume"))
    assert Path("run-1.log").read_text() == before
    Path("mine-0.log").write_text("my notes\n")
    assert "another one" in fail(*md(*ALL, "-o", "mine", *short, "--resume"))
    assert Path("mine-0.log").read_text() == "my notes\n"


def test_more_structures_than_files_that_may_be_open(monkeypatch):
    """Each has two open while it runs."""
    ase.io.write("all.extxyz", [ase.io.read("0.extxyz")] * 12)
    n_open = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (110, 110))
    write = Log.write

    def counted(self, line):
        n_open.append(len([one for one in Path("/proc/self/fd").iterdir() if one.resolve().suffix == ".traj"]))
        write(self, line)

    monkeypatch.setattr(Log, "write", counted)
    succeed(*md("all.extxyz", "--index", ":", "-o", "many", *MORE, "--steps", 3))
    assert max(n_open) == 5
    assert all(len(log(f"many-all-{k:02d}")) == 4 for k in range(12))
