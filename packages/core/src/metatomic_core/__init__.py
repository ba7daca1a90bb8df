"""One interface between machine-learned interatomic potentials and simulation engines.

Write a model once with these classes, save it to one file, and run it in every engine that has an adapter.
"""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data.atoms import systems_to_torch
    from .data.capabilities import ModelCapabilities
    from .data.metadata import ModelMetadata
    from .data.neighbors import NeighborListOptions
    from .data.outputs import ModelEvaluationOptions, ModelOutput
    from .data.quantities import unit_dimension_for_quantity
    from .data.selection import pick_device, pick_output
    from .data.system import System
    from .files.extensions import load_model_extensions
    from .files.system_file import load_system, load_system_buffer, save, save_buffer
    from .loading import check_atomistic_model, load_atomistic_model, read_model_metadata
    from .model.atomistic_model import AtomisticModel, is_atomistic_model
    from .model.autograd import register_autograd_neighbors
    from .model.interface import ModelInterface
    from .model.loaded import LoadedModel
    from .units import unit_conversion_factor

    MetatensorAtomisticModel = AtomisticModel
    register_neighbors_autograd = register_autograd_neighbors

# name -> module: loaded on first use, so that importing this package, or a command in it, does not import torch
_MODULES = {
    "AtomisticModel": "model.atomistic_model",
    "LoadedModel": "model.loaded",
    "ModelCapabilities": "data.capabilities",
    "ModelEvaluationOptions": "data.outputs",
    "ModelInterface": "model.interface",
    "ModelMetadata": "data.metadata",
    "ModelOutput": "data.outputs",
    "NeighborListOptions": "data.neighbors",
    "System": "data.system",
    "check_atomistic_model": "loading",
    "is_atomistic_model": "model.atomistic_model",
    "load_atomistic_model": "loading",
    "load_model_extensions": "files.extensions",
    "load_system": "files.system_file",
    "load_system_buffer": "files.system_file",
    "pick_device": "data.selection",
    "pick_output": "data.selection",
    "read_model_metadata": "loading",
    "register_autograd_neighbors": "model.autograd",
    "save": "files.system_file",
    "save_buffer": "files.system_file",
    "systems_to_torch": "data.atoms",
    "unit_conversion_factor": "units",
    "unit_dimension_for_quantity": "data.quantities",
}
# names of the documents from which the interface was created, and of older code
_ALIASES = {
    "MetatensorAtomisticModel": "AtomisticModel",
    "register_neighbors_autograd": "register_autograd_neighbors",
}

__version__ = _version("metatomic-core")

__all__ = [
    "AtomisticModel",
    "LoadedModel",
    "MetatensorAtomisticModel",
    "ModelCapabilities",
    "ModelEvaluationOptions",
    "ModelInterface",
    "ModelMetadata",
    "ModelOutput",
    "NeighborListOptions",
    "System",
    "check_atomistic_model",
    "is_atomistic_model",
    "load_atomistic_model",
    "load_model_extensions",
    "load_system",
    "load_system_buffer",
    "pick_device",
    "pick_output",
    "read_model_metadata",
    "register_autograd_neighbors",
    "register_neighbors_autograd",
    "save",
    "save_buffer",
    "systems_to_torch",
    "unit_conversion_factor",
    "unit_dimension_for_quantity",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    target = _ALIASES.get(name, name)
    if target not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    value = getattr(_import_module(f"{__name__}.{_MODULES[target]}"), target)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List public names, those that are not loaded yet included."""
    return sorted({*globals(), *__all__})
