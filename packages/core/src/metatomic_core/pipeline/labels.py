"""Values of outputs in the order of systems and atoms, by the labels of their samples.

Scripted code, saved in every model file.  The order in which a model gives its samples never matters: engines get
dense arrays from here.
"""

from typing import List, Optional, Tuple

import torch
from metatensor.torch import TensorMap


def ordered_by_label(
    tensor: TensorMap, kind: str, n_atoms: List[int], name: str, partial: bool, fill: float
) -> torch.Tensor:
    """Give the values of an output in the order of systems and atoms, whatever the order of its samples.

    Parameters
    ----------
    tensor
        Output with one block.
    kind
        "system", "atom" or "atom_pair"; pairs keep their order.
    n_atoms
        Number of atoms of each system.
    name
        Name of the output, for messages.
    partial
        Whether samples may be missing, as they are where atoms were selected.
    fill
        Value of missing samples.

    Returns
    -------
    torch.Tensor
        Shape (n_systems or total number of atoms, components..., n_properties).

    Raises
    ------
    ValueError
        If samples are missing, duplicated or out of range, or there are several blocks.
    """
    if len(tensor.keys) != 1:
        raise ValueError(f"expected output '{name}' to have one block, got {len(tensor.keys)}; use `forward`")
    block = tensor.block_by_id(0)
    values = block.values
    if kind == "atom_pair":
        return values
    if _in_order(block.samples.values, kind, n_atoms):
        return values
    labels = block.samples.values.to(torch.int64)
    sizes = torch.tensor(n_atoms, dtype=torch.int64, device=labels.device)
    size = sizes.size(0)
    index = labels[:, 0]
    if labels.size(0) > 0 and (int(index.min()) < 0 or int(index.max()) >= size):
        raise ValueError(f"expected systems between 0 and {size - 1} in the samples of '{name}', got others")
    if kind == "atom":
        if labels.size(1) != 2:
            raise ValueError(f"expected output '{name}' to have the samples system and atom, got others")
        n = sizes[index]
        outside = (labels[:, 1] < 0) | (labels[:, 1] >= n)
        if bool(outside.any()):
            raise ValueError(f"expected atoms that exist in the samples of '{name}', got others")
        index = torch.cumsum(sizes, 0)[index] - n + labels[:, 1]
        size = sum(n_atoms)
    if index.size(0) == size and torch.equal(index, torch.arange(size, device=index.device)):
        return values
    counts = torch.bincount(index, minlength=size)
    if bool((counts > 1).any()):
        raise ValueError(f"expected each sample once in output '{name}' of the model, got duplicates")
    if bool((counts == 0).any()) and not partial:
        missing = int(torch.nonzero(counts == 0)[0].item())
        raise ValueError(f"expected output '{name}' of the model for each {kind}, got none for {kind} {missing}")
    shape = [size] + list(values.size()[1:])
    dense = torch.full(shape, fill, dtype=values.dtype, device=values.device)
    return dense.index_copy(0, index, values)


def _in_order(labels: torch.Tensor, kind: str, n_atoms: List[int]) -> bool:
    """Tell quickly whether there is one sample for each system or atom, in order; may miss it for several systems."""
    if kind == "system":
        if labels.size(0) != len(n_atoms) or labels.size(1) != 1:
            return False
        return torch.equal(labels[:, 0], torch.arange(len(n_atoms), dtype=labels.dtype, device=labels.device))
    if len(n_atoms) != 1 or labels.size(0) != n_atoms[0] or labels.size(1) != 2:
        return False
    atoms = torch.arange(n_atoms[0], dtype=labels.dtype, device=labels.device)
    return torch.equal(labels[:, 1], atoms) and not bool(labels[:, 0].any())


def _scatter_to_systems(values: torch.Tensor, n_atoms: List[int]) -> torch.Tensor:
    """Sum per-atom values over the atoms of each system, in float64."""
    if len(n_atoms) == 1:
        return values.to(torch.float64).sum().reshape(1)
    sizes = torch.tensor(n_atoms, dtype=torch.int64, device=values.device)
    index = torch.repeat_interleave(torch.arange(len(n_atoms), device=values.device), sizes)
    sums = torch.zeros(len(n_atoms), dtype=torch.float64, device=values.device)
    return sums.index_add(0, index, values.to(torch.float64))


def energies_from(
    tensor: TensorMap, kind: str, name: str, n_atoms: List[int], partial: bool
) -> Tuple[torch.Tensor, Optional[torch.Tensor]]:
    """Give energies per system, float64 and in the graph, and energies per atom if the output has them.

    Energies of atoms that were not selected, and of systems without selected atoms, are zero.
    """
    values = ordered_by_label(tensor, kind, n_atoms, name, partial, 0.0)
    values = values.reshape(values.size(0))
    if kind == "system":
        return values.to(torch.float64), None
    return _scatter_to_systems(values, n_atoms), values
