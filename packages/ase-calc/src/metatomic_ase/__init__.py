"""Run metatomic models in ASE: `MetatomicCalculator`, commands of ``metatomic``, properties of materials."""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .calculator import MetatomicCalculator
    from .predictions import Ensemble
    from .symmetrized import SymmetrizedCalculator

__version__ = _version("metatomic-ase")

__all__ = ["Ensemble", "MetatomicCalculator", "SymmetrizedCalculator"]

# name -> module: loaded on first use, so that the commands of this package show their help without torch
_MODULES = {
    "Ensemble": "predictions",
    "MetatomicCalculator": "calculator",
    "SymmetrizedCalculator": "symmetrized",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    value = getattr(_import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value
