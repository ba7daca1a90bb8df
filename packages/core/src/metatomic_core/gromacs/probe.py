"""The call by which grompp tries a model, with atoms that no simulation has; scripted code.

GROMACS 2025 gives one hydrogen atom at the origin.  Later releases give the atoms of the simulation, all of the
element of ``nnpot-link-type`` (hydrogen by default), on one line and 0.04 nm apart, as here.  In both the box is a cube
of 1 nm, into which the line would be folded so that atoms coincide and all are neighbors of all.  What the model
returns is not used: it has to work, whatever species it knows.
"""

from typing import Optional

import torch


def is_probe(positions: torch.Tensor, box: Optional[torch.Tensor]) -> bool:
    """Tell whether the input is that of grompp.

    Parameters
    ----------
    positions
        Shape (n_atoms, 3), in nm.
    box
        Shape (3, 3), in nm, if it is given.
    """
    if box is not None and not bool((box == torch.eye(3, dtype=box.dtype, device=box.device)).all()):
        return False
    n_atoms = positions.size(0)
    if n_atoms == 1 and bool((positions == 0).all()):
        return True
    numbers = torch.arange(1, max(n_atoms, 3) + 1, device=positions.device).to(positions.dtype)
    line = 0.01 * numbers[:n_atoms].unsqueeze(1) * numbers[:3].unsqueeze(0)
    return bool(((positions - line).abs() <= 1e-5 * line).all())
