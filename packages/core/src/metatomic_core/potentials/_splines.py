"""Cubic splines on even grids, with the derivatives at the grid points that LAMMPS uses for tabulated potentials.

The functions ``interpolate`` of LAMMPS's ``pair_style eam`` define them: derivatives from five points, from three
points next to the ends, and from two points at the ends; piecewise cubics with these values and derivatives.
"""

import numpy as np
import torch

N_COEFFICIENTS = 4


def spline_coefficients(values: np.ndarray) -> torch.Tensor:
    """Give the coefficients of the cubics, in powers of the fraction of the interval.

    Parameters
    ----------
    values
        Shape (..., n_points), n_points at least 5.

    Returns
    -------
    torch.Tensor
        Shape (..., n_points, 4), float64: coefficients of the powers 0 to 3, in the interval that starts at each
        point.  The last row has none and is there so that tables keep their length.
    """
    f = np.asarray(values, dtype=np.float64)
    slope = np.empty_like(f)
    slope[..., 0] = f[..., 1] - f[..., 0]
    slope[..., -1] = f[..., -1] - f[..., -2]
    slope[..., 1:-1] = 0.5 * (f[..., 2:] - f[..., :-2])
    slope[..., 2:-2] = ((f[..., :-4] - f[..., 4:]) + 8.0 * (f[..., 3:-1] - f[..., 1:-3])) / 12.0
    rise = f[..., 1:] - f[..., :-1]
    coefficients = np.zeros((*f.shape, N_COEFFICIENTS))
    coefficients[..., 0] = f
    coefficients[..., 1] = slope
    coefficients[..., :-1, 2] = 3.0 * rise - 2.0 * slope[..., :-1] - slope[..., 1:]
    coefficients[..., :-1, 3] = slope[..., :-1] + slope[..., 1:] - 2.0 * rise
    return torch.from_numpy(coefficients)


def interval_of(position: torch.Tensor, n_points: int) -> torch.Tensor:
    """Give the interval that each position (in units of the spacing) is in; the outermost ones for those outside."""
    return position.detach().to(torch.int64).clamp(0, n_points - 2)


def cubic(coefficients: torch.Tensor, fraction: torch.Tensor) -> torch.Tensor:
    """Evaluate cubics: coefficients (n, 4) and fractions of the interval (n,)."""
    c0, c1, c2, c3 = coefficients.unbind(1)
    return ((c3 * fraction + c2) * fraction + c1) * fraction + c0
