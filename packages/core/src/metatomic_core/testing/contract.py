"""The standard tests as a table, and how a subject takes them."""

import dataclasses
import difflib
import importlib
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from .bench import Bench
from .errors import ContractError, NothingAskedError
from .subject import ABILITIES, Subject

__all__ = ["ContractError", "Outcome", "StandardTest", "problems_of", "run_contract", "standard_test", "standard_tests"]

PASSED, FAILED, NOT_APPLICABLE = "passed", "failed", "not applicable"


@dataclasses.dataclass(frozen=True)
class StandardTest:
    """One standard test.

    Attributes
    ----------
    name
        Its name.
    suite
        The suite that it belongs to.
    needs
        What a subject must be able to do: names in `ABILITIES`.
    run
        Asks the subject of a bench, and raises `ContractError`.
    meaning
        What a failure probably means.
    """

    name: str
    suite: str
    needs: tuple[str, ...]
    run: Callable[[Bench], Any]
    meaning: str


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came out of one standard test.

    Attributes
    ----------
    test
        Name of the test.
    status
        "passed", "failed" or "not applicable".
    reason
        Why it failed or does not apply.
    meaning
        What the failure probably means; empty where nothing was asked.
    """

    test: str
    status: str
    reason: str = ""
    meaning: str = ""


_TABLE: dict[str, StandardTest] = {}


def standard_test(*needs: str) -> Callable[[Callable[[Bench], None]], Callable[[Bench], None]]:
    """Enter a function into the table of standard tests.

    Its name is that of the test, its module that of the suite, and its docstring says what a failure probably means.
    """
    unknown = set(needs) - set(ABILITIES)
    if unknown:
        raise ValueError(f"expected names in ABILITIES for `needs`, got {sorted(unknown)}")

    def enter(function: Callable[[Bench], None]) -> Callable[[Bench], None]:
        name = function.__name__.removeprefix("check_")
        suite = function.__module__.rpartition(".")[2]
        if name in _TABLE:
            raise ValueError(f"expected one standard test '{name}', got two")
        _TABLE[name] = StandardTest(name, suite, needs, function, " ".join((function.__doc__ or "").split()))
        return function

    return enter


@cache
def _loaded() -> None:
    # its modules enter their tests into the table, with a decorator from here
    importlib.import_module(f"{__package__}.suites")


def standard_tests() -> dict[str, StandardTest]:
    """Give all standard tests.

    Returns
    -------
    dict
        Tests by name, suite by suite.
    """
    _loaded()
    return dict(_TABLE)


def problems_of(subject: Subject) -> list[str]:
    """Say what is wrong with the declarations of a subject.

    Parameters
    ----------
    subject
        The subject.

    Returns
    -------
    list of str
        Sentences: names that do not exist, reasons that are missing; empty if nothing is wrong.
    """
    found = [] if subject.name else ["expected a `name`, got none"]
    for attribute, declared, known in (
        ("lacks", subject.lacks, list(ABILITIES)),
        ("left_out", subject.left_out, list(standard_tests())),
    ):
        for name, reason in declared.items():
            if name not in known:
                close = difflib.get_close_matches(name, known, 1)
                hint = f"; did you mean '{close[0]}'?" if close else ""
                found.append(f"expected names of the contract in `{attribute}`, got '{name}'{hint}")
            if not isinstance(reason, str) or len(reason.split()) < 2:
                found.append(f"expected a reason for '{name}' in `{attribute}`, got {reason!r}")
    return found


def why_not(subject: Subject, test: StandardTest) -> str:
    """Say why a test does not apply to a subject; empty if it does."""
    if test.name in subject.left_out:
        return subject.left_out[test.name]
    return "; ".join(subject.lacks[ability] for ability in test.needs if ability in subject.lacks)


def run_contract(subject: Subject, tests: Iterable[str] | None = None) -> list[Outcome]:
    """Ask a subject the standard tests.

    Parameters
    ----------
    subject
        The subject.
    tests
        Names of tests; by default all.

    Returns
    -------
    list of Outcome
        One for each test.

    Raises
    ------
    ValueError
        If the declarations of the subject are wrong, or there is no such test.
    """
    problems = problems_of(subject)
    if problems:
        raise ValueError("; ".join(problems))
    table = standard_tests()
    names = list(table) if tests is None else list(tests)
    unknown = [name for name in names if name not in table]
    if unknown:
        raise ValueError(f"expected names of standard tests in `tests`, got {unknown}")
    with Bench(subject) as bench:
        return [_outcome(bench, table[name]) for name in names]


def _outcome(bench: Bench, test: StandardTest) -> Outcome:
    reason = why_not(bench.subject, test)
    if reason:
        return Outcome(test.name, NOT_APPLICABLE, reason)
    try:
        test.run(bench)
    except Exception as error:  # noqa: BLE001  (a subject that raises fails the test)
        text = " ".join(str(error).split()) or type(error).__name__
        # no result is wrong where nothing was asked
        return Outcome(test.name, FAILED, text, "" if isinstance(error, NothingAskedError) else test.meaning)
    return Outcome(test.name, PASSED)
