"""A family of models for ``metatomic import``, in a package of its own: Morse potentials of ASE.

Its checkpoints are files that ``torch.save`` wrote: ``{"format": "toy-morse", "species": ..., "parameters": ...}``.
"""

from typing import Dict, List, Optional

import torch
from ase.calculators.morse import MorsePotential
from metatensor.torch import Labels, TensorMap

from metatomic_core import (
    ModelCapabilities,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
)
from metatomic_core.authors import energy_output, pairs, sum_at_atoms
from metatomic_importers import Contents, Family, Imported, Request
from metatomic_importers.family import ROUNDING
from metatomic_importers.species import chosen_types

FORMAT = "toy-morse"


class Morse(torch.nn.Module):
    """Half of the energy of a pair goes to each of its atoms."""

    def __init__(self, epsilon: float, r0: float, rho0: float, rcut1: float, rcut2: float):
        super().__init__()
        self.epsilon, self.r0, self.rho0 = epsilon, r0, rho0
        self.start, self.end = rcut1 * r0, rcut2 * r0
        self.pairs = NeighborListOptions(cutoff=self.end, full_list=True, strict=True)

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [self.pairs]

    def forward(
        self,
        systems: List[System],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels],
    ) -> Dict[str, TensorMap]:
        first, _, vectors = pairs(systems, self.pairs)
        r = torch.linalg.vector_norm(vectors, dim=1)
        decay = torch.exp(self.rho0 * (1 - r / self.r0))
        x = torch.clamp((r - self.start) / (self.end - self.start), min=0.0)
        switch = 1 - x**3 * (6 * x**2 - 15 * x + 10)
        energies = 0.5 * self.epsilon * decay * (decay - 2) * switch
        of_atoms = sum_at_atoms(systems, energies, first)
        return {
            "energy": energy_output(systems, of_atoms, outputs["energy"], selected_atoms)
        }


def recognises(contents: Contents) -> bool:
    return FORMAT in contents.names


def read(request: Request) -> Imported:
    checkpoint = torch.load(request.checkpoint, weights_only=True)
    parameters = {"rcut1": 1.9, "rcut2": 2.7, **checkpoint["parameters"]}
    module = Morse(**parameters).eval()
    return Imported(
        module=module,
        metadata=ModelMetadata(
            name="toy", references={"model": ["doi:10.1103/PhysRev.34.57"]}
        ),
        capabilities=ModelCapabilities(
            outputs={"energy": ModelOutput(unit="eV", sample_kind="atom")},
            atomic_types=chosen_types(checkpoint["species"], request.species),
            interaction_range=module.end,
            length_unit="angstrom",
            supported_devices=["cuda", "cpu"],
            dtype=request.dtype,
        ),
        # one that computes in float64, whatever the file does
        calculator=lambda: MorsePotential(**parameters),
        tolerances=ROUNDING[request.dtype],
        weights_licence=checkpoint.get("licence", "not known"),
    )


FAMILY = Family(
    name="toy",
    description="Morse potentials",
    requirements=("ase>=3.26",),
    read=read,
    recognises=recognises,
    dtypes=("float64", "float32"),
)
