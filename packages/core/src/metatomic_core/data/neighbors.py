"""What a model asks of a neighbor list: `NeighborListOptions`.

The lists themselves are metatensor blocks inside a `System`; computing them is the business of `neighbor_lists`.
"""

import math
import numbers
from typing import List, Optional

import torch

from metatomic_core.foundation.checks import check_type
from metatomic_core.foundation.torchscript import script_class
from metatomic_core.units import check_unit, unit_conversion_factor
from metatomic_core.units.lengths import length_factor


class NeighborListOptions:
    """Request for a neighbor list: all pairs of atoms within a cutoff.

    The vector of a pair is ``positions[second] - positions[first] + shift @ cell``.

    Parameters
    ----------
    cutoff
        Spherical cutoff radius, positive and finite, in the length unit of the model.
    full_list
        True if each pair is given as (i, j) and as (j, i), False if it is given once.
    strict
        True if no pair beyond the cutoff may be in the list.
    requestor
        Who asks for the list, for people who read the request.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If the cutoff is not a positive finite number.

    Notes
    -----
    Two requests are equal when cutoff, ``full_list`` and ``strict`` are, and the length units do not contradict each
    other: a request without unit, as written inside a model, finds the list that was registered with one.
    """

    def __init__(self, cutoff: float, full_list: bool, strict: bool, requestor: str = ""):
        if not torch.jit.is_scripting():
            _check_options(cutoff, full_list, strict, requestor)
        self._cutoff = float(cutoff)
        self._full_list = full_list
        self._strict = strict
        self._length_unit = ""
        self._requestors: List[str] = []
        self.add_requestor(requestor)

    @property
    def cutoff(self) -> float:
        """Cutoff radius in the length unit of the model."""
        return self._cutoff

    @property
    def full_list(self) -> bool:
        """True if both (i, j) and (j, i) are wanted."""
        return self._full_list

    @property
    def strict(self) -> bool:
        """True if pairs beyond the cutoff are not allowed."""
        return self._strict

    @property
    def length_unit(self) -> str:
        """Unit of the cutoff; empty until a model sets it."""
        return self._length_unit

    @length_unit.setter
    def length_unit(self, unit: str) -> None:
        if not torch.jit.is_scripting():
            check_unit("length_unit", unit, "length")
        self._length_unit = unit

    def requestors(self) -> List[str]:
        """List who asked for this neighbor list."""
        return self._requestors

    def add_requestor(self, requestor: str) -> None:
        """Add one more requestor, once; the empty string is ignored.

        Parameters
        ----------
        requestor
            Who asks for the list.
        """
        if requestor != "" and requestor not in self._requestors:
            # not `append`, see `System.add_neighbor_list`
            self._requestors = self._requestors + [requestor]

    def engine_cutoff(self, engine_length_unit: str) -> float:
        """Give the cutoff in another length unit; in TorchScript, one that has a name.

        Parameters
        ----------
        engine_length_unit
            Unit to give it in.

        Returns
        -------
        float
            The cutoff, in ``engine_length_unit``.

        Raises
        ------
        ValueError
            If the unit is not a length.
        """
        if torch.jit.is_scripting():
            factor = length_factor(self._length_unit, engine_length_unit)
        else:
            factor = unit_conversion_factor(self._length_unit, engine_length_unit, dimension="length")
        return self._cutoff * factor

    def __eq__(self, other: "NeighborListOptions") -> bool:  # type: ignore[override]
        if not torch.jit.is_scripting():  # noqa: SIM102  (`and` would be compiled, and fail)
            if not isinstance(other, NeighborListOptions):
                return NotImplemented
        units_agree = self._length_unit == "" or other._length_unit == "" or self._length_unit == other._length_unit
        return (
            self._cutoff == other._cutoff
            and self._full_list == other._full_list
            and self._strict == other._strict
            and units_agree
        )

    def __ne__(self, other: "NeighborListOptions") -> bool:  # type: ignore[override]
        if not torch.jit.is_scripting():  # noqa: SIM102  (`and` would be compiled, and fail)
            if not isinstance(other, NeighborListOptions):
                return True
        return not self.__eq__(other)

    @torch.jit.unused
    def __hash__(self) -> int:
        return hash((self._cutoff, self._full_list, self._strict))

    @torch.jit.unused
    def __repr__(self) -> str:
        unit = f" {self._length_unit}" if self._length_unit else ""
        return f"NeighborListOptions(cutoff={self._cutoff:g}{unit}, full_list={self._full_list}, strict={self._strict})"


def _check_options(cutoff: float, full_list: bool, strict: bool, requestor: str) -> None:
    check_type("cutoff", cutoff, numbers.Real, "a number")
    if not (math.isfinite(cutoff) and cutoff > 0):
        raise ValueError(f"expected `cutoff` to be positive and finite, got {cutoff}")
    for name, value in (("full_list", full_list), ("strict", strict)):
        if not isinstance(value, bool):
            raise TypeError(f"expected `{name}` to be True or False, got {type(value).__name__}")
    if not isinstance(requestor, str):
        raise TypeError(f"expected `requestor` to be a string, got {type(requestor).__name__}")


def find_options(options: NeighborListOptions, known: List[NeighborListOptions]) -> Optional[int]:
    """Give the index of a request among others, or None (TorchScript-compatible)."""
    for index in range(len(known)):
        if known[index] == options:
            return index
    return None


script_class(NeighborListOptions)
