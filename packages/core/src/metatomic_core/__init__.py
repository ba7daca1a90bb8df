"""One interface between machine-learned interatomic potentials and simulation engines.

Write a model once with these classes, save it to one file, and run it in every engine that has an adapter.
"""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from .atoms import systems_to_torch
    from .autograd import register_autograd_neighbors
    from .capabilities import ModelCapabilities
    from .extensions import load_model_extensions
    from .interface import ModelInterface
    from .io import check_atomistic_model, load_atomistic_model, read_model_metadata
    from .loaded import LoadedModel, is_atomistic_model
    from .metadata import ModelMetadata
    from .model import AtomisticModel
    from .neighbors import NeighborListOptions
    from .outputs import ModelEvaluationOptions, ModelOutput
    from .quantities import unit_dimension_for_quantity
    from .selection import pick_device, pick_output
    from .system import System
    from .system_file import load_system, load_system_buffer, save, save_buffer
    from .units import unit_conversion_factor

    MetatensorAtomisticModel = AtomisticModel
    register_neighbors_autograd = register_autograd_neighbors

# name -> module: loaded on first use, so that importing this package, or a command in it, does not import torch
_MODULES = {
    "AtomisticModel": "model",
    "LoadedModel": "loaded",
    "ModelCapabilities": "capabilities",
    "ModelEvaluationOptions": "outputs",
    "ModelInterface": "interface",
    "ModelMetadata": "metadata",
    "ModelOutput": "outputs",
    "NeighborListOptions": "neighbors",
    "System": "system",
    "check_atomistic_model": "io",
    "is_atomistic_model": "loaded",
    "load_atomistic_model": "io",
    "load_model_extensions": "extensions",
    "load_system": "system_file",
    "load_system_buffer": "system_file",
    "pick_device": "selection",
    "pick_output": "selection",
    "read_model_metadata": "io",
    "register_autograd_neighbors": "autograd",
    "save": "system_file",
    "save_buffer": "system_file",
    "systems_to_torch": "atoms",
    "unit_conversion_factor": "units",
    "unit_dimension_for_quantity": "quantities",
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


def __dir__() -> List[str]:
    """List public names, those that are not loaded yet included."""
    return sorted({*globals(), *__all__})
