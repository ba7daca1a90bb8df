"""What can be asked of a model: `ModelOutput`, `ModelCapabilities` and `ModelEvaluationOptions`."""

from typing import Dict, List, Optional

import torch
from metatensor.torch import Labels

from ._torchscript import script_class
from ._validation import (
    check_atomic_types,
    check_capabilities,
    check_devices,
    check_dtype_name,
    check_interaction_range,
    check_output,
    check_output_names,
    check_outputs,
    check_selected_atoms,
)
from .units import check_unit, unit_conversion_factor


class ModelOutput:
    """One quantity that a model gives, or an engine asks for; also one that a model needs as input.

    Parameters
    ----------
    quantity
        Name of the physical quantity, or empty; kept for models written for older interfaces.
    unit
        Unit of the values; empty for none.
    sample_kind
        "system", "atom" or "atom_pair": what the values are given for.  In the capabilities of a model it is the
        finest kind that the model can give.  True and False are read as ``per_atom``.
    explicit_gradients
        Gradients that the model returns with the values: "positions", "strain".
    description
        What distinguishes this output from its variants.
    per_atom
        Older way of saying ``sample_kind="atom"``.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If the unit does not parse, or is not a unit of the quantity; if the sample kind is unknown; if both
        ``sample_kind`` and ``per_atom`` are given.
    """

    def __init__(
        self,
        quantity: str = "",
        unit: str = "",
        sample_kind: Optional[str] = None,
        explicit_gradients: Optional[List[str]] = None,
        description: str = "",
        per_atom: Optional[bool] = None,
    ):
        if not torch.jit.is_scripting():
            if isinstance(sample_kind, bool):
                if per_atom is not None:
                    raise ValueError("expected one of `sample_kind` and `per_atom`, got both")
                sample_kind, per_atom = None, sample_kind
            check_output(quantity, unit, sample_kind, explicit_gradients, description, per_atom)
        if sample_kind is not None and per_atom is not None:
            raise ValueError("expected one of `sample_kind` and `per_atom`, got both")
        kind = "system"
        if sample_kind is not None:
            kind = sample_kind
        elif per_atom is not None and per_atom:
            kind = "atom"
        gradients: List[str] = []
        if explicit_gradients is not None:
            gradients = [g for g in explicit_gradients]  # noqa: C416 (`list()` of an Optional does not script)
        self._quantity = quantity
        self._unit = unit
        self._sample_kind = kind
        self._explicit_gradients = gradients
        self._description = description

    @property
    def quantity(self) -> str:
        """Name of the physical quantity, or empty."""
        return self._quantity

    @quantity.setter
    def quantity(self, value: str) -> None:
        if not torch.jit.is_scripting():
            check_output(value, self._unit, self._sample_kind, None, "", None)
        self._quantity = value

    @property
    def unit(self) -> str:
        """Unit of the values; empty for none."""
        return self._unit

    @unit.setter
    def unit(self, value: str) -> None:
        if not torch.jit.is_scripting():
            check_output(self._quantity, value, self._sample_kind, None, "", None)
        self._unit = value

    @property
    def sample_kind(self) -> str:
        """What the values are given for: "system", "atom" or "atom_pair"."""
        return self._sample_kind

    @sample_kind.setter
    def sample_kind(self, value: str) -> None:
        if not torch.jit.is_scripting():
            check_output("", "", value, None, "", None)
        self._sample_kind = value

    @property
    def per_atom(self) -> bool:
        """True for values per atom, False for values per system; refused for atom pairs."""
        if self._sample_kind == "atom_pair":
            raise ValueError(
                "expected `per_atom` of values per system or atom, got 'atom_pair'; use `sample_kind`"
            )
        return self._sample_kind == "atom"

    @per_atom.setter
    def per_atom(self, value: bool) -> None:
        self._sample_kind = "atom" if value else "system"

    @property
    def explicit_gradients(self) -> List[str]:
        """Gradients that come with the values."""
        return self._explicit_gradients

    @explicit_gradients.setter
    def explicit_gradients(self, value: List[str]) -> None:
        if not torch.jit.is_scripting():
            check_output("", "", None, value, "", None)
        self._explicit_gradients = value

    @property
    def description(self) -> str:
        """What distinguishes this output from its variants."""
        return self._description

    @description.setter
    def description(self, value: str) -> None:
        self._description = value

    @torch.jit.unused
    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelOutput) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    @torch.jit.unused
    def __repr__(self) -> str:
        parts = [f"unit={self._unit!r}", f"sample_kind={self._sample_kind!r}"]
        if self._quantity:
            parts.insert(0, f"quantity={self._quantity!r}")
        if self._explicit_gradients:
            parts.append(f"explicit_gradients={self._explicit_gradients!r}")
        if self._description:
            parts.append(f"description={self._description!r}")
        return f"ModelOutput({', '.join(parts)})"


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
        self._outputs: Dict[str, ModelOutput] = {}
        self._atomic_types: List[int] = []
        self._interaction_range = float(interaction_range)
        self._length_unit = length_unit
        self._supported_devices: List[str] = []
        self._dtype = dtype
        if outputs is not None:
            self._outputs = outputs
        if atomic_types is not None:
            self._atomic_types = atomic_types
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
        self._atomic_types = value

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
        """Floating point type of the model: "float32" or "float64"."""
        return self._dtype

    @dtype.setter
    def dtype(self, value: str) -> None:
        if not torch.jit.is_scripting():
            check_dtype_name(value)
        self._dtype = value

    @torch.jit.unused
    def engine_interaction_range(self, engine_length_unit: str) -> float:
        """Give the interaction range in another length unit.

        Raises
        ------
        ValueError
            If the unit is not a length.
        """
        return self._interaction_range * unit_conversion_factor(
            self._length_unit, engine_length_unit
        )

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


class ModelEvaluationOptions:
    """What an engine asks of a model in one evaluation.

    Parameters
    ----------
    length_unit
        Length unit of the engine: of positions, cells and neighbor vectors in the systems.
    outputs
        What to compute, by name, each with the unit that the engine wants.
    selected_atoms
        Labels with the dimensions ``system`` and ``atom``: compute the outputs of these atoms only; None for all.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If the unit is not a length, an output name is not valid, or the labels have other dimensions.
    """

    def __init__(
        self,
        length_unit: str = "",
        outputs: Optional[Dict[str, ModelOutput]] = None,
        selected_atoms: Optional[Labels] = None,
    ):
        self._length_unit = length_unit
        self._outputs: Dict[str, ModelOutput] = {}
        if outputs is not None:
            self._outputs = outputs
        self._selected_atoms: Optional[Labels] = selected_atoms
        if not torch.jit.is_scripting():
            check_unit("length_unit", length_unit, "length")
            check_output_names(self._outputs)
            check_selected_atoms(selected_atoms)

    @property
    def length_unit(self) -> str:
        """Length unit of the engine."""
        return self._length_unit

    @length_unit.setter
    def length_unit(self, value: str) -> None:
        if not torch.jit.is_scripting():
            check_unit("length_unit", value, "length")
        self._length_unit = value

    @property
    def outputs(self) -> Dict[str, ModelOutput]:
        """What to compute, by name."""
        return self._outputs

    @outputs.setter
    def outputs(self, value: Dict[str, ModelOutput]) -> None:
        self._outputs = value

    @property
    def selected_atoms(self) -> Optional[Labels]:
        """Atoms to compute the outputs for; None for all."""
        return self._selected_atoms

    @selected_atoms.setter
    def selected_atoms(self, value: Optional[Labels]) -> None:
        if not torch.jit.is_scripting():
            check_selected_atoms(value)
        self._selected_atoms = value

    @torch.jit.unused
    def __repr__(self) -> str:
        return (
            f"ModelEvaluationOptions(length_unit={self._length_unit!r}, outputs={self._outputs!r}, "
            f"selected_atoms={self._selected_atoms!r})"
        )


script_class(ModelOutput)
script_class(ModelCapabilities)
script_class(ModelEvaluationOptions)
