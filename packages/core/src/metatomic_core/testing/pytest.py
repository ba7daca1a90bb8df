"""The contract suite for pytest: each standard test that applies is an item of its own.

::

    from metatomic_core.testing.pytest import ContractTests
    from my_engine import MySubject

    class TestMyEngine(ContractTests):
        subject = MySubject()
"""

from collections.abc import Iterator

import pytest

from .bench import Bench
from .contract import StandardTest, problems_of, standard_tests, why_not
from .errors import ContractError, NothingAskedError
from .subject import Subject

# what subclasses must leave as it is, so that no standard test is lost without a reason
_FIXED = ("bench", "pytest_generate_tests", "test_contract", "test_declarations")


class ContractTests:
    """Base class of tests that ask a subject all standard tests.

    Those that do not apply, by what the subject `lacks` or has `left_out`, are no items: nothing is skipped.  One more
    item checks these declarations.  A subclass may have tests of its own, but none in place of these.

    Attributes
    ----------
    subject
        The subject; to be set by the subclass.
    """

    subject: Subject

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        changed = sorted(set(vars(cls)) & set(_FIXED))
        if changed:
            raise TypeError(
                f"expected {cls.__name__} to leave the tests of the contract as they are, got its own "
                f"{', '.join(changed)}; name standard tests with the reason in `left_out` of the subject"
            )

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make an item of each standard test that applies.

        Parameters
        ----------
        metafunc
            What pytest asks about.

        Raises
        ------
        TypeError
            If `subject` is none.
        ValueError
            If no standard test is left.
        """
        if "standard_test" not in metafunc.fixturenames:
            return
        subject = getattr(self, "subject", None)
        if not isinstance(subject, Subject):
            raise TypeError(f"expected a Subject for `subject` of {type(self).__name__}, got {subject!r}")
        applicable = [test for test in standard_tests().values() if not why_not(subject, test)]
        if not applicable:
            raise ValueError(f"expected standard tests that {subject.name} takes, got none")
        metafunc.parametrize("standard_test", applicable, ids=[f"{test.suite}-{test.name}" for test in applicable])

    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        """Give the bench with the subject; fail where the subject can not run.

        Yields
        ------
        Bench
            The bench.
        """
        absent = self.subject.absent()
        if absent:
            pytest.fail(absent, pytrace=False)
        with Bench(self.subject) as bench:
            yield bench

    def test_declarations(self) -> None:
        """What the subject says that it can not do exists, and has reasons."""
        problems = problems_of(self.subject)
        if problems:
            pytest.fail("; ".join(problems), pytrace=False)

    def test_contract(self, bench: Bench, standard_test: StandardTest) -> None:
        """Ask one standard test.

        Parameters
        ----------
        bench
            The bench with the subject.
        standard_test
            The test.
        """
        try:
            standard_test.run(bench)
        except NothingAskedError as error:
            # no result is wrong: the meaning of the test would mislead
            failure = f"{error}; its name is '{standard_test.name}'"
        except ContractError as error:
            failure = f"{error}\n\nwhat this probably means: {standard_test.meaning}"
        else:
            return
        # out of the handler, as pytest prints the error that is being handled once more
        pytest.fail(failure, pytrace=False)
