"""Models made of models: `combine` gives sums, weighted sums of variants, and committees of different files.

What comes out is a model like any other, saved to one file, which has the code of all its parts in it.
"""

from .combine import HOW, combine
from .weighted import WeightedSum

__all__ = ["HOW", "WeightedSum", "combine"]
