"""What a model must look like: `ModelInterface`, and the checks of a module against it."""

import inspect
import typing
from typing import Any, Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.system import System
from metatomic_core.foundation import torchscript
from metatomic_core.foundation.errors import ContradictionError

_SIGNATURE = (
    "`forward(self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]) "
    "-> Dict[str, TensorMap]`"
)
# What the compiled types of arguments 1 to 3 and of the result must contain.
_SCRIPTED_TYPES = (("List", "System"), ("Dict", "ModelOutput"), ("Optional", "Labels"), ("Dict", "TensorMap"))


class ModelInterface(torch.nn.Module):
    """Base class for models; to inherit from it is a help to readers and type checkers, not a need.

    A module that ``torch.jit.script`` does not compile, but another compiler of its library does, may have a method
    ``torchscript_module()`` on top, marked ``@torch.jit.unused``: it gives the same module, compiled. The file then
    holds that, and is traced from the module in Python.
    """

    def forward(
        self,
        systems: List[System],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels],
    ) -> Dict[str, TensorMap]:
        """Compute the requested outputs for all systems.

        Parameters
        ----------
        systems
            Systems in the units of the model, with the neighbor lists and inputs that the model requests.
        outputs
            What to compute, by name.
        selected_atoms
            Labels ``system`` and ``atom``: give results for (or sum over) these atoms only; None for all.

        Returns
        -------
        dict
            One `TensorMap` for each requested output, laid out as the documentation of standard quantities says.

        Raises
        ------
        NotImplementedError
            Always: each model has its own.
        """
        raise NotImplementedError("expected a model to define `forward`, got none")

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """List the neighbor lists that the model needs; sub-modules may have this method too."""
        return []

    def requested_inputs(self) -> Dict[str, ModelOutput]:
        """List the inputs besides types, positions and cell that the model needs; sub-modules may have this too."""
        return {}


def check_module(module: Any) -> None:
    """Check that something can be wrapped as a model.

    Raises
    ------
    TypeError
        If it is no module, or its ``forward`` has another signature.
    ValueError
        If it is in training mode.
    """
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"expected `module` to be a torch.nn.Module, got {type(module).__name__}")
    if module.training:
        raise ValueError("expected `module` in evaluation mode, got training mode; call `module.eval()` first")
    if isinstance(module, torch.jit.ScriptModule):
        _check_scripted_signature(module)
    else:
        _check_signature(module)


def own_torchscript(module: torch.nn.Module) -> Optional[torch.jit.ScriptModule]:
    """Give the compiled form that a module brings, in its method ``torchscript_module``; None if it brings none.

    Raises
    ------
    TypeError
        If it brings something else, or its ``forward`` has another signature.
    ValueError
        If it is in training mode.
    """
    bring = getattr(module, "torchscript_module", None)
    if bring is None or isinstance(module, torch.jit.ScriptModule):
        return None
    with torchscript.quiet():
        compiled = bring()
    if not isinstance(compiled, torch.jit.ScriptModule):
        raise TypeError(
            f"expected a torch.jit.ScriptModule from `torchscript_module()` of {type(module).__name__}, "
            f"got {type(compiled).__name__}"
        )
    check_module(compiled)
    for parameter in compiled.parameters():
        parameter.requires_grad_(False)  # noqa: FBT003  (torch has no name for it)
    return compiled


def _check_signature(module: torch.nn.Module) -> None:
    parameters = list(inspect.signature(module.forward).parameters)
    try:
        hints = typing.get_type_hints(type(module).forward)
    except NameError as error:
        raise TypeError(f"expected {_SIGNATURE}, got an annotation that can not be read: {error}") from error
    got = [hints.get(name) for name in [*parameters, "return"]]
    expected = [List[System], Dict[str, ModelOutput], Optional[Labels], Dict[str, TensorMap]]
    if len(got) != len(expected) or not all(_same_type(g, e) for g, e in zip(got, expected, strict=True)):
        shown = inspect.signature(module.forward)
        raise TypeError(f"expected {_SIGNATURE}, got `forward{shown}`")


def _same_type(got: Any, expected: Any) -> bool:
    if typing.get_origin(got) is not None or typing.get_origin(expected) is not None:
        got_arguments, expected_arguments = set(typing.get_args(got)), set(typing.get_args(expected))
        same_kind = _kind(got) == _kind(expected)
        return same_kind and got_arguments == expected_arguments
    return got is expected


def _kind(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    # `X | None` and Optional[X] have different origins and the same arguments
    return "Union" if type(None) in typing.get_args(annotation) else str(origin)


def _check_scripted_signature(module: torch.jit.ScriptModule) -> None:
    schema = module.forward.schema  # type: ignore[attr-defined]
    types = [str(argument.type) for argument in schema.arguments[1:]] + [str(r.type) for r in schema.returns]
    matches = len(types) == len(_SCRIPTED_TYPES) and all(
        part in text for text, parts in zip(types, _SCRIPTED_TYPES, strict=True) for part in parts[1:]
    )
    if not matches:
        raise TypeError(f"expected {_SIGNATURE}, got ({', '.join(types[:-1])}) -> {types[-1] if types else 'None'}")


def named_submodules(module: torch.nn.Module) -> List[tuple[str, torch.nn.Module]]:
    """List a module and everything inside, named like ``Root.child.grandchild``; or itself, if it speaks for all."""
    root = getattr(module, "original_name", type(module).__name__)
    if getattr(module, "speaks_for_submodules", False):
        return [(root, module)]
    return [(f"{root}.{name}" if name else root, child) for name, child in module.named_modules()]


def collect_neighbor_lists(module: torch.nn.Module, length_unit: str) -> List[NeighborListOptions]:
    """Collect the neighbor lists that a module and its sub-modules request, identical ones once.

    Raises
    ------
    ValueError
        If a request is in another length unit than the model.
    """
    collected: List[NeighborListOptions] = []
    for name, child in named_submodules(module):
        for request in _call_one_of(child, ("requested_neighbor_lists", "requested_neighbors_lists")) or []:
            if request.length_unit not in ("", length_unit):
                raise ValueError(
                    f"expected neighbor lists in the length unit of the model, '{length_unit}', got "
                    f"'{request.length_unit}' from {name}"
                )
            options = NeighborListOptions(request.cutoff, request.full_list, request.strict)
            options.length_unit = length_unit
            known = next((other for other in collected if other == options), None)
            if known is None:
                collected.append(options)
                known = options
            for requestor in [*request.requestors(), name]:
                known.add_requestor(requestor)
    return collected


def check_requests_are_exported(module: torch.nn.Module) -> None:
    """Check that a module which requests no neighbor list needs none, so far as compiled code tells.

    On scripting, TorchScript leaves out all methods that nothing calls and that are not exported.

    Raises
    ------
    ValueError
        If compiled code asks systems for a neighbor list.
    """
    for name, child in named_submodules(module):
        if isinstance(child, torch.jit.ScriptModule):
            called = torchscript.called_methods(child)
            # code that goes through the lists that are there works with whatever others request
            if "get_neighbor_list" in called and "known_neighbor_lists" not in called:
                raise ValueError(
                    f"expected a scripted module that calls `get_neighbor_list` to request a list, got {name} without "
                    "a method `requested_neighbor_lists`; add `@torch.jit.export` to that method, and script again"
                )


def collect_inputs(module: torch.nn.Module) -> Dict[str, ModelOutput]:
    """Collect the inputs that a module and its sub-modules request.

    Raises
    ------
    ValueError
        If two modules request the same input in different units or for different samples, or under both spellings.
    """
    collected: Dict[str, ModelOutput] = {}
    for name, child in named_submodules(module):
        for key, request in (_call_one_of(child, ("requested_inputs",)) or {}).items():
            known = collected.get(key)
            if known is not None and (known.unit, known.sample_kind) != (request.unit, request.sample_kind):
                raise ContradictionError(
                    f"expected all requests of input '{key}' to agree, got unit '{known.unit}' per "
                    f"{known.sample_kind} and unit '{request.unit}' per {request.sample_kind} (in {name})"
                )
            collected[key] = request
    return collected


def _call_one_of(module: torch.nn.Module, names: tuple[str, ...]) -> Any:
    for name in names:
        if hasattr(module, name):
            return getattr(module, name)()
    return None
