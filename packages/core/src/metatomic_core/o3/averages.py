"""`AveragedOverO3`: evaluates a model for turned copies of its systems, turns back what it gives, and averages.

Scripted code, saved in model files.  The wrapped core is one that no class of this package crosses: it may come from
the file of another version.
"""

from typing import Dict, List, Optional, Tuple

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.system import System
from metatomic_core.pipeline.pairs import pair_vectors

from .projections import character_labels, matrix_elements, projections
from .transformations import O3Transformations
from .turns import axis_kind, is_axial, with_info

# Before the names of the outputs with variances, and with projections on characters.
VARIANCE, PROJECTION = "o3::variance::", "o3::character_projection::"


class AveragedOverO3(torch.nn.Module):
    """Averages of the outputs of a model over rotations and inversion, and their variances.

    Parameters
    ----------
    core
        The core of the model, a `ModelCore`, compiled or not.
    lists
        Its neighbor lists.
    inputs
        Its inputs.
    differentiates
        Whether it may differentiate by positions itself.
    transformations
        What to average over.
    weights
        Weight of each transformation, with the sum 1.
    batch_size
        How many copies of systems are evaluated together.
    max_character
        Highest degree of projections on characters, which need inversion; -1 for none.
    """

    # TorchScript needs the types of attributes that can not be inferred from their values
    weights: torch.Tensor
    elements: torch.Tensor
    _requested_lists: List[NeighborListOptions]
    _requested_data: Dict[str, ModelOutput]

    # the core has requests of its own
    speaks_for_submodules = True

    def __init__(
        self,
        core: torch.nn.Module,
        lists: List[NeighborListOptions],
        inputs: Dict[str, ModelOutput],
        differentiates: bool,
        transformations: O3Transformations,
        weights: torch.Tensor,
        batch_size: int,
        max_character: int = -1,
    ):
        super().__init__()
        self.core = core
        self.differentiates = differentiates
        self.transformations = transformations
        self.batch_size = batch_size
        self.prefix, self.projection = VARIANCE, PROJECTION
        self.max_character = max_character
        proper = transformations.matrices[: len(weights) // 2]
        self.register_buffer("elements", matrix_elements(proper, max_character) if max_character >= 0 else weights)
        self.register_buffer("weights", weights)
        self._requested_lists = lists
        self._requested_data = inputs

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        """Give averages and variances, see `ModelInterface`."""
        results: Dict[str, TensorMap] = {}
        left = outputs.copy()
        while len(left) > 0 and len(systems) > 0:
            # all in one round, but for outputs that are wanted per system and per atom
            asked: Dict[str, str] = {}
            names: List[str] = []
            for name, output in left.items():
                source = self.source_of(name)
                if source not in asked or asked[source] == output.sample_kind:
                    asked[source] = output.sample_kind
                    names.append(name)
            copies = self.evaluated(systems, asked, selected_atoms)
            for name in names:
                maps = copies[self.source_of(name)]
                if name.startswith(self.projection):
                    results[name] = self.projected(maps, len(systems))
                else:
                    results[name] = self.over_all(maps, len(systems), name.startswith(self.prefix))
                left.pop(name)
        return results

    def source_of(self, name: str) -> str:
        """Give the output of the model that another one is about."""
        if name.startswith(self.prefix):
            return name[len(self.prefix) :]
        if name.startswith(self.projection):
            return name[len(self.projection) :]
        return name

    def evaluated(
        self, systems: List[System], asked: Dict[str, str], selected_atoms: Optional[Labels]
    ) -> Dict[str, List[TensorMap]]:
        """Give outputs for the turned copies: a map for each call of the model."""
        found: Dict[str, List[TensorMap]] = {}
        for name in asked.keys():
            nothing: List[TensorMap] = []
            found[name] = nothing
        n_all = self.weights.size(0)
        n_together = self.copies_together(len(systems))
        gradients: Dict[str, List[str]] = {}
        for first in range(0, n_all, n_together):
            last = min(first + n_together, n_all)
            structures: List[Dict[str, torch.Tensor]] = []
            neighbors: List[List[TensorBlock]] = []
            inputs: List[Dict[str, TensorMap]] = []
            for number in range(first, last):
                for system in systems:
                    structure = self.turned_structure(system, number)
                    structures.append(structure)
                    neighbors.append(self.turned_lists(system, structure, number))
                    inputs.append(self.turned_inputs(system, number))
            selected = _selected_in_copies(selected_atoms, last - first, len(systems))
            returned: Dict[str, TensorMap] = self.core(structures, neighbors, inputs, selected, asked, gradients)
            for name in asked.keys():
                found[name].append(returned[name])
        return found

    def copies_together(self, n_systems: int) -> int:
        """Give the number of transformations in one call of the model."""
        return max(1, self.batch_size // n_systems)

    def turned_structure(self, system: System, number: int) -> Dict[str, torch.Tensor]:
        """Give the geometry of a system, transformed."""
        across = self.transformations.matrices[number].t().to(system.positions.dtype)
        return {
            "types": system.types,
            "positions": system.positions @ across,
            "cell": system.cell @ across,
            "pbc": system.pbc,
        }

    def turned_lists(self, system: System, structure: Dict[str, torch.Tensor], number: int) -> List[TensorBlock]:
        """Give the neighbor lists of a system, transformed: the pairs are the same."""
        across = self.transformations.matrices[number].t().to(system.positions.dtype)
        blocks: List[TensorBlock] = []
        for options in self._requested_lists:
            block = system.get_neighbor_list(options)
            if self.differentiates:
                # by the positions that it is given, so vectors must be made of these
                samples = block.samples.values
                vectors = pair_vectors(structure["positions"], structure["cell"], samples, periodic=True)
            else:
                vectors = block.values.squeeze(-1) @ across
            blocks.append(TensorBlock(vectors.unsqueeze(2), block.samples, block.components, block.properties))
        return blocks

    def turned_inputs(self, system: System, number: int) -> Dict[str, TensorMap]:
        """Give the inputs of a system, transformed."""
        inputs: Dict[str, TensorMap] = {}
        for name in self._requested_data.keys():
            data = system.get_data(name)
            if is_axial(name):
                data = self.turned_moments(data, number)
            inputs[name] = self.transformations._turned_data(name, data, number, False, False)  # noqa: FBT003
        return inputs

    def turned_moments(self, data: TensorMap, number: int) -> TensorMap:
        """Turn moments that have three numbers and no label of a vector, as engines give a quantity of another name."""
        block = data.block_by_id(0)
        if block.values.dim() != 2 or block.values.size(1) != 3:
            return data
        matrix = self.transformations.matrices[number] * self.transformations.signs[number]
        values = block.values @ matrix.t().to(block.values.dtype)
        return with_info(
            TensorMap(data.keys, [TensorBlock(values, block.samples, block.components, block.properties)]), data
        )

    def over_all(self, maps: List[TensorMap], n_systems: int, is_variance: bool) -> TensorMap:
        """Give the average, or the variance, over all transformations of an output."""
        blocks: List[TensorBlock] = []
        keys = maps[0].keys
        for i in range(len(keys)):
            first = maps[0].block_by_id(i)
            values, samples = self.of_all_copies(maps, i, n_systems, True)  # noqa: FBT003
            weights = self.weights.to(dtype=values.dtype, device=values.device)
            shape = [1] * (values.dim() - 1)
            weights = weights.reshape([-1] + shape)
            mean = (weights * values).sum(0)
            if is_variance:
                spread = (weights * (values - mean).square()).sum(0)
                spread = spread.reshape(mean.size(0), -1, mean.size(-1)).mean(1)
                blocks.append(TensorBlock(spread, samples, torch.jit.annotate(List[Labels], []), first.properties))
            else:
                blocks.append(TensorBlock(mean, samples, first.components, first.properties))
        return TensorMap(keys, blocks)

    def projected(self, maps: List[TensorMap], n_systems: int) -> TensorMap:
        """Give the projections of an output, as the model gives it for turned systems, on characters."""
        blocks: List[TensorBlock] = []
        for i in range(len(maps[0].keys)):
            first = maps[0].block_by_id(i)
            values, samples = self.of_all_copies(maps, i, n_systems, False)  # noqa: FBT003
            # those of rotations without inversion, to the sum 1
            weights = 2.0 * self.weights[: self.weights.size(0) // 2]
            for part in projections(values, weights, self.elements, self.max_character):
                blocks.append(TensorBlock(part, samples, first.components, first.properties))
        return TensorMap(character_labels(maps[0].keys, self.max_character), blocks)

    def of_all_copies(
        self, maps: List[TensorMap], number: int, n_systems: int, turned_back: bool
    ) -> Tuple[torch.Tensor, Labels]:
        """Give the values of a block for all copies (n_copies, n_samples, ...), and the samples, the same for each."""
        parts: List[torch.Tensor] = []
        first = maps[0].block_by_id(number)
        labels = first.samples.values
        start = 0
        for tensor in maps:
            if tensor.keys != maps[0].keys:
                raise ValueError("expected blocks with the same keys for each rotation of a system, got others")
            values, samples = self.of_copies(tensor, number, start, n_systems, turned_back)
            if start == 0:
                labels = samples
            elif labels.size() != samples.size() or not torch.equal(labels, samples):
                raise ValueError("expected the same samples for each rotation of a system, got others")
            start += values.size(0)
            parts.append(values)
        return torch.cat(parts), Labels(first.samples.names, labels)

    def of_copies(
        self, tensor: TensorMap, number: int, start: int, n_systems: int, turned_back: bool
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Give the values of a block for the copies of one call, and the samples of each copy."""
        block = tensor.block_by_id(number)
        if block.samples.names[0] != "system":
            raise ValueError(f"expected samples that begin with 'system', got '{block.samples.names[0]}'")
        samples = block.samples.values.to(torch.int64)
        copy = torch.div(samples[:, 0], n_systems, rounding_mode="floor")
        order = torch.argsort(copy, stable=True)
        copy = copy.index_select(0, order)
        samples = samples.index_select(0, order)
        samples = torch.cat([samples[:, :1] % n_systems, samples[:, 1:]], dim=1)
        n_copies = min(self.copies_together(n_systems), self.weights.size(0) - start)
        if samples.size(0) % n_copies != 0:
            raise ValueError("expected the same samples for each rotation of a system, got others")
        by_copy = samples.reshape(n_copies, samples.size(0) // n_copies, samples.size(1))
        if not torch.equal(by_copy, by_copy[:1].expand_as(by_copy)):
            raise ValueError("expected the same samples for each rotation of a system, got others")
        axes: List[str] = []
        for component in block.components:
            name = component.names[0]
            axes.append(name if turned_back and axis_kind(name)[0] != "" else "")
        values = block.values.index_select(0, order)
        key = tensor.keys.entry(number)
        values = self.transformations.turned(values, axes, key, copy + start, False, True)  # noqa: FBT003
        return values.reshape([n_copies, by_copy.size(1)] + list(values.size())[1:]), by_copy[0].to(torch.int32)

    @torch.jit.export
    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """List the neighbor lists of the model."""
        return self._requested_lists

    @torch.jit.export
    def requested_inputs(self) -> Dict[str, ModelOutput]:
        """List the inputs of the model."""
        return self._requested_data


def _selected_in_copies(selected_atoms: Optional[Labels], n_copies: int, n_systems: int) -> Optional[Labels]:
    """Give the selected atoms in each copy of the systems, which come one after the other."""
    if selected_atoms is None:
        return None
    chosen = selected_atoms.values
    of_copies: List[torch.Tensor] = []
    for copy in range(n_copies):
        of_copies.append(torch.stack([chosen[:, 0] + copy * n_systems, chosen[:, 1]], dim=1))
    return Labels(["system", "atom"], torch.cat(of_copies), assume_unique=True)
