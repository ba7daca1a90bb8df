"""Rotations and inversion: grids of rotations, transformations of systems and tensors."""

from .quadrature import rotation_grid
from .transformations import O3Transformations, random_transformations

__all__ = ["O3Transformations", "random_transformations", "rotation_grid"]
