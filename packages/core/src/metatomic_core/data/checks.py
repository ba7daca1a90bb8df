"""Eager checks of what the constructors and setters of the scripted classes are given.

These run in Python only: scripted code skips them, because it is given what was checked here.  Every message has the
form "expected X for `name`, got Y; what to do".
"""

import math
import numbers
import warnings
from typing import List, Optional

import torch
from metatensor.torch import Labels

from metatomic_core.foundation.checks import check_choice, check_type
from metatomic_core.units import check_unit

from .quantities import standard_quantities, unit_dimension_for_quantity

SAMPLE_KINDS = ("system", "atom", "atom_pair")
DTYPES = {"float32": torch.float32, "float64": torch.float64}
EXPLICIT_GRADIENTS = ("positions", "strain")
# Device types that a model may name; torch knows more, none of which runs TorchScript models.
DEVICES = ("cpu", "cuda", "mps", "xpu", "hip")


def warn_older(name: str, newer: str) -> None:
    """Warn whoever calls the caller of this function that a name is an older one."""
    warnings.warn(f"`{name}` is deprecated, use {newer}", DeprecationWarning, stacklevel=3)


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
        check_dimensionless(unit, f"`unit` of '{quantity}'")
    else:
        check_unit("unit", unit, dimension)


def _dimension_of_declared(quantity: str) -> str:
    """Give the dimension of the `quantity` argument, which is often just a dimension: "length", "force"."""
    if quantity in ("", "none"):
        return ""
    if quantity in {row.dimension for row in standard_quantities().values()}:
        return quantity
    try:
        return unit_dimension_for_quantity(quantity)
    except ValueError:
        return ""  # older models write any text here


def check_dimensionless(unit: str, what: str) -> None:
    """Check that there is no unit for what has no dimension."""
    if unit != "":
        raise ValueError(f"expected no unit for {what}, which has no dimension, got '{unit}'")


def check_atomic_types(atomic_types: List[int]) -> None:
    """Check that atomic types are distinct integers."""
    if not isinstance(atomic_types, (list, tuple)):
        raise TypeError(f"expected `atomic_types` to be a list of integers, got {type(atomic_types).__name__}")
    for atomic_type in atomic_types:
        check_type("atomic_types", atomic_type, numbers.Integral, "a list of integers")
        if not -(2**31) <= atomic_type < 2**31:
            raise ValueError(f"expected `atomic_types` to be 32-bit integers, got {atomic_type}")
    if len(set(atomic_types)) != len(atomic_types):
        raise ValueError(f"expected `atomic_types` to have each type once, got {atomic_types}")


def check_interaction_range(value: float) -> None:
    """Check that an interaction range is a number."""
    check_type("interaction_range", value, numbers.Real, "a number")
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


def check_selected_atoms(selected_atoms: Optional[Labels]) -> None:
    """Check that selected atoms are labels of systems and atoms."""
    if selected_atoms is None:
        return
    if not hasattr(selected_atoms, "names"):
        raise TypeError(f"expected `selected_atoms` to be Labels or None, got {type(selected_atoms).__name__}")
    names = list(selected_atoms.names)
    if names != ["system", "atom"]:
        raise ValueError(f"expected `selected_atoms` to have the dimensions ['system', 'atom'], got {names}")
