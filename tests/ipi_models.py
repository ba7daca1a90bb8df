"""Models for the tests of i-PI: independent oscillators, which are exact, with every output that i-PI can use."""

from typing import Dict, List, Optional

import numpy as np
import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core import AtomisticModel, ModelCapabilities, ModelMetadata, ModelOutput, System
from metatomic_core.authors import energy_output, per_atom_output, per_system_output

# eV/angstrom^2: hydrogen then oscillates at about 1100 K
SPRING = 1.0
MEMBERS = 3


def site_positions(n: int) -> np.ndarray:
    """Give n sites of a simple cubic lattice of 3 angstrom."""
    grid = np.stack(np.meshgrid(*[np.arange(8)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return 3.0 * grid[:n].astype(float)


class Oscillators(torch.nn.Module):
    """Each atom is tied to its site by a spring.

    After `limit` calls it fails: it raises, gives nan, or gives nan for the members of its ensemble or its dipole only,
    as `failure` says.  `direct` scales the direct forces.
    """

    def __init__(self, n: int, limit: int = -1, failure: str = "", direct: float = 2.0, pause: float = 0.0):
        super().__init__()
        self.register_buffer("sites", torch.tensor(site_positions(n)))
        self.register_buffer("members", torch.tensor([0.9, 1.0, 1.1], dtype=torch.float64))
        self.limit = limit
        self.failure = failure
        self.direct = direct
        self.pause = pause
        self.calls = 0

    def displacements(self, systems: List[System]) -> torch.Tensor:
        moved: List[torch.Tensor] = []
        for system in systems:
            positions = system.positions
            # one that fails takes no other number of atoms, and so has no trace, in which its calls would not count
            if self.limit >= 0 and positions.size(0) != self.sites.size(0):
                raise ValueError(f"expected {self.sites.size(0)} oscillators, got {positions.size(0)}")
            # by number, not `positions - sites`, of which a trace takes the number of atoms for a constant
            sites = self.sites.index_select(0, torch.arange(positions.size(0), device=positions.device))
            moved.append(positions - sites.to(positions.dtype))
        return torch.cat(moved)

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        self.calls += 1
        moved = self.displacements(systems)
        energies = 0.5 * 1.0 * moved.square().sum(1)
        if self.limit >= 0 and self.calls > self.limit:
            if self.failure == "raise":
                raise ValueError("expected a calm sea, got a storm")
            if self.failure == "nan":
                energies = energies * float("nan")
        if self.pause > 0.0:
            x = torch.ones(300, 300)
            for _ in range(int(self.pause * 1000)):
                x = x @ x * 0.001
        charges = 0.5 + 0.1 * moved[:, 0]
        results: Dict[str, TensorMap] = {}
        for name, output in outputs.items():
            if name == "energy":
                results[name] = energy_output(systems, energies, output, selected_atoms)
            elif name == "energy/half":
                results[name] = energy_output(systems, 0.5 * energies, output, selected_atoms)
            elif name == "energy_ensemble":
                values = energies.unsqueeze(1) * self.members.to(energies.dtype)
                if self.failure == "nan members":
                    values = values * float("nan")
                results[name] = energy_output(systems, values, output, selected_atoms)
            elif name == "energy_uncertainty":
                results[name] = energy_output(systems, 0.1 * energies, output, selected_atoms)
            elif name == "charge":
                results[name] = per_atom_output(name, systems, charges, output, selected_atoms)
            elif name == "dipole":
                dipoles = (charges.unsqueeze(1) * moved).reshape(len(systems), -1, 3).sum(1)
                if self.failure == "nan dipole":
                    dipoles = dipoles * float("nan")
                results[name] = per_system_output(name, systems, dipoles)
            elif name == "tests::spread":
                values = moved.square().reshape(len(systems), -1, 3).mean(1)
                results[name] = per_system_output(name, systems, values, None, "axis")
            elif name.startswith("non_conservative_force"):
                scale = self.direct if name == "non_conservative_force" else 0.5 * self.direct
                results[name] = per_atom_output(name, systems, -1.0 * scale * moved, output, selected_atoms)
            elif name == "non_conservative_stress":
                stress = 0.01 * torch.eye(3, dtype=moved.dtype).repeat(len(systems), 1, 1)
                results[name] = per_system_output(name, systems, stress)
        return results


class ChargedOscillators(torch.nn.Module):
    """Needs a charge, a spin multiplicity and masses: they scale its energy."""

    def __init__(self, n: int):
        super().__init__()
        self.inner = Oscillators(n)

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies = 0.5 * self.inner.displacements(systems).square().sum(1)
        scales: List[torch.Tensor] = []
        for system in systems:
            charge = system.get_data("charge").block_by_id(0).values.reshape(1)
            spin = system.get_data("spin_multiplicity").block_by_id(0).values.reshape(1)
            mass = system.get_data("mass").block_by_id(0).values.reshape(-1)
            scales.append(charge * spin * mass)
        return {"energy": energy_output(systems, energies * torch.cat(scales), outputs["energy"], selected_atoms)}

    def requested_inputs(self) -> Dict[str, ModelOutput]:
        return {
            "charge": ModelOutput(unit="e", sample_kind="system"),
            "spin_multiplicity": ModelOutput(sample_kind="system"),
            "mass": ModelOutput(unit="u", sample_kind="atom"),
        }


OUTPUTS = {
    "energy": ModelOutput(unit="eV", sample_kind="atom"),
    "energy/half": ModelOutput(unit="eV", sample_kind="atom", description="half of it"),
    "energy_ensemble": ModelOutput(unit="eV", sample_kind="atom"),
    "energy_uncertainty": ModelOutput(unit="eV", sample_kind="atom"),
    "charge": ModelOutput(unit="e", sample_kind="atom"),
    "dipole": ModelOutput(unit="e*angstrom", sample_kind="system"),
    "tests::spread": ModelOutput(unit="angstrom^2", sample_kind="system"),
    "non_conservative_force": ModelOutput(unit="eV/angstrom", sample_kind="atom"),
    "non_conservative_force/soft": ModelOutput(unit="eV/angstrom", sample_kind="atom", description="half of it"),
    "non_conservative_stress": ModelOutput(unit="eV/angstrom^3", sample_kind="system"),
}


def exported(module: torch.nn.Module, path, outputs: Optional[Dict[str, ModelOutput]] = None) -> str:
    """Save a module as a model file for hydrogen, and give its path."""
    capabilities = ModelCapabilities(
        outputs=OUTPUTS if outputs is None else outputs,
        atomic_types=[1],
        interaction_range=0.0,
        length_unit="angstrom",
        supported_devices=["cpu"],
        dtype="float64",
    )
    AtomisticModel(module.eval(), ModelMetadata("oscillators"), capabilities).save(str(path))
    return str(path)
