"""`WeightedSum`, where the reference implementation has it; the code is in `metatomic_core.combining`."""

from .combining.weighted import WeightedSum

__all__ = ["WeightedSum"]
