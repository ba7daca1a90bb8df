"""Small models whose formulas are known: `oracles` has each of them in NumPy.

Each shows another kind of mistake: several species and lists of different kinds and cutoffs, messages that reach
beyond the neighbors, inputs, outputs of all shapes, variants, direct predictions, other units, single precision,
positions and cells that are used directly, and results that are not finite.  All of them can be traced.
"""

import dataclasses
from collections.abc import Callable
from typing import Dict, List, Optional, Tuple

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core.authors import (
    all_positions,
    energy_output,
    pairs,
    per_atom_output,
    per_system_output,
    species_index,
    species_table,
    structure_index,
    sum_at_atoms,
)
from metatomic_core.data.capabilities import ModelCapabilities
from metatomic_core.data.metadata import ModelMetadata
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.system import System
from metatomic_core.model.atomistic_model import AtomisticModel

from . import parameters as numbers
from .oracles import CHARGE_IN_AC, EV_IN_KCAL_PER_MOL


def distances(vectors: torch.Tensor) -> torch.Tensor:
    """Give the lengths of vectors."""
    return vectors.square().sum(1).sqrt()


class Species(torch.nn.Module):
    """Numbers of the species, in the order of `parameters.TYPES`."""

    table: torch.Tensor
    isolated: torch.Tensor
    strength: torch.Tensor
    density: torch.Tensor
    state: torch.Tensor
    push: torch.Tensor

    def __init__(self, **values: object):
        super().__init__()
        self.register_buffer("table", species_table(list(numbers.TYPES)))
        for name, numbers_of_species in values.items():
            self.register_buffer(name, torch.tensor(numbers_of_species, dtype=torch.float64))


class TwoLists(Species):
    """Embedded atoms with bonds that have angles in a full list, and repulsion of pairs in a shorter half list.

    ``energy`` and ``length`` are eV and angstrom in the units of the model.
    """

    def __init__(self, energy: float = 1.0, length: float = 1.0):
        super().__init__(isolated=numbers.ISOLATED, strength=numbers.STRENGTH, density=numbers.DENSITY)
        self.energy = energy
        self.cutoff, self.short = numbers.CUTOFF * length, numbers.SHORT_CUTOFF * length
        self.bend = numbers.BEND

    def embedding(self, systems: List[System], species: torch.Tensor) -> torch.Tensor:
        first, second, vectors = pairs(systems, NeighborListOptions(self.cutoff, full_list=True, strict=True))
        r = distances(vectors)
        n = self.density.size(0)
        kinds = n * species.index_select(0, first) + species.index_select(0, second)
        parts = self.density.reshape(-1).index_select(0, kinds).to(r.dtype) * (1.0 - r / self.cutoff).pow(4)
        density = sum_at_atoms(systems, parts, first)
        bent = sum_at_atoms(systems, (parts / r).unsqueeze(1) * vectors, first)
        return 1.0 - (1.0 + density + self.bend * bent.square().sum(1)).sqrt()

    def repulsion(self, systems: List[System], species: torch.Tensor) -> torch.Tensor:
        first, second, vectors = pairs(systems, NeighborListOptions(self.short, full_list=False, strict=True))
        r = distances(vectors)
        strength = self.strength.to(r.dtype)
        strengths = strength.index_select(0, species.index_select(0, first))
        strengths = strengths * strength.index_select(0, species.index_select(0, second))
        half = 0.5 * strengths * (1.0 - r / self.short).pow(4)
        return sum_at_atoms(systems, half, first) + sum_at_atoms(systems, half, second)

    def energies(self, systems: List[System]) -> torch.Tensor:
        species = species_index(systems, self.table)
        isolated = self.isolated.to(systems[0].positions.dtype).index_select(0, species)
        return self.energy * (isolated + self.embedding(systems, species) + self.repulsion(systems, species))

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies = self.energies(systems)
        return {name: energy_output(systems, energies, output, selected_atoms) for name, output in outputs.items()}

    @torch.jit.export
    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [
            NeighborListOptions(self.cutoff, full_list=True, strict=True, requestor="embedding"),
            NeighborListOptions(self.short, full_list=False, strict=True, requestor="repulsion"),
        ]


class Messages(Species):
    """Two steps of message passing: the energy of an atom depends on neighbors of its neighbors."""

    def __init__(self) -> None:
        super().__init__(state=numbers.STATE)
        self.cutoff = numbers.MESSAGE_CUTOFF

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        first, second, vectors = pairs(systems, NeighborListOptions(self.cutoff, full_list=True, strict=True))
        r = distances(vectors)
        weight = (1.0 - r / self.cutoff).pow(4)
        state = self.state.to(r.dtype).index_select(0, species_index(systems, self.table))
        energies = torch.zeros_like(state)
        for layer in range(2):
            message = 4.0 * weight * torch.cos((layer + 1.0) * r) * state.index_select(0, second)
            state = torch.tanh(sum_at_atoms(systems, message, first)) + 0.5 * state
            energies = energies - 0.7 * state + 0.4 * state * state
        return {"energy": energy_output(systems, energies, outputs["energy"], selected_atoms)}

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(self.cutoff, full_list=True, strict=True)]


class ManyOutputs(Species):
    """Outputs of atoms and of structures, a variant of the energy, and direct forces and stress."""

    def __init__(self) -> None:
        super().__init__(push=numbers.PUSH)
        self.base = TwoLists()
        self.cutoff = numbers.CUTOFF
        self.squeeze = numbers.SQUEEZE

    def geometry(self, systems: List[System]) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        first, second, vectors = pairs(systems, NeighborListOptions(self.cutoff, full_list=True, strict=True))
        r = distances(vectors).unsqueeze(1)
        kinds = species_index(systems, self.table).index_select(0, second)
        push = self.push.to(r.dtype).index_select(0, kinds).unsqueeze(1)
        return first, (1.0 - r / self.cutoff), push, vectors / r

    def stress(self, systems: List[System], first: torch.Tensor, pulls: torch.Tensor) -> torch.Tensor:
        sums = torch.zeros([len(systems), 9], dtype=pulls.dtype, device=pulls.device)
        sums = sums.index_add(0, structure_index(systems).index_select(0, first), pulls)
        cells = torch.stack([system.cell for system in systems])
        volumes = (cells[:, 0] * torch.linalg.cross(cells[:, 1], cells[:, 2])).sum(1).abs()
        return sums.reshape(-1, 3, 3) / volumes.reshape(-1, 1, 1)

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies = self.base.energies(systems)
        first, reach, push, unit = self.geometry(systems)
        results: Dict[str, TensorMap] = {}
        for name, output in outputs.items():
            if name == "energy/doubled":
                results[name] = energy_output(systems, 2.0 * energies, output, selected_atoms)
            elif name.startswith("energy"):
                results[name] = energy_output(systems, energies, output, selected_atoms)
            elif name.startswith("feature"):
                parts = torch.cat([reach, push * reach.square()], 1)
                values = sum_at_atoms(systems, parts, first)
                results[name] = per_atom_output(name, systems, values, output, selected_atoms, None, "feature")
            elif name.startswith("dipole"):
                arrows = sum_at_atoms(systems, push * reach.square() * unit, first)
                sums = torch.zeros([len(systems), 3], dtype=arrows.dtype, device=arrows.device)
                results[name] = per_system_output(name, systems, sums.index_add(0, structure_index(systems), arrows))
            elif name.startswith("non_conservative_force"):
                forces = sum_at_atoms(systems, push * reach.pow(3) * unit, first)
                results[name] = per_atom_output(name, systems, forces, output, selected_atoms)
            else:
                pulls = self.squeeze * reach.square().unsqueeze(2) * unit.unsqueeze(2) * unit.unsqueeze(1)
                results[name] = per_system_output(name, systems, self.stress(systems, first, pulls.reshape(-1, 9)))
        return results


class AtomInputs(torch.nn.Module):
    """Needs the charge of each atom."""

    def __init__(self) -> None:
        super().__init__()
        self.cutoff, self.unit = numbers.CUTOFF, CHARGE_IN_AC
        self.hardness, self.coulomb = numbers.HARDNESS, numbers.COULOMB

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        first, second, vectors = pairs(systems, NeighborListOptions(self.cutoff, full_list=True, strict=True))
        charges = [system.get_data("charge").block_by_id(0).values.reshape(-1) for system in systems]
        charge = torch.cat(charges) / self.unit
        weight = (1.0 - distances(vectors) / self.cutoff).pow(4)
        potential = sum_at_atoms(systems, weight * charge.index_select(0, second), first)
        energies = self.hardness * charge.square() + self.coulomb * charge * potential
        return {"energy": energy_output(systems, energies, outputs["energy"], selected_atoms)}

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(self.cutoff, full_list=True, strict=True)]

    def requested_inputs(self) -> Dict[str, ModelOutput]:
        return {"charge": ModelOutput(unit="aC", sample_kind="atom")}


class SystemInputs(torch.nn.Module):
    """Needs the charge and the spin multiplicity of the structure."""

    def __init__(self) -> None:
        super().__init__()
        self.base = TwoLists()
        self.affinity, self.splitting = numbers.AFFINITY, numbers.SPIN_SPLITTING

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        charges: List[torch.Tensor] = []
        spins: List[torch.Tensor] = []
        for system in systems:
            charges.append(system.get_data("charge").block_by_id(0).values.reshape(1))
            spins.append(system.get_data("spin_multiplicity").block_by_id(0).values.reshape(1))
        index = structure_index(systems)
        charge, spin = torch.cat(charges).index_select(0, index), torch.cat(spins).index_select(0, index)
        energies = self.base.energies(systems) * (1.0 + self.affinity * charge) - self.splitting * spin
        return {"energy": energy_output(systems, energies, outputs["energy"], selected_atoms)}

    def requested_inputs(self) -> Dict[str, ModelOutput]:
        return {
            "charge": ModelOutput(unit="e", sample_kind="system"),
            "spin_multiplicity": ModelOutput(sample_kind="system"),
        }


class FieldAndPressure(torch.nn.Module):
    """Uses positions and cell directly, besides pairs: its virial is not symmetric."""

    field: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.base = TwoLists()
        self.pressure = numbers.PRESSURE
        # a buffer: a tensor of numbers that is made in scripted code goes through float32
        self.register_buffer("field", torch.tensor(numbers.FIELD, dtype=torch.float64))

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        positions = all_positions(systems)
        energies = self.base.energies(systems) + (self.field.to(positions.dtype) * positions).sum(1)
        shares: List[torch.Tensor] = []
        for system in systems:
            cell = system.cell
            volume = torch.dot(cell[0], torch.linalg.cross(cell[1], cell[2]))
            shares.append((self.pressure * volume / len(system)).reshape(1))
        energies = energies + torch.cat(shares).index_select(0, structure_index(systems))
        return {"energy": energy_output(systems, energies, outputs["energy"], selected_atoms)}


class NotFinite(torch.nn.Module):
    """Gives an energy that is not a number where two atoms are too close."""

    def __init__(self) -> None:
        super().__init__()
        self.base = TwoLists()
        self.limit = numbers.TOO_CLOSE

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        first, _, vectors = pairs(systems, NeighborListOptions(self.base.cutoff, full_list=True, strict=True))
        # square roots of negative numbers
        lost = (distances(vectors) - self.limit).clamp(max=0.0).sqrt()
        energies = self.base.energies(systems) + sum_at_atoms(systems, lost, first)
        return {"energy": energy_output(systems, energies, outputs["energy"], selected_atoms)}


@dataclasses.dataclass(frozen=True)
class TrialModel:
    """A model that standard tests use.

    Attributes
    ----------
    module
        Makes its module.
    formula
        Its name in `oracles.FORMULAS`.
    reach
        How far atoms feel each other, in its unit of length.
    outputs
        Its outputs; by default an energy of each atom.
    units
        Its units of energy and length.
    dtype
        Its precision.
    """

    module: Callable[[], torch.nn.Module]
    formula: str
    reach: float = numbers.CUTOFF
    outputs: dict[str, ModelOutput] = dataclasses.field(default_factory=dict)
    units: tuple[str, str] = ("eV", "angstrom")
    dtype: str = "float64"

    def make(self, devices: list[str]) -> AtomisticModel:
        """Make the model.

        Parameters
        ----------
        devices
            Devices that it runs on, the best one first.

        Returns
        -------
        AtomisticModel
            The model.
        """
        energy, length = self.units
        capabilities = ModelCapabilities(
            outputs=self.outputs or {"energy": ModelOutput(unit=energy, sample_kind="atom")},
            atomic_types=list(numbers.TYPES),
            interaction_range=self.reach,
            length_unit=length,
            supported_devices=devices,
            dtype=self.dtype,
        )
        module = self.module().eval()
        return AtomisticModel(module, ModelMetadata(f"trial model {type(module).__name__}"), capabilities)


MODELS: dict[str, TrialModel] = {
    "two lists": TrialModel(TwoLists, "two lists"),
    "messages": TrialModel(Messages, "messages", 2 * numbers.MESSAGE_CUTOFF),
    "many outputs": TrialModel(
        ManyOutputs,
        "two lists",
        outputs={
            "energy": ModelOutput(unit="eV", sample_kind="atom", description="as of two lists"),
            "energy/doubled": ModelOutput(unit="eV", sample_kind="atom", description="twice as much"),
            "feature": ModelOutput(sample_kind="atom"),
            "dipole": ModelOutput(unit="e*angstrom", sample_kind="system"),
            "non_conservative_force": ModelOutput(unit="eV/angstrom", sample_kind="atom"),
            "non_conservative_stress": ModelOutput(unit="eV/angstrom^3", sample_kind="system"),
        },
    ),
    "atom inputs": TrialModel(AtomInputs, "atom inputs"),
    "system inputs": TrialModel(SystemInputs, "system inputs"),
    "other units": TrialModel(
        lambda: TwoLists(EV_IN_KCAL_PER_MOL, 0.1), "two lists", 0.1 * numbers.CUTOFF, units=("kcal/mol", "nm")
    ),
    "single precision": TrialModel(TwoLists, "two lists", dtype="float32"),
    "field": TrialModel(FieldAndPressure, "field"),
    "not finite": TrialModel(NotFinite, "two lists"),
}
