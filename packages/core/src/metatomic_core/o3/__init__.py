"""Rotations and inversion: grids of rotations, transformations of systems and tensors, models averaged over them."""

from .quadrature import rotation_grid
from .symmetrized import SymmetrizedModel
from .transformations import O3Transformations, random_transformations
from .turns import is_axial

__all__ = ["O3Transformations", "SymmetrizedModel", "is_axial", "random_transformations", "rotation_grid"]
