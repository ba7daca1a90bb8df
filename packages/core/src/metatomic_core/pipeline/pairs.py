"""Pairs of atoms in the pipeline: their vectors, and what the gradients of these mean for atoms and cells.

Scripted code, saved in every model file.  Pair vectors are leaves of the autograd graph, beside positions and cells:
what a backward pass gives for them is added to atoms and virials here, without the passes over all pairs that autograd
would make through ``positions[second] - positions[first] + shift @ cell``.  Only for models that differentiate with
respect to positions themselves are the vectors connected to positions and cells.
"""

from typing import List, Optional

import torch
from metatensor.torch import Labels, TensorBlock

from .batch import joined, split


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


def check_atoms(atoms: torch.Tensor, n_atoms: int) -> None:
    """Refuse atoms of pairs that do not exist: code of machines would read and write beyond arrays, or count backwards.

    Parameters
    ----------
    atoms
        Integers, of any shape.
    n_atoms
        Number of atoms that there are.
    """
    if atoms.numel() > 0:
        smallest, largest = torch.aminmax(atoms)
        if int(smallest) < 0 or int(largest) >= n_atoms:
            raise ValueError(f"expected atoms between 0 and {n_atoms - 1} in pairs, got others")


def batch_atoms(
    pairs: List[List[torch.Tensor]], n_lists: int, n_atoms: List[int], device: torch.device
) -> torch.Tensor:
    """Give first and second atoms of all pairs, with the atoms of all structures numbered one after the other.

    Returns
    -------
    torch.Tensor
        Shape (2, n_pairs), int64, contiguous: `index_add` is 13 times slower with int32 indices (DESIGN.md, "Speed").
        In the order of lists and then structures.

    Raises
    ------
    ValueError
        If an atom does not exist.
    """
    atoms: List[torch.Tensor] = []
    for k in range(n_lists):
        start = 0
        for i in range(len(n_atoms)):
            # one pass over the columns: conversion and transposition; the latter alone for integers of this type
            columns = pairs[i][k][:, :2].t().to(torch.int64, memory_format=torch.contiguous_format).contiguous()
            check_atoms(columns, n_atoms[i])
            atoms.append(columns if start == 0 else columns + start)
            start += n_atoms[i]
    if len(atoms) == 0:
        return torch.zeros(2, 0, dtype=torch.int64, device=device)
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


def connected_vectors(
    positions_of: List[torch.Tensor], cells_of: List[torch.Tensor], pbc: torch.Tensor, pairs: List[torch.Tensor]
) -> torch.Tensor:
    """Compute the vectors of one list of all structures, connected to positions and cells.

    Parameters
    ----------
    positions_of, cells_of, pbc
        As in `Batch`.
    pairs
        For each structure, shape (n_pairs, 5), see `pair_vectors`.

    Returns
    -------
    torch.Tensor
        Shape (n_pairs, 3).
    """
    found: List[torch.Tensor] = []
    for i in range(len(positions_of)):
        found.append(pair_vectors(positions_of[i], cells_of[i], pairs[i], bool(pbc[i].any())))
    return joined(found)


def neighbor_blocks(
    pairs: List[torch.Tensor], vectors: List[torch.Tensor], n_pairs: List[List[int]], n_structures: int
) -> List[List[TensorBlock]]:
    """Give the neighbor lists of each structure, in the order of the requests; parameters as in `Batch`."""
    blocks: List[List[TensorBlock]] = []
    for _ in range(n_structures):
        nothing: List[TensorBlock] = []
        blocks.append(nothing)
    if len(pairs) == 0:
        return blocks
    names = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]
    device = pairs[0].device
    component = [Labels(["xyz"], torch.tensor([[0], [1], [2]], device=device))]
    properties = Labels(["distance"], torch.tensor([[0]], device=device))
    for k in range(len(pairs)):
        # one node of the autograd graph for all structures
        split_vectors = split(vectors[k].unsqueeze(2), n_pairs[k])
        split_pairs = split(pairs[k], n_pairs[k])
        for i in range(len(blocks)):
            samples = Labels(names, split_pairs[i], assume_unique=True)
            blocks[i].append(TensorBlock(split_vectors[i], samples, component, properties))
    return blocks


def gradients_of_atoms(atoms: torch.Tensor, dvectors: torch.Tensor, n_atoms: int) -> torch.Tensor:
    """Add up what the gradients with respect to pair vectors mean for the positions of atoms.

    Parameters
    ----------
    atoms
        Shape (2, n_pairs), see `batch_atoms`.
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
