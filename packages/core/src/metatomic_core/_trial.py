"""A trial of a compiled model before it is saved, so that what fails in an engine fails where it was made."""

import io
import math
import warnings
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

import torch

from . import _torchscript
from .capabilities import ModelCapabilities
from .neighbors import NeighborListOptions
from .outputs import ModelOutput
from .quantities import base_quantity, canonical_name, standard_quantities
from .units import unit_conversion_factor

if TYPE_CHECKING:
    from .model import AtomisticModel

# A distance at which atoms of any species interact and do not overlap, in angstrom.
_DISTANCE = 2.5
# What a model raises itself where it does not want a structure; all else is an accident.
_REFUSALS = (ValueError, TypeError, NotImplementedError, AssertionError)

_Tensors = Dict[str, torch.Tensor]


def check_runs(model: "AtomisticModel", archive: bytes, stacklevel: int) -> None:
    """Run a compiled model on an atom, on a pair of atoms, and on a periodic pair.

    Parameters
    ----------
    model
        What was compiled.
    archive
        The content of its file, which is loaded as an engine would.
    stacklevel
        Of the warning, as seen from here.

    Raises
    ------
    RuntimeError
        If the compiled model fails where the one in Python does not; or if both fail everywhere, and not because the
        model refuses such structures, which it may.

    Warns
    -----
    UserWarning
        If the model fails on some of the structures by accident: engines meet single atoms and empty lists.

    Notes
    -----
    A model for other devices than the CPU, or with inputs of unknown shape, is not tried.
    """
    capabilities, inputs = model.capabilities(), model.requested_inputs()
    if "cpu" not in capabilities.supported_devices or not all(map(_has_known_shape, inputs)):
        return
    lists = model.requested_neighbor_lists()
    structures = _structures(capabilities, lists, inputs)
    try:
        compiled = _torchscript.load(io.BytesIO(archive))
    except RuntimeError as cause:
        raise RuntimeError(
            f"expected a compiled model that torch can load again, got an error: {_one_line(cause)}"
        ) from cause
    failures: Dict[str, Exception] = {}
    accidents: Dict[str, Exception] = {}
    for name, structure in structures.items():
        error = _failure(compiled, structure, lists, capabilities)
        if error is not None:
            failures[name] = error
            own = _failure_in_python(model, structure, lists, capabilities)
            if own is None:
                raise RuntimeError(
                    "expected a compiled model that runs where it does in Python, got an error of the compiled one for "
                    f"{name}: {_one_line(error)}"
                )
            if not isinstance(own, _REFUSALS):
                accidents[name] = own
    if not accidents:
        return
    name, error = next(iter(accidents.items()))
    message = f"got its own error for {name}: {_one_line(error)}"
    # zeros may be no sensible inputs
    if len(failures) == len(structures) and not inputs:
        raise RuntimeError(f"expected a model that runs, {message}")
    warnings.warn(f"expected a model that runs on all structures, {message}", stacklevel=stacklevel + 1)


def _has_known_shape(name: str) -> bool:
    # what a model means by positions as an input is its own affair
    return base_quantity(name) in standard_quantities() and base_quantity(name) not in ("position", "feature")


def _structures(
    capabilities: ModelCapabilities, lists: List[NeighborListOptions], inputs: Dict[str, ModelOutput]
) -> Dict[str, _Tensors]:
    """Give structures in the length unit of the model, by what they are called in messages."""
    unit = capabilities.length_unit
    cutoffs = [options.cutoff for options in lists]
    distance = _DISTANCE * (unit_conversion_factor("angstrom", unit) if unit else 1.0)
    distance = min([distance, *(0.9 * cutoff for cutoff in cutoffs)])
    # as large as needed for few pairs
    edge = max([3.0 * distance, *cutoffs])
    types = [capabilities.atomic_types[0], capabilities.atomic_types[-1]] if capabilities.atomic_types else [1, 1]
    return {
        "two atoms": _structure(types, distance, 0.0, inputs),
        "two atoms in a periodic cell": _structure(types, distance, edge, inputs),
        "one atom without neighbors": _structure(types[:1], distance, 0.0, inputs),
    }


def _structure(types: List[int], distance: float, edge: float, inputs: Dict[str, ModelOutput]) -> _Tensors:
    positions = distance * torch.tensor([[0.0, 0.0, 0.0], [0.6, 0.64, 0.48]], dtype=torch.float64)
    tensors = {
        "types": torch.tensor(types, dtype=torch.int32),
        "positions": positions[: len(types)].clone(),
        "cell": edge * torch.eye(3, dtype=torch.float64),
        "pbc": torch.full([3], edge > 0.0),
    }
    for name, request in inputs.items():
        n_samples = len(types) if request.sample_kind == "atom" else 1
        quantity = standard_quantities()[base_quantity(name)]
        shape = [n_samples, *[3 for _ in quantity.components], 1]
        # what counts states, or divides, is not zero
        ones = base_quantity(name) in ("mass", "spin_multiplicity")
        tensors[name] = torch.full(shape, float(ones), dtype=torch.float64)
    return tensors


def _failure(
    model: Any, structure: _Tensors, lists: List[NeighborListOptions], capabilities: ModelCapabilities
) -> Optional[Exception]:
    """Give what a model raises when it computes all its outputs for a structure, or None."""
    kinds = {
        name: output.sample_kind
        for name, output in capabilities.outputs.items()
        if canonical_name(name) == name or canonical_name(name) not in capabilities.outputs
    }
    pairs, vectors = _pairs(structure, lists)
    units = {"length": capabilities.length_unit, "energy": ""}
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        try:
            with _torchscript.clean_errors(), _torchscript.unoptimized():
                model.evaluate([structure], [pairs], None, {}, kinds, units, False, [vectors])
        except Exception as error:  # noqa: BLE001  (whatever a model raises)
            return error
    return None


def _failure_in_python(
    model: "AtomisticModel", structure: _Tensors, lists: List[NeighborListOptions], capabilities: ModelCapabilities
) -> Optional[Exception]:
    device = next((tensor.device for tensor in model.buffers()), torch.device("cpu"))
    try:
        return _failure(model.to("cpu"), structure, lists, capabilities)
    finally:
        model.to(device)


def _pairs(structure: _Tensors, lists: List[NeighborListOptions]) -> Tuple[List[torch.Tensor], List[torch.Tensor]]:
    from .neighbor_lists import NeighborLists

    requests = [(options.cutoff, options.full_list, options.strict) for options in lists]
    if not all(math.isfinite(cutoff) for cutoff, _, _ in requests):
        return [], []
    return NeighborLists(requests, 0.0).compute(structure["positions"], structure["cell"], structure["pbc"])


def _one_line(error: Exception) -> str:
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return f"{type(error).__name__}: {text[:500]}"
