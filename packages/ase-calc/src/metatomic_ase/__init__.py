"""Run metatomic models in ASE: `MetatomicCalculator`, and the ``metatomic md``, ``relax`` and ``eval`` commands."""

from importlib.metadata import version as _version

from .calculator import MetatomicCalculator

__version__ = _version("metatomic-ase")

__all__ = ["MetatomicCalculator"]
