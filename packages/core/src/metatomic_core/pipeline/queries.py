"""What engines ask of a model, and get as plain numbers, strings and lists: `ModelQueries`."""

from typing import TYPE_CHECKING, Dict, List, Tuple

import torch

from metatomic_core.data.capabilities import ModelCapabilities
from metatomic_core.data.neighbors import NeighborListOptions

from .conversion import cached_factor


class ModelQueries(torch.nn.Module):
    """The methods of `AtomisticModel` for engines that know none of its classes; scripted, saved in every model file.

    All are in the table of :doc:`/engines/cpp`.  They are what is left for programs that do not read the header of a
    file, which has all that an engine asks before it evaluates.
    """

    if TYPE_CHECKING:  # TorchScript takes the annotations of the class that it compiles, `AtomisticModel`
        _capabilities: ModelCapabilities
        _neighbor_lists: List[NeighborListOptions]
        _unit_table: Dict[str, List[float]]
        _factors: Dict[str, float]
        _card: str
        _format_version: int
        _differentiates: bool

    @torch.jit.export
    def format_version(self) -> int:
        """Give the version of the file format, see ``docs/model-file``."""
        return self._format_version

    @torch.jit.export
    def card(self) -> str:
        """Give the metadata as text to print at the start of a simulation."""
        return self._card

    @torch.jit.export
    def differentiates(self) -> bool:
        """Tell whether the module may differentiate with respect to positions itself, and so always needs a graph."""
        return self._differentiates

    @torch.jit.export
    def atomic_types(self) -> List[int]:
        """List the atomic types that the model knows."""
        return self._capabilities.atomic_types

    def _factor(self, from_unit: str, to_unit: str, dimension: str) -> float:
        return cached_factor(from_unit, to_unit, dimension, self._unit_table, self._factors)

    @torch.jit.export
    def pair_requests(self, length_unit: str) -> List[Tuple[float, bool, bool]]:
        """List cutoff (in the length unit of an engine), ``full_list`` and ``strict`` of each neighbor list."""
        factor = self._factor(self._capabilities.length_unit, length_unit, "length")
        requests: List[Tuple[float, bool, bool]] = []
        for options in self._neighbor_lists:
            requests.append((options.cutoff * factor, options.full_list, options.strict))
        return requests
