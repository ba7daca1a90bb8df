"""The scripts of the examples run as they are, at their smallest size."""

import os
import subprocess
import sys
from pathlib import Path

from command_line import succeed

ROOT = Path(__file__).parents[2]


def run(script, *arguments, cwd):
    command = [sys.executable, str(ROOT / script), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)


def test_demonstration(tmp_path):
    done = run("examples/demo.py", "--quick", "--steps", "20", "--output", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    # lattice constant and elastic constants beside those published
    for value in ("5.431", "151.4", "76.4", "56.4"):
        (line,) = [line for line in done.stdout.splitlines() if value in line]
        assert line.count(value) == 2
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"silicon.pt", "silicon.png", "silicon.pdf", "silicon.svg", "nve.traj", "nvt.traj"}


def test_demonstration_of_too_few_steps(tmp_path):
    done = run("examples/demo.py", "--steps", "1", cwd=tmp_path)
    assert done.returncode == 2
    assert "expected 20 or more for --steps, got 1" in done.stderr
    assert not list(tmp_path.iterdir())


def test_quick_start_says_what_is_missing(tmp_path):
    done = run("docs/examples/quickstart.py", cwd=tmp_path)
    assert done.returncode == 1
    expected = "expected argon.pt in this folder; write it with `metatomic export lj -o argon.pt`\n"
    assert done.stderr == expected
    succeed("export", "lj", "-o", tmp_path / "argon.pt")
    done = run("docs/examples/quickstart.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].endswith(" eV")
