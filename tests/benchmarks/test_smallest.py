"""Every script of ``benchmarks/`` runs at its smallest size, and prints a result.

Run by ``nox -s benchmarks``. A new benchmark is found by itself, and takes ``--smallest``.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# this one needs the package of a family of models: it runs in `tests/families/test_sevennet.py`
ELSEWHERE = {"importers"}
SCRIPTS = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))
BENCHMARKS = [path for path in SCRIPTS if path.stem not in ELSEWHERE]
SECONDS = 400


@pytest.mark.parametrize("script", BENCHMARKS, ids=[path.stem for path in BENCHMARKS])
def test_benchmark_at_its_smallest(script, tmp_path):
    command = [sys.executable, str(script), "--smallest"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    assert done.stdout.strip()
