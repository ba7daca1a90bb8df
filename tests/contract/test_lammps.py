"""LAMMPS against the contract: real processes on one, two and four ranks."""

import pytest

from metatomic_core.testing.pytest import ContractTests
from metatomic_lammps import build_plugin
from metatomic_lammps.subject import FOUR, ONE, TWO


@pytest.fixture(scope="module", autouse=True)
def _plugin():
    build_plugin()


class TestOneRank(ContractTests):
    subject = ONE


class TestTwoRanks(ContractTests):
    subject = TWO


class TestFourRanks(ContractTests):
    subject = FOUR
