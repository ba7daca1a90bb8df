"""i-PI against the contract: its own side of the socket, and our client."""

from metatomic_core.testing.pytest import ContractTests
from metatomic_ipi.subject import SUBJECT


class TestIpi(ContractTests):
    subject = SUBJECT
