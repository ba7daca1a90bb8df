"""Models with dispersion added to their energies, by the interface of metatomic-torch.

`metatomic_core.potentials.d3_dispersion` gives the same as a model of its own, with a smooth cutoff.
"""

from .wrapping import DFTD3

__all__ = ["DFTD3"]
