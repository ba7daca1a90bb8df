"""What goes into an `Engine` and what comes out of it, as arrays in the units of a simulation engine."""

import dataclasses
from typing import Dict, Iterable, List, Optional

import numpy as np
import torch
from metatensor.torch import TensorMap

from .quantities import canonical_name


@dataclasses.dataclass
class Structure:
    """One structure, in the units of an engine.

    Attributes
    ----------
    types
        Shape (n_atoms,), integers.
    positions
        Shape (n_atoms, 3), float64; better not wrapped into the cell.
    cell
        Shape (3, 3), float64, vectors as rows; those of non-periodic directions only matter for the volume.
    pbc
        Shape (3,), bool.
    inputs
        Values of the inputs that the model requests, by name, as ``AtomisticModel.evaluate`` takes them.
    """

    types: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    inputs: Dict[str, np.ndarray] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Evaluation:
    """Results for a batch of structures, float64, in the units of the engine; None where not requested.

    Attributes
    ----------
    n_atoms
        Number of atoms of each structure; the atoms of all structures stand one after the other.
    energy
        Shape (n_structures,).
    atomic_energies
        Shape (n_atoms,).
    forces
        Shape (n_atoms, 3): -dE/dr.
    virial
        Shape (n_structures, 3, 3): -dE/dstrain, an energy.
    stress
        Shape (n_structures, 3, 3): dE/dstrain / ``|det cell|``.
    atomic_virials
        Shape (n_atoms, 3, 3).
    outputs
        Other outputs in the order of structures and atoms, shape (n_samples, components..., n_properties).
    tensors
        Other outputs with their labels.
    """

    n_atoms: List[int]
    energy: Optional[np.ndarray] = None
    atomic_energies: Optional[np.ndarray] = None
    forces: Optional[np.ndarray] = None
    virial: Optional[np.ndarray] = None
    stress: Optional[np.ndarray] = None
    atomic_virials: Optional[np.ndarray] = None
    outputs: Dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    tensors: Dict[str, TensorMap] = dataclasses.field(default_factory=dict)

    def atoms(self, index: int) -> slice:
        """Give the rows of per-atom results that belong to one structure."""
        start = sum(self.n_atoms[:index])
        return slice(start, start + self.n_atoms[index])


def structure_tensors(structure: Structure, index: int, inputs: Iterable[str], device: str) -> Dict[str, torch.Tensor]:
    """Give a structure as tensors, which share its memory where they can.

    Parameters
    ----------
    structure
        The structure.
    index
        Its place in the batch, for messages.
    inputs
        Names of the inputs that the model requests.
    device
        Where the tensors shall be.

    Raises
    ------
    TypeError, ValueError
        If types are no integers, a shape is another one, or an input is missing.
    """
    n_atoms = len(structure.types)
    tensors = {
        "types": _tensor("types", structure.types, np.int32, (n_atoms,), index),
        "positions": _tensor("positions", structure.positions, np.float64, (n_atoms, 3), index),
        "cell": _tensor("cell", structure.cell, np.float64, (3, 3), index),
        "pbc": _tensor("pbc", structure.pbc, np.bool_, (3,), index),
    }
    for name in inputs:
        # in files of the first releases; it would take the place of the geometry
        if name in tensors:
            raise ValueError(f"expected inputs of the model other than the geometry, got '{name}'; save it again")
        tensors[name] = torch.as_tensor(np.asarray(_input(structure, name), dtype=np.float64))
    return {name: tensor.to(device) for name, tensor in tensors.items()}


def _tensor(name: str, values: np.ndarray, dtype: type, shape: tuple[int, ...], index: int) -> torch.Tensor:
    """Give an array as a tensor, after checking its shape; it shares memory where it can."""
    array = np.asarray(values)
    if array.shape != shape:
        raise ValueError(f"expected `{name}` of structure {index} to have the shape {shape}, got {array.shape}")
    if dtype is np.int32 and array.dtype.kind not in "iu":
        raise TypeError(f"expected `{name}` of structure {index} to be integers, got {array.dtype}")
    converted: np.ndarray = np.ascontiguousarray(array, dtype=dtype)
    if dtype is np.int32 and array.dtype != np.int32 and not np.array_equal(converted, array):
        raise ValueError(
            f"expected `{name}` of structure {index} to fit in 32-bit integers, got values from {array.min()} to "
            f"{array.max()}"
        )
    array = converted
    # torch warns about memory that can not be written to
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _input(structure: Structure, name: str) -> np.ndarray:
    wanted = canonical_name(name)
    for known, values in structure.inputs.items():
        if canonical_name(known) == wanted:
            return values
    raise ValueError(f"expected the input '{name}', which the model requests, got {sorted(structure.inputs)}")
