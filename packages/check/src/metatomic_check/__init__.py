"""Tells whether a model may be believed: ``metatomic check MODEL``.

A check is one question to a model; ``table`` has all of them, from the folder ``checks``.  `check_model` asks them and
gives a report of findings, each with a grade, a number and its limit, and the structures that it is about.
Models are evaluated through `metatomic_core.engine`, and in the simulation engines through the subjects of
`metatomic_core.testing`.
"""

from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bench import Bench
    from .checking import check_model
    from .finding import Finding, Grade, Line, Plot, graded
    from .html import html_report
    from .report import Report
    from .table import Check, all_checks, check

__version__ = _version("metatomic-check")

__all__ = [
    "Bench",
    "Check",
    "Finding",
    "Grade",
    "Line",
    "Plot",
    "Report",
    "all_checks",
    "check",
    "check_model",
    "graded",
    "html_report",
]

_MODULES = {
    "bench": ("Bench",),
    "checking": ("check_model",),
    "finding": ("Finding", "Grade", "Line", "Plot", "graded"),
    "html": ("html_report",),
    "report": ("Report",),
    "table": ("Check", "all_checks", "check"),
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that help of the command needs no torch."""
    if name not in _PLACES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from importlib import import_module

    found = getattr(import_module(f".{_PLACES[name]}", __name__), name)
    globals()[name] = found
    return found
