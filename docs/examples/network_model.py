from typing import Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core import (
    AtomisticModel,
    ModelCapabilities,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
)
from metatomic_core.authors import (
    energy_output,
    pairs,
    per_atom_output,
    selected_index,
    species_index,
    species_table,
    sum_at_atoms,
)


class Network(torch.nn.Module):
    """A network on radial features of each atom, and direct forces along the pairs."""

    def __init__(self, types: List[int], cutoff: float, n_features: int = 16):
        super().__init__()
        self.list = NeighborListOptions(cutoff, full_list=True, strict=True)
        self.register_buffer("species", species_table(types))
        self.register_buffer("centers", torch.linspace(1.0, cutoff, n_features))
        self.embedding = torch.nn.Embedding(len(types), n_features)
        self.energy = torch.nn.Sequential(
            torch.nn.Linear(n_features, 32), torch.nn.SiLU(), torch.nn.Linear(32, 1)
        )
        self.push = torch.nn.Linear(n_features, 1)

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [self.list]

    def forward(
        self,
        systems: List[System],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels],
    ) -> Dict[str, TensorMap]:
        first, second, vectors = pairs(systems, self.list)
        distances = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        species = species_index(systems, self.species)
        radial = (
            torch.exp(-4 * (distances - self.centers) ** 2)
            * (1 - distances / self.list.cutoff) ** 2
        )
        messages = radial * self.embedding(species.index_select(0, second))
        results: Dict[str, TensorMap] = {}
        for name, output in outputs.items():
            if name == "energy":
                # the network only for the atoms that are asked for
                atoms = selected_index(systems, selected_atoms)
                features = sum_at_atoms(systems, messages, first).index_select(0, atoms)
                energies = self.energy(features).squeeze(1)
                results[name] = energy_output(
                    systems, energies, output, selected_atoms, of_selected=True
                )
            elif name == "non_conservative_force":
                forces = sum_at_atoms(
                    systems, self.push(messages) * vectors / distances, first
                )
                results[name] = per_atom_output(
                    name, systems, forces, output, selected_atoms
                )
        return results


capabilities = ModelCapabilities(
    outputs={
        "energy": ModelOutput(unit="eV", sample_kind="atom"),
        "non_conservative_force": ModelOutput(unit="eV/angstrom", sample_kind="atom"),
    },
    atomic_types=[1, 8],
    interaction_range=5.0,
    length_unit="angstrom",
    supported_devices=["cpu", "cuda"],
    dtype="float32",
)
torch.manual_seed(0)  # a real one would be trained
module = Network([1, 8], cutoff=5.0)
AtomisticModel(module.eval(), ModelMetadata(name="A small network"), capabilities).save(
    "network.pt"
)
