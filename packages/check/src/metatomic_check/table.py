"""The table of checks: each module of ``checks`` enters its own."""

import dataclasses
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING

from .finding import Finding

if TYPE_CHECKING:
    from .bench import Bench

# groups in the order of reports
GROUPS = {
    "contract": "What a potential promises",
    "numerics": "Numbers",
    "physics": "Physics, to look at",
    "engines": "Simulation engines",
}


@dataclasses.dataclass(frozen=True)
class Check:
    """One question to a model.

    Attributes
    ----------
    name
        Its name: words that users see, and give to ``--only``.
    group
        Key of `GROUPS`.
    meaning
        What a failure means: the docstring of the function.
    run
        Asks a bench, and gives findings.
    quick
        Whether it is part of ``--quick``.
    """

    name: str
    group: str
    meaning: str
    run: Callable[["Bench"], Iterable[Finding]]
    quick: bool


_TABLE: dict[str, Check] = {}

_Run = Callable[["Bench"], Iterable[Finding]]


def check(name: str, group: str, *, quick: bool = True) -> Callable[[_Run], _Run]:
    """Enter a function into the table; its docstring says what a failure means."""

    def enter(function: _Run) -> _Run:
        if name in _TABLE or group not in GROUPS:
            raise ValueError(f"expected a new name and one of {list(GROUPS)} for a check, got '{name}' in '{group}'")
        _TABLE[name] = Check(name, group, " ".join((function.__doc__ or "").split()), function, quick)
        return function

    return enter


@cache
def _loaded() -> None:
    from . import checks  # noqa: F401  (its modules enter theirs)


def all_checks() -> dict[str, Check]:
    """Give all checks by name, group by group."""
    _loaded()
    order = list(GROUPS)
    return dict(sorted(_TABLE.items(), key=lambda item: order.index(item[1].group)))
