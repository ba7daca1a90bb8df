"""Broken models: structures that feel each other in a batch, sums that are none, and atoms that are mixed up."""

from typing import List, Optional, Tuple

import torch
from metatensor.torch import Labels, TensorMap
from zoo.healthy import Healthy

from metatomic_core import ModelOutput, System
from metatomic_core.authors import all_types, atom_labels, energy_output, pairs, structure_index, sum_at_atoms


class BatchMean(Healthy):
    """Normalises by the mean of all atoms of a batch: energies depend on what else is in it."""

    def embedding(self, density: torch.Tensor, polar: torch.Tensor) -> torch.Tensor:
        mean = density.mean() if density.size(0) > 0 else density.sum()
        return 0.1 * (density - mean) + 1.0 - (1.0 + density).sqrt() + 0.3 * polar.square().sum(1)


class BatchWithoutOffset(Healthy):
    """Forgets that atoms of the second structure have numbers after those of the first, where it looks up species."""

    def edges(self, systems: List[System]) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return pairs(systems, self.options())

    def species(self, systems: List[System]) -> torch.Tensor:
        types = all_types(systems)
        number = atom_labels(systems).values[:, 1].to(torch.int64)
        return self.table.index_select(0, types.index_select(0, number))


class BatchSorted(Healthy):
    """Sorts the structures of a batch by size, and does not put them back."""

    def output(
        self, systems: List[System], energies: torch.Tensor, output: ModelOutput, selected_atoms: Optional[Labels]
    ) -> TensorMap:
        index = structure_index(systems)
        sizes = torch.stack([torch.tensor(len(system)) for system in systems])
        order = torch.argsort(sizes, stable=True)
        rows: List[torch.Tensor] = []
        for i in range(len(systems)):
            rows.append(torch.nonzero(index == order[i]).squeeze(1))
        mixed = energies.index_select(0, torch.cat(rows))
        if output.sample_kind == "system" and selected_atoms is None:
            # sums of the structures themselves, in the wrong order
            sums = torch.zeros_like(sizes, dtype=energies.dtype).index_add(0, index, energies)
            starts = torch.cumsum(sizes, 0) - sizes
            at_first = torch.zeros_like(energies).index_add(0, starts, sums.index_select(0, order))
            return energy_output(systems, at_first, output, selected_atoms)
        return energy_output(systems, mixed, output, selected_atoms)


class AtomsSorted(Healthy):
    """Sorts atoms by species, and gives their energies in that order: the total is right."""

    def output(
        self, systems: List[System], energies: torch.Tensor, output: ModelOutput, selected_atoms: Optional[Labels]
    ) -> TensorMap:
        key = structure_index(systems) * 1000 + all_types(systems)
        return energy_output(systems, energies.index_select(0, torch.argsort(key, stable=True)), output, selected_atoms)


class MeanOfAtoms(Healthy):
    """Gives the mean of its atoms for the energy of a structure."""

    def atomic_energies(self, systems: List[System]) -> torch.Tensor:
        first, second, vectors = self.edges(systems)
        index = structure_index(systems)
        one = torch.ones_like(index)
        sizes = torch.zeros(len(systems), dtype=one.dtype).index_add(0, index, one).index_select(0, index)
        return self.local_energies(self.species(systems), first, second, vectors) / sizes


class GlobalAttention(Healthy):
    """Shares one weight of a structure among its atoms: what is far away changes what is here."""

    def atomic_energies(self, systems: List[System]) -> torch.Tensor:
        first, second, vectors = self.edges(systems)
        energies = self.local_energies(self.species(systems), first, second, vectors)
        index = structure_index(systems)
        weight = torch.exp(0.1 * energies)
        total = torch.zeros(len(systems), dtype=energies.dtype).index_add(0, index, weight)
        return energies + weight / total.index_select(0, index) * energies


class SelectedOnly(Healthy):
    """Leaves out the neighbors that are not selected, and not only their energies."""

    def output(
        self, systems: List[System], energies: torch.Tensor, output: ModelOutput, selected_atoms: Optional[Labels]
    ) -> TensorMap:
        if selected_atoms is None:
            return energy_output(systems, energies, output, selected_atoms)
        first, second, vectors = pairs(systems, self.options())
        labels = atom_labels(systems).values
        chosen = (labels.unsqueeze(1) == selected_atoms.values.unsqueeze(0)).all(2).any(1)
        kept = chosen.index_select(0, first) & chosen.index_select(0, second)
        inside = self.local_energies(self.species(systems), first[kept], second[kept], vectors[kept])
        return energy_output(systems, inside, output, selected_atoms)


class SelectedIgnored(Healthy):
    """Gives the energy of all atoms, whichever are selected."""

    def output(
        self, systems: List[System], energies: torch.Tensor, output: ModelOutput, selected_atoms: Optional[Labels]
    ) -> TensorMap:
        if output.sample_kind == "system":
            return energy_output(systems, energies, output, None)
        return energy_output(systems, energies, output, selected_atoms)


class SelectedTwice(Healthy):
    """Shares pairs between their atoms, and counts those of a selected and another atom in full."""

    def output(
        self, systems: List[System], energies: torch.Tensor, output: ModelOutput, selected_atoms: Optional[Labels]
    ) -> TensorMap:
        if selected_atoms is None:
            return energy_output(systems, energies, output, selected_atoms)
        first, second, vectors = pairs(systems, self.options())
        labels = atom_labels(systems).values
        chosen = (labels.unsqueeze(1) == selected_atoms.values.unsqueeze(0)).all(2).any(1)
        border = (chosen.index_select(0, first) & ~chosen.index_select(0, second)).to(vectors.dtype)
        species = self.species(systems)
        r = vectors.square().sum(1).sqrt()
        bonds = self.pair(r, species.index_select(0, first), species.index_select(0, second))
        more = sum_at_atoms(systems, 0.5 * border * bonds, first)
        return energy_output(systems, energies + more, output, selected_atoms)
