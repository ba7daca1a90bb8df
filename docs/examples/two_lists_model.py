from typing import Dict, List, Optional

import numpy as np
import torch
from ase import Atoms
from metatensor.torch import Labels, TensorMap

from metatomic_ase import MetatomicCalculator
from metatomic_core import (
    AtomisticModel,
    ModelCapabilities,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
)
from metatomic_core.authors import energy_output_from_terms, pairs


class Ranges(torch.nn.Module):
    """Repulsion at short range, attraction at long range: 2 (1 - r/3)^2 - 5/r^6 + 5/8^6, each up to its cutoff."""

    def __init__(self):
        super().__init__()
        self.near = NeighborListOptions(3.0, full_list=False, strict=True)
        self.far = NeighborListOptions(8.0, full_list=False, strict=True)

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [self.near, self.far]

    def forward(
        self,
        systems: List[System],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels],
    ) -> Dict[str, TensorMap]:
        first, second, vectors = pairs(systems, self.near)
        repulsion = (
            2.0 * (1 - torch.linalg.vector_norm(vectors, dim=1) / self.near.cutoff) ** 2
        )
        far_first, far_second, far_vectors = pairs(systems, self.far)
        attraction = 5.0 * (self.far.cutoff**-6 - far_vectors.square().sum(dim=1) ** -3)
        # a half list has each pair once: its two atoms share the energy
        terms = [(repulsion, [first, second]), (attraction, [far_first, far_second])]
        return {
            name: energy_output_from_terms(systems, terms, output, selected_atoms)
            for name, output in outputs.items()
        }


capabilities = ModelCapabilities(
    outputs={"energy": ModelOutput(unit="eV", sample_kind="atom")},
    atomic_types=[18],
    interaction_range=8.0,
    length_unit="angstrom",
    supported_devices=["cpu", "cuda"],
    dtype="float64",
)
AtomisticModel(Ranges().eval(), ModelMetadata(name="Two ranges"), capabilities).save(
    "ranges.pt"
)

atoms = Atoms("Ar2", [[0, 0, 0], [0, 0, 2.4]], calculator=MetatomicCalculator("ranges.pt"))
expected = 2 * (1 - 2.4 / 3) ** 2 + 5 * (8.0**-6 - 2.4**-6)
np.testing.assert_allclose(atoms.get_potential_energy(), expected, rtol=1e-12)
