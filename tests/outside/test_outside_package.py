"""A package of somebody else, in an environment with wheels of ours and nothing of this repository, takes the contract.

`METATOMIC_WHEELS` is a folder with wheels, as ``nox -s build`` makes them.  What they need besides, torch above all, is
taken from the environment in which this runs.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOY = ROOT / "docs" / "examples" / "toy_engine"


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """A function that runs Python in the environment, in a folder of its own."""
    wheels = os.environ.get("METATOMIC_WHEELS")
    if wheels is None:
        pytest.fail("expected METATOMIC_WHEELS, a folder with wheels; run `nox -s outside`")
    (core,) = Path(wheels).rglob("metatomic_core-*.whl")
    folder = tmp_path_factory.mktemp("outside")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*install, core], check=True)
    # what is installed there goes before what is shared
    (shared,) = (folder / "venv").glob("lib/*/site-packages")
    (shared / "shared.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    subprocess.run([*install, "--no-build-isolation", TOY], check=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "METATOMIC"))}

    def run(*arguments):
        return subprocess.run(
            [python, "-W", "ignore", *arguments], cwd=folder, env=kept, capture_output=True, text=True, timeout=600
        )

    return run


def test_what_is_imported_comes_from_the_wheel(outside):
    done = outside(
        "-c", "import metatomic_core.testing, toy_engine; print(metatomic_core.__file__, toy_engine.__file__)"
    )
    assert done.returncode == 0, done.stderr
    for path in done.stdout.split():
        assert "site-packages" in path
        # the environment may lie inside of the repository, as those of nox do
        assert not any(Path(path).is_relative_to(ROOT / folder) for folder in ("packages", "docs"))


def test_contract_runs_by_pyargs(outside):
    done = outside("-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs", "toy_engine")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout


def test_subject_is_found_by_its_name(outside):
    done = outside("-m", "metatomic_core.testing", "toy", "energy_of_structures", "free_boundaries", "--json")
    assert done.returncode == 0, done.stderr
    assert [word in done.stdout for word in ('"passed"', '"not applicable"', "all directions are periodic")] == [
        True
    ] * 3
