"""Pairs of atoms as a model wants them, from those that GROMACS gives or that a search has found; scripted code.

Pairs are of shape (n_pairs, 5), integers, as in `_pairs.pair_vectors`: first atom, second atom, cell shifts of the
second one.  All lengths are in nm.
"""

from typing import List

import torch

from metatomic_core.pipeline.pairs import pair_vectors

from .cell_list import complete_cell


def within(
    pairs: torch.Tensor, positions: torch.Tensor, cell: torch.Tensor, periodic: bool, cutoff: float
) -> torch.Tensor:
    """Give the pairs within a cutoff."""
    near = pair_vectors(positions, cell, pairs, periodic).square().sum(1) <= cutoff * cutoff
    return pairs.index_select(0, torch.nonzero(near).squeeze(1))


def both_ways(pairs: torch.Tensor) -> torch.Tensor:
    """Give the full list that belongs to a half list."""
    flipped = torch.cat([pairs[:, 1:2], pairs[:, 0:1], -pairs[:, 2:]], dim=1)
    return torch.cat([pairs, flipped])


def pairs_of_gromacs(
    positions: torch.Tensor,
    cell: torch.Tensor,
    pbc: torch.Tensor,
    atom_pairs: torch.Tensor,
    pair_shifts: torch.Tensor,
    cutoff: float,
    chunk: int = 500000,
) -> torch.Tensor:
    """Give the pairs of GROMACS that are within a cutoff, with shifts in numbers of cells.

    Parameters
    ----------
    positions, cell, pbc
        As in `half_list`.
    atom_pairs
        Input "atom-pairs" of GROMACS, shape (n_pairs, 2), each pair once, maybe with pairs beyond the cutoff.
    pair_shifts
        Input "pair-shifts", shape (n_pairs, 3), a length: the vector from the first to the second atom of a pair is
        positions[second] - positions[first] - shift.
    cutoff
        Largest cutoff of the model.
    chunk
        Number of pairs to look at together, which limits the memory: grompp gives all pairs there are.

    Raises
    ------
    ValueError
        If a shift is not a sum of cell vectors.
    """
    inverse = torch.linalg.inv(complete_cell(cell, pbc))
    periodic = bool(pbc.any())
    found: List[torch.Tensor] = [torch.zeros([0, 5], dtype=torch.int64, device=positions.device)]
    for start in range(0, atom_pairs.size(0), chunk):
        atoms = atom_pairs[start : start + chunk].to(torch.int64)
        cells = -(pair_shifts[start : start + chunk].to(cell.dtype) @ inverse)
        shifts = torch.round(cells)
        # positions and shifts of GROMACS are rounded to float32
        if bool(((cells - shifts).abs() > 1e-2).any()) or bool(((shifts != 0) & ~pbc).any()):
            raise ValueError(
                "expected `pair-shifts` to be sums of box vectors, got others; give the inputs in the order that "
                "`metatomic convert` printed"
            )
        pairs = torch.cat([atoms, shifts.to(torch.int64)], dim=1)
        found.append(within(pairs, positions, cell, periodic, cutoff))
    return torch.cat(found)
