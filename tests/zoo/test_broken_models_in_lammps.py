"""What is wrong only in an engine that divides space: a stated range that is too short for ghost atoms."""

import pytest
from zoo.models import BROKEN, HEALTHY
from zoo.visit import caught, visit

from metatomic_lammps import build_plugin


@pytest.fixture(scope="module", autouse=True)
def _plugin():
    build_plugin()


@pytest.mark.parametrize("engine", ["lammps", "lammps-2"])
def test_range_that_is_too_short_is_wrong_in_lammps(engine, tmp_path):
    report = visit(BROKEN["one cutoff for two layers"], tmp_path, ["engines"], engines=[engine])
    assert caught(report) == {"engines": "fail"}


def test_range_of_two_layers_is_right_in_lammps(tmp_path):
    report = visit(HEALTHY["healthy, message passing"], tmp_path, ["engines"], engines=["lammps-2"])
    assert caught(report) == {}
