"""Scripted models for the LAMMPS tests: message passing, triangles, many outputs, inputs, and models that fail."""

from typing import Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorMap
from models import as_map, atom_samples, is_selected, per_atom_map, system_samples

from metatomic_core import AtomisticModel, ModelCapabilities, ModelMetadata, ModelOutput, NeighborListOptions, System

CUTOFF = 4.5
TYPES = [8, 14]
DEPTH = 0.5


def pairs_of(system: System, options: NeighborListOptions) -> List[torch.Tensor]:
    """Give distances, first and second atoms of both directions of each pair."""
    block = system.get_neighbor_list(options)
    samples = block.samples.values.to(torch.int64)
    first, second = samples[:, 0].contiguous(), samples[:, 1].contiguous()
    r = block.values.squeeze(-1).square().sum(1).sqrt()
    if options.full_list:
        return [r, first, second]
    return [torch.cat([r, r]), torch.cat([first, second]), torch.cat([second, first])]


def gather(values: torch.Tensor, first: torch.Tensor, n_atoms: int) -> torch.Tensor:
    return torch.zeros(n_atoms, dtype=values.dtype, device=values.device).index_add(0, first, values)


class Layers(torch.nn.Module):
    """Messages over one or two steps: what an atom sends depends on what it received."""

    def __init__(self, n_layers: int, full_list: bool, cutoff: float = CUTOFF):
        super().__init__()
        self.n_layers = n_layers
        self.full_list = full_list
        self.cutoff = cutoff

    def energies(self, system: System) -> torch.Tensor:
        r, first, second = pairs_of(system, NeighborListOptions(self.cutoff, self.full_list, True))
        weight = (1.0 - r / self.cutoff).clamp(min=0.0).pow(4)
        state = system.types.to(r.dtype) / 10.0
        total = torch.zeros_like(state)
        for layer in range(self.n_layers):
            message = weight * torch.cos((layer + 1.0) * r) * state.index_select(0, second)
            state = torch.tanh(gather(message, first, len(system))) + 0.3 * state
            total = total - 0.5 * state + 0.4 * state * state
        return total + gather(2.0 * weight, first, len(system))

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies = torch.cat([self.energies(system) for system in systems]).unsqueeze(1)
        results: Dict[str, TensorMap] = {}
        for name, output in outputs.items():
            results[name] = per_atom_map(energies, systems, output.sample_kind, selected_atoms, "energy")
        return results

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(self.cutoff, self.full_list, True)]


class Triangles(torch.nn.Module):
    """Needs the pairs between neighbors of an atom, although its range is the cutoff."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        n = len(systems[0])
        r, first, second = pairs_of(systems[0], NeighborListOptions(4.0, True, True))
        weight = (1.0 - r / 4.0).clamp(min=0.0).pow(3)
        matrix = torch.zeros(n * n, dtype=r.dtype).index_add(0, first * n + second, weight).reshape(n, n)
        energies = (matrix * (matrix @ matrix)).sum(1).unsqueeze(1)
        return {"energy": per_atom_map(energies, systems, outputs["energy"].sample_kind, selected_atoms, "energy")}

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
        self.cutoff = CUTOFF

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        system = systems[0]
        n = len(system)
        r, first, second = pairs_of(system, NeighborListOptions(self.cutoff, True, True))
        sends = (system.types == self.only_type).to(r.dtype)
        weight = (1.0 - r / self.reach).clamp(min=0.0).pow(4) * sends.index_select(0, first)
        weight = weight * sends.index_select(0, second)
        received = gather(weight, first, n)
        again = gather(weight * received.index_select(0, second), first, n)
        energies = (gather((1.0 - r / self.cutoff).pow(4), first, n) + again).unsqueeze(1)
        return {"energy": per_atom_map(energies, systems, outputs["energy"].sample_kind, selected_atoms, "energy")}

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

    def forces_and_virial(self, system: System) -> List[torch.Tensor]:
        """Forces of E = sum of 2 (1 - r/c)^4 over directed pairs; -dE/dstrain."""
        vectors = system.get_neighbor_list(NeighborListOptions(self.cutoff, True, True)).values.squeeze(-1)
        samples = system.get_neighbor_list(NeighborListOptions(self.cutoff, True, True)).samples.values.to(torch.int64)
        r = vectors.square().sum(1, keepdim=True).sqrt()
        push = 8.0 / self.cutoff * (1.0 - r / self.cutoff).pow(3) * vectors / r
        forces = torch.zeros_like(system.positions).index_add(0, samples[:, 0].contiguous(), -push)
        forces = forces.index_add(0, samples[:, 1].contiguous(), push)
        return [self.factor * forces, self.factor * (vectors.T @ push)]

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        results: Dict[str, TensorMap] = {}
        system = systems[0]
        r, first, _ = pairs_of(system, NeighborListOptions(self.cutoff, True, True))
        density = gather((1.0 - r / self.cutoff).pow(4), first, len(system)).unsqueeze(1)
        chosen = is_selected(systems, selected_atoms)
        labels = Labels(["system", "atom"], atom_samples(systems).values[chosen])
        xyz = Labels(["xyz"], torch.tensor([[0], [1], [2]]))
        for name, output in outputs.items():
            kind = output.sample_kind
            if name == "energy":
                results[name] = per_atom_map(2.0 * density, systems, kind, selected_atoms, "energy")
            elif name == "energy/shifted":
                results[name] = per_atom_map(2.0 * density + 1.0, systems, kind, selected_atoms, "energy")
            elif name == "energy_uncertainty" and kind == "system":
                # uncertainties of atoms add up in squares
                total = (0.1 * density).square().sum().sqrt().reshape(1, 1)
                results[name] = as_map(total, system_samples(systems), [], "energy")
            elif name == "energy_uncertainty":
                results[name] = per_atom_map(0.1 * density, systems, kind, selected_atoms, "energy")
            elif name == "energy_ensemble":
                values = 2.0 * density * self.spread.to(density.dtype)
                results[name] = per_atom_map(values, systems, kind, selected_atoms, "energy")
            elif name == "charge" or name == "charges":
                results[name] = per_atom_map(density - 1.0, systems, kind, selected_atoms, "charge")
            elif name == "feature" or name == "features":
                results[name] = per_atom_map(torch.cat([density, density**2], 1), systems, kind, selected_atoms, "f")
            elif name.startswith("non_conservative_force"):
                forces = self.forces_and_virial(system)[0]
                results[name] = as_map(forces[chosen].unsqueeze(-1), labels, [xyz], "non_conservative_force")
            elif name == "non_conservative_stress":
                components = [Labels(["xyz_" + i], torch.tensor([[0], [1], [2]])) for i in ["1", "2"]]
                stress = -self.forces_and_virial(system)[1] / torch.linalg.det(system.cell).abs()
                results[name] = as_map(
                    stress.reshape(1, 3, 3, 1), system_samples(systems), components, "non_conservative_stress"
                )
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
        r, first, second = pairs_of(system, NeighborListOptions(4.0, True, True))
        seen = gather(own.index_select(0, second) * (1.0 - r / 4.0).pow(3), first, len(system))
        energies = (own + seen).unsqueeze(1)
        return {"energy": per_atom_map(energies, systems, outputs["energy"].sample_kind, selected_atoms, "energy")}

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
        system = systems[0]
        r, first, _ = pairs_of(system, NeighborListOptions(4.0, True, True))
        energies = gather(0.0 * r, first, len(system)) + float(len(system))
        kind = outputs["energy"].sample_kind
        return {"energy": per_atom_map(energies.unsqueeze(1), systems, kind, selected_atoms, "energy")}

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(4.0, True, True)]


class Alone(torch.nn.Module):
    """The energy of an atom is 1.25 eV wherever it is; no neighbor lists."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies = 1.25 + 0.0 * systems[0].positions.sum(1, keepdim=True)
        return {"energy": per_atom_map(energies, systems, outputs["energy"].sample_kind, selected_atoms, "energy")}


class Failing(torch.nn.Module):
    """Fails in one way where an atom of type 8 has a neighbor closer than a distance."""

    def __init__(self, how: str, distance: float):
        super().__init__()
        self.how = how
        self.distance = distance

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        system = systems[0]
        r, first, _ = pairs_of(system, NeighborListOptions(4.0, True, True))
        energies = gather((1.0 - r / 4.0).pow(4), first, len(system))
        close = (r < self.distance) & (system.types.index_select(0, first) == 8)
        if bool(close.any()):
            if self.how == "raise":
                raise ValueError("expected atoms further apart, got close ones")
            if self.how == "gradient":
                # zero, with a derivative that is not finite
                energies = energies + gather((r - r.detach()).abs().sqrt() * close.to(r.dtype), first, len(system))
            if self.how == "nan":
                factor = torch.ones_like(r)
                factor[close] = float("nan")
                energies = gather((1.0 - r / 4.0).pow(4) * factor, first, len(system))
        return {
            "energy": per_atom_map(
                energies.unsqueeze(1), systems, outputs["energy"].sample_kind, selected_atoms, "energy"
            )
        }

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
    AtomisticModel(module.eval(), ModelMetadata(type(module).__name__), capabilities).save(str(path))
    return path
