"""Model files of both implementations, and what the reference's own calculator gives for them."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import metatomic.torch
import pytest
from reference_cases import JOBS, files, structures_for

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def model_files(tmp_path_factory):
    """Give the path of each model by name: those of the reference, and ours as files of the reference."""
    return files(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def expected(model_files, tmp_path_factory):
    """Give the results of the reference's calculator: {name of the model: {name of the structure: results}}."""
    folder = tmp_path_factory.mktemp("reference")
    other = os.environ.get("METATOMIC_REFERENCE_ASE")
    if other is None:
        pytest.fail("expected METATOMIC_REFERENCE_ASE, a folder with metatomic-ase 0.1.4; run `nox -s reference`")
    jobs, results = folder / "jobs.pickle", folder / "results.pickle"
    options = {"check_consistency": True, "uncertainty_threshold": None, "device": "cpu"}
    content = [(str(model_files[name]), options, list(structures_for(name).values())) for name in JOBS]
    jobs.write_bytes(pickle.dumps(content))
    subprocess.run(
        [sys.executable, TESTS / "reference_evaluate.py", jobs, results],
        env={**os.environ, "PYTHONPATH": other, "OMP_NUM_THREADS": "1"},
        check=True,
    )
    found = pickle.loads(results.read_bytes())
    return {name: dict(zip(structures_for(name), each, strict=True)) for name, each in zip(JOBS, found, strict=True)}
