"""`System` objects of engines and for models: what a system holds as plain data, and systems made of a batch.

Scripted code, saved in every model file.
"""

from typing import Dict, List, Tuple

import torch
from metatensor.torch import TensorBlock, TensorMap

from metatomic_core.data.assembly import assembled
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import other_spelling
from metatomic_core.data.system import System

from .batch import Batch
from .conversion import input_factor, scaled_block, scaled_tensor
from .derive import input_maps, structures_of
from .pairs import neighbor_blocks, pair_vectors


def geometry_of(system: System, length_factor: float) -> Dict[str, torch.Tensor]:
    """Give the geometry of a system, with lengths multiplied by a factor: "types", "positions", "cell", "pbc"."""
    positions, cell = system.positions, system.cell
    if length_factor != 1.0:
        positions, cell = positions * length_factor, cell * length_factor
    return {"types": system.types, "positions": positions, "cell": cell, "pbc": system.pbc}


def lists_of(system: System, length_factor: float, requested: List[NeighborListOptions]) -> List[TensorBlock]:
    """Give the neighbor lists that are requested, in this order, with lengths multiplied by a factor."""
    blocks: List[TensorBlock] = []
    for options in requested:
        block = system.get_neighbor_list(options)
        blocks.append(block if length_factor == 1.0 else scaled_block(block, length_factor))
    return blocks


def data_of(
    system: System, requested: Dict[str, ModelOutput], table: Dict[str, List[float]], cache: Dict[str, float]
) -> Dict[str, TensorMap]:
    """Give all data of a system by name, that which is requested in the units of the model.

    Parameters
    ----------
    system
        The system, in the units that its data carries.
    requested
        Inputs that the model wants, with their units.
    table, cache
        Table of units, and factors that are known already.
    """
    data: Dict[str, TensorMap] = {}
    for name, output in requested.items():
        tensor = system.get_data(name)
        factor = input_factor(tensor, output, name, table, cache)
        data[name] = scaled_tensor(tensor, factor, 1.0, output.unit)
    for name in system.known_data():
        # requested inputs are there already, under the spelling that the model uses
        if name not in requested and other_spelling(name) not in requested:
            data[name] = system.get_data(name)
    return data


def systems_of(batch: Batch, requested: List[NeighborListOptions], inputs: Dict[str, ModelOutput]) -> List[System]:
    """Give a batch as systems, with neighbor lists and inputs."""
    structures = structures_of(batch)
    blocks = neighbor_blocks(batch.pairs, batch.vectors, batch.n_pairs, len(structures))
    data = input_maps(batch, inputs)
    systems: List[System] = []
    for i in range(len(structures)):
        systems.append(assembled(structures[i], requested, blocks[i], data[i]))
    return systems


def with_graph(
    structures: List[Dict[str, torch.Tensor]], neighbors: List[List[TensorBlock]]
) -> Tuple[List[Dict[str, torch.Tensor]], List[List[TensorBlock]]]:
    """Connect structures to a graph even if the caller wants none, for modules that differentiate by themselves."""
    connected: List[Dict[str, torch.Tensor]] = []
    blocks: List[List[TensorBlock]] = []
    for i in range(len(structures)):
        structure = structures[i]
        positions, cell = structure["positions"], structure["cell"]
        # each by itself: what the caller differentiates with respect to stays the caller's
        if not positions.requires_grad:
            positions = positions.detach().clone().requires_grad_()
        if not cell.requires_grad:
            cell = cell.detach().clone().requires_grad_()
        connected.append({"types": structure["types"], "positions": positions, "cell": cell, "pbc": structure["pbc"]})
        of_structure: List[TensorBlock] = []
        for block in neighbors[i]:
            # to all orders, which the vectors of the caller may not be
            vectors = pair_vectors(positions, cell, block.samples.values, periodic=True).unsqueeze(2)
            of_structure.append(TensorBlock(vectors, block.samples, block.components, block.properties))
        blocks.append(of_structure)
    return connected, blocks
