"""Real spherical harmonics, and the Wigner matrices that rotate them.

Components m = -l to l, with the order y, z, x for l = 1, orthonormal on the sphere, without the phase of Condon and
Shortley: as in e3nn (where the axis y, z, x is called so, too), sphericart and metatensor.
"""

import math

import torch

from .quadrature import rotation_grid


def real_spherical_harmonics(l_max: int, vectors: torch.Tensor) -> list[torch.Tensor]:
    """Give real spherical harmonics of all degrees up to the highest.

    Parameters
    ----------
    l_max
        Highest degree.
    vectors
        Unit vectors, shape (n, 3).

    Returns
    -------
    list of torch.Tensor
        For each degree l, shape (n, 2 l + 1), from m = -l to l.
    """
    x, y, z = vectors.unbind(1)
    # polynomials: Legendre functions without their power of sin(theta), by recursion in l for each m
    legendre: dict[tuple[int, int], torch.Tensor] = {}
    for m in range(l_max + 1):
        if m == 0:
            legendre[0, 0] = torch.full_like(z, math.sqrt(1.0 / (4.0 * math.pi)))
        else:
            legendre[m, m] = legendre[m - 1, m - 1] * math.sqrt((2.0 * m + 1.0) / (2.0 * m))
        for degree in range(m + 1, l_max + 1):
            a = math.sqrt((4.0 * degree**2 - 1.0) / (degree**2 - m**2))
            legendre[degree, m] = a * z * legendre[degree - 1, m]
            if degree > m + 1:
                b = math.sqrt(((degree - 1.0) ** 2 - m**2) / (4.0 * (degree - 1.0) ** 2 - 1.0))
                legendre[degree, m] = legendre[degree, m] - a * b * legendre[degree - 2, m]
    # sin(theta)^m times cosine and sine of m phi: powers of x + iy
    cosines, sines = [torch.ones_like(x)], [torch.zeros_like(x)]
    for _ in range(l_max):
        cosines.append(x * cosines[-1] - y * sines[-1])
        sines.append(x * sines[-1] + y * cosines[-2])
    found = []
    for degree in range(l_max + 1):
        negative = [math.sqrt(2.0) * legendre[degree, m] * sines[m] for m in range(degree, 0, -1)]
        positive = [math.sqrt(2.0) * legendre[degree, m] * cosines[m] for m in range(1, degree + 1)]
        found.append(torch.stack([*negative, legendre[degree, 0], *positive], dim=1))
    return found


def wigner_matrices(matrices: torch.Tensor, l_max: int) -> list[torch.Tensor]:
    """Give the matrices D of rotations R with Y(R x) = D(R) Y(x), for real spherical harmonics Y.

    Parameters
    ----------
    matrices
        Rotations, shape (n, 3, 3).
    l_max
        Highest degree.

    Returns
    -------
    list of torch.Tensor
        For each degree l, shape (n, 2 l + 1, 2 l + 1), float64.
    """
    rotations = matrices.to(torch.float64)
    # D is the integral of Y(R x) Y(x)^T over the sphere, and a grid of rotations is one of points
    turns, weights = rotation_grid(2 * l_max)
    points = turns[:, :, 2].to(rotations.device)
    weights = weights.to(rotations.device) * 4.0 * math.pi
    turned = (points @ rotations.transpose(1, 2)).reshape(-1, 3)
    after = real_spherical_harmonics(l_max, turned)
    before = real_spherical_harmonics(l_max, points)
    found = []
    for degree in range(l_max + 1):
        of_turned = after[degree].reshape(len(rotations), len(points), -1)
        found.append(of_turned.transpose(1, 2) @ (weights.unsqueeze(1) * before[degree]))
    return found
