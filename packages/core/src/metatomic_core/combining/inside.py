"""What wrappers of one model need to know of it: its core, requests, outputs, and what it says of itself."""

import copy
from typing import NamedTuple

import torch

from metatomic_core.data.capabilities import ModelCapabilities
from metatomic_core.data.metadata import ModelMetadata
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.foundation import torchscript
from metatomic_core.model.atomistic_model import AtomisticModel
from metatomic_core.model.saving import differentiates_itself


class Inside(NamedTuple):
    """A model that shall be wrapped.

    Attributes
    ----------
    core
        Its core, a `ModelCore`, compiled or not, which belongs to the wrapper.
    lists, inputs
        Its requests.
    outputs
        Its outputs, under the names that the core knows.
    differentiates
        Whether it may differentiate by positions itself.
    capabilities, metadata
        What the model says of itself.
    """

    core: torch.nn.Module
    lists: list[NeighborListOptions]
    inputs: dict[str, ModelOutput]
    outputs: dict[str, ModelOutput]
    differentiates: bool
    capabilities: ModelCapabilities
    metadata: ModelMetadata


def differentiates(model: AtomisticModel) -> bool:
    """Tell whether a model may differentiate by positions itself.

    Parameters
    ----------
    model
        The model, made in Python or loaded.
    """
    header = getattr(model, "header", None)
    if header is not None:
        return bool(header.differentiates)
    return differentiates_itself(torchscript.script_module(model).core.module)


def inside_of(model: AtomisticModel) -> Inside:
    """Take a model apart, the one of the caller stays as it is.

    Parameters
    ----------
    model
        The model, made in Python or loaded.

    Returns
    -------
    Inside
        Its parts.

    Raises
    ------
    TypeError
        If it is no model.
    """
    if not isinstance(model, AtomisticModel):
        raise TypeError(f"expected `model` to be an AtomisticModel, got {type(model).__name__}")
    model = copy.deepcopy(model)
    capabilities = model.capabilities()
    names: list[str] = model.core.output_names  # type: ignore[assignment]
    outputs = {name: capabilities.outputs[name] for name in names}
    return Inside(
        model.core,
        list(model.requested_neighbor_lists()),
        dict(model.requested_inputs()),
        outputs,
        differentiates(model),
        capabilities,
        model.metadata(),
    )


def with_note(metadata: ModelMetadata, name: str, note: str, references: list[str]) -> ModelMetadata:
    """Give the metadata of a wrapper: those of the model, what was done, and who described it.

    Parameters
    ----------
    metadata
        Of the model.
    name, note
        What was done, in a word and in a sentence.
    references
        Where it is described.

    Returns
    -------
    ModelMetadata
        The metadata.
    """
    cited = {kind: list(listed) for kind, listed in metadata.references.items()}
    known = cited.setdefault("implementation", [])
    known += [reference for reference in references if reference not in known]
    if not known:
        del cited["implementation"]
    return ModelMetadata(
        metadata.name, metadata.description, list(metadata.authors), cited, {**metadata.extra, name: note}
    )
