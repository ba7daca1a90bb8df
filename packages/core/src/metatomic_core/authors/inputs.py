"""What a model reads: pairs, species, structures and selected atoms of all systems together, as plain tensors.

Scripted code, saved in the model files.  Sizes come from shapes of tensors, not from ``len(system)``, which a trace
would take for a constant.
"""

from typing import List, Optional, Tuple

import torch
from metatensor.torch import Labels

from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.system import System


def atom_count(systems: List[System]) -> int:
    """Give the number of atoms of all systems.

    Parameters
    ----------
    systems
        The systems.

    Returns
    -------
    int
        Number of atoms.

    Raises
    ------
    ValueError
        If there are no systems.
    """
    if len(systems) == 0:
        raise ValueError("expected one or more `systems`, got none")
    n_atoms = 0
    for system in systems:
        n_atoms += system.types.size(0)
    return n_atoms


def all_types(systems: List[System]) -> torch.Tensor:
    """Give the atomic types of all atoms, shape (n_atoms,), int32.

    Parameters
    ----------
    systems
        The systems.

    Returns
    -------
    torch.Tensor
        Atomic types, in the order of the systems.
    """
    if len(systems) == 1:
        return systems[0].types
    return torch.cat([system.types for system in systems])


def all_positions(systems: List[System]) -> torch.Tensor:
    """Give the positions of all atoms, shape (n_atoms, 3), in the length unit of the model.

    Parameters
    ----------
    systems
        The systems.

    Returns
    -------
    torch.Tensor
        Positions, in the order of the systems; gradients go through.
    """
    if len(systems) == 1:
        return systems[0].positions
    return torch.cat([system.positions for system in systems])


def structure_index(systems: List[System]) -> torch.Tensor:
    """Give the number of the system of each atom, shape (n_atoms,), int64.

    Parameters
    ----------
    systems
        The systems.

    Returns
    -------
    torch.Tensor
        Numbers of systems, from zero.
    """
    index: List[torch.Tensor] = []
    for i in range(len(systems)):
        types = systems[i].types
        index.append(torch.full([types.size(0)], i, dtype=torch.int64, device=types.device))
    return torch.cat(index)


def species_table(types: List[int]) -> torch.Tensor:
    """Give the table for `species_index`, to be registered as a buffer of the model.

    Parameters
    ----------
    types
        Atomic types that the model knows, in the order in which it numbers its species.

    Returns
    -------
    torch.Tensor
        Shape (largest type + 1,), int64: the species of each type, -1 for types between that have none.

    Raises
    ------
    ValueError
        If there are no types, one is negative, or one is there twice.
    """
    if len(types) == 0 or len(set(types)) != len(types) or min(types) < 0:
        raise ValueError(f"expected `types` to be one or more different non-negative numbers, got {types}")
    table = torch.full((max(types) + 1,), -1, dtype=torch.int64)
    table[torch.tensor(types)] = torch.arange(len(types))
    return table


def species_index(systems: List[System], table: torch.Tensor) -> torch.Tensor:
    """Give the species of each atom, numbered from zero, shape (n_atoms,), int64.

    Parameters
    ----------
    systems
        The systems.
    table
        Species by atomic type, int64, on the device of the systems; see `species_table`.

    Returns
    -------
    torch.Tensor
        Species, on the device of the table.
    """
    return table.index_select(0, all_types(systems))


def pairs(systems: List[System], options: NeighborListOptions) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Give the pairs in a neighbor list of all systems.

    Parameters
    ----------
    systems
        The systems.
    options
        One of the lists that the model requests.

    Returns
    -------
    torch.Tensor, torch.Tensor, torch.Tensor
        First and second atoms, each of the shape (n_pairs,), int64 and contiguous: sums over them are ten times slower
        with other integers.  Vectors from the first to the second, shape (n_pairs, 3), in the length unit of the
        model.
    """
    vectors: List[torch.Tensor] = []
    first: List[torch.Tensor] = []
    second: List[torch.Tensor] = []
    start = 0
    for system in systems:
        block = system.get_neighbor_list(options)
        vectors.append(block.values.squeeze(-1))
        first.append(block.samples.column("first_atom").to(torch.int64) + start)
        second.append(block.samples.column("second_atom").to(torch.int64) + start)
        start += system.types.size(0)
    if len(systems) == 1:
        return first[0], second[0], vectors[0]
    return torch.cat(first), torch.cat(second), torch.cat(vectors)


def cell_shifts(systems: List[System], options: NeighborListOptions) -> torch.Tensor:
    """Give the cell shifts of the pairs in the order of `pairs`, shape (n_pairs, 3), int32.

    Parameters
    ----------
    systems
        The systems.
    options
        The request for the neighbor list.

    Returns
    -------
    torch.Tensor
        Numbers of cell vectors that are added to the second atom of each pair.
    """
    return torch.cat([system.get_neighbor_list(options).samples.values[:, 2:5] for system in systems])


def sum_at_atoms(systems: List[System], values: torch.Tensor, atoms: torch.Tensor) -> torch.Tensor:
    """Sum values at the atoms that they belong to, as those of pairs at their first atoms.

    Parameters
    ----------
    systems
        The systems.
    values
        Shape (n, ...).
    atoms
        The atom of each value, shape (n,), int64.

    Returns
    -------
    torch.Tensor
        Shape (n_atoms, ...); zero for atoms without values.
    """
    shape = [atom_count(systems)] + list(values.size()[1:])
    return torch.zeros(shape, dtype=values.dtype, device=values.device).index_add(0, atoms, values)


def selected_index(systems: List[System], selected_atoms: Optional[Labels]) -> torch.Tensor:
    """Give the numbers of the selected atoms among all atoms, in the order of selection; of all atoms for None.

    For a part of a model that is to run on selected atoms only; see ``of_selected`` in `per_atom_output`.

    Parameters
    ----------
    systems
        The systems.
    selected_atoms
        Labels ``system`` and ``atom``; None for all atoms.

    Returns
    -------
    torch.Tensor
        Shape (n_selected,), int64.
    """
    device = systems[0].types.device
    if selected_atoms is None:
        return torch.arange(atom_count(systems), device=device)
    chosen = selected_atoms.values.to(device=device, dtype=torch.int64)
    if len(systems) == 1:
        return chosen[:, 1].contiguous()
    # not `torch.tensor` of the numbers, which a trace would take for constants
    starts: List[torch.Tensor] = []
    start = 0
    for system in systems:
        starts.append(torch.full([1], start, dtype=torch.int64, device=device))
        start += system.types.size(0)
    return torch.cat(starts).index_select(0, chosen[:, 0].contiguous()) + chosen[:, 1]
