"""Derivatives of the energy of a batch: forces, virials, and virials per atom.

Scripted code, saved in every model file.  Signs: forces = -dE/dr; virial = -dE/dstrain with strain acting as
r @ (1 + strain), so that dE/dstrain = r^T dE/dr + cell^T dE/dcell + vectors^T dE/dvectors, where each gradient is what
is owed to a leaf of the graph: see `Leaves`.
"""

from typing import Dict, List, NamedTuple

import torch

from .batch import Batch, Leaves, joined
from .pairs import gradients_of_atoms
from .results import Needs


class Gradients(NamedTuple):
    """Gradients of an energy with respect to the leaves of a batch, float64.

    Attributes
    ----------
    positions
        Shape (n_atoms, 3).
    cells
        Shape (n_structures, 3, 3).
    vectors
        Of all lists, shape (n_pairs, 3), in the order of `Batch.atoms`.
    """

    positions: torch.Tensor
    cells: torch.Tensor
    vectors: torch.Tensor


def joined_vectors(batch: Batch) -> torch.Tensor:
    """Join the pair vectors of all lists, shape (n_pairs, 3), float64, detached."""
    if len(batch.vectors) == 0:
        return torch.zeros(0, 3, dtype=torch.float64, device=batch.positions.device)
    return joined(batch.vectors).detach().to(torch.float64)


def gradients(energies: torch.Tensor, batch: Batch, leaves: Leaves, with_vectors: bool) -> Gradients:
    """Run the backward pass.

    Parameters
    ----------
    energies
        Shape (n_structures,).
    batch, leaves
        What was evaluated.
    with_vectors
        Whether gradients with respect to pair vectors are wanted.

    Raises
    ------
    ValueError
        If the energy is not connected to positions although there are pairs: forces would silently be zero.
    """
    tensors = [batch.positions]
    if leaves.cells:
        tensors.append(batch.cells)
    if with_vectors:
        tensors = tensors + batch.vectors
    with torch.profiler.record_function("AtomisticModel::backward"):
        found = _found(energies, tensors, batch)
    cells = found[1] if leaves.cells else torch.zeros_like(batch.cells)
    n_before = 2 if leaves.cells else 1
    vectors = torch.zeros(0, 3, dtype=torch.float64, device=batch.positions.device)
    if with_vectors and len(batch.vectors) > 0:
        vectors = joined(found[n_before:]).to(torch.float64)
    return Gradients(found[0].to(torch.float64), cells.to(torch.float64), vectors)


def _found(energies: torch.Tensor, tensors: List[torch.Tensor], batch: Batch) -> List[torch.Tensor]:
    """Give the gradient with respect to each tensor, zero for those that the energy does not depend on."""
    if not energies.requires_grad:
        if batch.atoms.size(1) > 0:
            raise ValueError(
                "expected an energy that is connected to the positions, got one without gradient; does the model "
                "detach its inputs, or run under torch.no_grad"
            )
        return [torch.zeros_like(tensor) for tensor in tensors]
    found = torch.autograd.grad([energies.sum()], tensors, allow_unused=True)
    result: List[torch.Tensor] = []
    for i in range(len(tensors)):
        gradient = found[i]
        # TorchScript may say that it requires a gradient, where the module has used `torch.jit.fork`
        result.append(torch.zeros_like(tensors[i]) if gradient is None else gradient.detach())
    return result


def strain_gradients(batch: Batch, found: Gradients, of_leaves: bool) -> torch.Tensor:
    """Give dE/dstrain, shape (n_structures, 3, 3), float64.

    Parameters
    ----------
    batch
        What was evaluated.
    found
        The gradients.
    of_leaves
        Whether vectors are leaves beside positions and cells; else what is owed to them is in the other two already.
    """
    # rotational invariance makes it symmetric up to rounding; a field that breaks it has no symmetric virial
    direct = (
        products(batch.positions, found.positions, batch.n_atoms)
        + batch.cells.detach().to(torch.float64).transpose(1, 2) @ found.cells
    )
    if not of_leaves:
        return direct
    return direct + strain_of_pairs(batch, found.vectors)


def strain_of_pairs(batch: Batch, dvectors: torch.Tensor) -> torch.Tensor:
    """Give the part of dE/dstrain that is owed to pair vectors: the sum over pairs of vector^T dE/dvector."""
    total = torch.zeros(len(batch.n_atoms), 3, 3, dtype=torch.float64, device=dvectors.device)
    start = 0
    for k in range(len(batch.vectors)):
        stop = start + batch.vectors[k].size(0)
        total = total + products(batch.vectors[k], dvectors[start:stop], batch.n_pairs[k])
        start = stop
    return total


def products(left: torch.Tensor, right: torch.Tensor, sizes: List[int]) -> torch.Tensor:
    """Give left^T right over the rows of each structure, shape (n_structures, 3, 3), float64."""
    left = left.detach().to(torch.float64)
    if len(sizes) == 1:
        return (left.t() @ right).unsqueeze(0)
    lefts, rights = torch.split(left, sizes), torch.split(right, sizes)
    return torch.stack([lefts[i].t() @ rights[i] for i in range(len(sizes))])


def atomic_virials(atoms: torch.Tensor, vectors: torch.Tensor, dvectors: torch.Tensor, n_atoms: int) -> torch.Tensor:
    """Give virials per atom, half of each pair to each of its atoms; they add up to the virial.

    Parameters
    ----------
    atoms
        First and second atoms of all pairs, shape (2, n_pairs), int64.
    vectors, dvectors
        Pair vectors and dE/dvectors, shape (n_pairs, 3), float64.
    n_atoms
        Number of atoms of all systems.

    Returns
    -------
    torch.Tensor
        Shape (n_atoms, 3, 3), float64.
    """
    # outer products, one for each pair
    half = (-0.5 * (vectors.unsqueeze(2) @ dvectors.unsqueeze(1))).reshape(-1, 9)
    virial = torch.zeros(n_atoms, 9, dtype=torch.float64, device=vectors.device)
    return virial.index_add(0, atoms[0], half).index_add(0, atoms[1], half).reshape(-1, 3, 3)


def check_only_pairs(batch: Batch, direct: torch.Tensor, direct_strain: torch.Tensor, dvectors: torch.Tensor) -> None:
    """Refuse virials per atom of a model that sees geometry in other ways than through pair vectors.

    What is left is compared with the terms of the sums over pairs, to which its rounding is owed: in a perfect crystal
    the sums are zero and their terms are not.

    Parameters
    ----------
    batch
        What was evaluated.
    direct, direct_strain
        What is not owed to pair vectors of dE/dpositions, shape (n_atoms, 3), and dE/dstrain, shape (n_structures, 3,
        3).
    dvectors
        dE/dvectors, shape (n_pairs, 3), float64.
    """
    n_atoms = direct.size(0)
    if n_atoms == 0:
        return
    # some hundred times the resolution of the type
    tolerance = 1e-11 if batch.positions.dtype == torch.float64 else 1e-5
    terms = dvectors.square().sum(1).sqrt()
    of_atoms = torch.zeros(n_atoms, dtype=terms.dtype, device=terms.device)
    of_atoms = of_atoms.index_add(0, batch.atoms[0], terms).index_add(0, batch.atoms[1], terms)
    # lengths that forces are multiplied with in the strain: positions, and cell vectors between them
    length = batch.positions.detach().abs().max().to(torch.float64)
    for vectors in batch.vectors:
        if vectors.size(0) > 0:
            length = length + vectors.detach().abs().max()
    limit = tolerance * (1e-6 + of_atoms.max())
    strain_limit = tolerance * (1e-6 + length * of_atoms.sum())
    if not bool((direct.abs().max() <= limit) & (direct_strain.abs().max() <= strain_limit)):
        raise ValueError(
            "expected a model that sees positions and cell only through neighbor vectors for 'atomic_virials', got "
            "one that uses them directly; ask for 'virial'"
        )


def derivatives(energies: torch.Tensor, batch: Batch, leaves: Leaves, needs: Needs) -> Dict[str, torch.Tensor]:
    """Give what follows from the energy by one backward pass, in its unit and the length unit of the model.

    Parameters
    ----------
    energies
        Shape (n_structures,), in the graph.
    batch, leaves
        What was evaluated.
    needs
        What is wanted.

    Returns
    -------
    dict of torch.Tensor
        "forces" (n_atoms, 3), and as needed "virial" (n_structures, 3, 3) and "atomic_virials" (n_atoms, 3, 3);
        float64.
    """
    found = gradients(energies, batch, leaves, leaves.vectors or needs.pairs)
    n_atoms = batch.positions.size(0)
    results: Dict[str, torch.Tensor] = {}
    dpositions = found.positions
    if leaves.vectors and len(batch.vectors) > 0:
        dpositions = dpositions + gradients_of_atoms(batch.atoms, found.vectors, n_atoms)
    results["forces"] = -dpositions
    if needs.cells:
        results["virial"] = -strain_gradients(batch, found, leaves.vectors)
    if needs.pairs:
        results["atomic_virials"] = atomic_virials(batch.atoms, joined_vectors(batch), found.vectors, n_atoms)
        direct, direct_strain = found.positions, strain_gradients(batch, found, of_leaves=False)
        if leaves.connected:
            direct = direct - gradients_of_atoms(batch.atoms, found.vectors, n_atoms)
            direct_strain = direct_strain - strain_of_pairs(batch, found.vectors)
        check_only_pairs(batch, direct, direct_strain, found.vectors)
    return results
