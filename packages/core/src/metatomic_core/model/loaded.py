"""`LoadedModel`: a model from a file, with the methods of `AtomisticModel` and plain Python errors."""

import copy
import functools
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, TypeVar, Union, cast

import torch
from metatensor.torch import TensorMap

from metatomic_core.data.capabilities import ModelCapabilities
from metatomic_core.data.metadata import ModelMetadata
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelEvaluationOptions, ModelOutput
from metatomic_core.data.quantities import canonical_name
from metatomic_core.data.system import System
from metatomic_core.files import extensions
from metatomic_core.files.header import ModelHeader
from metatomic_core.foundation import torchscript
from metatomic_core.foundation.atomic_write import checked_target

from .atomistic_model import AtomisticModel, remember_origin
from .saving import is_exported, write_archive

_Method = TypeVar("_Method", bound=Callable[..., Any])


def _of_script(method: _Method) -> _Method:
    """Give a method that calls the one of the same name in the compiled model, and raises plain Python errors."""

    @functools.wraps(method)
    def called(self: "LoadedModel", *arguments: Any, **keywords: Any) -> Any:
        with torchscript.clean_errors(), torchscript.unoptimized():
            return getattr(self.script, method.__name__)(*arguments, **keywords)

    return cast(_Method, called)


class LoadedModel(AtomisticModel):
    """A model loaded from a file; see `load_atomistic_model`.

    What the file says about the model comes from its header, and the module with its requests from its code. The
    pipeline around them is that of the installed package, see `installed`, and what was wrong in the one of the file
    does not matter.  It runs without the profiling passes of TorchScript (see DESIGN, "Speed"), and raises plain
    Python errors.

    Parameters
    ----------
    script
        The scripted model, an `AtomisticModel`.
    header
        The header of the file.
    path
        Path of the file.
    extensions_directory
        Directory that the file's extensions were looked for in, if any.
    programs
        Content of the exported programs that the header names.
    """

    def __init__(
        self,
        script: torch.jit.ScriptModule,
        header: ModelHeader,
        path: Path,
        extensions_directory: Optional[Union[str, "os.PathLike[str]"]] = None,
        programs: Optional[Mapping[str, bytes]] = None,
    ):
        # what the parent class makes from a module and its capabilities is in the file
        torch.nn.Module.__init__(self)
        self.script = script
        self.header = header
        self.path = path
        self.programs = dict(programs or {})
        # for `pickle`, wherever the process is by then
        self.origin = (path.resolve(), None if extensions_directory is None else Path(extensions_directory).resolve())
        self.eval()

    def __deepcopy__(self, memo: Dict[int, Any]) -> "LoadedModel":
        # the weights as well: one of the two may be moved to another device
        return LoadedModel(copy.deepcopy(self.script, memo), self.header, *self.origin, self.programs)

    @property
    def module(self) -> torch.nn.Module:
        """The scripted module that was wrapped in an `AtomisticModel` and saved."""
        module = self.script.core.module
        remember_origin(module, self)
        return module

    @property
    def core(self) -> torch.nn.Module:  # type: ignore[override]
        """Code from the file, which the pipeline calls."""
        return self.script.core

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
        """As `AtomisticModel.requested_inputs`: list the inputs that the model needs in each system."""
        if not use_new_names:
            return self.header.inputs
        return {canonical_name(name): output for name, output in self.header.inputs.items()}

    def differentiates(self) -> bool:
        """Tell whether the module differentiates with respect to positions itself."""
        return self.script.differentiates()

    def forward(
        self, systems: List[System], options: ModelEvaluationOptions, check_consistency: bool
    ) -> Dict[str, TensorMap]:
        """As `AtomisticModel.forward`: run the model."""
        _check_arguments(systems, options)
        with torchscript.clean_errors(), torchscript.unoptimized():
            return self.script(systems, options, check_consistency)

    evaluate = _of_script(AtomisticModel.evaluate)
    batch = _of_script(AtomisticModel.batch)
    outputs_of = _of_script(AtomisticModel.outputs_of)
    finished = _of_script(AtomisticModel.finished)

    def save(self, file: str, collect_extensions: Optional[str] = None, *, exported: Optional[bool] = None) -> None:
        """As `AtomisticModel.save`: write the model to another file, with the exported programs that it has."""
        path = checked_target(file)
        if collect_extensions is not None:
            extensions.collect(self.header.extensions, collect_extensions)
        # not a copy of the file it came from, which may be gone or another one by now
        header = self.header if is_exported(exported) else replace(self.header, programs=())
        write_archive(self.script, header, self.programs, path)

    def export(self, file: str, collect_extensions: Optional[str] = None) -> None:
        """As `save`, of which this is an older name."""
        self.save(file, collect_extensions)


def installed(script: torch.jit.ScriptModule, header: ModelHeader) -> torch.jit.ScriptModule:
    """Compile the pipeline of the installed package around the module of a file.

    Parameters
    ----------
    script
        What was in the file.
    header
        The header of the file.
    """
    model = AtomisticModel.__new__(AtomisticModel)
    torch.nn.Module.__init__(model)
    model._hold(script.core, header.metadata, header.capabilities, header.neighbor_lists, header.inputs)
    compiled = torchscript.script_module(model)
    compiled._differentiates = header.differentiates
    return compiled


def _check_arguments(systems: Any, options: Any) -> None:
    if not isinstance(systems, (list, tuple)):
        raise TypeError(f"expected `systems` to be a list of System, got {type(systems).__name__}")
    for system in systems:
        if not isinstance(system, System):
            raise TypeError(f"expected `systems` to be a list of System, got an element {type(system).__name__}")
    if not isinstance(options, ModelEvaluationOptions):
        raise TypeError(f"expected `options` to be ModelEvaluationOptions, got {type(options).__name__}")
