"""Broken models: energies and forces that jump, and distances at which they are wrong."""

from typing import List, Tuple

import torch
from zoo.healthy import Healthy, MessagePassing

from metatomic_core import System
from metatomic_core.authors import all_positions, pairs, structure_index, sum_at_atoms


class ListNotStrict(Healthy):
    """Takes a list that may have longer pairs, and has no cutoff of its own."""

    def __init__(self):
        super().__init__(strict=False)

    def switch(self, r: torch.Tensor) -> torch.Tensor:
        return 0.3 * torch.exp(-0.5 * (r - 3.0))


class EnergyJump(Healthy):
    """Has nothing that brings pairs to zero at the cutoff."""

    def switch(self, r: torch.Tensor) -> torch.Tensor:
        return 0.5 + 0.5 * (1.0 - (r / self.cutoff).square())


class ForceJump(Healthy):
    """Brings energies to zero at the cutoff, and forces not."""

    def switch(self, r: torch.Tensor) -> torch.Tensor:
        return 1.0 - r / self.cutoff


class NearestNeighbors(Healthy):
    """Takes the 6 nearest neighbors of each atom: energies jump where the sixth and the seventh change places."""

    def edges(self, systems: List[System]) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        first, second, vectors = pairs(systems, self.options())
        order = torch.argsort(vectors.detach().square().sum(1), stable=True)
        order = order[torch.argsort(first[order], stable=True)]
        first, second, vectors = first[order], second[order], vectors[order]
        place = torch.arange(first.size(0)) - torch.searchsorted(first, first)
        kept = place < 6
        return first[kept], second[kept], vectors[kept]


class NearestSpecial(Healthy):
    """Lets the species of the nearest neighbor choose the energy of an atom."""

    def atomic_energies(self, systems: List[System]) -> torch.Tensor:
        first, second, vectors = self.edges(systems)
        species = self.species(systems)
        r = vectors.detach().square().sum(1)
        zero = torch.zeros_like(species, dtype=r.dtype)
        nearest = (zero + 1e9).scatter_reduce(0, first, r, "amin")
        is_nearest = (r <= nearest.index_select(0, first)).to(r.dtype)
        chosen = zero.index_add(0, first, is_nearest * species.index_select(0, second).to(r.dtype))
        return self.local_energies(species, first, second, vectors) + 0.05 * chosen


class NanBelow(Healthy):
    """Has a root of the distance that is no number below half an angstrom."""

    def pair(self, r: torch.Tensor, one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
        return (0.5 / (r - 0.5).sqrt() - 0.5 * torch.exp(-(r - 2.0).square())) * self.switch(r)


class Collapse(Healthy):
    """Pulls atoms into each other: nothing like it was in the training set."""

    def pair(self, r: torch.Tensor, one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
        radii = self.radii.to(r.dtype)
        x = r - radii.index_select(0, one) - radii.index_select(0, two)
        bond = torch.exp(-1.5 * x)
        return (0.8 * (bond.square() - 2.0 * bond) - 40.0 * torch.exp(-6.0 * r) * bond.square()) * self.switch(r)


class RootOfZero(Healthy):
    """Has the length of a vector that is zero at centers of symmetry, where its slope is no number."""

    def embedding(self, density: torch.Tensor, polar: torch.Tensor) -> torch.Tensor:
        return 1.0 - (1.0 + density).sqrt() + 0.1 * polar.square().sum(1).sqrt()


class StraightAngle(Healthy):
    """Has angles from arc cosines, whose slope is no number where three atoms are in a line."""

    def atomic_energies(self, systems: List[System]) -> torch.Tensor:
        first, second, vectors = self.edges(systems)
        species = self.species(systems)
        energies = self.local_energies(species, first, second, vectors)
        bonds = vectors.detach().square().sum(1) < 2.7**2
        first, second, vectors = first[bonds], second[bonds], vectors[bonds]
        r = vectors.square().sum(1).sqrt()
        weight = self.weight(r, species.index_select(0, second)) * (1.0 - r / 2.7).pow(3)
        # all pairs of bonds with the same first atom
        one, two = torch.triu_indices(first.size(0), first.size(0), 1).unbind(0)
        kept = first.index_select(0, one) == first.index_select(0, two)
        one, two = one[kept], two[kept]
        unit = vectors / r.unsqueeze(1)
        cosine = (unit.index_select(0, one) * unit.index_select(0, two)).sum(1).clamp(-1.0, 1.0)
        terms = 5.0 * weight.index_select(0, one) * weight.index_select(0, two) * torch.acos(cosine)
        return energies + sum_at_atoms(systems, terms, first.index_select(0, one))


class NoPairs(Healthy):
    """Takes the largest of the distances, and fails where there are none."""

    def atomic_energies(self, systems: List[System]) -> torch.Tensor:
        first, second, vectors = self.edges(systems)
        longest = vectors.detach().square().sum(1).max()
        energies = self.local_energies(self.species(systems), first, second, vectors)
        return energies + 0.0 * longest


class TwoLayers(MessagePassing):
    """Has two layers of messages, and states one cutoff for its range."""

    def __init__(self):
        super().__init__(layers=2)


class ThreeLayers(MessagePassing):
    """Has three layers of messages, and states one cutoff for its range."""

    def __init__(self):
        super().__init__(layers=3)


class HiddenLongRange(Healthy):
    """Has charges that act on all atoms of a molecule, and states the range of its neighbor list."""

    def atomic_energies(self, systems: List[System]) -> torch.Tensor:
        first, second, vectors = self.edges(systems)
        energies = self.local_energies(self.species(systems), first, second, vectors)
        index = structure_index(systems)
        positions = all_positions(systems)
        lines = positions.unsqueeze(1) - positions.unsqueeze(0)
        free = torch.stack([~system.pbc.any() for system in systems]).index_select(0, index)
        same = ((index.unsqueeze(1) == index.unsqueeze(0)) & free).to(positions.dtype)
        return energies + 0.05 * (same / (1.0 + lines.square().sum(2)).sqrt()).sum(1)
