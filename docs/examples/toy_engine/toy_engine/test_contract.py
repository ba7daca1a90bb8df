"""All standard tests, for ``pytest --pyargs toy_engine``."""

from metatomic_core.testing.pytest import ContractTests
from toy_engine.subject import SUBJECT


class TestToyEngine(ContractTests):
    subject = SUBJECT
