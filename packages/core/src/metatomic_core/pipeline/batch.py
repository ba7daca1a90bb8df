"""The seam: `Batch` is what a model is evaluated for, `Answer` what comes out, both plain tensors.

Everything is in the units and the floating point type of the model, with all structures one after the other. What
stands before the seam (`prepare`) and behind it (`finish`) knows units and no model; what stands between (`derive`)
knows the model and no units. A new way to run models is another `derive`.
"""

from typing import Dict, List, NamedTuple, Optional

import torch


class Leaves(NamedTuple):
    """Which tensors of a batch are leaves of the autograd graph.

    Attributes
    ----------
    positions, cells
        Whether positions and cells require gradients.
    vectors
        Whether pair vectors do, as leaves beside positions and cells.
    connected
        Whether pair vectors are instead connected to positions and cells, which models that differentiate by
        themselves need.
    """

    positions: bool
    cells: bool
    vectors: bool
    connected: bool


# For what has its derivatives in it. Not for TorchScript, which makes its own.
NO_LEAVES = Leaves(positions=False, cells=False, vectors=False, connected=False)


class Batch(NamedTuple):
    """Structures, as a model gets them: all one after the other, in the units and the dtype of the model.

    Attributes
    ----------
    types
        Shape (n_atoms,), int32.
    positions
        Shape (n_atoms, 3).
    cells
        Shape (n_structures, 3, 3), vectors as rows; zero in directions that are not periodic.
    positions_of, cells_of
        The same for each structure: views, and the very tensors that the model sees and may differentiate with respect
        to.
    pbc
        Shape (n_structures, 3), bool.
    n_atoms
        Number of atoms of each structure.
    pairs
        For each neighbor list, shape (n_pairs, 5), int32: first and second atom *within their structure*, cell shifts.
    n_pairs
        For each neighbor list, the number of pairs of each structure.
    vectors
        For each neighbor list, positions[second] - positions[first] + shift @ cell, shape (n_pairs, 3).
    atoms
        Shape (2, number of pairs of all lists), int64: first and second atoms *within the batch*, in the order of lists
        and then structures.
    selected_atoms
        Shape (n_selected, 2), int32: structure and atom; None for all.
    engine_cells
        Cells as the engine gives them, in its unit and with the vectors of open directions, which count for volumes.
    inputs
        Inputs that the model requests, by name: shape (n_samples, components..., n_properties), where samples are the
        atoms, or the structures.
    """

    types: torch.Tensor
    positions: torch.Tensor
    cells: torch.Tensor
    positions_of: List[torch.Tensor]
    cells_of: List[torch.Tensor]
    pbc: torch.Tensor
    n_atoms: List[int]
    pairs: List[torch.Tensor]
    n_pairs: List[List[int]]
    vectors: List[torch.Tensor]
    atoms: torch.Tensor
    selected_atoms: Optional[torch.Tensor]
    engine_cells: torch.Tensor
    inputs: Dict[str, torch.Tensor]


class Answer(NamedTuple):
    """What a model says of a batch, in the units of the model, detached.

    Attributes
    ----------
    of_energy
        What follows from the energy, float64: "energy" (n_structures,), "atomic_energies" (n_atoms,), "forces"
        (n_atoms, 3), "virial" (n_structures, 3, 3), "atomic_virials" (n_atoms, 3, 3); those that were needed.
    direct
        What was predicted without derivatives, by the name of the output: direct forces and stresses, as below, but
        zero where atoms were not selected.
    outputs
        Values of outputs by name, in the order of structures and atoms: (n_samples, components..., n_properties).
        NaN where atoms were not selected; those of several blocks are left out.
    """

    of_energy: Dict[str, torch.Tensor]
    direct: Dict[str, torch.Tensor]
    outputs: Dict[str, torch.Tensor]


def joined(tensors: List[torch.Tensor]) -> torch.Tensor:
    """Join tensors along their first dimension; a single one is taken as it is."""
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)


def split(tensor: torch.Tensor, sizes: List[int]) -> List[torch.Tensor]:
    """Split a tensor along its first dimension; for a single part it is taken as it is."""
    return [tensor] if len(sizes) == 1 else list(torch.split(tensor, sizes))
