"""One build of the plugin and one file of each model for all LAMMPS tests."""

import pytest
from lammps_tools import run_lammps

from metatomic_lammps import build_plugin


@pytest.fixture(scope="session")
def plugin():
    """The plugin, compiled once for each state of the sources (in the user's cache)."""
    return build_plugin()


@pytest.fixture
def lammps(plugin, tmp_path):
    """A function that runs an input text in the folder of the test."""

    def run(text, ranks=1, **options):
        return run_lammps(plugin, tmp_path, text, ranks, **options)

    return run


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")
