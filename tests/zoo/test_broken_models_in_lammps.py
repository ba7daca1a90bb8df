"""What is wrong only in an engine that divides space: a stated range that is too short for ghost atoms."""

import numpy as np
import pytest
from ase.build import bulk
from zoo.models import BROKEN, HEALTHY
from zoo.visit import caught, visit

from metatomic_lammps import build_plugin


@pytest.fixture(scope="module", autouse=True)
def _plugin():
    build_plugin()


def bar():
    """Give a bar that is longer than twice what a process sees of its neighbors, its atoms off their sites."""
    atoms = bulk("Si", "fcc", a=3.7, cubic=True).repeat((9, 1, 1))
    atoms.positions += np.random.default_rng(4).uniform(-0.1, 0.1, atoms.positions.shape)
    return atoms


def test_range_that_is_too_short_is_wrong_in_lammps(tmp_path):
    report = visit(BROKEN["one cutoff for three layers"], tmp_path, ["engines"], ["lammps-2"], [bar()])
    assert caught(report) == {"engines": "fail"}


def test_range_of_two_layers_is_right_in_lammps(tmp_path):
    report = visit(HEALTHY["healthy, message passing"], tmp_path, ["engines"], ["lammps-2"], [bar()])
    assert caught(report) == {}
