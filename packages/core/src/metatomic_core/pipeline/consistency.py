"""Checks of what a model is given and what it returns: names, dtypes, and the values of all labels.

Scripted code, saved in every model file, so that any engine can ask for the checks.  `check_request`,
`check_systems` and `check_inputs_present` are cheap and always run; `check_system_data` and `check_results` run with
``check_consistency``.
"""

from typing import Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import base_quantity, canonical_name, standard_quantities
from metatomic_core.data.system import System

from .batch import Batch


def check_request(outputs: Dict[str, ModelOutput], offered: Dict[str, ModelOutput]) -> None:
    """Check that each requested output is offered with this kind of samples and these explicit gradients."""
    kinds = ["system", "atom", "atom_pair"]
    for name, output in outputs.items():
        if name not in offered:
            known = ", ".join(["'" + key + "'" for key in offered.keys()])
            raise ValueError(f"expected an output that this model can compute, got '{name}'; it has {known}")
        declared = offered[name]
        kind = output.sample_kind
        if kind not in kinds:
            raise ValueError(f"expected `sample_kind` of output '{name}' to be system, atom or atom_pair, got '{kind}'")
        system_from_atoms = kind == "system" and declared.sample_kind == "atom"
        if kind != declared.sample_kind and not system_from_atoms:
            raise ValueError(
                f"expected output '{name}' per {declared.sample_kind}, which is what this model computes, got '{kind}'"
            )
        for gradient in output.explicit_gradients:
            if gradient not in declared.explicit_gradients:
                raise ValueError(
                    f"expected explicit gradients that this model has for '{name}', got '{gradient}'; "
                    "use automatic differentiation"
                )


def check_systems(
    systems: List[System],
    atomic_types: torch.Tensor,
    dtype: str,
    supported_devices: List[str],
) -> None:
    """Check number, dtype, device and atomic types of all systems."""
    if len(systems) == 0:
        raise ValueError("expected at least one system in `systems`, got an empty list")
    _check_device(atomic_types, supported_devices)
    expected = torch.float64 if dtype == "float64" else torch.float32
    for i in range(len(systems)):
        system = systems[i]
        if system.positions.dtype != expected:
            raise ValueError(f"expected systems of dtype {dtype}, that of the model, got another one in system {i}")
        if system.positions.device != atomic_types.device:
            raise ValueError(
                f"expected systems on the device of the model, {atomic_types.device}, got "
                f"{system.positions.device} in system {i}; use `.to(device)` on one of them"
            )
        known = torch.isin(system.types, atomic_types)
        if not bool(known.all()):
            atom = int(torch.nonzero(~known)[0].item())
            raise ValueError(_unknown_type(atomic_types, int(system.types[atom].item()), atom, i))


def check_batch(batch: Batch, atomic_types: torch.Tensor, supported_devices: List[str]) -> None:
    """Check device and atomic types of all structures of a batch, at once."""
    _check_device(atomic_types, supported_devices)
    if batch.positions.device != atomic_types.device:
        raise ValueError(
            f"expected structures on the device of the model, {atomic_types.device}, got {batch.positions.device}; use "
            "`.to(device)` on one of them"
        )
    check_types(batch.types, batch.n_atoms, atomic_types)


def check_types(types: torch.Tensor, n_atoms: List[int], atomic_types: torch.Tensor) -> None:
    """Check that a model knows the types of all atoms, shape (n_atoms,), of structures of these numbers of atoms."""
    known = torch.isin(types, atomic_types)
    if not bool(known.all()):
        unknown = int(torch.nonzero(~known)[0].item())
        i, atom = 0, unknown
        while atom >= n_atoms[i]:
            atom -= n_atoms[i]
            i += 1
        raise ValueError(_unknown_type(atomic_types, int(types[unknown].item()), atom, i))


def _check_device(atomic_types: torch.Tensor, supported_devices: List[str]) -> None:
    device_type = atomic_types.device.type
    # torch calls the devices of ROCm "cuda"
    if device_type not in supported_devices and not (device_type == "cuda" and "hip" in supported_devices):
        raise ValueError(f"expected a device that this model supports, {supported_devices}, got '{device_type}'")


def _unknown_type(atomic_types: torch.Tensor, unknown: int, atom: int, i: int) -> str:
    return (
        f"expected atomic types that this model knows, {_integers(atomic_types)}, got type {unknown} for atom {atom} "
        f"of system {i}"
    )


def check_inputs_present(systems: List[System], requested_inputs: Dict[str, ModelOutput]) -> None:
    """Check that all systems have the inputs that the model requests."""
    for i in range(len(systems)):
        for name in requested_inputs.keys():
            if not _has_data(systems[i], name):
                raise ValueError(
                    f"expected the input '{name}', which this model requests, in system {i}; use `add_data`"
                )


def _has_data(system: System, name: str) -> bool:
    wanted = canonical_name(name)
    for known in system.known_data():
        if canonical_name(known) == wanted:
            return True
    return False


def check_system_data(
    systems: List[System],
    requested_lists: List[NeighborListOptions],
    requested_inputs: Dict[str, ModelOutput],
) -> None:
    """Check the neighbor lists and the inputs of all systems, label values included."""
    for i in range(len(systems)):
        system = systems[i]
        for options in requested_lists:
            _check_neighbor_list(system, system.get_neighbor_list(options), i)
        for name, requested in requested_inputs.items():
            _check_input(system, system.get_data(name), name, requested.sample_kind, i)


def _check_neighbor_list(system: System, block: TensorBlock, i: int) -> None:
    samples = block.samples.values
    if samples.size(0) == 0:
        return
    atoms = samples[:, :2]
    if int(atoms.min()) < 0 or int(atoms.max()) >= len(system):
        raise ValueError(f"expected atoms of neighbor lists between 0 and {len(system) - 1}, got others in system {i}")
    if torch.unique(samples, dim=0).size(0) != samples.size(0):
        raise ValueError(f"expected each pair once in a neighbor list, got duplicates in system {i}")
    shifts = samples[:, 2:].to(system.positions.dtype)
    positions = system.positions.detach()
    vectors = positions[atoms[:, 1].to(torch.int64)] - positions[atoms[:, 0].to(torch.int64)]
    vectors = vectors + shifts @ system.cell.detach()
    error = (vectors - block.values.detach()[:, :, 0]).abs().max()
    tolerance = 1e-6 if positions.dtype == torch.float64 else 1e-3
    if bool(error > tolerance * (1.0 + positions.abs().max())):
        raise ValueError(
            "expected neighbor vectors to be positions[second] - positions[first] + shift @ cell, "
            f"got others in system {i}; was the list computed for older positions"
        )


def _check_input(system: System, tensor: TensorMap, name: str, kind: str, i: int) -> None:
    what = f"input '{name}' of system {i}"
    table = standard_quantities()
    base = base_quantity(name)
    for block in tensor.blocks():
        if block.values.dtype != system.positions.dtype:
            raise ValueError(f"expected {what} to have the dtype of the system, got another one")
        if not bool(torch.isfinite(block.values).all()):
            raise ValueError(f"expected finite values of {what}, got nan or infinity")
        # data of one system is labelled as system 0, wherever the system stands in a batch
        if base not in table:
            _check_custom_samples(block.samples, kind, [len(system)], None, what)
        else:
            _check_sample_names(block.samples, kind, what)
            if kind != "atom_pair":
                _check_sample_values(block.samples, kind, [len(system)], None, what)
    if base in table:
        _check_layout(tensor, base, what)


def check_selected_atoms(selected_atoms: Optional[Labels], n_atoms: List[int]) -> None:
    """Check that selected atoms exist, once each."""
    if selected_atoms is None:
        return
    if selected_atoms.names != ["system", "atom"]:
        raise ValueError("expected `selected_atoms` to have the dimensions system and atom, got others")
    values = selected_atoms.values
    _check_range(values[:, 0], len(n_atoms), "system", "`selected_atoms`")
    index = _atom_index(values, n_atoms, "`selected_atoms`")
    _check_once(index, sum(n_atoms), "`selected_atoms`")


def check_results(
    n_atoms: List[int],
    requested: Dict[str, ModelOutput],
    selected_atoms: Optional[Labels],
    results: Dict[str, TensorMap],
    dtype: str,
) -> None:
    """Check the outputs of a model against the request: names, dtype, layout and the values of all labels."""
    expected = torch.float64 if dtype == "float64" else torch.float32
    for name in results.keys():
        if name not in requested:
            raise ValueError(f"expected the model to return what was requested, got '{name}' as well")
    table = standard_quantities()
    for name, output in requested.items():
        what = f"output '{name}' of the model"
        tensor = results[name]
        for block in tensor.blocks():
            if block.values.dtype != expected:
                raise ValueError(f"expected {what} to have the dtype {dtype}, got another one")
            selected: Optional[torch.Tensor] = None
            if selected_atoms is not None:
                selected = selected_atoms.values
            if base_quantity(name) in table:
                _check_sample_names(block.samples, output.sample_kind, what)
                _check_sample_values(block.samples, output.sample_kind, n_atoms, selected, what)
            else:
                _check_custom_samples(block.samples, output.sample_kind, n_atoms, selected, what)
            for gradient in output.explicit_gradients:
                _check_gradient(block, gradient, n_atoms, what)
        if base_quantity(name) in table:
            _check_layout(tensor, base_quantity(name), what)


def _sample_names(kind: str) -> List[str]:
    if kind == "atom":
        return ["system", "atom"]
    if kind == "atom_pair":
        return ["system", "first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]
    return ["system"]


def _check_custom_samples(
    samples: Labels, kind: str, n_atoms: List[int], selected: Optional[torch.Tensor], what: str
) -> None:
    """Check that samples exist: quantities of one's own may have others, or be given for some of the atoms only."""
    values = samples.values
    if samples.names != _sample_names(kind):
        return
    _check_range(values[:, 0], len(n_atoms), "system", what)
    if kind == "atom":
        index = _atom_index(values, n_atoms, what)
        if selected is not None:
            wanted = _atom_index(selected.to(values.device), n_atoms, "`selected_atoms`")
            if not bool(torch.isin(index, wanted).all()):
                raise ValueError(f"expected {what} for atoms that were asked for, got others")
    elif kind == "atom_pair":
        _atom_index(values[:, [0, 1]], n_atoms, what)
        _atom_index(values[:, [0, 2]], n_atoms, what)


def _check_sample_names(samples: Labels, kind: str, what: str) -> None:
    expected = _sample_names(kind)
    if samples.names != expected:
        raise ValueError(f"expected {what} to have the samples {expected}, got {samples.names}")


def _check_sample_values(
    samples: Labels, kind: str, n_atoms: List[int], selected: Optional[torch.Tensor], what: str
) -> None:
    values = samples.values
    _check_range(values[:, 0], len(n_atoms), "system", what)
    if kind == "system":
        _check_once(values[:, 0], len(n_atoms), what)
        needed = torch.ones(len(n_atoms), dtype=torch.bool, device=values.device)
        if selected is not None:
            # a system without selected atoms may be left out: its sum is zero
            needed = torch.zeros(len(n_atoms), dtype=torch.bool, device=values.device)
            needed[selected[:, 0].to(values.device, torch.int64)] = True
        needed[values[:, 0].to(torch.int64)] = False
        if bool(needed.any()):
            missing = int(torch.nonzero(needed)[0].item())
            raise ValueError(f"expected {what} for all {len(n_atoms)} systems, got none for system {missing}")
    elif kind == "atom":
        total = sum(n_atoms)
        index = _atom_index(values, n_atoms, what)
        _check_once(index, total, what)
        wanted = torch.ones(total, dtype=torch.bool, device=values.device)
        if selected is not None:
            wanted = torch.zeros(total, dtype=torch.bool, device=values.device)
            wanted[_atom_index(selected.to(values.device), n_atoms, "`selected_atoms`")] = True
        got = torch.zeros(total, dtype=torch.bool, device=values.device)
        got[index] = True
        if not torch.equal(got, wanted):
            raise ValueError(
                f"expected {what} for {int(wanted.sum())} atoms, those that were asked for, got {values.size(0)} "
                "or others"
            )
    else:
        _atom_index(values[:, [0, 1]], n_atoms, what)
        _atom_index(values[:, [0, 2]], n_atoms, what)
        if torch.unique(values, dim=0).size(0) != values.size(0):
            raise ValueError(f"expected {what} once for each atom pair, got duplicates")


def _check_range(values: torch.Tensor, size: int, dimension: str, what: str) -> None:
    if values.numel() == 0:
        return
    if int(values.min()) < 0 or int(values.max()) >= size:
        raise ValueError(
            f"expected values of '{dimension}' in {what} between 0 and {size - 1}, got "
            f"{int(values.min())} to {int(values.max())}"
        )


def _atom_index(values: torch.Tensor, n_atoms: List[int], what: str) -> torch.Tensor:
    """Number all atoms of all systems: index of each (system, atom), after checking that it exists."""
    sizes = torch.tensor(n_atoms, dtype=torch.int64, device=values.device)
    systems = values[:, 0].to(torch.int64)
    atoms = values[:, 1].to(torch.int64)
    outside = (atoms < 0) | (atoms >= sizes[systems])
    if bool(outside.any()):
        row = int(torch.nonzero(outside)[0].item())
        raise ValueError(
            f"expected atoms that exist in {what}, got atom {int(atoms[row].item())} of system "
            f"{int(systems[row].item())}"
        )
    return torch.cumsum(sizes, 0)[systems] - sizes[systems] + atoms


def _check_once(index: torch.Tensor, size: int, what: str) -> None:
    counts = torch.bincount(index.to(torch.int64), minlength=size)
    if bool((counts > 1).any()):
        raise ValueError(f"expected each sample once in {what}, got duplicates")


def _check_gradient(block: TensorBlock, parameter: str, n_atoms: List[int], what: str) -> None:
    if parameter not in block.gradients_list():
        raise ValueError(f"expected explicit gradients '{parameter}' in {what}, got {block.gradients_list()}")
    gradient = block.gradient(parameter)
    expected = ["sample"]
    n_components = 2
    if parameter == "positions":
        expected = ["sample", "system", "atom"]
        n_components = 1
    if gradient.samples.names != expected:
        raise ValueError(f"expected '{parameter}' gradients of {what} with the samples {expected}, got others")
    if len(gradient.components) != n_components + len(block.components):
        raise ValueError(f"expected {n_components} more components in '{parameter}' gradients of {what}, got others")
    values = gradient.samples.values
    _check_range(values[:, 0], block.samples.values.size(0), "sample", what)
    if parameter == "positions":
        _check_range(values[:, 1], len(n_atoms), "system", what)
        _atom_index(values[:, 1:], n_atoms, what)


def _integers(tensor: torch.Tensor) -> List[int]:
    values: List[int] = tensor.flatten().to(torch.int64).tolist()
    return values


def _check_layout(tensor: TensorMap, base: str, what: str) -> None:
    """Check keys, components and properties of a standard quantity."""
    quantity = standard_quantities()[base]
    if tensor.keys.names != ["_"] or _integers(tensor.keys.values) != [0]:
        raise ValueError(f"expected {what} to have one key '_' = 0, got {tensor.keys.names}")
    block = tensor.block_by_id(0)
    names: List[str] = []
    for component in block.components:
        if len(component.names) != 1 or _integers(component.values) != [0, 1, 2]:
            raise ValueError(f"expected components of {what} with the values 0, 1, 2, got others")
        names.append(component.names[0])
    if names != quantity.components:
        raise ValueError(f"expected {what} to have the components {quantity.components}, got {names}")
    if quantity.property_name == "":
        return
    properties = block.properties.names
    if len(properties) != 1 or canonical_name(properties[0]) != quantity.property_name:
        raise ValueError(f"expected {what} to have the property '{quantity.property_name}', got {properties}")
    values = block.properties.values.flatten()
    n_properties = values.size(0)
    if quantity.n_properties > 0 and n_properties != quantity.n_properties:
        raise ValueError(f"expected {what} to have {quantity.n_properties} property value, got {n_properties}")
    if not torch.equal(values.cpu(), torch.arange(n_properties, dtype=values.dtype)):
        raise ValueError(f"expected properties of {what} to be numbered from 0, got others")
