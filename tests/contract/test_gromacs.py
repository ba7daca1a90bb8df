"""GROMACS' calling convention against the contract, in both forms of the file."""

from metatomic_core.testing.pytest import ContractTests
from metatomic_core.testing.subjects.gromacs import PAIRS, SUBJECT


class TestGromacs(ContractTests):
    subject = SUBJECT


class TestGromacsPairs(ContractTests):
    subject = PAIRS
