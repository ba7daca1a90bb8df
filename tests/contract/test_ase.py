"""ASE against the contract: `MetatomicCalculator`, asked for one property after the other."""

from metatomic_ase.subject import SUBJECT
from metatomic_core.testing.pytest import ContractTests


class TestAse(ContractTests):
    subject = SUBJECT
