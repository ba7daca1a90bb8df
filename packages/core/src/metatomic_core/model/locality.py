"""Whether a model needs only the pairs of an atom for its energy: what an engine that divides space must know.

Asked once, when a model is saved.  Engines such as LAMMPS give each process its own atoms and copies ("ghosts")
of those around them.  A model that sees geometry only through the pairs of each atom needs no pairs of ghosts.

Nothing in a model says so, and a wrong yes gives wrong forces.  So the question is asked in two ways, of clusters of
all types and densities, and one no is enough: is the value of an atom the same without the pairs of others, and is it a
number still if the vectors of these pairs are not?  The second finds messages that happen to be zero.
"""

from typing import List

import torch


def dense_cluster(n_atoms: int, radius: float, start: int) -> torch.Tensor:
    """Place atoms around one at the origin, irregularly, without close ones: any term of a model is there.

    Parameters
    ----------
    n_atoms
        Number of atoms, the one at the origin included.
    radius
        Radius of the cluster.
    start
        Where to begin in the sequence of trial points: other values, other clusters.

    Returns
    -------
    torch.Tensor
        Shape (n_atoms or fewer, 3), float64.

    References
    ----------
    The trial points are the additive recurrence with the generalised golden ratio in three dimensions, 1.2207440846:
    M. Roberts, The unreasonable effectiveness of quasirandom sequences (2018).
    """
    ratio = 1.2207440846057596
    steps = torch.tensor([1.0 / ratio, 1.0 / ratio**2, 1.0 / ratio**3], dtype=torch.float64)
    index = torch.arange(start, start + 2000, dtype=torch.float64).unsqueeze(1)
    trials = radius * (2.0 * torch.frac(0.5 + index * steps) - 1.0)
    positions = torch.zeros(1, 3, dtype=torch.float64)
    for i in range(trials.size(0)):
        trial = trials[i]
        is_inside = bool(trial.square().sum() < radius * radius)
        if is_inside and bool((positions - trial).square().sum(1).min() > 0.15 * radius * radius):
            positions = torch.cat([positions, trial.unsqueeze(0)])
            if positions.size(0) == n_atoms:
                break
    return positions


def cluster_pairs(positions: torch.Tensor, cutoff: float, full_list: bool, of_first_only: bool) -> torch.Tensor:
    """List the pairs of a cluster, shape (n_pairs, 5), int32; all of them, or those of the first atom only."""
    n_atoms = positions.size(0)
    near = (positions.unsqueeze(1) - positions.unsqueeze(0)).square().sum(2) < cutoff * cutoff
    first, second = torch.meshgrid([torch.arange(n_atoms), torch.arange(n_atoms)], indexing="ij")
    near = near & (first != second if full_list else first < second)
    if of_first_only:
        near = near & (first == 0)
    pairs = torch.nonzero(near)
    return torch.cat([pairs, torch.zeros(pairs.size(0), 3, dtype=torch.int64)], dim=1).to(torch.int32)


def cluster_types(n_atoms: int, atomic_types: List[int], start: int) -> torch.Tensor:
    """Give types for the atoms of a cluster: half of the atoms of one type, the others of all types in turn.

    Parameters
    ----------
    n_atoms
        Number of atoms.
    atomic_types
        Types of the model.
    start
        Which type to favor, counted from zero.
    """
    types = torch.tensor(atomic_types, dtype=torch.int32)
    index = torch.arange(n_atoms)
    # multiples of the golden ratio fill the unit interval evenly
    place = torch.frac(index.to(torch.float64) * 0.6180339887498949 + 0.37 * start)
    mixed = types[(place * len(atomic_types)).to(torch.int64)]
    return torch.where(index % 2 == 0, types[start % len(atomic_types)], mixed)


def cluster_vectors(positions: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    """Give the vectors of pairs of a cluster, NaN for those that are not of the first atom; shape (n_pairs, 3)."""
    first, second = pairs[:, 0].to(torch.int64), pairs[:, 1].to(torch.int64)
    vectors = positions.index_select(0, second) - positions.index_select(0, first)
    return torch.where((first == 0).unsqueeze(1), vectors, float("nan"))


def same(before: torch.Tensor, after: torch.Tensor, dtype: str) -> bool:
    """Tell whether values are the same numbers, up to rounding and the order of sums."""
    tolerance = 1e-9 if dtype == "float64" else 1e-4
    return bool((before - after).abs().max() <= tolerance * before.abs().max())
