"""Run metatomic models in ASE: `MetatomicCalculator`, and the ``metatomic md``, ``relax`` and ``eval`` commands."""

from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .calculator import MetatomicCalculator

__version__ = _version("metatomic-ase")

__all__ = ["MetatomicCalculator"]


def __getattr__(name: str) -> Any:
    """Load the calculator on first use, so that the commands of this package show their help without torch."""
    if name != "MetatomicCalculator":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from .calculator import MetatomicCalculator

    globals()[name] = MetatomicCalculator
    return MetatomicCalculator
