"""Scripted models for the LAMMPS tests: message passing, triangles, many outputs, inputs, and models that fail."""

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
from metatomic_core.authors import all_types, energy_output, pairs, per_atom_output, per_system_output, sum_at_atoms

CUTOFF = 4.5
TYPES = [8, 14]
DEPTH = 0.5


def pairs_of(systems: List[System], options: NeighborListOptions) -> List[torch.Tensor]:
    """Give distances, first and second atoms of both directions of each pair."""
    first, second, vectors = pairs(systems, options)
    r = vectors.square().sum(1).sqrt()
    if options.full_list:
        return [r, first, second]
    return [torch.cat([r, r]), torch.cat([first, second]), torch.cat([second, first])]


class Layers(torch.nn.Module):
    """Messages over one or two steps: what an atom sends depends on what it received."""

    def __init__(self, n_layers: int, full_list: bool, cutoff: float = CUTOFF):
        super().__init__()
        self.n_layers = n_layers
        self.full_list = full_list
        self.cutoff = cutoff

    def energies(self, systems: List[System]) -> torch.Tensor:
        r, first, second = pairs_of(systems, NeighborListOptions(self.cutoff, self.full_list, True))
        weight = (1.0 - r / self.cutoff).clamp(min=0.0).pow(4)
        state = all_types(systems).to(r.dtype) / 10.0
        total = torch.zeros_like(state)
        for layer in range(self.n_layers):
            message = weight * torch.cos((layer + 1.0) * r) * state.index_select(0, second)
            state = torch.tanh(sum_at_atoms(systems, message, first)) + 0.3 * state
            total = total - 0.5 * state + 0.4 * state * state
        return total + sum_at_atoms(systems, 2.0 * weight, first)

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies = self.energies(systems)
        return {name: energy_output(systems, energies, output, selected_atoms) for name, output in outputs.items()}

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(self.cutoff, self.full_list, True)]


class Triangles(torch.nn.Module):
    """Needs the pairs between neighbors of an atom, although its range is the cutoff."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        n = len(systems[0])
        r, first, second = pairs_of(systems, NeighborListOptions(4.0, True, True))
        weight = (1.0 - r / 4.0).clamp(min=0.0).pow(3)
        matrix = torch.zeros(n * n, dtype=r.dtype).index_add(0, first * n + second, weight).reshape(n, n)
        energies = (matrix * (matrix @ matrix)).sum(1)
        return {"energy": energy_output(systems, energies, outputs["energy"], selected_atoms)}

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(4.0, True, True)]


class NearMessages(torch.nn.Module):
    """Two messages between close atoms of one type, within the range of a longer pair term.

    Range and cutoff are the same, but an atom needs the pairs between its neighbors; few structures show it.
    """

    def __init__(self, reach: float, only_type: int):
        super().__init__()
        self.reach = reach
        self.only_type = only_type
        self.cutoff = CUTOFF

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        r, first, second = pairs_of(systems, NeighborListOptions(self.cutoff, True, True))
        sends = (all_types(systems) == self.only_type).to(r.dtype)
        weight = (1.0 - r / self.reach).clamp(min=0.0).pow(4) * sends.index_select(0, first)
        weight = weight * sends.index_select(0, second)
        received = sum_at_atoms(systems, weight, first)
        again = sum_at_atoms(systems, weight * received.index_select(0, second), first)
        energies = sum_at_atoms(systems, (1.0 - r / self.cutoff).pow(4), first) + again
        return {"energy": energy_output(systems, energies, outputs["energy"], selected_atoms)}

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(self.cutoff, True, True)]


class ManyOutputs(torch.nn.Module):
    """Outputs of all shapes, and direct forces that differ from the conservative ones by a factor."""

    def __init__(self, factor: float = 0.9):
        super().__init__()
        self.base = Layers(1, True)
        self.factor = factor
        self.cutoff = CUTOFF
        self.register_buffer("spread", torch.tensor([0.9, 1.0, 1.2], dtype=torch.float64))

    def forces_and_virial(self, systems: List[System]) -> List[torch.Tensor]:
        """Forces of E = sum of 2 (1 - r/c)^4 over directed pairs; -dE/dstrain, of one system."""
        first, second, vectors = pairs(systems, NeighborListOptions(self.cutoff, True, True))
        r = vectors.square().sum(1, keepdim=True).sqrt()
        push = 8.0 / self.cutoff * (1.0 - r / self.cutoff).pow(3) * vectors / r
        forces = sum_at_atoms(systems, -push, first).index_add(0, second, push)
        return [self.factor * forces, self.factor * (vectors.T @ push)]

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        results: Dict[str, TensorMap] = {}
        r, first, _ = pairs_of(systems, NeighborListOptions(self.cutoff, True, True))
        density = sum_at_atoms(systems, (1.0 - r / self.cutoff).pow(4), first)
        for name, output in outputs.items():
            if name == "energy":
                results[name] = energy_output(systems, 2.0 * density, output, selected_atoms)
            elif name == "energy/shifted":
                results[name] = energy_output(systems, 2.0 * density + 1.0, output, selected_atoms)
            elif name == "energy_uncertainty" and output.sample_kind == "system":
                # uncertainties of atoms add up in squares
                total = (0.1 * density).square().sum().sqrt().reshape(1)
                results[name] = per_system_output(name, systems, total)
            elif name == "energy_uncertainty":
                results[name] = energy_output(systems, 0.1 * density, output, selected_atoms)
            elif name == "energy_ensemble":
                values = 2.0 * density.unsqueeze(1) * self.spread.to(density.dtype)
                results[name] = energy_output(systems, values, output, selected_atoms)
            elif name == "charge" or name == "charges":
                results[name] = per_atom_output(name, systems, density - 1.0, output, selected_atoms)
            elif name == "feature" or name == "features":
                features = torch.stack([density, density**2], 1)
                results[name] = per_atom_output(name, systems, features, output, selected_atoms, None, "f")
            elif name.startswith("non_conservative_force"):
                forces = self.forces_and_virial(systems)[0]
                results[name] = per_atom_output(name, systems, forces, output, selected_atoms)
            elif name == "non_conservative_stress":
                stress = -self.forces_and_virial(systems)[1] / torch.linalg.det(systems[0].cell).abs()
                results[name] = per_system_output(name, systems, stress.unsqueeze(0))
        return results

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(self.cutoff, True, True)]


class Inputs(torch.nn.Module):
    """Energy from masses (u), charges (e), velocities (angstrom/fs) and momenta of all neighbors."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        system = systems[0]
        mass = system.get_data("masses").block_by_id(0).values.reshape(-1)
        charge = system.get_data("charges").block_by_id(0).values.reshape(-1)
        velocity = system.get_data("velocities").block_by_id(0).values.reshape(-1, 3)
        momentum = system.get_data("momenta").block_by_id(0).values.reshape(-1, 3)
        own = mass + 2.0 * charge + 1000.0 * velocity.square().sum(1) + (velocity * momentum).sum(1)
        r, first, second = pairs_of(systems, NeighborListOptions(4.0, True, True))
        energies = own + sum_at_atoms(systems, own.index_select(0, second) * (1.0 - r / 4.0).pow(3), first)
        return {"energy": energy_output(systems, energies, outputs["energy"], selected_atoms)}

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(4.0, True, True)]

    def requested_inputs(self) -> Dict[str, ModelOutput]:
        return {
            "masses": ModelOutput(unit="u", sample_kind="atom"),
            "charges": ModelOutput(unit="e", sample_kind="atom"),
            "velocities": ModelOutput(unit="angstrom/fs", sample_kind="atom"),
            "momenta": ModelOutput(unit="u*angstrom/fs", sample_kind="atom"),
        }


class CountAtoms(torch.nn.Module):
    """The energy of an atom is the number of atoms that the model sees, in eV."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        r, first, _ = pairs_of(systems, NeighborListOptions(4.0, True, True))
        energies = sum_at_atoms(systems, 0.0 * r, first)
        # not `float(len(system))`, which a trace would take for a constant
        energies = energies + torch.ones_like(energies).sum()
        return {"energy": energy_output(systems, energies, outputs["energy"], selected_atoms)}

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(4.0, True, True)]


class Alone(torch.nn.Module):
    """The energy of an atom is 1.25 eV wherever it is; no neighbor lists."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies = 1.25 + 0.0 * systems[0].positions.sum(1)
        return {"energy": energy_output(systems, energies, outputs["energy"], selected_atoms)}


class Failing(torch.nn.Module):
    """Fails in one way where an atom of type 8 has a neighbor closer than a distance."""

    def __init__(self, how: str, distance: float):
        super().__init__()
        self.how = how
        self.distance = distance

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        r, first, _ = pairs_of(systems, NeighborListOptions(4.0, True, True))
        energies = sum_at_atoms(systems, (1.0 - r / 4.0).pow(4), first)
        close = (r < self.distance) & (all_types(systems).index_select(0, first) == 8)
        if bool(close.any()):
            if self.how == "raise":
                raise ValueError("expected atoms further apart, got close ones")
            if self.how == "gradient":
                # zero, with a derivative that is not finite
                energies = energies + sum_at_atoms(systems, (r - r.detach()).abs().sqrt() * close.to(r.dtype), first)
            if self.how == "nan":
                factor = torch.ones_like(r)
                factor[close] = float("nan")
                energies = sum_at_atoms(systems, (1.0 - r / 4.0).pow(4) * factor, first)
        return {"energy": energy_output(systems, energies, outputs["energy"], selected_atoms)}

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(4.0, True, True)]


ENERGY = {"energy": ModelOutput(unit="eV", sample_kind="atom")}
MANY = {
    "energy": ModelOutput(unit="eV", sample_kind="atom", description="zero for isolated atoms"),
    "energy/shifted": ModelOutput(unit="eV", sample_kind="atom", description="1 eV more for each atom"),
    "energy_uncertainty": ModelOutput(unit="eV", sample_kind="atom"),
    "energy_ensemble": ModelOutput(unit="eV", sample_kind="atom"),
    "charge": ModelOutput(unit="e", sample_kind="atom"),
    "feature": ModelOutput(sample_kind="atom"),
    "non_conservative_force": ModelOutput(unit="eV/angstrom", sample_kind="atom"),
    "non_conservative_stress": ModelOutput(unit="eV/angstrom^3", sample_kind="system"),
}


def export(module: torch.nn.Module, path: object, outputs=None, reach: float = CUTOFF, dtype: str = "float64", **units):
    """Save a module as a model file, and give its path."""
    capabilities = ModelCapabilities(
        outputs=ENERGY if outputs is None else outputs,
        atomic_types=units.get("types", TYPES),
        interaction_range=reach,
        length_unit=units.get("length_unit", "angstrom"),
        supported_devices=units.get("devices", ["cpu"]),
        dtype=dtype,
    )
    AtomisticModel(module.eval(), ModelMetadata(type(module).__name__), capabilities).save(
        str(path), exported=units.get("exported")
    )
    return path
