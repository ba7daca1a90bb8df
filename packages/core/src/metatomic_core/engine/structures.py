"""What goes into an `Engine` and what comes out of it, as arrays in the units of a simulation engine."""

import dataclasses
from collections.abc import Iterable

import numpy as np
import torch
from metatensor.torch import TensorMap

from metatomic_core.data.quantities import canonical_name


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
    inputs: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)


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
        Shape (n_structures, 3, 3): dE/dstrain / ``|det cell|``; NaN for structures without a volume in a batch with
        others.
    atomic_virials
        Shape (n_atoms, 3, 3).
    atomic_stresses
        Shape (n_atoms, 3, 3): minus the former over the volume of the structure.
    hessian
        Shape (n_atoms, 3, n_atoms, 3): second derivatives of the energy; of one structure.
    member_energies, member_forces, member_virials
        Of each member of an ensemble: shape (n_members, n_structures), (n_members, n_atoms, 3), (n_members,
        n_structures, 3, 3).
    dipole_derivatives
        Shape (n_atoms, 3, 3): derivative of component i of the dipole of its structure with respect to component j of
        the position of the atom, at [atom, i, j]; the Born effective charges where the dipole is a polarization.
    outputs
        Other outputs in the order of structures and atoms, shape (n_samples, components..., n_properties).
    tensors
        Other outputs with their labels.
    """

    n_atoms: list[int]
    energy: np.ndarray | None = None
    atomic_energies: np.ndarray | None = None
    forces: np.ndarray | None = None
    virial: np.ndarray | None = None
    stress: np.ndarray | None = None
    atomic_virials: np.ndarray | None = None
    atomic_stresses: np.ndarray | None = None
    hessian: np.ndarray | None = None
    member_energies: np.ndarray | None = None
    member_forces: np.ndarray | None = None
    member_virials: np.ndarray | None = None
    dipole_derivatives: np.ndarray | None = None
    outputs: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    tensors: dict[str, TensorMap] = dataclasses.field(default_factory=dict)

    def atoms(self, index: int) -> slice:
        """Give the rows of per-atom results that belong to one structure.

        Parameters
        ----------
        index
            Number of the structure.

        Returns
        -------
        slice
            Rows of this structure.
        """
        start = sum(self.n_atoms[:index])
        return slice(start, start + self.n_atoms[index])


def structure_tensors(structure: Structure, index: int, device: str) -> dict[str, torch.Tensor]:
    """Give a structure as tensors, which share its memory where they can.

    Parameters
    ----------
    structure
        The structure.
    index
        Its place in the batch, for messages.
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
    return tensors if device == "cpu" else {name: tensor.to(device) for name, tensor in tensors.items()}


def geometry_of(structure: Structure, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give positions, cell and periodicity of a structure as contiguous arrays, which share its memory where they can.

    Parameters
    ----------
    structure
        The structure.
    index
        Its place in the batch, for messages.

    Raises
    ------
    ValueError
        If a shape is another one.
    """
    return (
        _array("positions", structure.positions, np.float64, (len(structure.types), 3), index),
        _array("cell", structure.cell, np.float64, (3, 3), index),
        _array("pbc", structure.pbc, np.bool_, (3,), index),
    )


def types_of(structure: Structure, index: int) -> np.ndarray:
    """Give the types of a structure as an array of int32; parameters and errors as for `structure_tensors`."""
    return _array("types", structure.types, np.int32, (len(structure.types),), index)


def input_tensors(structure: Structure, names: Iterable[str], device: str) -> dict[str, torch.Tensor]:
    """Give the inputs that a model requests as float64 tensors, under the names that it uses.

    Raises
    ------
    ValueError
        If one is missing.
    """
    return {name: torch.as_tensor(np.asarray(_input(structure, name), dtype=np.float64)).to(device) for name in names}


def _tensor(name: str, values: np.ndarray, dtype: type, shape: tuple[int, ...], index: int) -> torch.Tensor:
    """Give an array as a tensor, after checking its shape; it shares memory where it can."""
    array = _array(name, values, dtype, shape, index)
    # torch warns about memory that can not be written to
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _array(name: str, values: np.ndarray, dtype: type, shape: tuple[int, ...], index: int) -> np.ndarray:
    """Check the shape of an array; give it in a type, contiguous and aligned, as C code takes it."""
    array = np.asarray(values)
    if array.shape != shape:
        raise ValueError(f"expected `{name}` of structure {index} to have the shape {shape}, got {array.shape}")
    if array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned:
        return array
    if dtype is np.int32 and array.dtype.kind not in "iu":
        raise TypeError(f"expected `{name}` of structure {index} to be integers, got {array.dtype}")
    converted: np.ndarray = np.require(array, dtype, ["C", "ALIGNED"])
    if dtype is np.int32 and not np.array_equal(converted, array):
        raise ValueError(
            f"expected `{name}` of structure {index} to fit in 32-bit integers, got values from {array.min()} to "
            f"{array.max()}"
        )
    return converted


def _input(structure: Structure, name: str) -> np.ndarray:
    wanted = canonical_name(name)
    for known, values in structure.inputs.items():
        if canonical_name(known) == wanted:
            return values
    raise ValueError(f"expected the input '{name}', which the model requests, got {sorted(structure.inputs)}")
