"""What a model can do: `ModelCapabilities`."""

import warnings
from typing import Dict, List, Optional

import torch

from metatomic_core.foundation.torchscript import script_class
from metatomic_core.units import check_unit, unit_conversion_factor
from metatomic_core.units.lengths import length_factor

from .checks import check_atomic_types, check_devices, check_dimensionless, check_dtype_name, check_interaction_range
from .outputs import ModelOutput, check_output_names
from .quantities import base_quantity, split_variant, unit_dimension_for_quantity


def check_outputs(outputs: Dict[str, ModelOutput]) -> None:
    """Check the outputs that a model declares: names, units and sample kinds."""
    check_output_names(outputs)
    variants: Dict[str, List[str]] = {}
    for name, output in outputs.items():
        dimension = unit_dimension_for_quantity(name)
        if dimension == "none":
            check_dimensionless(output.unit, f"output '{name}'")
        elif dimension != "":
            _check_unit_of_output(name, output.unit, dimension)
        variants.setdefault(base_quantity(name), []).append(name)
    for names in variants.values():
        _warn_undescribed_variants(names, outputs)


def _check_unit_of_output(name: str, unit: str, dimension: str) -> None:
    if unit == "":
        warnings.warn(
            f"expected a unit of {dimension} for output '{name}', got none; its values will not be converted",
            stacklevel=5,
        )
    else:
        check_unit(f"unit of output '{name}'", unit, dimension)


def _warn_undescribed_variants(names: List[str], outputs: Dict[str, ModelOutput]) -> None:
    if len(names) < 2:
        return
    silent = [name for name in names if split_variant(name)[1] and not outputs[name].description]
    if silent:
        listed = ", ".join(f"'{name}'" for name in silent)
        warnings.warn(
            f"expected a description for each variant, got none for {listed}; "
            "set `ModelOutput.description` so that users can choose",
            stacklevel=5,
        )


class ModelCapabilities:
    """What a model can do.

    Parameters
    ----------
    outputs
        What the model gives, by name: a standard quantity, ``quantity/variant`` or ``domain::quantity``.
    atomic_types
        Atomic types (atomic numbers, as a rule) that the model knows.
    interaction_range
        Distance beyond which an atom has no effect on the results for another one, in ``length_unit``; at least the
        largest cutoff of a neighbor list, times the number of layers for message passing; infinite for long-range
        models.  Negative stands for "not set", which a model refuses.
    length_unit
        Length unit of the model; empty for none.
    supported_devices
        Devices that the model runs on, the best one first.
    dtype
        "float32" or "float64".

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If a name, unit, device or dtype is not a known one, if an atomic type is given twice, if a unit does not
        belong to its quantity, or if the interaction range is NaN.
    """

    def __init__(
        self,
        outputs: Optional[Dict[str, ModelOutput]] = None,
        atomic_types: Optional[List[int]] = None,
        interaction_range: float = -1.0,
        length_unit: str = "",
        supported_devices: Optional[List[str]] = None,
        dtype: str = "",
    ):
        if not torch.jit.is_scripting():
            # before the conversion to float below, which takes strings
            check_interaction_range(interaction_range)
        self._outputs: Dict[str, ModelOutput] = {}
        self._atomic_types: List[int] = []
        self._interaction_range = float(interaction_range)
        self._length_unit = length_unit
        self._supported_devices: List[str] = []
        self._dtype = dtype
        if outputs is not None:
            self._outputs = outputs
        if atomic_types is not None:
            if not torch.jit.is_scripting():
                check_atomic_types(atomic_types)
            self._atomic_types = [int(atomic_type) for atomic_type in atomic_types]
        if supported_devices is not None:
            self._supported_devices = supported_devices
        if not torch.jit.is_scripting():
            check_capabilities(self)

    @property
    def outputs(self) -> Dict[str, ModelOutput]:
        """What the model gives, by name."""
        return self._outputs

    @outputs.setter
    def outputs(self, value: Dict[str, ModelOutput]) -> None:
        if not torch.jit.is_scripting():
            check_outputs(value)
        self._outputs = value

    @property
    def atomic_types(self) -> List[int]:
        """Atomic types that the model knows."""
        return self._atomic_types

    @atomic_types.setter
    def atomic_types(self, value: List[int]) -> None:
        if not torch.jit.is_scripting():
            check_atomic_types(value)
        self._atomic_types = [int(atomic_type) for atomic_type in value]

    @property
    def interaction_range(self) -> float:
        """Interaction range in ``length_unit``; negative if not set."""
        return self._interaction_range

    @interaction_range.setter
    def interaction_range(self, value: float) -> None:
        if not torch.jit.is_scripting():
            check_interaction_range(value)
        self._interaction_range = float(value)

    @property
    def length_unit(self) -> str:
        """Length unit of the model."""
        return self._length_unit

    @length_unit.setter
    def length_unit(self, value: str) -> None:
        if not torch.jit.is_scripting():
            check_unit("length_unit", value, "length")
        self._length_unit = value

    @property
    def supported_devices(self) -> List[str]:
        """Devices that the model runs on, the best one first."""
        return self._supported_devices

    @supported_devices.setter
    def supported_devices(self, value: List[str]) -> None:
        if not torch.jit.is_scripting():
            check_devices(value)
        self._supported_devices = value

    @property
    def dtype(self) -> str:
        """Floating point type of the model, "float32" or "float64"."""
        return self._dtype

    @dtype.setter
    def dtype(self, value: str) -> None:
        if not torch.jit.is_scripting():
            check_dtype_name(value)
        self._dtype = value

    def engine_interaction_range(self, engine_length_unit: str) -> float:
        """Give the interaction range in another length unit; in TorchScript, one that has a name.

        Parameters
        ----------
        engine_length_unit
            Unit to give it in.

        Returns
        -------
        float
            The range, in ``engine_length_unit``.

        Raises
        ------
        ValueError
            If the unit is not a length.
        """
        if torch.jit.is_scripting():
            factor = length_factor(self._length_unit, engine_length_unit)
        else:
            factor = unit_conversion_factor(self._length_unit, engine_length_unit, dimension="length")
        return self._interaction_range * factor

    @torch.jit.unused
    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelCapabilities) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    @torch.jit.unused
    def __repr__(self) -> str:
        return (
            f"ModelCapabilities(outputs={self._outputs!r}, atomic_types={self._atomic_types!r}, "
            f"interaction_range={self._interaction_range!r}, length_unit={self._length_unit!r}, "
            f"supported_devices={self._supported_devices!r}, dtype={self._dtype!r})"
        )


script_class(ModelCapabilities)


def check_capabilities(capabilities: ModelCapabilities) -> None:
    """Check everything in a `ModelCapabilities`."""
    check_outputs(capabilities.outputs)
    check_atomic_types(capabilities.atomic_types)
    check_interaction_range(capabilities.interaction_range)
    check_unit("length_unit", capabilities.length_unit, "length")
    check_devices(capabilities.supported_devices)
    check_dtype_name(capabilities.dtype)
