"""What the functions that make potentials share: species, units, parameter checks, and wrapping as a model."""

import math
import numbers
from typing import Any, Dict, List, Optional, Sequence, Union

import torch

from metatomic_core.data.capabilities import ModelCapabilities
from metatomic_core.data.checks import DTYPES
from metatomic_core.data.metadata import ModelMetadata
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.foundation.checks import check_choice
from metatomic_core.foundation.elements import SYMBOLS
from metatomic_core.foundation.quoting import in_one_line
from metatomic_core.model.atomistic_model import AtomisticModel

Species = Union[str, int]


def atomic_number(species: Any) -> int:
    """Give the atomic number of an element that is named by its symbol or its number.

    Raises
    ------
    TypeError, ValueError
        If it is no symbol or atomic number.
    """
    if isinstance(species, numbers.Integral) and not isinstance(species, bool):
        number = int(species)
        if not 1 <= number <= len(SYMBOLS):
            raise ValueError(f"expected `species` to be atomic numbers between 1 and {len(SYMBOLS)}, got {number}")
        return number
    if not isinstance(species, str):
        raise TypeError(f"expected `species` to be element symbols or atomic numbers, got {type(species).__name__}")
    if species not in SYMBOLS:
        hint = f"; did you mean '{species.capitalize()}'" if species.capitalize() in SYMBOLS else ""
        raise ValueError(f"expected `species` to be element symbols, got '{in_one_line(species, 40)}'{hint}")
    return SYMBOLS.index(species) + 1


def symbol(number: int) -> str:
    """Give the symbol of an element."""
    return SYMBOLS[number - 1]


def species_list(species: Union[Species, Sequence[Species]]) -> List[int]:
    """Give the atomic numbers of one or several species, each of which must be named once.

    Raises
    ------
    TypeError, ValueError
        If there are none, or one is no element or named twice.
    """
    several = species if isinstance(species, (list, tuple)) else [species]
    found = [atomic_number(one) for one in several]
    if not found or len(set(found)) != len(found):
        raise ValueError(f"expected `species` to be one or more different elements, got {species}")
    return found


def chosen_species(species: Optional[Union[Species, Sequence[Species]]], available: List[int]) -> List[int]:
    """Give the species to keep out of those of a file; all for None.

    Raises
    ------
    ValueError
        If the file does not have one of them.
    """
    if species is None:
        return list(available)
    chosen = species_list(species)
    for number in chosen:
        if number not in available:
            listed = ", ".join(symbol(one) for one in available)
            raise ValueError(f"expected `species` among those of the file, {listed}, got '{symbol(number)}'")
    return chosen


def check_number(name: str, value: Any, minimum: float = -math.inf, *, strict: bool = True) -> float:
    """Give a finite number, after checking that it is above a minimum (or equal to it, if not strict).

    Raises
    ------
    TypeError, ValueError
        If it is no number, not finite, or too small.
    """
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"expected `{name}` to be a number, got {type(value).__name__}")
    number = float(value)
    too_small = number <= minimum if strict else number < minimum
    if not math.isfinite(number) or too_small:
        bound = "" if minimum == -math.inf else f" {'above' if strict else 'not below'} {minimum:g}"
        raise ValueError(f"expected `{name}` to be a finite number{bound}, got {number:g}")
    return number


def make_model(
    module: torch.nn.Module,
    *,
    name: str,
    description: str,
    references: Dict[str, List[str]],
    species: List[int],
    interaction_range: float,
    length_unit: str,
    energy_unit: str,
    dtype: str,
) -> AtomisticModel:
    """Wrap the module of a potential; its energy is that of atoms, in ``energy_unit``."""
    check_choice("dtype", dtype, DTYPES)
    capabilities = ModelCapabilities(
        outputs={"energy": ModelOutput(unit=energy_unit, sample_kind="atom", description=name)},
        atomic_types=species,
        interaction_range=interaction_range,
        length_unit=length_unit,
        supported_devices=["cuda", "cpu"],
        dtype=dtype,
    )
    metadata = ModelMetadata(name=name, description=description, references=references)
    return AtomisticModel(module.to(DTYPES[dtype]).eval(), metadata, capabilities)
