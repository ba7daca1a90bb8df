"""Which part of an output changes as which representation of rotations and inversion, when its system turns.

Scripted code, saved in model files.
"""

from typing import List

import torch
from metatensor.torch import Labels

from .harmonics import wigner_matrices

# Names of what tells representations apart: degree l, and parity under inversion over (-1)^l, as `o3_sigma` of tensors.
CHARACTER_NAMES = ("chi_lambda", "chi_sigma")


def matrix_elements(matrices: torch.Tensor, max_degree: int) -> torch.Tensor:
    """Give the elements of all matrices that represent rotations, scaled to mean squares of 1.

    Parameters
    ----------
    matrices
        Proper rotations, shape (n, 3, 3).
    max_degree
        Highest degree.

    Returns
    -------
    torch.Tensor
        Shape (n, sum of (2 l + 1)^2 over all degrees l), float64; orthonormal functions of the rotation.
    """
    found = [
        (2.0 * degree + 1.0) ** 0.5 * elements.reshape(len(matrices), -1)
        for degree, elements in enumerate(wigner_matrices(matrices, max_degree))
    ]
    return torch.cat(found, dim=1)


def projections(values: torch.Tensor, weights: torch.Tensor, elements: torch.Tensor, max_degree: int) -> torch.Tensor:
    """Give the mean square, over rotations and inversion, of each part of a function of these.

    Parameters
    ----------
    values
        Values for each rotation and then for each of them with inversion, shape (2 n, ...).
    weights
        Weight of each rotation, with the sum 1, shape (n,).
    elements
        What `matrix_elements` gave for the rotations.
    max_degree
        Highest degree.

    Returns
    -------
    torch.Tensor
        Shape (2 (max_degree + 1), ...), in the order of `character_labels`.  With all degrees their sum is the mean
        square of the values (theorem of Peter and Weyl).
    """
    n = weights.size(0)
    weighted = elements.to(values.dtype) * weights.to(values.dtype).unsqueeze(1)
    even = 0.5 * (values[:n] + values[n:])
    odd = 0.5 * (values[:n] - values[n:])
    found: List[torch.Tensor] = []
    begin = 0
    for degree in range(max_degree + 1):
        end = begin + (2 * degree + 1) * (2 * degree + 1)
        own = weighted[:, begin:end].t()
        parts: List[torch.Tensor] = []
        for half in [even, odd]:
            parts.append((own @ half.reshape(n, -1)).square().sum(0).reshape(list(values.size())[1:]))
        # even functions have the parity (-1)^l of the harmonics if l is even
        if degree % 2 == 0:
            found.append(parts[0])
            found.append(parts[1])
        else:
            found.append(parts[1])
            found.append(parts[0])
        begin = end
    return torch.stack(found)


def character_labels(keys: Labels, max_degree: int) -> Labels:
    """Give keys with degree and parity of each representation added: those of a key one after the other."""
    rows: List[torch.Tensor] = []
    for number in range(len(keys)):
        for degree in range(max_degree + 1):
            for sigma in [1, -1]:
                added = torch.tensor([degree, sigma], dtype=torch.int32, device=keys.values.device)
                rows.append(torch.cat([keys.values[number], added]))
    return Labels(keys.names + ["chi_lambda", "chi_sigma"], torch.stack(rows))
