"""One interface between machine-learned interatomic potentials and simulation engines.

Write a model once with these classes, save it to one file, and run it in every engine that has an adapter.
"""

from importlib.metadata import version as _version

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
from .units import unit_conversion_factor

# Names of the documents from which the interface was created, and of older code.
MetatensorAtomisticModel = AtomisticModel
register_neighbors_autograd = register_autograd_neighbors

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
    "pick_device",
    "pick_output",
    "read_model_metadata",
    "register_autograd_neighbors",
    "register_neighbors_autograd",
    "systems_to_torch",
    "unit_conversion_factor",
    "unit_dimension_for_quantity",
]
