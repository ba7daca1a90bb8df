"""Labels of systems and atoms, and maps of one block: the metatensor side of the outputs of a model.

Scripted code, saved in the model files.  For outputs that have no helper; the others are made with `outputs`.
"""

from typing import List, Optional

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from metatomic_core.data.system import System


def system_labels(systems: List[System]) -> Labels:
    """Give the samples of an output per system: "system".

    Parameters
    ----------
    systems
        The systems.

    Returns
    -------
    Labels
        Samples, on the device of the systems.
    """
    return Labels(["system"], _numbers(len(systems), systems[0].types.device), assume_unique=True)


def atom_labels(systems: List[System], selected_atoms: Optional[Labels] = None) -> Labels:
    """Give the samples of an output per atom, "system" and "atom": of all, or of the selected ones in order.

    Parameters
    ----------
    systems
        The systems.
    selected_atoms
        Labels ``system`` and ``atom``; None for all atoms.

    Returns
    -------
    Labels
        Samples "system" and "atom", on the device of the systems.
    """
    device = systems[0].types.device
    if selected_atoms is not None:
        return Labels(["system", "atom"], selected_atoms.values.to(device), assume_unique=True)
    values: List[torch.Tensor] = []
    for i in range(len(systems)):
        atoms = torch.arange(systems[i].types.size(0), dtype=torch.int32, device=device)
        values.append(torch.stack([torch.full_like(atoms, i), atoms], dim=1))
    return Labels(["system", "atom"], torch.cat(values), assume_unique=True)


def one_block(values: torch.Tensor, samples: Labels, components: List[str], property_name: str) -> TensorMap:
    """Give a map of one block with the key ``_ = 0``; components and properties are numbered from zero.

    Parameters
    ----------
    values
        Shape (n_samples, components..., n_properties).
    samples
        Labels of the samples, on the device of the values.
    components
        Names of the components.
    property_name
        Name of the properties.

    Returns
    -------
    TensorMap
        The map.

    Raises
    ------
    ValueError
        If the values have not one dimension more than samples and components.
    """
    if values.dim() != len(components) + 2:
        raise ValueError(
            f"expected `values` of {len(components) + 2} dimensions: samples, {len(components)} components and "
            f"properties, got the shape {list(values.size())}"
        )
    component_labels: List[Labels] = []
    for i in range(len(components)):
        component_labels.append(
            Labels([components[i]], _numbers(values.size(i + 1), values.device), assume_unique=True)
        )
    properties = Labels([property_name], _numbers(values.size(-1), values.device), assume_unique=True)
    block = TensorBlock(values, samples, component_labels, properties)
    return TensorMap(Labels(["_"], _numbers(1, values.device), assume_unique=True), [block])


def _numbers(n: int, device: torch.device) -> torch.Tensor:
    """Give the values of labels 0 to n - 1."""
    return torch.arange(n, dtype=torch.int32, device=device).reshape(-1, 1)
