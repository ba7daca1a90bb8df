"""Systems made of tensors that belong to the autograd graph of another program: scripted, saved in every model file."""

from typing import Dict, List

import torch
from metatensor.torch import TensorBlock, TensorMap

from ._pairs import pair_vectors
from .neighbors import NeighborListOptions
from .system import System


def connected_systems(
    structures: List[Dict[str, torch.Tensor]],
    neighbors: List[List[TensorBlock]],
    inputs: List[Dict[str, TensorMap]],
    requested: List[NeighborListOptions],
    needs_graph: bool,
) -> List[System]:
    """Build systems of tensors as they are, so that gradients of what comes out reach those of the caller.

    Parameters
    ----------
    structures
        For each structure: "types" (n_atoms,) int32, "positions" (n_atoms, 3), "cell" (3, 3), "pbc" (3,) bool, in the
        units and the floating point type of the model.
    neighbors
        For each structure the neighbor lists, in the order of the requests, see ``System.add_neighbor_list``.
    inputs
        For each structure the requested inputs, in the units of the model.
    requested
        The requests for neighbor lists.
    needs_graph
        Whether the model differentiates by itself: then there is a graph even if the caller wants none.
    """
    systems: List[System] = []
    for i in range(len(structures)):
        structure = structures[i]
        positions, cell = structure["positions"], structure["cell"]
        # each by itself: what the caller differentiates with respect to stays the caller's
        if needs_graph and not positions.requires_grad:
            positions = positions.detach().clone().requires_grad_(True)
        if needs_graph and not cell.requires_grad:
            cell = cell.detach().clone().requires_grad_(True)
        system = System(structure["types"], positions, cell, structure["pbc"])
        for k in range(len(requested)):
            block = neighbors[i][k]
            if needs_graph:
                # to all orders, which the vectors of the caller may not be
                vectors = pair_vectors(positions, cell, block.samples.values, True).unsqueeze(2)
                block = TensorBlock(vectors, block.samples, block.components, block.properties)
            system.add_neighbor_list(requested[k], block)
        for name, tensor in inputs[i].items():
            system.add_data(name, tensor)
        systems.append(system)
    return systems
