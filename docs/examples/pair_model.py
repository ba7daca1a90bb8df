from typing import Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from metatomic_core import (
    AtomisticModel,
    ModelCapabilities,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
)


class Repulsion(torch.nn.Module):
    """Soft repulsion: E = 1/2 sum_ij A (1 - r_ij / cutoff)^2 for r_ij < cutoff."""

    def __init__(self, strength: float, cutoff: float):
        super().__init__()
        self.cutoff = cutoff
        self.strength = torch.nn.Parameter(torch.tensor(strength, dtype=torch.float64))

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(cutoff=self.cutoff, full_list=True, strict=True)]

    def atomic_energies(self, system: System) -> torch.Tensor:
        pairs = system.get_neighbor_list(self.requested_neighbor_lists()[0])
        distances = torch.linalg.vector_norm(pairs.values.reshape(-1, 3), dim=1)
        energies = 0.5 * self.strength * (1 - distances / self.cutoff) ** 2
        zeros = torch.zeros(len(system), dtype=energies.dtype, device=energies.device)
        return zeros.index_add(0, pairs.samples.values[:, 0].to(torch.int64), energies)

    def forward(
        self,
        systems: List[System],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels],
    ) -> Dict[str, TensorMap]:
        if "energy" not in outputs:
            return {}
        device = systems[0].positions.device
        energies: List[torch.Tensor] = []
        atoms: List[torch.Tensor] = []
        for i in range(len(systems)):
            energies.append(self.atomic_energies(systems[i]))
            numbers = torch.arange(len(systems[i]), device=device)
            atoms.append(torch.stack([torch.full_like(numbers, i), numbers], dim=1))
        values = torch.cat(energies).reshape(-1, 1)
        samples = Labels(["system", "atom"], torch.cat(atoms))
        if selected_atoms is not None:
            chosen = samples.select(selected_atoms)
            values, samples = values[chosen], Labels(["system", "atom"], samples.values[chosen])
        if outputs["energy"].sample_kind == "system":
            sums = torch.zeros(len(systems), 1, dtype=values.dtype, device=device)
            values = sums.index_add(0, samples.values[:, 0].to(torch.int64), values)
            samples = Labels(["system"], torch.arange(len(systems), device=device).reshape(-1, 1))
        block = TensorBlock(
            values=values,
            samples=samples,
            components=[],
            properties=Labels(["energy"], torch.zeros(1, 1, dtype=torch.int32, device=device)),
        )
        keys = Labels(["_"], torch.zeros(1, 1, dtype=torch.int32, device=device))
        return {"energy": TensorMap(keys, [block])}


model = AtomisticModel(
    Repulsion(strength=2.0, cutoff=3.0).eval(),
    ModelMetadata(name="Soft repulsion", description="An example of a model"),
    ModelCapabilities(
        outputs={"energy": ModelOutput(unit="eV", sample_kind="atom")},
        atomic_types=[6, 14],
        interaction_range=3.0,
        length_unit="angstrom",
        supported_devices=["cpu", "cuda"],
        dtype="float64",
    ),
)
model.save("repulsion.pt")
