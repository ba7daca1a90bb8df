"""A `System` put together from its parts; scripted, saved in every model file."""

from typing import Dict, List

import torch
from metatensor.torch import TensorBlock, TensorMap

from .neighbors import NeighborListOptions
from .system import System


def assembled(
    structure: Dict[str, torch.Tensor],
    requested: List[NeighborListOptions],
    neighbors: List[TensorBlock],
    data: Dict[str, TensorMap],
) -> System:
    """Give the system of a structure, with neighbor lists and data.

    Parameters
    ----------
    structure
        "types" (n_atoms,) int32, "positions" (n_atoms, 3), "cell" (3, 3), "pbc" (3,) bool.
    requested, neighbors
        Requests for neighbor lists, and the lists in this order.
    data
        Data by name.
    """
    system = System(structure["types"], structure["positions"], structure["cell"], structure["pbc"])
    for k in range(len(requested)):
        system.add_neighbor_list(requested[k], neighbors[k])
    for name, tensor in data.items():
        system.add_data(name, tensor)
    return system
