"""Run metatomic models in i-PI: a client of its socket protocol, a PES for i-PI itself, and commands around them.

`Evaluator` turns the structures of i-PI into results, `Client` speaks the protocol; neither imports i-PI.
"""

from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Client
    from .evaluation import Evaluator, Result

__version__ = _version("metatomic-ipi")

__all__ = ["Client", "Evaluator", "Result"]

_MODULES = {"Client": "client", "Evaluator": "evaluation", "Result": "evaluation"}


def __getattr__(name: str) -> Any:
    """Import what is asked for: the commands start without torch and ASE."""
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
