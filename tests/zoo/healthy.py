"""What the broken models are made from: a small potential without a defect, in parts of which each breaks one.

Species, cutoff and energies are those of no material; it has what real models have: pairs, an embedding, angles through
a vector density, energies of free atoms, and smooth values up to the second derivative at its cutoff.
"""

from typing import Dict, List, Optional, Tuple

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core import ModelOutput, NeighborListOptions, System
from metatomic_core.authors import cell_shifts, energy_output, pairs, species_index, species_table

CUTOFF = 4.1
TYPES = [1, 8, 14]


class Healthy(torch.nn.Module):
    """The potential without a defect.

    Parameters
    ----------
    types
        Atomic types that it numbers; those after the third share their parameters.
    cutoff, full_list, strict
        Of its neighbor list.
    """

    def __init__(
        self,
        types: Optional[List[int]] = None,
        cutoff: float = CUTOFF,
        full_list: bool = True,
        strict: bool = True,
    ):
        super().__init__()
        self.cutoff, self.full_list, self.strict = cutoff, full_list, strict
        known = TYPES if types is None else types
        more = len(known) - len(TYPES)
        self.register_buffer("table", species_table(known))
        self.register_buffer("radii", torch.tensor([0.40, 0.75, 1.20] + [1.0] * more, dtype=torch.float64))
        self.register_buffer("charges", torch.tensor([0.6, 1.6, 1.1] + [1.3] * more, dtype=torch.float64))
        self.register_buffer("free", torch.tensor([-0.9, -2.1, -1.3] + [-1.0] * more, dtype=torch.float64))

    def options(self) -> NeighborListOptions:
        return NeighborListOptions(self.cutoff, self.full_list, self.strict)

    def species(self, systems: List[System]) -> torch.Tensor:
        return species_index(systems, self.table)

    def edges(self, systems: List[System]) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return pairs(systems, self.options())

    def switch(self, r: torch.Tensor) -> torch.Tensor:
        return (1.0 - (r / self.cutoff).square()).pow(3)

    def pair(self, r: torch.Tensor, one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
        """Energy of each pair: a bond after Morse."""
        radii = self.radii.to(r.dtype)
        bond = torch.exp(-1.5 * (r - radii.index_select(0, one) - radii.index_select(0, two)))
        return 0.8 * (bond.square() - 2.0 * bond) * self.switch(r)

    def weight(self, r: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
        """What each neighbor adds to the density."""
        return self.charges.to(r.dtype).index_select(0, two) * torch.exp(-0.7 * r) * self.switch(r)

    def embedding(self, density: torch.Tensor, polar: torch.Tensor) -> torch.Tensor:
        """Energy of each atom in the density of its neighbors, and in their vector density."""
        return 1.0 - (1.0 + density).sqrt() + 0.3 * polar.square().sum(1)

    def local_energies(
        self, species: torch.Tensor, first: torch.Tensor, second: torch.Tensor, vectors: torch.Tensor
    ) -> torch.Tensor:
        """Energy of each atom from pairs, each given in both directions."""
        r = vectors.square().sum(1).sqrt()
        one, two = species.index_select(0, first), species.index_select(0, second)
        weight = self.weight(r, two)
        zero = torch.zeros(species.size(0), dtype=r.dtype, device=r.device)
        density = zero.index_add(0, first, weight)
        directions = (weight / r).unsqueeze(1) * vectors
        polar = torch.zeros(species.size(0), 3, dtype=r.dtype, device=r.device).index_add(0, first, directions)
        free = self.free.to(r.dtype).index_select(0, species)
        return free.index_add(0, first, 0.5 * self.pair(r, one, two)) + self.embedding(density, polar)

    def atomic_energies(self, systems: List[System]) -> torch.Tensor:
        first, second, vectors = self.edges(systems)
        return self.local_energies(self.species(systems), first, second, vectors)

    def output(
        self, systems: List[System], energies: torch.Tensor, output: ModelOutput, selected_atoms: Optional[Labels]
    ) -> TensorMap:
        return energy_output(systems, energies, output, selected_atoms)

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        results: Dict[str, TensorMap] = {}
        if "energy" in outputs:
            results["energy"] = self.output(systems, self.atomic_energies(systems), outputs["energy"], selected_atoms)
        return results

    @torch.jit.export
    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [self.options()]


class OwnVectors(Healthy):
    """The same potential, which makes the vectors of pairs from positions and cell, as many models do."""

    def seen_cell(self, system: System) -> torch.Tensor:
        return system.cell

    def seen_positions(self, system: System) -> torch.Tensor:
        return system.positions

    def edges(self, systems: List[System]) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        first, second, _ = pairs(systems, self.options())
        positions = torch.cat([self.seen_positions(system) for system in systems])
        offsets: List[torch.Tensor] = []
        for system in systems:
            cell = self.seen_cell(system)
            offsets.append(cell_shifts([system], self.options()).to(cell.dtype) @ cell)
        vectors = positions.index_select(0, second) - positions.index_select(0, first) + torch.cat(offsets)
        return first, second, vectors


class MessagePassing(Healthy):
    """An atom sees the densities at its neighbors, and so atoms up to as many cutoffs away as there are layers."""

    def __init__(self, layers: int = 2):
        super().__init__()
        self.layers = layers

    def atomic_energies(self, systems: List[System]) -> torch.Tensor:
        first, second, vectors = self.edges(systems)
        species = self.species(systems)
        r = vectors.square().sum(1).sqrt()
        zero = torch.zeros_like(species, dtype=vectors.dtype)
        feature = zero.index_add(0, first, self.weight(r, species.index_select(0, second)))
        message = 0.2 * self.switch(r)
        energies = self.local_energies(species, first, second, vectors)
        for _ in range(self.layers - 1):
            feature = zero.index_add(0, first, message * feature.index_select(0, second))
            energies = energies - 0.3 * feature
        return energies
