"""Finding the pairs of atoms within a cutoff: lists with a skin, kept from call to call, made by vesin."""

from ._compiled import build_library
from ._joined import Geometry, Joined
from ._lists import NeighborLists, PairRequest, completed_cell, estimated_pairs, pairs_that_fit
from ._slots import NeighborSlots

__all__ = [
    "Geometry",
    "Joined",
    "NeighborLists",
    "NeighborSlots",
    "PairRequest",
    "build_library",
    "completed_cell",
    "estimated_pairs",
    "pairs_that_fit",
]
