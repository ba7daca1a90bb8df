"""Models of metatomic-torch behind our interface: `load_reference_model` and ``metatomic convert IN OUT``."""

import warnings
from pathlib import Path
from typing import Any, Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core.data.capabilities import ModelCapabilities
from metatomic_core.data.metadata import ModelMetadata
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import canonical_name
from metatomic_core.data.system import System
from metatomic_core.files.archive import Archive
from metatomic_core.files.extensions import checked_directory, extensions_with
from metatomic_core.loading import Reader, load_atomistic_model, reader_of
from metatomic_core.model.atomistic_model import AtomisticModel
from metatomic_core.model.loaded import LoadedModel
from metatomic_core.model.saving import compiled_with_header

from . import reference_files
from .reference_units import check_same_unit

# what the functions below use of metatomic-torch
_OWN_NAMES = ("metatomic.ModelEvaluationOptions", "metatomic.ModelOutput", "metatomic.System")


def _reference_system(system: System):  # type: ignore[no-untyped-def]
    """Give a system as an object of the reference implementation, with the same tensors (TorchScript only)."""
    # no annotation of the result, as of all classes of the reference: it would need the library when this is imported
    converted = torch.classes.metatomic.System(system.types, system.positions, system.cell, system.pbc)
    for options in system.known_neighbor_lists():
        request = torch.classes.metatomic.NeighborListOptions(options.cutoff, options.full_list, options.strict, "")
        converted.add_neighbor_list(request, system.get_neighbor_list(options))
    for name in system.known_data():
        converted.add_data(name, system.get_data(name), False, False)
    return converted


def _reference_output(output: ModelOutput):  # type: ignore[no-untyped-def]
    """Give a request as an object of the reference implementation; no unit, so that nothing is converted there."""
    return torch.classes.metatomic.ModelOutput("", "", output.sample_kind, output.explicit_gradients, "")


class ImportedModel(torch.nn.Module):
    """A model of metatomic-torch, whole, with our interface.

    The ``forward`` of its ``AtomisticModel`` is called, in its own units: that maps names between their spellings, and
    is the one entry that all versions have.

    Parameters
    ----------
    model
        The model.
    length_unit
        Its length unit.
    neighbor_lists, inputs
        What it requests.
    """

    _neighbor_lists: List[NeighborListOptions]
    _inputs: Dict[str, ModelOutput]
    # for `named_submodules`: what the model requests is known, and is not asked of its parts, which answer in their own
    # classes
    speaks_for_submodules = True

    def __init__(
        self,
        model: torch.jit.ScriptModule,
        length_unit: str,
        neighbor_lists: List[NeighborListOptions],
        inputs: Dict[str, ModelOutput],
    ):
        super().__init__()
        self.model = model
        self._length_unit = length_unit
        self._neighbor_lists = neighbor_lists
        self._inputs = inputs
        self.eval()

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        """Run the model, see `ModelInterface`."""
        converted = [_reference_system(system) for system in systems]
        asked = {name: _reference_output(output) for name, output in outputs.items()}
        options = torch.classes.metatomic.ModelEvaluationOptions(self._length_unit, asked, selected_atoms)
        results: Dict[str, TensorMap] = self.model(converted, options, False)
        return results

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """List the neighbor lists that the model needs."""
        return self._neighbor_lists

    def requested_inputs(self) -> Dict[str, ModelOutput]:
        """List the inputs that the model needs."""
        return self._inputs


def load_reference_model(path: Path, extensions_directory: Optional[str] = None) -> LoadedModel:
    """Load a file of metatomic-torch as a model of ours; what `load_atomistic_model` does with such files.

    Parameters
    ----------
    path
        The file; its code runs.
    extensions_directory
        Directory with the TorchScript extensions of the model.

    Raises
    ------
    ValueError
        If the file is of a version that is not known; if metatomic-torch or an extension is missing; if the model uses
        a name or a unit that means nothing here, or something else.
    """
    model = reference_files.load(path, checked_directory(extensions_directory))
    schema = str(model.forward.schema)  # type: ignore[attr-defined]
    if model.original_name != "AtomisticModel" or "metatomic.System" not in schema:
        raise ValueError(f"expected a model of metatomic-torch, got '{path}', which holds another module")
    try:
        wrapped = _wrapped(model)
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected a model that metatomic-core can run, got '{path}': {error}") from error
    # by the source in the file: to walk through the compiled code takes seconds
    names = {*reference_files.used_names(path), *_OWN_NAMES}
    scripted, header = compiled_with_header(wrapped, extensions_with(sorted(names)))
    return LoadedModel(scripted, header, path, extensions_directory)


def _wrapped(model: torch.jit.ScriptModule) -> AtomisticModel:
    with warnings.catch_warnings():
        # whoever made the model was warned; who runs it can not change it
        warnings.simplefilter("ignore")
        capabilities = _capabilities(model.capabilities())
        module = ImportedModel(
            model,
            capabilities.length_unit,
            [_neighbor_list(options) for options in model.requested_neighbor_lists()],
            {name: _output(name, request) for name, request in _requested_inputs(model).items()},
        )
        return AtomisticModel(module, _metadata(model.metadata()), capabilities)


def _capabilities(found: Any) -> ModelCapabilities:
    check_same_unit("length_unit", found.length_unit)
    # files offer both spellings of a name; here that is the business of `AtomisticModel`
    offered = found.outputs
    names = [name for name in offered if canonical_name(name) == name or canonical_name(name) not in offered]
    return ModelCapabilities(
        outputs={name: _output(name, offered[name]) for name in names},
        atomic_types=list(found.atomic_types),
        interaction_range=found.interaction_range,
        length_unit=found.length_unit,
        supported_devices=list(found.supported_devices),
        dtype=found.dtype,
    )


def _output(name: str, found: Any) -> ModelOutput:
    check_same_unit(name, found.unit)
    return ModelOutput(
        unit=found.unit,
        sample_kind=found.sample_kind,
        explicit_gradients=list(found.explicit_gradients),
        description=found.description,
    )


def _requested_inputs(model: torch.jit.ScriptModule) -> Dict[str, Any]:
    """Give the requested inputs; the method, and its argument, are younger than the file format."""
    if not hasattr(model, "requested_inputs"):
        return {}
    new_names = len(model.requested_inputs.schema.arguments) > 1
    return dict(model.requested_inputs(True) if new_names else model.requested_inputs())


def _neighbor_list(found: Any) -> NeighborListOptions:
    options = NeighborListOptions(found.cutoff, found.full_list, found.strict)
    options.length_unit = found.length_unit
    for requestor in found.requestors():
        options.add_requestor(requestor)
    return options


def _metadata(found: Any) -> ModelMetadata:
    return ModelMetadata(
        name=found.name,
        description=found.description,
        authors=list(found.authors),
        references={kind: list(texts) for kind, texts in found.references.items()},
        extra=dict(found.extra),
    )


def convert(
    source: Path, output: Path, extensions_directory: Optional[str] = None, collect_extensions: Optional[str] = None
) -> str:
    """Write the model of a file in another format as a file of ours; see ``metatomic convert``.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is in no other format that is read, or for the reasons of `load_atomistic_model`.
    """
    if reader_of(source) is None:
        raise ValueError(f"expected a model in another format, got '{source}', which is one of metatomic-core already")
    model = load_atomistic_model(source, extensions_directory)
    model.save(str(output), collect_extensions)
    return f"wrote {output}: {model.metadata().name or 'unnamed model'}, a model of metatomic-core"


def _recognises(path: Path, archive: Optional[Archive]) -> bool:
    return archive is not None and reference_files.is_reference_archive(archive)


reader = Reader(_recognises, load_reference_model)
