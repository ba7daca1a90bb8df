"""The calls by which grompp tries a model, with atoms that no simulation has; scripted code.

In all of them the box is a cube of 1 nm, and all atoms are of one element: hydrogen, or that of ``nnpot-link-type``.

- GROMACS 2025 gives one atom at the origin;
- GROMACS 2026 gives two atoms, both at the origin, and their pair without a shift;
- later versions give as many atoms as the simulation has, on one line and 0.04 nm apart.

They are recognized by their form, whatever the release, and the model is tried with atoms on that line in each case:
on one point they have no energy, and folded into the box all would be neighbors of all.  What the file returns is not
used, as long as it is a number: it has to work, whatever species the model knows.
"""

import torch


def probe_line(n_atoms: int, like: torch.Tensor) -> torch.Tensor:
    """Give the places on the line, in nm, shape (n_atoms, 3), in the dtype and on the device of another tensor."""
    numbers = torch.arange(1, max(n_atoms, 3) + 1, device=like.device).to(like.dtype)
    return 0.01 * numbers[:n_atoms].unsqueeze(1) * numbers[:3].unsqueeze(0)


def is_probe(
    positions: torch.Tensor,
    numbers: torch.Tensor,
    box: torch.Tensor | None,
    atom_pairs: torch.Tensor | None = None,
    pair_shifts: torch.Tensor | None = None,
) -> bool:
    """Tell whether the input is one of grompp.

    Parameters
    ----------
    positions
        Shape (n_atoms, 3), in nm.
    numbers
        Atomic numbers, shape (n_atoms,).
    box
        Shape (3, 3), in nm, if it is given.
    atom_pairs, pair_shifts
        Shapes (n_pairs, 2) and (n_pairs, 3), if they are given.
    """
    if box is not None and not bool((box == torch.eye(3, dtype=box.dtype, device=box.device)).all()):
        return False
    n_atoms = positions.size(0)
    # exactly so: atoms that coincide by mistake are to be refused
    if n_atoms <= 2 and bool((positions == 0).all()) and bool((numbers == numbers[0]).all()):
        return n_atoms == 1 or _is_first_pair(atom_pairs, pair_shifts)
    line = probe_line(n_atoms, positions)
    return bool(((positions - line).abs() <= 1e-5 * line).all())


def _is_first_pair(atom_pairs: torch.Tensor | None, pair_shifts: torch.Tensor | None) -> bool:
    """Tell whether there is nothing but the pair of the first two atoms, without a shift; true where none is given."""
    if atom_pairs is None or pair_shifts is None:
        return True
    if atom_pairs.numel() != 2 or int(atom_pairs[0, 0]) != 0 or int(atom_pairs[0, 1]) != 1:
        return False
    return bool((pair_shifts == 0).all())
