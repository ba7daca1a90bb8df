"""Systems from objects with the attributes of ``ase.Atoms``: `systems_to_torch`; ASE itself is not imported."""

import warnings
from typing import Any, List, Optional, Union

import numpy as np
import torch

from .system import System

_ATTRIBUTES = ("numbers", "positions", "cell", "pbc")


def systems_to_torch(
    systems: Any,
    dtype: Optional[torch.dtype] = None,
    device: Optional[Union[str, torch.device]] = None,
    positions_requires_grad: bool = False,
    cell_requires_grad: bool = False,
) -> Union[System, List[System]]:
    """Convert ``ase.Atoms``, or anything with its attributes, to `System`.

    Parameters
    ----------
    systems
        One object or a list: ``numbers`` (n_atoms,), ``positions`` (n_atoms, 3), ``cell`` (3, 3) and ``pbc`` (3,).
    dtype
        Floating point type; None for the default one of torch.
    device
        Device; None for the default one of torch.
    positions_requires_grad, cell_requires_grad
        Whether positions and cell require gradients.

    Returns
    -------
    System or list of System
        One for one, a list for a list; without neighbor lists.

    Raises
    ------
    TypeError
        If an object has not these attributes.
    ValueError
        If their values do not make a `System`.

    Warns
    -----
    UserWarning
        If the cell has a vector along a non-periodic direction, which is then left out.
    """
    if isinstance(systems, (list, tuple)):
        return [_system(s, dtype, device, positions_requires_grad, cell_requires_grad) for s in systems]
    return _system(systems, dtype, device, positions_requires_grad, cell_requires_grad)


def _system(
    atoms: Any,
    dtype: Optional[torch.dtype],
    device: Optional[Union[str, torch.device]],
    positions_requires_grad: bool,
    cell_requires_grad: bool,
) -> System:
    missing = [name for name in _ATTRIBUTES if not hasattr(atoms, name)]
    if missing:
        raise TypeError(f"expected `systems` to be ase.Atoms, got {type(atoms).__name__} without {missing[0]}")
    dtype = torch.get_default_dtype() if dtype is None else dtype
    pbc = np.asarray(atoms.pbc, dtype=bool)
    cell = np.array(atoms.cell, dtype=np.float64)
    if cell[~pbc].any():
        warnings.warn(
            "expected zero cell vectors along non-periodic directions, got others; they are left out", stacklevel=3
        )
        cell[~pbc] = 0.0
    return System(
        types=torch.tensor(np.asarray(atoms.numbers), dtype=torch.int32, device=device),
        positions=_leaf(atoms.positions, dtype, device, positions_requires_grad),
        cell=_leaf(cell, dtype, device, cell_requires_grad),
        pbc=torch.tensor(pbc, device=device),
    )


def _leaf(
    values: np.ndarray, dtype: torch.dtype, device: Optional[Union[str, torch.device]], requires_grad: bool
) -> torch.Tensor:
    return torch.tensor(np.asarray(values), dtype=dtype, device=device).requires_grad_(requires_grad)
