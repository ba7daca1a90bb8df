"""Averages over rotations: `rotation_grid` gives rotations and weights, exact up to a degree.

A function of a rotation is a sum of elements of Wigner matrices, which rotate the spherical harmonics of a degree.  A
grid is exact up to a degree where the average of all of them is that over all rotations: zero, but for the constant.
"""

import math

import torch

from metatomic_core.foundation.checks import check_type

_GOLDEN = (1.0 + math.sqrt(5.0)) / 2.0
# Axis and part of a full turn of the generators of a group of rotations.
_TURNS = {
    "1": (),
    "222": (((0.0, 0.0, 1.0), 2), ((1.0, 0.0, 0.0), 2)),
    "23": (((0.0, 0.0, 1.0), 2), ((1.0, 1.0, 1.0), 3)),
    "432": (((0.0, 0.0, 1.0), 4), ((1.0, 1.0, 1.0), 3)),
    "532": (((0.0, 1.0, _GOLDEN), 5), ((1.0, 1.0, 1.0), 3)),
}
# The group whose rotations are exact up to each degree: none of these leaves a function of a lower degree as it is.
_GROUPS = ("1", "222", "23", "432", "532", "532")
# Degrees beyond this have more rotations than anybody evaluates, and a mistake in an argument is likelier.
MAX_DEGREE = 64
# Elements of a group are told apart by this.
_TOLERANCE = 1e-6
# Neither cells nor what models do in space (grids, fields along axes) may be along axes of the grid.
_BEFORE = ((0.36, -0.48, 0.8), 1.234)
_AFTER = ((0.8, 0.36, -0.48), 0.789)


def rotation_about(axis: tuple[float, float, float], angle: float) -> torch.Tensor:
    """Give the rotation about an axis by an angle in radians: shape (3, 3), float64, acts on columns.

    Parameters
    ----------
    axis
        Of any length.
    angle
        Counterclockwise, seen against the axis.

    Returns
    -------
    torch.Tensor
        The matrix.
    """
    x, y, z = torch.nn.functional.normalize(torch.tensor(axis, dtype=torch.float64), dim=0).tolist()
    # the formula of Rodrigues
    cross = torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]], dtype=torch.float64)
    return torch.eye(3, dtype=torch.float64) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * cross @ cross


def _group(name: str) -> torch.Tensor:
    """Give all rotations of a group, the identity first."""
    generators = [rotation_about(axis, 2.0 * math.pi / parts) for axis, parts in _TURNS[name]]
    found = [torch.eye(3, dtype=torch.float64)]
    for element in found:
        for generator in generators:
            new = generator @ element
            if all(bool((new - other).abs().max() > _TOLERANCE) for other in found):
                # the loop goes on with it
                found.append(new)
    return torch.stack(found)


def _legendre(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Give nodes and weights of Gauss and Legendre on [-1, 1]: eigenvalues of a matrix (Golub and Welsch, 1969)."""
    k = torch.arange(1, n, dtype=torch.float64)
    off = k / (4.0 * k * k - 1.0).sqrt()
    nodes, vectors = torch.linalg.eigh(torch.diag(off, 1) + torch.diag(off, -1))
    return nodes, vectors[0].square()


def _turns(angles: torch.Tensor, first: int, second: int) -> torch.Tensor:
    """Give rotations in the plane of two axes, counterclockwise from the first."""
    matrices = torch.eye(3, dtype=torch.float64).repeat(len(angles), 1, 1)
    matrices[:, first, first] = matrices[:, second, second] = angles.cos()
    matrices[:, second, first] = angles.sin()
    matrices[:, first, second] = -angles.sin()
    return matrices


def _euler(degree: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Give a product of grids over the three Euler angles z, y, z: uniform, Gauss in the cosine, uniform."""
    around = _turns(torch.arange(degree + 1, dtype=torch.float64) * (2.0 * math.pi / (degree + 1)), 0, 1)
    cosines, weights = _legendre(degree // 2 + 1)
    over = _turns(cosines.acos(), 2, 0)
    products = torch.einsum("aij,bjk,ckl->abcil", around, over, around)
    shape = products.shape[:3]
    return products.reshape(-1, 3, 3), (weights.reshape(1, -1, 1).expand(shape) / shape[0] ** 2).reshape(-1)


def rotation_grid(degree: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Give rotations and weights whose weighted sum is the average over all rotations, exact up to a degree.

    Up to degree 5 they are the rotations of a polyhedron (1, 4, 12, 24, 60 and 60 of them), beyond a product of grids
    over Euler angles, (degree + 1)^2 (degree // 2 + 1) of them.  No axis of the grid is one of the coordinates.

    Parameters
    ----------
    degree
        Highest degree of spherical harmonics that is averaged exactly, 0 to 64.

    Returns
    -------
    matrices
        Rotations, shape (n, 3, 3), float64; they act on columns: ``positions @ matrix.T``.
    weights
        Shape (n,), float64, positive, with the sum 1.

    Raises
    ------
    TypeError
        If the degree is no integer.
    ValueError
        If it is out of range.
    """
    check_type("degree", degree, int, "an integer")
    if not 0 <= degree <= MAX_DEGREE:
        raise ValueError(f"expected `degree` between 0 and {MAX_DEGREE}, got {degree}")
    if degree == 0:
        return torch.eye(3, dtype=torch.float64).unsqueeze(0), torch.ones(1, dtype=torch.float64)
    if degree < len(_GROUPS):
        matrices = _group(_GROUPS[degree])
        weights = torch.full((len(matrices),), 1.0 / len(matrices), dtype=torch.float64)
    else:
        matrices, weights = _euler(degree)
    return rotation_about(*_BEFORE) @ matrices @ rotation_about(*_AFTER), weights
