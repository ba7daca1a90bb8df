"""Periodic systems as clusters: the atoms of the cell and all images that their energies depend on.

Scripted code, saved in model files.  Images are found along the pairs of the neighbor lists, so cells may be smaller
than the interaction range, and open in any direction; the pairs of the cluster are copies of those of the system.
"""

from typing import List, NamedTuple, Tuple

import torch


class Cluster(NamedTuple):
    """The atoms of a cell, in order, and the images around them.

    Attributes
    ----------
    atoms
        The atom that each is an image of, shape (n_images,), int64.
    shifts
        Cell shift of each, shape (n_images, 3), int64; zero for the atoms of the cell.
    codes, order
        Numbers that stand for images, sorted, shape (n_images,), and the image of each.
    """

    atoms: torch.Tensor
    shifts: torch.Tensor
    codes: torch.Tensor
    order: torch.Tensor


def coded(atoms: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    """Give a number for each image, equal for equal atoms and shifts: digits of the base 2048, shifts from -1024.

    Raises
    ------
    ValueError
        If a shift has no such digit.
    """
    if shifts.numel() > 0 and int(shifts.abs().max()) >= 1024:
        raise ValueError(
            f"expected atoms within 1023 cells of their neighbors, got {int(shifts.abs().max())}; put them back into "
            "the cell"
        )
    code = atoms
    for k in range(3):
        code = code * 2048 + (shifts[:, k] + 1024)
    return code


def _decoded(codes: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """Give atoms and shifts of numbers made by `coded`."""
    columns: List[torch.Tensor] = []
    for _ in range(3):
        columns.append(codes % 2048 - 1024)
        codes = torch.div(codes, 2048, rounding_mode="floor")
    return codes, torch.stack([columns[2], columns[1], columns[0]], dim=1)


def unfolded(pairs: torch.Tensor, distances: torch.Tensor, n_atoms: int, reach: float) -> Cluster:
    """Find all images that are connected to an atom of the cell by a path of pairs that is not longer than the range.

    Parameters
    ----------
    pairs
        First and second atoms and cell shifts of all lists, shape (n_pairs, 5), int64.
    distances
        Their lengths, shape (n_pairs,).
    n_atoms
        Number of atoms of the cell.
    reach
        The interaction range: messages go along pairs, so nothing beyond it matters to an atom.
    """
    cell = torch.arange(n_atoms, dtype=torch.int64, device=pairs.device)
    in_cell = coded(cell, torch.zeros(n_atoms, 3, dtype=torch.int64, device=pairs.device))
    if not bool((pairs[:, 2:] != 0).any()):
        # all atoms are explicit already, as in LAMMPS
        return Cluster(cell, torch.zeros(n_atoms, 3, dtype=torch.int64, device=pairs.device), in_cell, cell)
    first = torch.cat([pairs[:, 0], pairs[:, 1]])
    second = torch.cat([pairs[:, 1], pairs[:, 0]])
    steps = torch.cat([pairs[:, 2:], -pairs[:, 2:]])
    lengths = torch.cat([distances, distances])
    by_first = torch.argsort(first)
    second, steps, lengths = second[by_first], steps[by_first], lengths[by_first]
    degree = torch.bincount(first, minlength=n_atoms)
    begin = torch.cumsum(degree, 0) - degree
    codes = in_cell
    paths = torch.zeros(n_atoms, dtype=distances.dtype, device=pairs.device)
    is_new = torch.ones(n_atoms, dtype=torch.bool, device=pairs.device)
    while bool(is_new.any()):
        atoms, shifts = _decoded(codes[is_new])
        n_steps = degree[atoms]
        source = torch.repeat_interleave(torch.arange(len(atoms), device=pairs.device), n_steps)
        within = torch.arange(len(source), device=pairs.device) - (torch.cumsum(n_steps, 0) - n_steps)[source]
        step = begin[atoms][source] + within
        longer = paths[is_new][source] + lengths[step]
        near = longer <= reach
        reached = coded(second[step], shifts[source] + steps[step])[near]
        known, where = torch.unique(torch.cat([codes, reached]), sorted=True, return_inverse=True)
        shortest = torch.full([len(known)], 2.0 * reach + 1.0, dtype=distances.dtype, device=pairs.device)
        before = shortest.scatter(0, where[: len(codes)], paths)
        shortest = shortest.scatter_reduce(0, where, torch.cat([paths, longer[near]]), "amin")
        # a path that is shorter by rounding leads nowhere else
        is_new = shortest < before - 1e-6 * reach
        codes, paths = known, shortest
    is_image = torch.ones(len(codes), dtype=torch.bool, device=pairs.device)
    is_image[torch.searchsorted(codes, in_cell)] = False
    atoms, shifts = _decoded(torch.cat([in_cell, codes[is_image]]))
    codes, order = torch.sort(torch.cat([in_cell, codes[is_image]]))
    return Cluster(atoms, shifts, codes, order)


def pairs_of_cluster(cluster: Cluster, pairs: torch.Tensor) -> torch.Tensor:
    """Give the pairs of a list between atoms of a cluster: first and second, shape (n, 2), int64.

    Parameters
    ----------
    cluster
        The cluster.
    pairs
        First and second atoms and cell shifts of the list, shape (n_pairs, 5), int64.
    """
    by_first = torch.argsort(pairs[:, 0], stable=True)
    pairs = pairs[by_first]
    n_atoms = int(cluster.atoms.max()) + 1 if len(cluster.atoms) > 0 else 0
    degree = torch.bincount(pairs[:, 0], minlength=n_atoms)
    begin = torch.cumsum(degree, 0) - degree
    n_pairs = degree[cluster.atoms]
    image = torch.repeat_interleave(torch.arange(len(cluster.atoms), device=pairs.device), n_pairs)
    within = torch.arange(len(image), device=pairs.device) - (torch.cumsum(n_pairs, 0) - n_pairs)[image]
    pair = begin[cluster.atoms][image] + within
    wanted = coded(pairs[pair, 1], cluster.shifts[image] + pairs[pair, 2:])
    place = torch.searchsorted(cluster.codes, wanted).clamp(max=len(cluster.codes) - 1)
    is_there = cluster.codes[place] == wanted
    return torch.stack([image[is_there], cluster.order[place[is_there]]], dim=1)
