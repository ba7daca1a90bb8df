"""Eager checks of what the constructors and setters of the scripted classes are given.

These run in Python only: scripted code skips them, because it is given what was checked here.  Every message has the
form "expected X for `name`, got Y; what to do".
"""

import difflib
import math
import warnings
from typing import TYPE_CHECKING, Any, Dict, List, Optional

import torch
from metatensor.torch import Labels

from .quantities import (
    base_quantity,
    check_quantity_name,
    split_variant,
    unit_dimension_for_quantity,
)
from .units import check_unit

if TYPE_CHECKING:
    from .capabilities import ModelCapabilities
    from .outputs import ModelOutput

SAMPLE_KINDS = ("system", "atom", "atom_pair")
DTYPES = {"float32": torch.float32, "float64": torch.float64}
EXPLICIT_GRADIENTS = ("positions", "strain")
# Device types that a model may name; torch knows more, none of which runs TorchScript models.
DEVICES = ("cpu", "cuda", "mps", "xpu", "hip")


def check_type(argument: str, value: Any, expected: type, what: str) -> None:
    """Raise a TypeError unless the value has the expected type; bool does not pass for a number."""
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        raise TypeError(f"expected `{argument}` to be {what}, got {type(value).__name__}")


def check_choice(argument: str, value: str, choices: Any) -> None:
    """Raise a ValueError unless the value is one of the choices, naming the nearest one."""
    if value in choices:
        return
    nearest = difflib.get_close_matches(str(value), list(choices), n=1)
    hint = f"; did you mean '{nearest[0]}'" if nearest else ""
    listed = ", ".join(f"'{choice}'" for choice in choices)
    raise ValueError(f"expected `{argument}` to be one of {listed}, got '{value}'{hint}")


def check_output(
    quantity: str,
    unit: str,
    sample_kind: Optional[str],
    explicit_gradients: Optional[List[str]],
    description: str,
    per_atom: Optional[bool],
) -> None:
    """Check the arguments of `ModelOutput`."""
    for name, text in (("quantity", quantity), ("unit", unit), ("description", description)):
        check_type(name, text, str, "a string")
    if sample_kind is not None:
        check_type("sample_kind", sample_kind, str, "a string")
        check_choice("sample_kind", sample_kind, SAMPLE_KINDS)
    if per_atom is not None:
        check_type("per_atom", per_atom, bool, "True or False")
    if explicit_gradients is not None and not isinstance(explicit_gradients, (list, tuple)):
        raise TypeError(
            f"expected `explicit_gradients` to be a list of strings, got {type(explicit_gradients).__name__}"
        )
    for gradient in explicit_gradients or []:
        check_choice("explicit_gradients", gradient, EXPLICIT_GRADIENTS)
    dimension = _dimension_of_declared(quantity)
    if dimension == "none":
        _check_dimensionless(unit, f"`unit` of '{quantity}'")
    else:
        check_unit("unit", unit, dimension)


def _dimension_of_declared(quantity: str) -> str:
    """Give the dimension of the `quantity` argument, which is often just a dimension: "length", "force"."""
    if quantity in ("", "none"):
        return ""
    dimensions = (
        "length",
        "energy",
        "force",
        "pressure",
        "momentum",
        "mass",
        "velocity",
        "charge",
        "dipole",
    )
    if quantity in dimensions:
        return quantity
    try:
        return unit_dimension_for_quantity(quantity)
    except ValueError:
        return ""  # older models write any text here


def _check_dimensionless(unit: str, what: str) -> None:
    if unit != "":
        raise ValueError(f"expected no unit for {what}, which has no dimension, got '{unit}'")


def check_output_names(outputs: Dict[str, "ModelOutput"]) -> None:
    """Check that outputs are a dictionary from valid names to `ModelOutput`."""
    check_type("outputs", outputs, dict, "a dictionary")
    for name, output in outputs.items():
        check_type("outputs", name, str, "a dictionary with string keys")
        if type(output).__name__ != "ModelOutput":
            raise TypeError(f"expected a ModelOutput for output '{name}', got {type(output).__name__}")
        check_quantity_name(name, "output")


def check_outputs(outputs: Dict[str, "ModelOutput"]) -> None:
    """Check the outputs that a model declares: names, units and sample kinds."""
    check_output_names(outputs)
    variants: Dict[str, List[str]] = {}
    for name, output in outputs.items():
        dimension = unit_dimension_for_quantity(name)
        if dimension == "none":
            _check_dimensionless(output.unit, f"output '{name}'")
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


def _warn_undescribed_variants(names: List[str], outputs: Dict[str, "ModelOutput"]) -> None:
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


def check_atomic_types(atomic_types: List[int]) -> None:
    """Check that atomic types are distinct integers."""
    if not isinstance(atomic_types, (list, tuple)):
        raise TypeError(f"expected `atomic_types` to be a list of integers, got {type(atomic_types).__name__}")
    for atomic_type in atomic_types:
        check_type("atomic_types", atomic_type, int, "a list of integers")
        if not -(2**31) <= atomic_type < 2**31:
            raise ValueError(f"expected `atomic_types` to be 32-bit integers, got {atomic_type}")
    if len(set(atomic_types)) != len(atomic_types):
        raise ValueError(f"expected `atomic_types` to have each type once, got {atomic_types}")


def check_interaction_range(value: float) -> None:
    """Check that an interaction range is a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"expected `interaction_range` to be a number, got {type(value).__name__}")
    if math.isnan(value):
        raise ValueError("expected `interaction_range` to be a number or infinity, got nan")


def check_devices(devices: List[str]) -> None:
    """Check that devices are known device types."""
    if not isinstance(devices, (list, tuple)):
        raise TypeError(f"expected `supported_devices` to be a list of strings, got {type(devices).__name__}")
    for device in devices:
        check_type("supported_devices", device, str, "a list of strings")
        check_choice("supported_devices", device, DEVICES)


def check_dtype_name(dtype: str) -> None:
    """Check that a dtype is the name of one that models may have; the empty string stands for "not set"."""
    check_type("dtype", dtype, str, "a string")
    if dtype != "":
        check_choice("dtype", dtype, DTYPES)


def check_capabilities(capabilities: "ModelCapabilities") -> None:
    """Check everything in a `ModelCapabilities`."""
    check_outputs(capabilities.outputs)
    check_atomic_types(capabilities.atomic_types)
    check_interaction_range(capabilities.interaction_range)
    check_unit("length_unit", capabilities.length_unit, "length")
    check_devices(capabilities.supported_devices)
    check_dtype_name(capabilities.dtype)


def check_selected_atoms(selected_atoms: Optional[Labels]) -> None:
    """Check that selected atoms are labels of systems and atoms."""
    if selected_atoms is None:
        return
    if not hasattr(selected_atoms, "names"):
        raise TypeError(f"expected `selected_atoms` to be Labels or None, got {type(selected_atoms).__name__}")
    names = list(selected_atoms.names)
    if names != ["system", "atom"]:
        raise ValueError(f"expected `selected_atoms` to have the dimensions ['system', 'atom'], got {names}")
