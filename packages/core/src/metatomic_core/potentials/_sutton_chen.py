"""The analytic embedded atom functions of Sutton and Chen, for the default of `embedded_atom`: copper."""

from typing import Tuple

import torch

from ._common import switch, whole_power

REFERENCE = (
    "A. P. Sutton and J. Chen, Phil. Mag. Lett. 61, 139 (1990), https://doi.org/10.1080/09500839008206493: copper"
)
# copper, Table 1 of the paper
A = 3.61  # angstrom
EPSILON = 1.2382e-2  # eV
C = 39.432
N = 9
M = 6
# The paper has no cutoff: the functions are smoothly taken to zero between these, in units of a.
ONSET = 1.9
CUTOFF = 2.2


class SuttonChen(torch.nn.Module):
    """Pair energy epsilon (a/r)^n, density (a/r)^m and embedding energy -epsilon c sqrt(density) of one element.

    Parameters
    ----------
    a, epsilon
        Parameters in the units of the model.
    c, n, m
        Dimensionless parameters; n and m integer.
    onset, cutoff
        Where the smooth step that multiplies pair energy and density begins and ends, in the unit of ``a``.
    """

    def __init__(self, a: float, epsilon: float, c: float, n: int, m: int, onset: float, cutoff: float):
        super().__init__()
        self.a = a
        self.epsilon = epsilon
        self.c = c
        self.n = n
        self.m = m
        self.onset = onset
        self.cutoff = cutoff

    def pair_functions(self, r2: torch.Tensor, kind: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Give density at the first atom, density at the second one, and pair energy, each of the shape (n_pairs,)."""
        x = self.a * r2.rsqrt()
        factor = switch(r2, self.onset, self.cutoff)
        density = whole_power(x, self.m) * factor
        return density, density, self.epsilon * whole_power(x, self.n) * factor

    def embedding(self, density: torch.Tensor, species: torch.Tensor) -> torch.Tensor:
        """Give the embedding energy of each atom, shape (n_atoms,)."""
        # the slope at zero is infinite, and multiplies zeros
        occupied = density > 0
        root = torch.where(occupied, density, torch.ones_like(density)).sqrt()
        return -self.epsilon * self.c * torch.where(occupied, root, torch.zeros_like(root))
