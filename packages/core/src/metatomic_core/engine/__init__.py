"""What adapters use: `Engine`, structures evaluated in the units of a simulation engine."""

from .choices import NON_CONSERVATIVE, RESULTS
from .engine import Engine, Model
from .structures import Evaluation, Structure

__all__ = ["NON_CONSERVATIVE", "RESULTS", "Engine", "Evaluation", "Model", "Structure"]
