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
from metatomic_core.authors import energy_output, pairs, sum_at_atoms


class Repulsion(torch.nn.Module):
    """Soft repulsion: E = 1/2 sum_ij A (1 - r_ij / cutoff)^2 for r_ij < cutoff."""

    def __init__(self, strength: float, cutoff: float):
        super().__init__()
        self.strength = torch.nn.Parameter(torch.tensor(strength, dtype=torch.float64))
        self.pairs = NeighborListOptions(cutoff, full_list=True, strict=True)

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [self.pairs]

    def forward(
        self,
        systems: List[System],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels],
    ) -> Dict[str, TensorMap]:
        first, _, vectors = pairs(systems, self.pairs)
        distances = torch.linalg.vector_norm(vectors, dim=1)
        energies = 0.5 * self.strength * (1 - distances / self.pairs.cutoff) ** 2
        atomic = sum_at_atoms(systems, energies, first)
        return {
            name: energy_output(systems, atomic, output, selected_atoms)
            for name, output in outputs.items()
        }


capabilities = ModelCapabilities(
    outputs={"energy": ModelOutput(unit="eV", sample_kind="atom")},
    atomic_types=[6, 14],
    interaction_range=3.0,
    length_unit="angstrom",
    supported_devices=["cpu", "cuda"],
    dtype="float64",
)
module = Repulsion(strength=2.0, cutoff=3.0)
AtomisticModel(module.eval(), ModelMetadata(name="Soft repulsion"), capabilities).save(
    "repulsion.pt"
)
