"""Models that are broken on purpose are caught by `metatomic check`, by the checks that they name."""

import json

import pytest
from zoo.models import BROKEN, HEALTHY
from zoo.table import CAUGHT, TABLE, recorded, rows
from zoo.visit import caught, check_names, visit

RECORDED = recorded()
# asked of all: symmetries and sums, a few hundredths of a second each
CHEAP = ("species", "permutation", "translation", "rotation", "periodicity", "batching", "virials of atoms")
# asked of one healthy model alone: half a second and more each
LONG = {"continuity", "saving", "growth of memory", "heating", "kernels", "conservation", "first and tenth call"}


def test_zoo_has_many_models():
    assert len(BROKEN) >= 20
    assert all(specimen.by for specimen in BROKEN.values())


def test_records_are_of_the_models_in_the_zoo():
    assert list(RECORDED) == [*HEALTHY, *BROKEN]
    assert CAUGHT.read_text("utf-8") == json.dumps(RECORDED, indent=1, ensure_ascii=False) + "\n"


def test_table_of_documentation_is_what_was_recorded():
    assert TABLE.read_text("utf-8") == rows(RECORDED)


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_model_passes(name, tmp_path):
    names = check_names() if name == "healthy" else [check for check in check_names() if check not in LONG]
    report = visit(HEALTHY[name], tmp_path, names)
    assert caught(report) == RECORDED[name] == {}
    assert {check.name for check in report.checks} == set(names)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_model_is_caught(name, tmp_path):
    specimen = BROKEN[name]
    # what a person expects is among what was found when all checks were asked
    assert set(specimen.by) <= set(RECORDED[name])
    asked = [check for check in check_names() if check in {*specimen.by, *CHEAP}]
    expected = {check: grade for check, grade in RECORDED[name].items() if check in asked}
    assert caught(visit(specimen, tmp_path, asked)) == expected
