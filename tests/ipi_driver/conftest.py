"""Models in files, and directories ready to run i-PI in."""

import pytest
from ipi_cases import N_OSCILLATORS, argon, oscillators, write_structure
from ipi_models import Oscillators, exported
from ipi_processes import Bench
from ipi_trajectories import SETTINGS, run

from metatomic_core.potentials import lennard_jones


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Give a folder with argon.pt and oscillators.pt."""
    folder = tmp_path_factory.mktemp("models")
    lennard_jones().save(str(folder / "argon.pt"))
    exported(Oscillators(N_OSCILLATORS), folder / "oscillators.pt")
    return folder


@pytest.fixture
def bench(tmp_path):
    """Give a bench with oscillators."""
    write_structure(tmp_path, oscillators())
    with Bench(tmp_path) as bench:
        yield bench


@pytest.fixture
def argon_bench(tmp_path):
    """Give a bench with argon."""
    write_structure(tmp_path, argon())
    with Bench(tmp_path) as bench:
        yield bench


@pytest.fixture(scope="session")
def reference(models, tmp_path_factory):
    """Give the trajectory of each case over a unix socket."""
    folder = tmp_path_factory.mktemp("reference")
    return {case: run(folder / case, models / "argon.pt", case) for case in SETTINGS}
