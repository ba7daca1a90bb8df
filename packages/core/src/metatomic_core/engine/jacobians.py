"""Results that take several backward passes: Hessians, derivatives of members of ensembles and of dipoles.

Eager code around the graph of one forward pass, in which pair vectors are connected to positions and cells. It gives
values in the units of the model; `JACOBIANS` says what each result is made from, and how its unit is made.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from metatensor.torch import TensorMap

from metatomic_core.pipeline.batch import Batch
from metatomic_core.pipeline.derivatives import Gradients, strain_gradients
from metatomic_core.pipeline.labels import energies_from, ordered_by_label


class Jacobian(NamedTuple):
    """A result that takes several backward passes.

    Attributes
    ----------
    output
        Quantity of the model that it is made from.
    unit
        Unit of that output in the units of the engine, ``{energy}`` and ``{length}``.
    dimension
        Its dimension.
    n_lengths
        How often it was differentiated with respect to positions.
    compute
        Makes it, and maybe others of the same passes, by name, in the units of the model.
    """

    output: str
    unit: str
    dimension: str
    n_lengths: int
    compute: Callable[[TensorMap, Batch, str], dict[str, torch.Tensor]]


def _row(values: torch.Tensor, leaves: list[torch.Tensor], create_graph: bool = False) -> tuple[torch.Tensor, ...]:
    found = torch.autograd.grad([values], leaves, retain_graph=True, create_graph=create_graph, allow_unused=True)
    return tuple(torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, found, strict=True))


def hessian(energy: TensorMap, batch: Batch, name: str) -> dict[str, torch.Tensor]:
    """Give d2E/dr_i dr_j of one structure by differentiating twice, one backward pass for each coordinate.

    Returns
    -------
    dict of torch.Tensor
        "hessian", shape (n_atoms, 3, n_atoms, 3), float64.

    Raises
    ------
    ValueError
        If there are several structures; if the gradient of the energy has no graph of its own.
    """
    if len(batch.n_atoms) != 1:
        raise ValueError(f"expected one structure for 'hessian', got {len(batch.n_atoms)}; evaluate one at a time")
    energies, _ = energies_from(energy, "system", name, batch.n_atoms, partial=False)
    n_atoms = batch.n_atoms[0]
    shape = (n_atoms, 3, n_atoms, 3)
    if not energies.requires_grad:
        if batch.atoms.size(1) > 0:
            raise ValueError(f"expected '{name}' to be connected to the positions, got values without gradient")
        return {"hessian": torch.zeros(shape, dtype=torch.float64, device=batch.positions.device)}
    (gradient,) = _row(energies.sum(), [batch.positions], create_graph=True)
    if not gradient.requires_grad:
        raise ValueError(
            f"expected '{name}' to have second derivatives for 'hessian', got a gradient without a graph; take finite "
            "differences of forces"
        )
    rows = [_row(component, [batch.positions])[0] for component in gradient.reshape(-1)]
    if not rows:
        return {"hessian": torch.zeros(shape, dtype=torch.float64, device=batch.positions.device)}
    found = torch.stack(rows).to(torch.float64).reshape(shape)
    # equal up to rounding
    return {"hessian": 0.5 * (found + found.permute(2, 3, 0, 1))}


def members(ensemble: TensorMap, batch: Batch, name: str) -> dict[str, torch.Tensor]:
    """Differentiate each member of an ensemble of energies per structure.

    Returns
    -------
    dict of torch.Tensor
        "member_energies", "member_forces" and "member_virials", float64: see `Evaluation`.

    Raises
    ------
    ValueError
        If the ensemble is not connected to the positions.
    """
    values = ordered_by_label(ensemble, "system", batch.n_atoms, name, partial=False, fill=0.0)
    if not values.requires_grad:
        raise ValueError(f"expected '{name}' to be connected to the positions, got values without gradient")
    nothing = torch.zeros(0, 3, dtype=torch.float64)
    forces, virials = [], []
    for energies in values.unbind(-1):
        dpositions, dcells = _row(energies.sum(), [batch.positions, batch.cells])
        found = Gradients(dpositions.to(torch.float64), dcells.to(torch.float64), nothing)
        forces.append(-found.positions)
        virials.append(-strain_gradients(batch, found, of_leaves=False))
    return {
        "member_energies": values.detach().to(torch.float64).T,
        "member_forces": torch.stack(forces),
        "member_virials": torch.stack(virials),
    }


def dipole_derivatives(dipole: TensorMap, batch: Batch, name: str) -> dict[str, torch.Tensor]:
    """Differentiate the dipoles of structures with respect to the positions of their atoms.

    Returns
    -------
    dict of torch.Tensor
        "dipole_derivatives", shape (n_atoms, 3, 3), float64: component of the dipole, component of the position.

    Raises
    ------
    ValueError
        If the dipole is not connected to the positions, or there are several properties.
    """
    values = ordered_by_label(dipole, "system", batch.n_atoms, name, partial=False, fill=0.0)
    if values.size(-1) != 1:
        raise ValueError(f"expected one property of '{name}' for 'dipole_derivatives', got {values.size(-1)}")
    if not values.requires_grad:
        raise ValueError(f"expected '{name}' to be connected to the positions, got values without gradient")
    rows = [_row(values[:, i].sum(), [batch.positions])[0] for i in range(3)]
    return {"dipole_derivatives": torch.stack(rows, dim=1).to(torch.float64)}


JACOBIANS: dict[str, Jacobian] = {
    "hessian": Jacobian("energy", "{energy}", "energy", 2, hessian),
    "member_energies": Jacobian("energy_ensemble", "{energy}", "energy", 0, members),
    "member_forces": Jacobian("energy_ensemble", "{energy}", "energy", 1, members),
    "member_virials": Jacobian("energy_ensemble", "{energy}", "energy", 0, members),
    # of a dipole in e * length: charges in e
    "dipole_derivatives": Jacobian("dipole", "e * ({length})", "dipole", 1, dipole_derivatives),
}
