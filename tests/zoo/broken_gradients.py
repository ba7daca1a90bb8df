"""Broken models: forces that are not the slope of the energy, and numbers with fewer digits than they seem to have."""

from typing import Dict, List, Optional, Tuple

import torch
from metatensor.torch import Labels, TensorMap
from zoo.healthy import Healthy, OwnVectors

from metatomic_core import ModelOutput, System
from metatomic_core.authors import (
    all_positions,
    per_atom_output,
    per_system_output,
    structure_index,
    sum_at_atoms,
)


class Detached(Healthy):
    """Takes a part of the energy out of the graph: its forces are missing."""

    def embedding(self, density: torch.Tensor, polar: torch.Tensor) -> torch.Tensor:
        return 1.0 - (1.0 + density.detach()).sqrt() + 0.3 * polar.square().sum(1)


class DirectAsGradient(Healthy):
    """Puts forces of a direct head where the slope of the energy belongs."""

    def atomic_energies(self, systems: List[System]) -> torch.Tensor:
        first, second, vectors = self.edges(systems)
        energies = self.local_energies(self.species(systems), first, second, vectors)
        weight = self.weight(vectors.square().sum(1).sqrt(), self.species(systems).index_select(0, second))
        forces = sum_at_atoms(systems, weight.unsqueeze(1) * vectors, first).detach()
        positions = all_positions(systems)
        return energies.detach() - (forces * (positions - positions.detach())).sum(1)


class Rounded(Healthy):
    """Rounds energies of atoms to a meV: their slope is that of numbers that are not rounded."""

    def embedding(self, density: torch.Tensor, polar: torch.Tensor) -> torch.Tensor:
        value = 1.0 - (1.0 + density).sqrt() + 0.3 * polar.square().sum(1)
        return value + (torch.round(value, decimals=3) - value).detach()


class SingleInside(Healthy):
    """Says double precision, and computes in single."""

    def local_energies(
        self, species: torch.Tensor, first: torch.Tensor, second: torch.Tensor, vectors: torch.Tensor
    ) -> torch.Tensor:
        r = vectors.to(torch.float32).square().sum(1).sqrt()
        one, two = species.index_select(0, first), species.index_select(0, second)
        zero = torch.zeros(species.size(0), dtype=r.dtype, device=r.device)
        density = zero.index_add(0, first, self.weight(r, two))
        energies = zero.index_add(0, first, 0.5 * self.pair(r, one, two)) + 1.0 - (1.0 + density).sqrt()
        return (self.free.to(r.dtype).index_select(0, species) + energies).to(vectors.dtype)


class SinglePositions(OwnVectors):
    """Takes positions in single precision: far from the origin, distances have fewer digits."""

    def seen_positions(self, system: System) -> torch.Tensor:
        return system.positions.to(torch.float32).to(system.dtype)


class DirectHeads(Healthy):
    """A potential of pairs with heads for forces and stress beside its energy, which are the right ones."""

    def signs(self) -> Tuple[float, float]:
        return 1.0, 1.0

    def local_energies(
        self, species: torch.Tensor, first: torch.Tensor, second: torch.Tensor, vectors: torch.Tensor
    ) -> torch.Tensor:
        r = vectors.square().sum(1).sqrt()
        bonds = self.pair(r, species.index_select(0, first), species.index_select(0, second))
        return self.free.to(r.dtype).index_select(0, species).index_add(0, first, 0.5 * bonds)

    def slopes(
        self, species: torch.Tensor, first: torch.Tensor, second: torch.Tensor, vectors: torch.Tensor
    ) -> torch.Tensor:
        """Derivative of half the energy of each pair by its vector."""
        r = vectors.square().sum(1).sqrt()
        radii = self.radii.to(r.dtype).index_select(0, species)
        bond = torch.exp(-1.5 * (r - radii.index_select(0, first) - radii.index_select(0, second)))
        x = 1.0 - (r / self.cutoff).square()
        of_bond = -1.5 * (2.0 * bond.square() - 2.0 * bond) * x.pow(3)
        of_switch = (bond.square() - 2.0 * bond) * 3.0 * x.square() * (-2.0 * r / self.cutoff**2)
        return (0.4 * (of_bond + of_switch) / r).unsqueeze(1) * vectors

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        results: Dict[str, TensorMap] = {}
        first, second, vectors = self.edges(systems)
        slopes = self.slopes(self.species(systems), first, second, vectors)
        force_sign, stress_sign = self.signs()
        for name, output in outputs.items():
            if name == "energy":
                results[name] = self.output(systems, self.atomic_energies(systems), output, selected_atoms)
            elif name.startswith("non_conservative_force"):
                forces = 2.0 * force_sign * sum_at_atoms(systems, slopes, first)
                results[name] = per_atom_output(name, systems, forces, output, selected_atoms)
            else:
                strains = sum_at_atoms(systems, vectors.unsqueeze(2) * slopes.unsqueeze(1), first)
                results[name] = per_system_output(name, systems, stress_sign * self.stresses(systems, strains))
        return results

    def stresses(self, systems: List[System], strains: torch.Tensor) -> torch.Tensor:
        index = structure_index(systems)
        totals = torch.zeros(len(systems), 3, 3, dtype=strains.dtype, device=strains.device)
        volumes = torch.stack([torch.linalg.det(system.cell).abs().clamp(min=1e-6) for system in systems])
        return totals.index_add(0, index, strains) / volumes.reshape(-1, 1, 1)


class DirectStressOfOtherSign(DirectHeads):
    """Was trained on virials where it states stress: its direct stress has the other sign."""

    def signs(self) -> Tuple[float, float]:
        return 1.0, -1.0


class DirectForcesOfOtherSign(DirectHeads):
    """Gives the slope of the energy for direct forces, and so their other sign."""

    def signs(self) -> Tuple[float, float]:
        return -1.0, 1.0


class DirectForcesOfOtherUnit(DirectHeads):
    """Was trained on forces in hartree where it states electronvolt: its direct forces are smaller."""

    def signs(self) -> Tuple[float, float]:
        return 1.0 / 27.2114, 1.0
