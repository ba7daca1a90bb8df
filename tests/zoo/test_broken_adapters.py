"""Adapters that are broken on purpose are caught, by the standard tests that the table names, and by no others."""

import pytest
from zoo.adapters.base import RIGHT
from zoo.adapters.table import PAGE, TABLE, adapters, caught_by, page_text, read_table, table_text

from metatomic_core.testing import run_contract, standard_tests

ALL, ROWS = adapters(), read_table()
# how many tests are asked of those that catch one, and of those that do not: `zoo.adapters.table` asks all of them
CATCH, PASS = 3, 2
# half of all time
SLOW = {"kernels_agree"}


def some(names, number):
    """Give some of them, from all parts of the list."""
    return names[:: max(1, -(-len(names) // number))]


def test_right_adapter_passes_all():
    outcomes = run_contract(RIGHT)
    assert {outcome.status for outcome in outcomes} == {"passed"}
    assert [outcome.test for outcome in outcomes] == list(standard_tests())


def test_tables_have_all_of_them():
    assert list(ROWS) == list(ALL)
    assert len(ROWS) >= 20
    assert TABLE.read_text("utf-8") == table_text(ROWS)
    assert PAGE.read_text("utf-8") == page_text(ROWS)


def test_each_standard_test_catches_something():
    caught = {test for tests in ROWS.values() for test in tests}
    assert caught == set(standard_tests())


@pytest.mark.parametrize("name", ALL)
def test_broken_adapter_is_caught(name):
    expected = ROWS[name]
    others = [test for test in standard_tests() if test not in {*expected, *SLOW}]
    # those nearby in the list are of the same suites, and others are elsewhere
    failing, passing = some(expected, CATCH), some(others, PASS)
    assert failing
    assert caught_by(ALL[name], [*failing, *passing]) == failing
