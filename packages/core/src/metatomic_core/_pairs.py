"""Pairs of atoms in the pipeline: their vectors, and what the gradients of these mean for atoms and cells.

Scripted code, saved in every model file.  Pair vectors are leaves of the autograd graph, beside positions and cells:
what a backward pass gives for them is added to atoms and virials here, without the passes over all pairs that autograd
would make through ``positions[second] - positions[first] + shift @ cell``.  Only for models that differentiate with
respect to positions themselves are the vectors connected to positions and cells.
"""

from typing import Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorBlock

from .neighbors import NeighborListOptions
from .system import System


def check_pairs(
    pairs: List[List[torch.Tensor]],
    vectors: Optional[List[List[torch.Tensor]]],
    n_systems: int,
    n_lists: int,
) -> None:
    """Check number, shape and type of the pairs, and of their vectors if there are any."""
    if n_lists == 0:
        return
    if len(pairs) != n_systems:
        raise ValueError(f"expected `pairs` for {n_systems} structures, got {len(pairs)}")
    if vectors is not None and len(vectors) != n_systems:
        raise ValueError(f"expected `vectors` for {n_systems} structures, got {len(vectors)}")
    for i in range(n_systems):
        if len(pairs[i]) != n_lists:
            raise ValueError(f"expected {n_lists} lists of pairs for structure {i}, got {len(pairs[i])}")
        if vectors is not None and len(vectors[i]) != n_lists:
            raise ValueError(f"expected {n_lists} lists of vectors for structure {i}, got {len(vectors[i])}")
        for k in range(n_lists):
            if pairs[i][k].dim() != 2 or pairs[i][k].size(1) != 5:
                raise ValueError(f"expected pairs of the shape (n_pairs, 5), got {pairs[i][k].size()}")
            if pairs[i][k].is_floating_point():
                raise ValueError("expected pairs of integers, got floating point numbers")
            if vectors is not None:
                n_pairs = pairs[i][k].size(0)
                if vectors[i][k].dim() != 2 or vectors[i][k].size(0) != n_pairs or vectors[i][k].size(1) != 3:
                    raise ValueError(f"expected `vectors` of the shape ({n_pairs}, 3), got {vectors[i][k].size()}")
                if not vectors[i][k].is_floating_point():
                    raise ValueError("expected `vectors` of floating point numbers, got integers")


def pair_atoms(systems: List[System], pairs: List[List[torch.Tensor]], n_lists: int) -> torch.Tensor:
    """Give first and second atoms of all pairs, with the atoms of all systems numbered one after the other.

    Returns
    -------
    torch.Tensor
        Shape (2, n_pairs), int64, contiguous: `index_add` is 13 times slower with int32 indices (DESIGN.md, "Speed").
        In the order of systems and then lists.

    Raises
    ------
    ValueError
        If an atom does not exist.
    """
    atoms: List[torch.Tensor] = []
    start = 0
    for i in range(len(systems)):
        for k in range(n_lists):
            # one pass over the columns: conversion and transposition; the latter alone for integers of this type
            columns = pairs[i][k][:, :2].t().to(torch.int64, memory_format=torch.contiguous_format).contiguous()
            if columns.size(1) > 0:
                smallest, largest = torch.aminmax(columns)
                if int(smallest) < 0 or int(largest) >= len(systems[i]):
                    raise ValueError(f"expected atoms between 0 and {len(systems[i]) - 1} in pairs, got others")
            atoms.append(columns if start == 0 else columns + start)
        start += len(systems[i])
    if len(atoms) == 0:
        return torch.zeros(2, 0, dtype=torch.int64, device=systems[0].positions.device)
    return atoms[0] if len(atoms) == 1 else torch.cat(atoms, dim=1)


def pair_vectors(positions: torch.Tensor, cell: torch.Tensor, pairs: torch.Tensor, periodic: bool) -> torch.Tensor:
    """Compute positions[second] - positions[first] + shift @ cell, connected to positions and cell.

    Parameters
    ----------
    positions
        Shape (n_atoms, 3).
    cell
        Shape (3, 3), vectors as rows.
    pairs
        Shape (n_pairs, 5), integers: first atom, second atom, cell shifts.
    periodic
        Whether any shift can differ from zero.

    Returns
    -------
    torch.Tensor
        Shape (n_pairs, 3).
    """
    first = pairs[:, 0].to(torch.int64).contiguous()
    second = pairs[:, 1].to(torch.int64).contiguous()
    vectors = positions.index_select(0, second) - positions.index_select(0, first)
    if periodic:
        vectors = vectors + pairs[:, 2:].to(positions.dtype) @ cell
    return vectors


def _values(
    system: System,
    structure: Dict[str, torch.Tensor],
    pairs: torch.Tensor,
    given: Optional[torch.Tensor],
    length_factor: float,
) -> torch.Tensor:
    """Give the vectors of pairs in the units of the model, not connected to anything.

    Differences of positions that were rounded to float32 get worse with the distance from the origin, and engines give
    positions that are not wrapped into the cell: the vectors come from what the engine has, mostly in float64.
    """
    if given is None:
        positions = structure["positions"].detach()
        cell = structure["cell"].detach().to(positions.dtype) * system.pbc.unsqueeze(1)
        given = pair_vectors(positions, cell, pairs, bool(system.pbc.any()))
    # tensors made in inference mode can not require gradients
    given = given.clone() if given.is_inference() else given.detach()
    if length_factor != 1.0:
        given = given * length_factor
    return given.to(system.positions.dtype)


def attach_pairs(
    systems: List[System],
    structures: List[Dict[str, torch.Tensor]],
    length_factor: float,
    pairs: List[List[torch.Tensor]],
    vectors: Optional[List[List[torch.Tensor]]],
    requested: List[NeighborListOptions],
    connected: bool,
    require_grad: bool,
) -> List[torch.Tensor]:
    """Register pairs, which `check_pairs` has seen, and their vectors with the systems.

    Parameters
    ----------
    systems
        The systems.
    structures, length_factor
        What they were built from, see `build_systems`.
    pairs
        For each system and each requested list: shape (n_pairs, 5), see `pair_vectors`.
    vectors
        For each of them the vectors, shape (n_pairs, 3), in the unit of the engine; None to compute them.
    requested
        The requests, in the order of the lists.
    connected
        Whether the vectors are to be connected to positions and cells of the systems.
    require_grad
        Whether vectors that are not connected require gradients.

    Returns
    -------
    list of torch.Tensor
        The vectors, shape (n_pairs, 3, 1), in the order of systems and then lists.
    """
    names = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]
    device = systems[0].positions.device
    component = [Labels(["xyz"], torch.tensor([[0], [1], [2]], device=device))]
    properties = Labels(["distance"], torch.tensor([[0]], device=device))
    attached: List[torch.Tensor] = []
    for i in range(len(systems)):
        system = systems[i]
        for k in range(len(requested)):
            given: Optional[torch.Tensor] = None
            if vectors is not None:
                given = vectors[i][k]
            values = _values(system, structures[i], pairs[i][k], given, length_factor)
            if connected:
                graph = pair_vectors(system.positions, system.cell, pairs[i][k], bool(system.pbc.any()))
                values = graph + (values - graph.detach())
            values = values.unsqueeze(2)
            if not connected:
                values.requires_grad_(require_grad)
            samples = Labels(names, pairs[i][k].to(torch.int32), assume_unique=True)
            system.add_neighbor_list(requested[k], TensorBlock(values, samples, component, properties))
            attached.append(values)
    return attached


def gradients_of_atoms(atoms: torch.Tensor, dvectors: torch.Tensor, n_atoms: int) -> torch.Tensor:
    """Add up what the gradients with respect to pair vectors mean for the positions of atoms.

    Parameters
    ----------
    atoms
        Shape (2, n_pairs), see `pair_atoms`.
    dvectors
        dE/dvectors, shape (n_pairs, 3), float64.
    n_atoms
        Number of atoms of all systems.

    Returns
    -------
    torch.Tensor
        dE/dpositions, shape (n_atoms, 3), float64: plus for the second atom of a pair, minus for the first one.
    """
    with torch.profiler.record_function("AtomisticModel::gather_gradients"):
        zeros = torch.zeros(n_atoms, 3, dtype=torch.float64, device=dvectors.device)
        # not `index_add(..., alpha=-1)`, which is 13 times slower
        gradients = zeros.index_add(0, atoms[1], dvectors) - zeros.index_add(0, atoms[0], dvectors)
    return gradients  # noqa: RET504 (a `return` within `with` does not script)


def joined_vectors(vectors: List[torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    """Join vectors of all lists of all systems, each of the shape (n_pairs, 3, 1), to (n_pairs, 3), float64."""
    if len(vectors) == 0:
        return torch.zeros(0, 3, dtype=torch.float64, device=like.device)
    joined = vectors[0] if len(vectors) == 1 else torch.cat(vectors)
    return joined.detach().squeeze(2).to(torch.float64)


def strain_gradients(
    vectors: List[torch.Tensor], dvectors: List[torch.Tensor], n_systems: int, like: torch.Tensor
) -> torch.Tensor:
    """Add up what the gradients with respect to pair vectors mean for the strain of systems: vectors^T dE/dvectors.

    Parameters
    ----------
    vectors, dvectors
        Pair vectors and dE/dvectors, shape (n_pairs, 3, 1), of all lists of all systems.
    n_systems
        Number of systems.
    like
        Some tensor on their device.

    Returns
    -------
    torch.Tensor
        Shape (n_systems, 3, 3), float64.
    """
    n_lists = len(vectors) // n_systems
    sums: List[torch.Tensor] = []
    for i in range(n_systems):
        total = torch.zeros(3, 3, dtype=torch.float64, device=like.device)
        for k in range(n_lists):
            vector = vectors[i * n_lists + k].detach()[:, :, 0].to(torch.float64)
            total = total + vector.t() @ dvectors[i * n_lists + k][:, :, 0].to(torch.float64)
        sums.append(total)
    return torch.stack(sums)
