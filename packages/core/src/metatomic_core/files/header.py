"""What a model file says about itself: `ModelHeader`, and its form as JSON."""

import dataclasses
import json
import math
import warnings
from typing import Any

from metatomic_core.data.capabilities import ModelCapabilities
from metatomic_core.data.metadata import ModelMetadata
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import base_quantity
from metatomic_core.foundation.elements import masses, symbols
from metatomic_core.units import unit_conversion_factor

from .extension_records import Extension
from .programs import ProgramRecord

# Grows whenever a file could be misread by older code: another layout of the header, a new attribute of a scripted
# class, a new argument of `AtomisticModel.evaluate`.
FORMAT_VERSION = 3
# The extra file of the archive that holds the header.
HEADER_FILE = "metatomic-core.json"


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
    differentiates
        Whether the module may differentiate with respect to positions by itself, and so always needs a graph.
    is_local
        Whether energies and outputs of an atom depend on no pairs but its own; None if it could not be found out.
    n_properties
        Number of values that each output has for each sample, components included; None where it is not known.
    pipeline
        Hash of the code of the pipeline in the file, see `metatomic_core.model.saving.pipeline_hash`.
    programs
        Exported programs in the file.
    untraced
        Why there are none; empty where there are.
    format_version
        Version of the file format.
    """

    metadata: ModelMetadata
    capabilities: ModelCapabilities
    neighbor_lists: list[NeighborListOptions]
    inputs: dict[str, ModelOutput]
    extensions: list[Extension]
    core_version: str
    torch_version: str
    differentiates: bool = True
    is_local: bool | None = None
    n_properties: dict[str, int | None] = dataclasses.field(default_factory=dict)
    pipeline: str = ""
    programs: tuple[ProgramRecord, ...] = ()
    untraced: str = ""
    format_version: int = FORMAT_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Give the header as plain data; see ``docs/model-file``."""
        return {
            "format_version": self.format_version,
            "core_version": self.core_version,
            "torch_version": self.torch_version,
            "pipeline": self.pipeline,
            "metadata": dict(self.metadata.__dict__),
            "queries": self._queries(),
            "programs": [program.to_dict() for program in self.programs],
            "untraced": self.untraced,
            "extensions": [dataclasses.asdict(extension) for extension in self.extensions],
        }

    def _queries(self) -> dict[str, Any]:
        """Give the answers to all that an engine asks before it evaluates."""
        capabilities = self.capabilities
        return {
            "atomic_types": capabilities.atomic_types,
            "type_names": symbols(capabilities.atomic_types),
            "masses": masses(capabilities.atomic_types),
            "interaction_range": _number(capabilities.interaction_range),
            "length_unit": capabilities.length_unit,
            "length_unit_in_angstrom": _in_angstrom(capabilities.length_unit),
            "energies_in_ev": {
                name: _in_ev(output.unit)
                for name, output in capabilities.outputs.items()
                if base_quantity(name) == "energy"
            },
            "dtype": capabilities.dtype,
            "supported_devices": capabilities.supported_devices,
            "neighbor_lists": [_options_to_dict(options) for options in self.neighbor_lists],
            "outputs": {
                name: {**_output_to_dict(output), "n_properties": self.n_properties.get(name)}
                for name, output in capabilities.outputs.items()
            },
            "inputs": {name: _output_to_dict(output) for name, output in self.inputs.items()},
            "differentiates": self.differentiates,
            "is_local": self.is_local,
        }

    def to_json(self) -> str:
        """Give the header as JSON text."""
        return json.dumps(self.to_dict(), indent=1)

    @staticmethod
    def from_dict(content: dict[str, Any]) -> "ModelHeader":
        """Read a header from plain data.

        Raises
        ------
        ValueError
            If something is missing, or is not what it should be.
        """
        try:
            queries = content["queries"]
            outputs = {name: dict(output) for name, output in queries["outputs"].items()}
            n_properties = {name: _width(output.pop("n_properties")) for name, output in outputs.items()}
            with warnings.catch_warnings():
                # whoever made the model was warned about what it declares; who reads it can not change that
                warnings.simplefilter("ignore")
                capabilities = ModelCapabilities(
                    outputs={name: ModelOutput(**output) for name, output in outputs.items()},
                    atomic_types=queries["atomic_types"],
                    interaction_range=float(queries["interaction_range"]),
                    length_unit=queries["length_unit"],
                    supported_devices=queries["supported_devices"],
                    dtype=queries["dtype"],
                )
            return ModelHeader(
                metadata=ModelMetadata(**content["metadata"]),
                capabilities=capabilities,
                neighbor_lists=[
                    _options_from_dict(options, capabilities.length_unit) for options in queries["neighbor_lists"]
                ],
                inputs={name: ModelOutput(**output) for name, output in queries["inputs"].items()},
                extensions=[Extension(**extension) for extension in content["extensions"]],
                core_version=str(content["core_version"]),
                torch_version=str(content["torch_version"]),
                differentiates=bool(queries["differentiates"]),
                is_local=_truth_or_none(queries["is_local"]),
                n_properties=n_properties,
                pipeline=str(content["pipeline"]),
                programs=tuple(ProgramRecord.from_dict(program) for program in content["programs"]),
                untraced=str(content["untraced"]),
                format_version=int(content["format_version"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            what = f"{type(error).__name__}: {error}"
            raise ValueError(f"expected a complete header in a model file, got {what}") from error


def _in_angstrom(length_unit: str) -> float | None:
    # without a unit nothing is converted, to whatever unit
    return unit_conversion_factor(length_unit, "angstrom") if length_unit else None


def _in_ev(energy_unit: str) -> float | None:
    return unit_conversion_factor(energy_unit, "eV") if energy_unit else None


def _number(value: float) -> float | str:
    # JSON has no infinity
    return value if math.isfinite(value) else repr(value)


def _width(value: Any) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise TypeError(f"expected `n_properties` of an output to be a count or null, got {value!r}")
    return value


def _truth_or_none(value: Any) -> bool | None:
    if not isinstance(value, (bool, type(None))):
        raise TypeError(f"expected `is_local` to be true, false or null, got {value!r}")
    return value


def _output_to_dict(output: ModelOutput) -> dict[str, Any]:
    return {
        "quantity": output.quantity,
        "unit": output.unit,
        "sample_kind": output.sample_kind,
        "explicit_gradients": output.explicit_gradients,
        "description": output.description,
    }


def _options_to_dict(options: NeighborListOptions) -> dict[str, Any]:
    return {
        "cutoff": _number(options.cutoff),
        "full_list": options.full_list,
        "strict": options.strict,
        "requestors": options.requestors(),
    }


def _options_from_dict(content: dict[str, Any], length_unit: str) -> NeighborListOptions:
    options = NeighborListOptions(float(content["cutoff"]), content["full_list"], content["strict"])
    options.length_unit = length_unit
    for requestor in content["requestors"]:
        options.add_requestor(requestor)
    return options
