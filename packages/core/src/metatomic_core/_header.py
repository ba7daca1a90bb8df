"""What a model file says about itself: `ModelHeader`, and its form as JSON."""

import dataclasses
import json
import warnings
from typing import Any, Dict, List

from .capabilities import ModelCapabilities
from .extensions import Extension
from .metadata import ModelMetadata
from .neighbors import NeighborListOptions
from .outputs import ModelOutput

# Grows whenever a file could be misread by older code: a new attribute of a scripted class, a new argument of
# `AtomisticModel.evaluate`.
FORMAT_VERSION = 2


@dataclasses.dataclass
class ModelHeader:
    """Everything that can be known about a model file without executing it.

    Attributes
    ----------
    metadata, capabilities, neighbor_lists, inputs
        What the methods of `AtomisticModel` give.
    extensions
        TorchScript extension libraries that the model needs.
    core_version, torch_version
        Versions that wrote the file.
    format_version
        Version of the file format.
    """

    metadata: ModelMetadata
    capabilities: ModelCapabilities
    neighbor_lists: List[NeighborListOptions]
    inputs: Dict[str, ModelOutput]
    extensions: List[Extension]
    core_version: str
    torch_version: str
    format_version: int = FORMAT_VERSION

    def to_dict(self) -> Dict[str, Any]:
        """Give the header as plain data."""
        capabilities = self.capabilities
        return {
            "format_version": self.format_version,
            "core_version": self.core_version,
            "torch_version": self.torch_version,
            "metadata": dict(self.metadata.__dict__),
            "capabilities": {
                "outputs": {name: _output_to_dict(output) for name, output in capabilities.outputs.items()},
                "atomic_types": capabilities.atomic_types,
                # JSON has no infinity
                "interaction_range": repr(capabilities.interaction_range),
                "length_unit": capabilities.length_unit,
                "supported_devices": capabilities.supported_devices,
                "dtype": capabilities.dtype,
            },
            "neighbor_lists": [_options_to_dict(options) for options in self.neighbor_lists],
            "inputs": {name: _output_to_dict(output) for name, output in self.inputs.items()},
            "extensions": [dataclasses.asdict(extension) for extension in self.extensions],
        }

    def to_json(self) -> str:
        """Give the header as JSON text."""
        return json.dumps(self.to_dict(), indent=1)

    @staticmethod
    def from_dict(content: Dict[str, Any]) -> "ModelHeader":
        """Read a header from plain data.

        Raises
        ------
        ValueError
            If something is missing, or is not what it should be.
        """
        try:
            capabilities = dict(content["capabilities"])
            capabilities["interaction_range"] = float(capabilities["interaction_range"])
            capabilities["outputs"] = {k: ModelOutput(**v) for k, v in capabilities["outputs"].items()}
            with warnings.catch_warnings():
                # whoever made the model was warned about its capabilities; who reads it can not change them
                warnings.simplefilter("ignore")
                read_capabilities = ModelCapabilities(**capabilities)
            return ModelHeader(
                metadata=ModelMetadata(**content["metadata"]),
                capabilities=read_capabilities,
                neighbor_lists=[_options_from_dict(options) for options in content["neighbor_lists"]],
                inputs={name: ModelOutput(**output) for name, output in content["inputs"].items()},
                extensions=[Extension(**extension) for extension in content["extensions"]],
                core_version=str(content["core_version"]),
                torch_version=str(content["torch_version"]),
                format_version=int(content["format_version"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            what = f"{type(error).__name__}: {error}"
            raise ValueError(f"expected a complete header in a model file, got {what}") from error


def _output_to_dict(output: ModelOutput) -> Dict[str, Any]:
    return {
        "quantity": output.quantity,
        "unit": output.unit,
        "sample_kind": output.sample_kind,
        "explicit_gradients": output.explicit_gradients,
        "description": output.description,
    }


def _options_to_dict(options: NeighborListOptions) -> Dict[str, Any]:
    return {
        "cutoff": options.cutoff,
        "full_list": options.full_list,
        "strict": options.strict,
        "length_unit": options.length_unit,
        "requestors": options.requestors(),
    }


def _options_from_dict(content: Dict[str, Any]) -> NeighborListOptions:
    options = NeighborListOptions(content["cutoff"], content["full_list"], content["strict"])
    options.length_unit = content["length_unit"]
    for requestor in content["requestors"]:
        options.add_requestor(requestor)
    return options
