"""What engines ask of a model, and get as plain numbers, strings and lists: `ModelQueries`."""

from typing import TYPE_CHECKING, Dict, List, Optional, Tuple

import torch
from metatensor.torch import TensorMap

from ._conversion import cached_factor
from ._locality import cluster_pairs, cluster_types, cluster_vectors, dense_cluster, input_of_ones, same
from .capabilities import ModelCapabilities
from .neighbors import NeighborListOptions
from .outputs import ModelOutput
from .quantities import base_quantity, canonical_name
from .selection import chosen_output


class ModelQueries(torch.nn.Module):
    """The methods of `AtomisticModel` for engines that know none of its classes; scripted, saved in every model file.

    All are in the table of :doc:`/engines/cpp`.
    """

    if TYPE_CHECKING:  # TorchScript takes the annotations of the class that it compiles, `AtomisticModel`
        _capabilities: ModelCapabilities
        _neighbor_lists: List[NeighborListOptions]
        _inputs: Dict[str, ModelOutput]
        _offered: Dict[str, ModelOutput]
        _unit_table: Dict[str, List[float]]
        _types: torch.Tensor
        _type_names: List[str]
        _type_masses: List[float]
        _factors: Dict[str, float]
        _card: str
        _format_version: int
        _differentiates: bool

        def evaluate(
            self,
            structures: List[Dict[str, torch.Tensor]],
            pairs: List[List[torch.Tensor]],
            selected_atoms: Optional[torch.Tensor],
            request: Dict[str, str],
            outputs: Dict[str, str],
            units: Dict[str, str],
            check_consistency: bool = False,
            vectors: Optional[List[List[torch.Tensor]]] = None,
        ) -> Tuple[Dict[str, torch.Tensor], Dict[str, TensorMap]]:
            """Run the pipeline; see `AtomisticModel.evaluate`."""

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
    def dtype(self) -> str:
        """Give the floating point type of the model: "float32" or "float64"."""
        return self._capabilities.dtype

    @torch.jit.export
    def devices(self) -> List[str]:
        """List the devices that the model runs on, the best one first."""
        return self._capabilities.supported_devices

    @torch.jit.export
    def atomic_types(self) -> List[int]:
        """List the atomic types that the model knows."""
        return self._capabilities.atomic_types

    def _factor(self, from_unit: str, to_unit: str, dimension: str) -> float:
        return cached_factor(from_unit, to_unit, dimension, self._unit_table, self._factors)

    @torch.jit.export
    def interaction_range(self, length_unit: str) -> float:
        """Give the interaction range in the length unit of an engine."""
        return self._capabilities.interaction_range * self._factor(
            self._capabilities.length_unit, length_unit, "length"
        )

    @torch.jit.export
    def pair_requests(self, length_unit: str) -> List[Tuple[float, bool, bool]]:
        """List cutoff (in the length unit of an engine), ``full_list`` and ``strict`` of each neighbor list."""
        factor = self._factor(self._capabilities.length_unit, length_unit, "length")
        requests: List[Tuple[float, bool, bool]] = []
        for options in self._neighbor_lists:
            requests.append((options.cutoff * factor, options.full_list, options.strict))
        return requests

    @torch.jit.export
    def output_name(self, name: str, variants: Dict[str, str]) -> str:
        """Choose an output by what the user said of variants, see `selection.chosen_output`; "" if there is none."""
        return chosen_output(name, self._offered, variants)

    @torch.jit.export
    def quantity(self, name: str) -> str:
        """Give the canonical name of a quantity, without its variant."""
        return base_quantity(name)

    @torch.jit.export
    def type_names(self) -> List[str]:
        """Give the symbol of each of `atomic_types`, the number itself where there is no such element."""
        return self._type_names

    @torch.jit.export
    def type_masses(self) -> List[float]:
        """Give the mass of each of `atomic_types` in u, zero where there is no such element."""
        return self._type_masses

    @torch.jit.export
    def n_values(self, output: str, kind: str) -> int:
        """Give the number of values that an output has for each sample, found by trying it on one atom."""
        nothing: Dict[str, str] = {}
        _, tensors = self._try(torch.zeros(1, 3, dtype=torch.float64), 0, True, False, nothing, {output: kind})
        tensor = tensors[output]
        if len(tensor.keys) != 1:
            raise ValueError(f"expected output '{output}' to have one block, got {len(tensor.keys)}")
        n_values = 1
        for size in tensor.block_by_id(0).values.size()[1:]:
            n_values = n_values * size
        return n_values

    @torch.jit.export
    def is_local(self, energy: str) -> bool:
        """Tell whether energy and outputs of an atom depend on no pairs but its own, found by trying.

        Parameters
        ----------
        energy
            Name of the energy output.
        """
        cutoff = 0.0
        for options in self._neighbor_lists:
            cutoff = max(cutoff, options.cutoff)
        if self._capabilities.interaction_range > cutoff * (1.0 + 1e-6):
            return False
        outputs: Dict[str, str] = {}
        for name, output in self._offered.items():
            if output.sample_kind == "atom" and name != energy and canonical_name(name) == name:
                outputs[name] = "atom"
        request = {"energy": energy}
        n_trials = max(6, len(self._capabilities.atomic_types))
        for trial in range(n_trials):
            # dense, sparse, and in between
            radius = 0.98 * cutoff * [1.0, 0.5, 0.25][trial % 3]
            positions = dense_cluster(24, radius, 100 * trial)
            all_pairs = self._try(positions, trial, False, False, request, outputs)[0]
            own_pairs = self._try(positions, trial, True, False, request, outputs)[0]
            others_unknown = self._try(positions, trial, False, True, request, outputs)[0]
            for name, values in all_pairs.items():
                if not same(values[:1], own_pairs[name][:1], self._capabilities.dtype):
                    return False
                if not same(values[:1], others_unknown[name][:1], self._capabilities.dtype):
                    return False
        return True

    def _try(
        self,
        positions: torch.Tensor,
        start: int,
        of_first_only: bool,
        others_unknown: bool,
        request: Dict[str, str],
        outputs: Dict[str, str],
    ) -> Tuple[Dict[str, torch.Tensor], Dict[str, TensorMap]]:
        """Evaluate the first atom of a cluster, in the units of the model, see `_locality`."""
        device = self._types.device
        structure = {
            "types": cluster_types(positions.size(0), self._capabilities.atomic_types, start).to(device),
            "positions": positions.to(device),
            "cell": torch.zeros(3, 3, dtype=torch.float64, device=device),
            "pbc": torch.zeros(3, dtype=torch.bool, device=device),
        }
        for name, requested in self._inputs.items():
            n_samples = positions.size(0) if requested.sample_kind == "atom" else 1
            structure[name] = input_of_ones(name, n_samples).to(device)
        pairs: List[torch.Tensor] = []
        vectors: List[torch.Tensor] = []
        for options in self._neighbor_lists:
            pairs_of_list = cluster_pairs(positions, options.cutoff, options.full_list, of_first_only)
            pairs.append(pairs_of_list.to(device))
            vectors.append(cluster_vectors(positions, pairs_of_list).to(device))
        selected = torch.zeros(1, 2, dtype=torch.int64, device=device)
        energy_unit = "eV"
        for source in request.values():
            energy_unit = self._offered[source].unit
        units = {"length": self._capabilities.length_unit, "energy": energy_unit}
        given: Optional[List[List[torch.Tensor]]] = None
        if others_unknown:
            given = [vectors]
        return self.evaluate([structure], [pairs], selected, request, outputs, units, False, given)

    @torch.jit.export
    def output_kinds(self) -> Dict[str, str]:
        """Give the finest kind of samples of each output, under both spellings: "system", "atom", "atom_pair"."""
        kinds: Dict[str, str] = {}
        for name, output in self._offered.items():
            kinds[name] = output.sample_kind
        return kinds

    @torch.jit.export
    def input_kinds(self) -> Dict[str, str]:
        """Give the kind of samples of each input that the model requests: "system" or "atom"."""
        kinds: Dict[str, str] = {}
        for name, output in self._inputs.items():
            kinds[name] = output.sample_kind
        return kinds
