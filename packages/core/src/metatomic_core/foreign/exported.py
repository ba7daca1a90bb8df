"""Our models as files of metatomic-torch: ``metatomic convert --to metatomic-torch``."""

# annotations name classes of metatomic-torch, which exist once its library is loaded
from __future__ import annotations

import re
import warnings
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, cast

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from metatomic_core.data.capabilities import ModelCapabilities
from metatomic_core.data.metadata import ModelMetadata
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import canonical_name
from metatomic_core.foundation import torchscript
from metatomic_core.foundation.atomic_write import replaced_when_done
from metatomic_core.loading import load_compiled, reader_of
from metatomic_core.model.loaded import LoadedModel

from . import reference_files
from .reference_units import check_same_unit

# metatomic-torch calls these methods of all modules in a file, and ours answer in classes that it does not know: they
# go by other names there. In the source in the archive, they are defined and called like this.
_REQUESTS = re.compile(r"(\bdef |\.)(requested_(?:neighbor_lists|neighbors_lists|inputs))(?=\()")
_RENAMED = r"\1_core_\2"


class ConvertedModel(torch.nn.Module):
    """A model of ours, whole, with the interface of metatomic-torch (TorchScript only).

    Parameters
    ----------
    model
        The model, for what it requests.
    script
        The same, compiled, without methods that metatomic-torch would call; ``compute`` is called.
    """

    def __init__(self, model: LoadedModel, script: torch.jit.ScriptModule):
        super().__init__()
        self.model = script
        self._length_unit = model.capabilities().length_unit
        lists = [
            (options.cutoff, options.full_list, options.strict, options.requestors())
            for options in model.requested_neighbor_lists()
        ]
        inputs = model.requested_inputs(use_new_names=True)
        units = {name: (output.unit, output.sample_kind) for name, output in inputs.items()}
        # not class annotations, which are strings in this module
        self._lists = cast(Any, torch.jit.Attribute(lists, List[Tuple[float, bool, bool, List[str]]]))
        self._inputs = cast(Any, torch.jit.Attribute(units, Dict[str, Tuple[str, str]]))
        self.eval()

    def forward(
        self,
        systems: List[torch.classes.metatomic.System],  # type: ignore[name-defined]
        outputs: Dict[str, torch.classes.metatomic.ModelOutput],  # type: ignore[name-defined]
        selected_atoms: Optional[Labels],
    ) -> Dict[str, TensorMap]:
        """Run the model; see the interface of metatomic-torch."""
        structures: List[Dict[str, torch.Tensor]] = []
        neighbors: List[List[TensorBlock]] = []
        inputs: List[Dict[str, TensorMap]] = []
        for system in systems:
            structures.append(
                {"types": system.types, "positions": system.positions, "cell": system.cell, "pbc": system.pbc}
            )
            neighbors.append([system.get_neighbor_list(options) for options in self.requested_neighbor_lists()])
            data: Dict[str, TensorMap] = {}
            for name in self._inputs.keys():
                data[name] = system.get_data(name)
            inputs.append(data)
        kinds: Dict[str, str] = {}
        gradients: Dict[str, List[str]] = {}
        for name, output in outputs.items():
            kinds[name] = output.sample_kind
            gradients[name] = output.explicit_gradients
        results: Dict[str, TensorMap] = self.model.compute(
            structures, neighbors, inputs, selected_atoms, kinds, gradients
        )
        return results

    @torch.jit.export
    def requested_neighbor_lists(
        self,
    ) -> List[torch.classes.metatomic.NeighborListOptions]:  # type: ignore[name-defined]
        """List the neighbor lists that the model needs."""
        requests: List[torch.classes.metatomic.NeighborListOptions] = []  # type: ignore[name-defined]
        for cutoff, full_list, strict, requestors in self._lists:
            options = torch.classes.metatomic.NeighborListOptions(cutoff, full_list, strict, "")
            if self._length_unit != "":
                options.length_unit = self._length_unit
            for requestor in requestors:
                options.add_requestor(requestor)
            requests.append(options)
        return requests

    @torch.jit.export
    def requested_inputs(self) -> Dict[str, torch.classes.metatomic.ModelOutput]:  # type: ignore[name-defined]
        """List the inputs that the model needs."""
        inputs: Dict[str, torch.classes.metatomic.ModelOutput] = {}  # type: ignore[name-defined]
        for name, (unit, kind) in self._inputs.items():
            inputs[name] = torch.classes.metatomic.ModelOutput("", unit, kind, [], "")
        return inputs


def convert(
    source: Path, output: Path, extensions_directory: Optional[str] = None, collect_extensions: Optional[str] = None
) -> str:
    """Write a model of ours as a file of metatomic-torch; see ``metatomic convert``.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is no model of ours; if metatomic-torch is not installed, or has no word for what the model gives.
    """
    if reader_of(source) == "metatomic-torch":
        raise ValueError(f"expected a model of metatomic-core, got '{source}', which is one of metatomic-torch already")
    reference_files.load_library()
    if collect_extensions is not None and Path(collect_extensions).exists():
        # metatomic-torch removes the directory first
        raise ValueError(f"expected a new directory for `collect_extensions`, got '{collect_extensions}', which exists")
    model = load_compiled(source, extensions_directory)
    exported = reference_model(model)
    with replaced_when_done(output) as temporary, torchscript.quiet():
        exported.save(str(temporary), collect_extensions)
    return f"wrote {output}: {model.metadata().name or 'unnamed model'}, a model of metatomic-torch"


def reference_model(model: LoadedModel) -> Any:
    """Give a model as an ``AtomisticModel`` of metatomic-torch.

    Parameters
    ----------
    model
        The model, compiled.

    Raises
    ------
    ValueError
        If metatomic-torch has no word for something in it.
    """
    with warnings.catch_warnings(), torchscript.quiet():
        import metatomic.torch as reference

        capabilities = _capabilities(model.capabilities())
        metadata = _metadata(model.metadata())
        inputs = model.requested_inputs(use_new_names=True)
        for name, request in inputs.items():
            _check_name(name, request, "input")
        script = torchscript.load(_without_requests(torchscript.to_bytes(model.script, {})))
        module = torchscript.script_module(ConvertedModel(model, script))
        return reference.AtomisticModel(module, metadata, capabilities)


def _without_requests(archive: bytes) -> BytesIO:
    """Give a model file the code of which defines and calls its requests by other names."""
    changed = BytesIO()
    with zipfile.ZipFile(BytesIO(archive)) as source, zipfile.ZipFile(changed, "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename.endswith(".py"):
                content = _REQUESTS.sub(_RENAMED, content.decode("utf-8")).encode("utf-8")
            # what maps the source to that of Python has offsets into it, and serves error messages only
            if not entry.filename.endswith(".debug_pkl"):
                target.writestr(entry.filename, content)
    changed.seek(0)
    return changed


def _capabilities(found: ModelCapabilities) -> Any:
    check_same_unit("length_unit", found.length_unit)
    outputs = {canonical_name(name): output for name, output in found.outputs.items()}
    converted = {name: _output(name, output) for name, output in outputs.items()}
    with warnings.catch_warnings():
        # whoever made the model was warned; who converts it can not change it
        warnings.simplefilter("ignore")
        return torch.classes.metatomic.ModelCapabilities(
            converted,
            found.atomic_types,
            found.interaction_range,
            found.length_unit,
            found.supported_devices,
            found.dtype,
        )


def _output(name: str, output: ModelOutput) -> Any:
    _check_name(name, output, "output")
    return torch.classes.metatomic.ModelOutput(
        "", output.unit, output.sample_kind, output.explicit_gradients, output.description
    )


def _check_name(name: str, output: ModelOutput, what: str) -> None:
    """Check that metatomic-torch has a word for an output or input, and knows its unit as one of the dimension."""
    try:
        torch.ops.metatomic.unit_dimension_for_quantity(name)
    except (RuntimeError, ValueError):
        raise ValueError(
            f"expected every {what} to have a name in metatomic-torch, got '{name}'; export the model with "
            f"'domain::{name}' instead"
        ) from None
    check_same_unit(name, output.unit)


def _metadata(found: ModelMetadata) -> Any:
    metadata = torch.classes.metatomic.ModelMetadata(
        found.name, found.description, found.authors, found.references, found.extra
    )
    try:
        str(metadata)
    except (RuntimeError, ValueError) as error:
        warnings.warn(
            f"expected metadata that metatomic-torch can print, got an error, at which engines like i-PI stop: "
            f"{str(error).splitlines()[0]}",
            stacklevel=2,
        )
    return metadata
