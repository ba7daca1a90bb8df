"""A neighbor search in operations of torch, saved in files for engines that give no neighbor lists.

Scripted code.  Atoms are sorted into bins at least as wide as the cutoff; the bins around the one of an atom, with
their periodic images, hold its neighbors.  Of the bins on opposite sides only one is looked at, so that each pair is
found once.
"""

from typing import List, NamedTuple

import torch


class Grid(NamedTuple):
    """Atoms in bins.

    Attributes
    ----------
    points
        Positions inside the cell, shape (n_atoms, 3).
    wraps
        Cells between the positions and the points: positions = points + wraps @ cell, shape (n_atoms, 3), integers.
    bins
        Bin of each atom along the three cell vectors, shape (n_atoms, 3), integers.
    n_bins
        Number of bins along each cell vector, shape (3,), integers.
    reach
        How many bins away an atom has neighbors, shape (3,), integers.
    """

    points: torch.Tensor
    wraps: torch.Tensor
    bins: torch.Tensor
    n_bins: torch.Tensor
    reach: torch.Tensor


def complete_cell(cell: torch.Tensor, pbc: torch.Tensor) -> torch.Tensor:
    """Replace the vectors of non-periodic directions by unit vectors orthogonal to the periodic ones.

    Parameters
    ----------
    cell
        Shape (3, 3), vectors as rows.
    pbc
        Shape (3,), bool.

    Raises
    ------
    ValueError
        If the vectors of the periodic directions are not independent.
    """
    n_periodic = int(pbc.sum())
    if n_periodic == 0:
        return torch.eye(3, dtype=cell.dtype, device=cell.device)
    completed = cell.clone()
    if n_periodic < 3:
        # rows of the last matrix beyond the rank span the orthogonal complement
        _, _, rows = torch.linalg.svd(cell[pbc])
        completed[~pbc] = rows[n_periodic:]
    lengths = completed.square().sum(1).sqrt()
    if not float(torch.linalg.det(completed).abs()) > 1e-6 * float(lengths.prod()):
        raise ValueError("expected independent vectors in `box` along the periodic directions, got others")
    return completed


def make_grid(positions: torch.Tensor, cell: torch.Tensor, pbc: torch.Tensor, cutoff: float) -> Grid:
    """Sort atoms into bins; arguments as in `half_list`, with a completed cell."""
    inverse = torch.linalg.inv(cell)
    fractions = positions @ inverse
    wraps = torch.floor(fractions) * pbc
    fractions = fractions - wraps
    zero, one = torch.zeros_like(fractions[0]), torch.ones_like(fractions[0])
    low = torch.where(pbc, zero, fractions.amin(0))
    span = torch.where(pbc, one, fractions.amax(0) - low)
    # columns of the inverse are normal to planes of the lattice; a bit more than the cutoff is safe from rounding
    thickness = span / inverse.square().sum(0).sqrt()
    wide = cutoff * 1.0001
    n_bins = torch.floor(thickness / wide).clamp(1, 1048576)
    reach = torch.where(pbc, torch.ceil(wide * n_bins / thickness.clamp(min=1e-12)), (n_bins > 1).to(n_bins.dtype))
    scaled = (fractions - low) / torch.where(span > 0, span, one) * n_bins
    bins = torch.minimum(torch.floor(scaled).clamp(min=0), n_bins - 1)
    long = torch.int64
    return Grid(positions - wraps @ cell, wraps.to(long), bins.to(long), n_bins.to(long), reach.to(long))


def _offsets(reach: torch.Tensor) -> torch.Tensor:
    """List the bins around one, that one first, without those opposite to another one; shape (n_offsets, 3)."""
    sizes = 2 * reach + 1
    total = int(sizes.prod())
    # in this order, the middle one is zero and the two at the same distance from it are opposite
    index = torch.arange(total // 2, total, device=reach.device)
    offsets = torch.stack([index // (sizes[1] * sizes[2]), index // sizes[2] % sizes[1], index % sizes[2]], dim=1)
    return offsets - reach


class Candidates(NamedTuple):
    """Bins to look into: one row for each atom and each bin near its own that has atoms, shape (n_rows,).

    Attributes
    ----------
    source
        Number of the bin around (the own one is 0) times the number of atoms, plus the atom.
    images
        Cell shifts of the bin, shape (n_rows, 3).
    starts, counts
        Place of the first atom of the bin in ``order``, and how many there are.
    order
        Atoms in the order of their bins, shape (n_atoms,).
    """

    source: torch.Tensor
    images: torch.Tensor
    starts: torch.Tensor
    counts: torch.Tensor
    order: torch.Tensor


def _candidates(grid: Grid, pbc: torch.Tensor) -> Candidates:
    n_bins = grid.n_bins
    own = (grid.bins[:, 0] * n_bins[1] + grid.bins[:, 1]) * n_bins[2] + grid.bins[:, 2]
    order = torch.argsort(own)
    in_order = own.index_select(0, order)
    around = _offsets(grid.reach).unsqueeze(1) + grid.bins.unsqueeze(0)
    images = torch.div(around, n_bins, rounding_mode="floor")
    around = around - images * n_bins
    keys = ((around[:, :, 0] * n_bins[1] + around[:, :, 1]) * n_bins[2] + around[:, :, 2]).reshape(-1)
    # bins are looked up rather than tabulated: atoms far from each other make many that are empty
    starts = torch.searchsorted(in_order, keys)
    counts = torch.searchsorted(in_order, keys, right=True) - starts
    inside = ((images == 0) | pbc).all(dim=2).reshape(-1)
    rows = torch.nonzero(inside & (counts > 0)).squeeze(1)
    images = images.reshape(-1, 3).index_select(0, rows)
    return Candidates(rows, images, starts.index_select(0, rows), counts.index_select(0, rows), order)


def _pairs_of_rows(
    candidates: Candidates, grid: Grid, cell: torch.Tensor, cutoff: float, first_row: int, last_row: int
) -> torch.Tensor:
    """Give the pairs of some rows, in the form of `half_list`."""
    counts = candidates.counts[first_row:last_row]
    rows = torch.arange(first_row, last_row, device=counts.device).repeat_interleave(counts)
    within = torch.arange(rows.size(0), device=counts.device) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    second = candidates.order.index_select(0, candidates.starts.index_select(0, rows) + within)
    source = candidates.source.index_select(0, rows)
    n_atoms = grid.points.size(0)
    first = source % n_atoms
    shifts = candidates.images.index_select(0, rows)
    vectors = grid.points.index_select(0, second) - grid.points.index_select(0, first) + shifts.to(cell.dtype) @ cell
    # in the own bin of an atom both orders of a pair are found
    near = (vectors.square().sum(1) <= cutoff * cutoff) & ((source >= n_atoms) | (first < second))
    kept = torch.nonzero(near).squeeze(1)
    first, second = first.index_select(0, kept), second.index_select(0, kept)
    shifts = shifts.index_select(0, kept)
    shifts = shifts - grid.wraps.index_select(0, second) + grid.wraps.index_select(0, first)
    return torch.cat([first.unsqueeze(1), second.unsqueeze(1), shifts], dim=1)


def half_list(
    positions: torch.Tensor, cell: torch.Tensor, pbc: torch.Tensor, cutoff: float, chunk: int = 200000
) -> torch.Tensor:
    """Find each pair of atoms within a cutoff once.

    Parameters
    ----------
    positions
        Shape (n_atoms, 3), float64, n_atoms > 0; not necessarily inside the cell.
    cell
        Shape (3, 3), float64, vectors as rows; those of non-periodic directions are ignored.
    pbc
        Shape (3,), bool.
    cutoff
        In the unit of the positions.
    chunk
        Number of candidates to look at together, which limits the memory.

    Returns
    -------
    torch.Tensor
        Shape (n_pairs, 5), int64: first atom, second atom, cell shifts of the second one.
    """
    cell = complete_cell(cell, pbc)
    grid = make_grid(positions, cell, pbc, cutoff)
    candidates = _candidates(grid, pbc)
    ends = candidates.counts.cumsum(0)
    found: List[torch.Tensor] = []
    row, done = 0, 0
    while row < ends.size(0):
        stop = max(int((ends <= done + chunk).sum()), row + 1)
        found.append(_pairs_of_rows(candidates, grid, cell, cutoff, row, stop))
        row, done = stop, int(ends[stop - 1])
    # never empty: each atom is in its own bin
    return torch.cat(found)
