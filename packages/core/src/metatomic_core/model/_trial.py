"""A trial of a compiled model before it is saved, so that what fails in an engine fails where it was made."""

import io
import math
import warnings
from typing import Any, Dict, Iterator, List, Mapping, Optional, Protocol, Tuple

import torch
from metatensor.torch import TensorMap

from metatomic_core.data.capabilities import ModelCapabilities
from metatomic_core.data.metadata import ModelMetadata
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import base_quantity, canonical_name, standard_quantities
from metatomic_core.foundation import torchscript
from metatomic_core.units import unit_conversion_factor

# A distance at which atoms of any species interact and do not overlap, in angstrom.
_DISTANCE = 2.5
# What a model raises itself where it does not want a structure; all else is an accident.
_REFUSALS = (ValueError, TypeError, NotImplementedError, AssertionError)


class RunnableModel(Protocol):
    """What is asked of an `AtomisticModel`, which lies above this module, to save it."""

    @property
    def module(self) -> torch.nn.Module:
        """The module in it."""

    @property
    def core(self) -> torch.nn.Module:
        """What calls it with plain data."""

    def metadata(self) -> ModelMetadata:
        """Give who made the model."""

    def capabilities(self) -> ModelCapabilities:
        """Give what it can do."""

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """List the neighbor lists that it needs."""

    def requested_inputs(self, use_new_names: bool = False) -> Dict[str, ModelOutput]:
        """List the inputs that it needs."""

    def buffers(self, recurse: bool = True) -> Iterator[torch.Tensor]:
        """Give its buffers."""

    def to(self, device: Any) -> Any:
        """Move it."""


_Tensors = Dict[str, torch.Tensor]


def can_be_tried(capabilities: ModelCapabilities, inputs: Dict[str, ModelOutput]) -> bool:
    """Tell whether a model runs on a CPU, with inputs of known shapes."""
    return "cpu" in capabilities.supported_devices and all(map(_has_known_shape, inputs))


def loaded_again(archive: bytes) -> torch.jit.ScriptModule:
    """Load the content of a model file, as an engine would.

    Raises
    ------
    RuntimeError
        If torch can not.
    """
    try:
        return torchscript.load(io.BytesIO(archive))
    except RuntimeError as error:
        raise RuntimeError(
            f"expected a compiled model that torch can load again, got an error: {_one_line(error)}"
        ) from error


def check_runs(model: RunnableModel, compiled: torch.jit.ScriptModule, stacklevel: int) -> None:
    """Run a compiled model on an atom, on a pair of atoms, and on a periodic pair.

    Parameters
    ----------
    model
        What was compiled.
    compiled
        The same, compiled, from the content of its file.
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
    """
    capabilities, inputs = model.capabilities(), model.requested_inputs()
    lists = model.requested_neighbor_lists()
    structures = small_structures(capabilities, lists, inputs)
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


def small_structures(
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
        # what counts states, or divides, is not zero
        ones = base_quantity(name) in ("mass", "spin_multiplicity")
        tensors[name] = filled_input(name, request, len(types), float(ones))
    return tensors


def filled_input(name: str, request: ModelOutput, n_atoms: int, value: float) -> torch.Tensor:
    """Give an input of known shape, see `can_be_tried`, all values of which are the same."""
    quantity = standard_quantities()[base_quantity(name)]
    shape = [n_atoms if request.sample_kind == "atom" else 1, *(3 for _ in quantity.components), 1]
    return torch.full(shape, value, dtype=torch.float64)


def _failure(
    model: Any, structure: _Tensors, lists: List[NeighborListOptions], capabilities: ModelCapabilities
) -> Optional[Exception]:
    """Give what a model raises when it computes all its outputs for a structure, or None."""
    try:
        computed(model, structure, lists, capabilities.length_unit, in_one_spelling(capabilities.outputs))
    except Exception as error:  # noqa: BLE001  (whatever a model raises)
        return error
    return None


def in_one_spelling(outputs: Dict[str, ModelOutput]) -> Dict[str, ModelOutput]:
    """Give outputs under one spelling of their names."""
    return {
        name: output
        for name, output in outputs.items()
        if canonical_name(name) == name or canonical_name(name) not in outputs
    }


def computed(
    model: Any,
    structure: _Tensors,
    lists: List[NeighborListOptions],
    length_unit: str,
    outputs: Mapping[str, ModelOutput],
) -> Dict[str, TensorMap]:
    """Compute outputs, with the finest samples, for a structure; all in the units of the model."""
    pairs, vectors = pairs_of(structure, lists)
    return evaluated(model, structure, pairs, vectors, None, {}, outputs, {"length": length_unit, "energy": ""})[1]


def evaluated(
    model: Any,
    structure: _Tensors,
    pairs: List[torch.Tensor],
    vectors: Optional[List[torch.Tensor]],
    selected_atoms: Optional[torch.Tensor],
    request: Dict[str, str],
    outputs: Mapping[str, ModelOutput],
    units: Dict[str, str],
) -> Tuple[Dict[str, torch.Tensor], Dict[str, TensorMap]]:
    """Evaluate one structure, with its inputs, without warnings and without a trace in the state of random numbers.

    The only call of ``evaluate`` on trial: outputs are in their own units, results in these.
    """
    kinds = {name: output.sample_kind for name, output in outputs.items()}
    geometry = {name: structure[name] for name in ("types", "positions", "cell", "pbc")}
    inputs = {name: values for name, values in structure.items() if name not in geometry}
    call_units = {"engine": units, "outputs": {name: output.unit for name, output in outputs.items()}}
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        with torchscript.clean_errors(), torchscript.unoptimized():
            given = None if vectors is None else [vectors]
            results, values, tensors = model.evaluate(
                [geometry],
                [pairs],
                selected_atoms,
                request,
                kinds,
                call_units,
                check_consistency=False,
                vectors=given,
                inputs=[inputs],
            )
    return {**values, **results}, tensors


def _failure_in_python(
    model: RunnableModel, structure: _Tensors, lists: List[NeighborListOptions], capabilities: ModelCapabilities
) -> Optional[Exception]:
    device = next((tensor.device for tensor in model.buffers()), torch.device("cpu"))
    try:
        return _failure(model.to("cpu"), structure, lists, capabilities)
    finally:
        model.to(device)


def pairs_of(structure: _Tensors, lists: List[NeighborListOptions]) -> Tuple[List[torch.Tensor], List[torch.Tensor]]:
    """Find the pairs of a structure, and their vectors, for each list."""
    from metatomic_core.neighbor_lists import NeighborLists

    requests = [(options.cutoff, options.full_list, options.strict) for options in lists]
    if not all(math.isfinite(cutoff) for cutoff, _, _ in requests):
        return [], []
    return NeighborLists(requests, 0.0).compute(structure["positions"], structure["cell"], structure["pbc"])


def _one_line(error: Exception) -> str:
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return f"{type(error).__name__}: {text[:500]}"
