"""`LoadedModel`: a model from a file, with the methods of `AtomisticModel` and plain Python errors."""

import copy
import dataclasses
import itertools
import os
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

import torch
from metatensor.torch import TensorMap

from . import _torchscript, extensions, io
from ._header import ModelHeader
from .capabilities import ModelCapabilities
from .metadata import ModelMetadata
from .model import AtomisticModel
from .neighbors import NeighborListOptions
from .outputs import ModelEvaluationOptions, ModelOutput
from .quantities import canonical_name
from .system import System


class LoadedModel(torch.nn.Module):
    """A model loaded from a file; see `load_atomistic_model`.

    What the file says about the model comes from its header; `forward` and `evaluate` run the code in the file,
    without the profiling passes of TorchScript (see DESIGN, "Speed"), and raise plain Python errors.

    Parameters
    ----------
    script
        The scripted module.
    header
        The header of the file.
    path
        Path of the file.
    extensions_directory
        Directory that the file's extensions were looked for in, if any.
    """

    def __init__(
        self,
        script: torch.jit.ScriptModule,
        header: ModelHeader,
        path: Path,
        extensions_directory: Optional[Union[str, "os.PathLike[str]"]] = None,
    ):
        super().__init__()
        self.script = script
        self.header = header
        self.path = path
        # for `pickle`, wherever the process is by then
        self._origin = (path.resolve(), None if extensions_directory is None else Path(extensions_directory).resolve())
        self.eval()

    def __deepcopy__(self, memo: Dict[int, Any]) -> "LoadedModel":
        # the weights as well: one of the two may be moved to another device
        return LoadedModel(copy.deepcopy(self.script, memo), self.header, *self._origin)

    def __reduce__(self) -> Tuple[Any, ...]:
        tensors = itertools.chain(self.script.parameters(), self.script.buffers())
        device = next((tensor.device for tensor in tensors), torch.device("cpu"))
        return _load_again, (*self._origin, str(device))

    @property
    def module(self) -> torch.nn.Module:
        """The scripted module that was wrapped in an `AtomisticModel` and saved."""
        return self.script.module

    def capabilities(self) -> ModelCapabilities:
        """Give what the model can do."""
        return self.header.capabilities

    def metadata(self) -> ModelMetadata:
        """Give who made the model and what to cite."""
        return self.header.metadata

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """List the neighbor lists that the model needs in each system."""
        return self.header.neighbor_lists

    def requested_neighbors_lists(self) -> List[NeighborListOptions]:
        """Older name of `requested_neighbor_lists`."""
        return self.header.neighbor_lists

    def requested_inputs(self, use_new_names: bool = False) -> Dict[str, ModelOutput]:
        """List the inputs that the model needs in each system; see `AtomisticModel.requested_inputs`."""
        if not use_new_names:
            return self.header.inputs
        return {canonical_name(name): output for name, output in self.header.inputs.items()}

    def differentiates(self) -> bool:
        """Tell whether the module differentiates with respect to positions itself."""
        return self.script.differentiates()

    def forward(
        self, systems: List[System], options: ModelEvaluationOptions, check_consistency: bool
    ) -> Dict[str, TensorMap]:
        """Run the model; see `AtomisticModel.forward`."""
        _check_arguments(systems, options)
        with _torchscript.clean_errors(), _torchscript.unoptimized():
            return self.script(systems, options, check_consistency)

    def evaluate(
        self,
        structures: List[Dict[str, torch.Tensor]],
        pairs: List[List[torch.Tensor]],
        selected_atoms: Optional[torch.Tensor],
        request: Dict[str, str],
        outputs: Dict[str, str],
        units: Dict[str, str],
        check_consistency: bool = False,
        vectors: Optional[List[List[torch.Tensor]]] = None,
    ) -> Tuple[Dict[str, torch.Tensor], Dict[str, TensorMap]]:
        """Run the pipeline in the file on plain tensors; see `AtomisticModel.evaluate`."""
        with _torchscript.clean_errors(), _torchscript.unoptimized():
            return self.script.evaluate(
                structures, pairs, selected_atoms, request, outputs, units, check_consistency, vectors
            )

    def save(self, file: str, collect_extensions: Optional[str] = None) -> None:
        """Write the model to another file; see `AtomisticModel.save`."""
        path = io.checked_target(file)
        if collect_extensions is not None:
            extensions.collect(self.header.extensions, collect_extensions)
        # not a copy of the file it came from, which may be gone or another one by now
        header = dataclasses.replace(self.header, torch_version=torch.__version__)
        io.write_archive(self.script, header, path)

    def export(self, file: str, collect_extensions: Optional[str] = None) -> None:
        """Older name of `save`."""
        self.save(file, collect_extensions)


def _load_again(path: Path, extensions_directory: Optional[Path] = None, device: str = "cpu") -> LoadedModel:
    """Load a model from its file, to the device that it was on, for `pickle`."""
    from .io import load_atomistic_model

    directory = None if extensions_directory is None else str(extensions_directory)
    return load_atomistic_model(path, directory).to(device)


def _check_arguments(systems: Any, options: Any) -> None:
    if not isinstance(systems, (list, tuple)):
        raise TypeError(f"expected `systems` to be a list of System, got {type(systems).__name__}")
    for system in systems:
        if not isinstance(system, System):
            raise TypeError(f"expected `systems` to be a list of System, got an element {type(system).__name__}")
    if not isinstance(options, ModelEvaluationOptions):
        raise TypeError(f"expected `options` to be ModelEvaluationOptions, got {type(options).__name__}")


def is_atomistic_model(module: Any) -> bool:
    """Tell whether something is a model that engines can run: an `AtomisticModel`, scripted or loaded or neither.

    Raises
    ------
    TypeError
        If it is no module at all.
    """
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"expected `module` to be a torch.nn.Module, got {type(module).__name__}")
    if isinstance(module, (AtomisticModel, LoadedModel)):
        return True
    return (
        isinstance(module, torch.jit.ScriptModule)
        and module.original_name == "AtomisticModel"
        and hasattr(module, "format_version")
    )


RunnableModel = Union[AtomisticModel, LoadedModel]
