"""Derivatives of each member of an ensemble of energies, for engines that run committees: one backward pass a member.

Eager code, used by `metatomic_core.engine`; not part of model files.
"""

from typing import List, NamedTuple

import numpy as np
import torch
from metatensor.torch import TensorMap

from ._derivatives import virials
from ._labels import ordered_by_label
from .system import System


class EnsembleDerivatives(NamedTuple):
    """Energies of the members of an ensemble with their derivatives, float64, in the units of the systems.

    Attributes
    ----------
    energies
        Shape (n_members, n_structures).
    forces
        Shape (n_members, n_atoms, 3): -dE/dr, with the atoms of all structures one after the other.
    virials
        Shape (n_members, n_structures, 3, 3): -dE/dstrain.
    """

    energies: np.ndarray
    forces: np.ndarray
    virials: np.ndarray


def ensemble_derivatives(ensemble: TensorMap, systems: List[System], name: str) -> EnsembleDerivatives:
    """Differentiate each member of an ensemble.

    Parameters
    ----------
    ensemble
        Energies per system, shape (n_systems, n_members), in the graph.
    systems
        Systems whose positions and cells are leaves of the graph.
    name
        Name of the output, for messages.

    Raises
    ------
    ValueError
        If the ensemble is not connected to the positions.
    """
    values = ordered_by_label(ensemble, "system", [len(system) for system in systems], name, False, 0.0)
    if not values.requires_grad:
        raise ValueError(f"expected '{name}' to be connected to the positions, got values without gradient")
    leaves = [system.positions for system in systems] + [system.cell for system in systems]
    forces, strains = [], []
    for energies in values.unbind(-1):
        found = torch.autograd.grad([energies.sum()], leaves, retain_graph=True, allow_unused=True)
        gradients = [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, found, strict=True)]
        dpositions = torch.cat(gradients[: len(systems)])
        forces.append(-dpositions.to(torch.float64))
        strains.append(virials(systems, dpositions, torch.stack(gradients[len(systems) :])))
    return EnsembleDerivatives(
        values.detach().to(torch.float64).T.cpu().numpy(),
        torch.stack(forces).cpu().numpy(),
        torch.stack(strains).cpu().numpy(),
    )
