"""Broken models: images of atoms, cells, and the stress that comes from them."""

from typing import List, Tuple

import torch
from zoo.healthy import Healthy, OwnVectors

from metatomic_core import System
from metatomic_core.authors import cell_shifts, pairs, structure_index


def volumes(systems: List[System]) -> torch.Tensor:
    """Give the volume of each cell, zero where there is none."""
    return torch.stack([torch.linalg.det(system.cell).abs() for system in systems])


class NoOwnImages(Healthy):
    """Masks pairs of an atom with itself, and with them its own images in a small cell."""

    def edges(self, systems: List[System]) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        first, second, vectors = pairs(systems, self.options())
        kept = first != second
        return first[kept], second[kept], vectors[kept]


class NearestImage(Healthy):
    """Takes the nearest image of each atom and no other: right in large cells."""

    def edges(self, systems: List[System]) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        first, second, vectors = pairs(systems, self.options())
        n = structure_index(systems).size(0)
        key = first * n + second
        r = vectors.square().sum(1)
        nearest = torch.full([n * n], 1e9, dtype=r.dtype).scatter_reduce(0, key, r.detach(), "amin")
        kept = (r.detach() <= nearest.index_select(0, key)) & (first != second)
        return first[kept], second[kept], vectors[kept]


class ShiftOfOtherSign(OwnVectors):
    """Subtracts the shifts of the cell where they are to be added."""

    def seen_cell(self, system: System) -> torch.Tensor:
        return -system.cell


class RowsAndColumns(OwnVectors):
    """Takes the columns of the cell for its vectors: the same in all cells with right angles."""

    def seen_cell(self, system: System) -> torch.Tensor:
        return system.cell.t()


class WrapsAtoms(OwnVectors):
    """Wraps atoms into the cell, and adds the shifts of atoms that are where they were."""

    def seen_positions(self, system: System) -> torch.Tensor:
        if not bool(system.pbc.all()):
            return system.positions
        fractions = (system.positions @ torch.linalg.inv(system.cell)).detach()
        return system.positions - fractions.floor() @ system.cell


class CellDetached(OwnVectors):
    """Has forces through positions, and a cell without gradient: a part of the stress is missing."""

    def seen_cell(self, system: System) -> torch.Tensor:
        return system.cell.detach()


class VirialOfOtherSign(OwnVectors):
    """Has the right energies and forces; what a strained cell adds to the stress has the wrong sign."""

    def seen_cell(self, system: System) -> torch.Tensor:
        return 2.0 * system.cell.detach() - system.cell


class StrainTransposed(OwnVectors):
    """Has the right energies and forces; the gradient of the cell is turned over."""

    def seen_cell(self, system: System) -> torch.Tensor:
        return system.cell.detach() + (system.cell - system.cell.detach()).t()


class AllOrNothing(Healthy):
    """Is periodic in three directions or in none: slabs and wires are taken for molecules."""

    def edges(self, systems: List[System]) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        first, second, vectors = pairs(systems, self.options())
        whole = torch.stack([system.pbc.all() for system in systems])
        inside = (cell_shifts(systems, self.options()) == 0).all(1)
        kept = inside | whole.index_select(0, structure_index(systems).index_select(0, first))
        return first[kept], second[kept], vectors[kept]


class CutoffByCell(Healthy):
    """Shortens its cutoff to half of a small cell, for there to be one image."""

    def edges(self, systems: List[System]) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        first, second, vectors = pairs(systems, self.options())
        widths: List[torch.Tensor] = []
        for system in systems:
            lengths = system.cell.square().sum(1).sqrt().detach()
            widths.append(torch.where(lengths > 0, 0.5 * lengths, 1e9).min())
        limit = torch.stack(widths).index_select(0, structure_index(systems).index_select(0, first))
        kept = vectors.square().sum(1).sqrt() < limit
        return first[kept], second[kept], vectors[kept]


class VolumeOfVacuum(Healthy):
    """Has a background energy of the density of atoms in the cell: vacuum around a molecule changes it."""

    def atomic_energies(self, systems: List[System]) -> torch.Tensor:
        first, second, vectors = self.edges(systems)
        index = structure_index(systems)
        volume = volumes(systems)
        background = torch.where(volume > 0, 5.0 / volume.clamp(min=1.0), torch.zeros_like(volume))
        energies = self.local_energies(self.species(systems), first, second, vectors)
        return energies + background.index_select(0, index)
