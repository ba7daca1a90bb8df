"""Broken models: energies that change under what should leave them as they are."""

from typing import List, Tuple

import torch
from zoo.healthy import Healthy

from metatomic_core import System
from metatomic_core.authors import all_positions, atom_labels, pairs, sum_at_atoms


class AbsolutePosition(Healthy):
    """Has a term of the height at which an atom lies."""

    def atomic_energies(self, systems: List[System]) -> torch.Tensor:
        first, second, vectors = self.edges(systems)
        energies = self.local_energies(self.species(systems), first, second, vectors)
        return energies + 0.02 * torch.sin(0.5 * all_positions(systems)[:, 2])


class PreferredDirection(Healthy):
    """Weighs neighbors along the x axis more, as networks do that learn rotations from few of them."""

    def atomic_energies(self, systems: List[System]) -> torch.Tensor:
        first, second, vectors = self.edges(systems)
        r = vectors.square().sum(1).sqrt()
        weight = self.weight(r, self.species(systems).index_select(0, second)) * (vectors[:, 0] / r).square()
        return self.local_energies(self.species(systems), first, second, vectors) + 0.1 * sum_at_atoms(
            systems, weight, first
        )


class Handed(Healthy):
    """Has a triple product in its energy: a molecule and its mirror image differ."""

    def atomic_energies(self, systems: List[System]) -> torch.Tensor:
        first, second, vectors = self.edges(systems)
        r = vectors.square().sum(1).sqrt()
        weight = self.weight(r, self.species(systems).index_select(0, second)).unsqueeze(1)
        moments: List[torch.Tensor] = []
        for power in range(3):
            moments.append(sum_at_atoms(systems, weight * (0.4 * r.unsqueeze(1)).pow(power) * vectors, first))
        product = (moments[0] * torch.linalg.cross(moments[1], moments[2])).sum(1)
        return self.local_energies(self.species(systems), first, second, vectors) + 200.0 * product


class OrderOfAtoms(Healthy):
    """Numbers atoms, and lets the number in: a positional encoding left over from a language model."""

    def atomic_energies(self, systems: List[System]) -> torch.Tensor:
        first, second, vectors = self.edges(systems)
        number = atom_labels(systems).values[:, 1].to(vectors.dtype)
        return self.local_energies(self.species(systems), first, second, vectors) * (1.0 + 0.01 * torch.cos(number))


class HalfListAsFull(Healthy):
    """Asks for each pair once, and adds it to the density of its first atom only."""

    def __init__(self):
        super().__init__(full_list=False)


class FixedBuffer(Healthy):
    """Keeps the first 12 neighbors of each atom in a buffer, and drops the others."""

    def edges(self, systems: List[System]) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        first, second, vectors = pairs(systems, self.options())
        order = torch.argsort(first, stable=True)
        first, second, vectors = first[order], second[order], vectors[order]
        place = torch.arange(first.size(0)) - torch.searchsorted(first, first)
        kept = place < 12
        return first[kept], second[kept], vectors[kept]


class SpeciesByAppearance(Healthy):
    """Numbers the species that a structure has, not those that the model knows."""

    def species(self, systems: List[System]) -> torch.Tensor:
        species: List[torch.Tensor] = []
        for system in systems:
            species.append(torch.unique(system.types, return_inverse=True)[1])
        return torch.cat(species)


class SpeciesMapped(Healthy):
    """Says that it knows copper, and takes it for silicon without a word."""

    def species(self, systems: List[System]) -> torch.Tensor:
        types = torch.cat([system.types for system in systems])
        return self.table.index_select(0, types.clamp(max=14))


class SpeciesNotTrained(Healthy):
    """Says that it knows copper, whose parameters were never set."""

    def __init__(self):
        super().__init__([1, 8, 14, 29])
        self.charges[3] = float("nan")
