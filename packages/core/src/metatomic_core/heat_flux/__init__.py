"""Heat flux: what flows of the energy of a model, for thermal conductivities."""

from .wrapping import HeatFlux

__all__ = ["HeatFlux"]
