"""Small scripted models, and structures to try them on, that several test folders share."""

import tempfile
from typing import Dict, List, Optional

import numpy as np
import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from metatomic_core import (
    AtomisticModel,
    LoadedModel,
    ModelCapabilities,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
    load_atomistic_model,
)
from metatomic_core.authors import (
    all_positions,
    all_types,
    atom_labels,
    energy_output,
    one_block,
    pairs,
    per_atom_output,
    per_pair_output,
    per_system_output,
    sum_at_atoms,
    system_labels,
)
from metatomic_core.engine import Structure

# names that several test files use
as_map = one_block
atom_samples = atom_labels
system_samples = system_labels

CUTOFF = 4.0
SHORT_CUTOFF = 2.5


def per_atom_map(
    per_atom: torch.Tensor,
    systems: List[System],
    kind: str,
    selected_atoms: Optional[Labels],
    property_name: str,
) -> TensorMap:
    """Give per-atom values (n_atoms, n_properties) of the selected atoms, or their sums over each system."""
    output = ModelOutput(sample_kind=kind)
    return per_atom_output("tests::values", systems, per_atom, output, selected_atoms, None, property_name)


def reversed_samples(tensor: TensorMap) -> TensorMap:
    """Give the same map of one block with its samples in reverse order."""
    block = tensor.block_by_id(0)
    samples = Labels(block.samples.names, block.samples.values.flip(0))
    return TensorMap(tensor.keys, [TensorBlock(block.values.flip(0), samples, block.components, block.properties)])


def density(systems: List[System], options: NeighborListOptions) -> torch.Tensor:
    """Give a density at each atom, from a full list; smooth at the cutoff."""
    first, second, vectors = pairs(systems, options)
    r = vectors.square().sum(1).sqrt()
    weight = all_types(systems).index_select(0, second).to(r.dtype) / 10.0
    return sum_at_atoms(systems, weight * (1.0 - r / options.cutoff).pow(5), first)


def repulsion(systems: List[System], options: NeighborListOptions) -> torch.Tensor:
    """Give a pair energy, half to each atom, from a half list."""
    first, second, vectors = pairs(systems, options)
    r = vectors.square().sum(1).sqrt()
    half = 1.5 * (1.0 - r / options.cutoff).pow(5)
    return sum_at_atoms(systems, half, first).index_add(0, second, half)


class ManyBody(torch.nn.Module):
    """Energy of an embedded atom in a full list; asked for by `TwoLists`."""

    def __init__(self, cutoff: float):
        super().__init__()
        self.cutoff = cutoff

    def forward(self, systems: List[System]) -> torch.Tensor:
        return -(1.0 + density(systems, NeighborListOptions(self.cutoff, True, True))).sqrt() + 1.0

    @torch.jit.export
    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(self.cutoff, True, True, "many-body")]


class TwoLists(torch.nn.Module):
    """Sees geometry only through a full and a half list of different cutoffs; `scale` sets its energy unit."""

    def __init__(self, scale: float = 1.0, length: float = 1.0):
        super().__init__()
        self.scale = scale
        self.many_body = ManyBody(CUTOFF * length)
        self.short = SHORT_CUTOFF * length
        self.register_buffer("spread", torch.tensor([0.9, 1.0, 1.1], dtype=torch.float64))

    def atomic_energies(self, systems: List[System]) -> torch.Tensor:
        pair = repulsion(systems, NeighborListOptions(self.short, False, True))
        return self.scale * (self.many_body(systems) + pair)

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies = self.atomic_energies(systems)
        results: Dict[str, TensorMap] = {}
        for name, output in outputs.items():
            values = energies
            if name == "energy/doubled":
                values = 2.0 * energies
            elif name == "energy_ensemble":
                values = energies.unsqueeze(1) * self.spread.to(energies.dtype)
            elif name == "energy_uncertainty":
                values = 0.1 * energies.abs()
            results[name] = energy_output(systems, values, output, selected_atoms)
        return results

    @torch.jit.export
    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(self.short, False, True, "pairs")]


class NoLists(torch.nn.Module):
    """A harmonic trap: sees positions only; has explicit gradients."""

    def __init__(self):
        super().__init__()
        self.register_buffer("k", torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        positions = all_positions(systems)
        k = self.k.to(positions.dtype)
        output = outputs["energy"]
        result = energy_output(systems, (0.5 * k * positions.square()).sum(1), output, selected_atoms)
        # blocks inside of a map are not to be changed
        block = result.block_by_id(0).copy()
        if "positions" in output.explicit_gradients:
            xyz = Labels(["xyz"], torch.tensor([[0], [1], [2]]))
            atoms = atom_labels(systems).values
            samples = Labels(["sample", "system", "atom"], torch.cat([atoms[:, :1], atoms], dim=1))
            gradient = TensorBlock((k * positions).unsqueeze(-1), samples, [xyz], block.properties)
            block.add_gradient("positions", gradient)
        if "strain" in output.explicit_gradients:
            components = [Labels(["xyz_" + i], torch.tensor([[0], [1], [2]])) for i in ["1", "2"]]
            strain = torch.stack([system.positions.T @ (k * system.positions) for system in systems])
            samples = Labels(["sample"], torch.arange(len(systems)).reshape(-1, 1))
            block.add_gradient("strain", TensorBlock(strain.unsqueeze(-1), samples, components, block.properties))
        return {"energy": TensorMap(result.keys, [block])}


class SquaredGradient(torch.nn.Module):
    """Differentiates with respect to positions itself: its energy contains its own squared forces."""

    def __init__(self):
        super().__init__()
        self.base = TwoLists()

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies: List[torch.Tensor] = []
        for system in systems:
            energy = self.base.atomic_energies([system])
            gradient = torch.autograd.grad([energy.sum()], [system.positions], create_graph=True, allow_unused=True)[0]
            if gradient is not None:
                energy = energy + 0.3 * gradient.square().sum(1)
            energies.append(energy)
        return {"energy": energy_output(systems, torch.cat(energies), outputs["energy"], selected_atoms)}


class FieldAndVolume(torch.nn.Module):
    """Uses positions and cell directly, besides pairs: a field on each atom and a term of the volume."""

    def __init__(self):
        super().__init__()
        self.base = TwoLists()
        # a buffer: `torch.tensor([0.3, ...])` in scripted code goes through float32
        self.register_buffer("field", torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64))

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies: List[torch.Tensor] = []
        for system in systems:
            field = self.field.to(system.positions.dtype)
            cell = system.cell
            volume = torch.dot(cell[0], torch.linalg.cross(cell[1], cell[2]))
            per_atom = self.base.atomic_energies([system]) + (field * system.positions).sum(1)
            energies.append(per_atom + 0.01 * volume / len(system))
        return {"energy": energy_output(systems, torch.cat(energies), outputs["energy"], selected_atoms)}


class WithInputs(torch.nn.Module):
    """Needs masses, charges, a spin multiplicity and a quantity of its own."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies: List[torch.Tensor] = []
        for system in systems:
            mass = system.get_data("mass").block_by_id(0).values.squeeze(-1)
            charge = system.get_data("charge").block_by_id(0).values.squeeze(-1)
            spin = system.get_data("spin_multiplicity").block_by_id(0).values.reshape(())
            field = system.get_data("tests::field").block_by_id(0).values.reshape(1, 3)
            energies.append(mass + charge.square() * spin + (field * system.positions).sum(1))
        return {"energy": energy_output(systems, torch.cat(energies), outputs["energy"], selected_atoms)}

    def requested_inputs(self) -> Dict[str, ModelOutput]:
        return {
            "masses": ModelOutput(unit="u", sample_kind="atom"),
            "charge": ModelOutput(unit="e", sample_kind="atom"),
            "spin_multiplicity": ModelOutput(sample_kind="system"),
            "tests::field": ModelOutput(unit="eV/angstrom", sample_kind="system"),
        }


class Direct(torch.nn.Module):
    """Predicts forces and stress beside energy, with samples in reverse order; knows the plural name of forces."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        results: Dict[str, TensorMap] = {}
        positions = all_positions(systems)
        for name, output in outputs.items():
            if name.startswith("energy"):
                results[name] = energy_output(systems, positions.square().sum(1), output, selected_atoms)
            elif name.startswith("non_conservative_force"):
                # by atom: the number of the atom within its system, and of the system
                number = atom_labels(systems).values.flip(1).to(positions.dtype)
                forces = torch.cat([number, positions[:, :1]], dim=1)
                results[name] = reversed_samples(per_atom_output(name, systems, forces, output, selected_atoms))
            else:
                stress = torch.stack([system.cell for system in systems])
                results[name] = reversed_samples(per_system_output(name, systems, stress))
        return results


class Pairs(torch.nn.Module):
    """Gives distances per atom pair."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        options = NeighborListOptions(3.0, True, True)
        distances = pairs(systems, options)[2].square().sum(1).sqrt()
        return {"tests::pairs": per_pair_output("tests::pairs", systems, options, distances, "distance")}

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(3.0, True, True)]


class Probe(torch.nn.Module):
    """Tells whether a graph is recorded."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        neighbors = systems[0].get_neighbor_list(NeighborListOptions(3.0, True, True)).values
        recorded = 1.0 if neighbors.requires_grad or systems[0].positions.requires_grad else 0.0
        energies = all_positions(systems).sum(1)
        results = {"energy": energy_output(systems, energies, ModelOutput(), None)}
        if "tests::graph" in outputs:
            values = torch.full([len(systems)], recorded, dtype=energies.dtype)
            results["tests::graph"] = per_system_output("tests::graph", systems, values, None, "recorded")
        return results

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(3.0, True, True)]


def wrap(
    module: torch.nn.Module,
    outputs: Optional[Dict[str, ModelOutput]] = None,
    *,
    energy_unit: str = "eV",
    length_unit: str = "angstrom",
    interaction_range: float = CUTOFF,
    dtype: str = "float64",
    supported_devices: Optional[List[str]] = None,
) -> AtomisticModel:
    """Wrap a module whose outputs are an energy per atom, if nothing else is said."""
    if outputs is None:
        outputs = {"energy": ModelOutput(unit=energy_unit, sample_kind="atom")}
    capabilities = ModelCapabilities(
        outputs=outputs,
        atomic_types=[1, 6, 8, 14],
        interaction_range=interaction_range,
        length_unit=length_unit,
        supported_devices=supported_devices or ["cpu"],
        dtype=dtype,
    )
    return AtomisticModel(module.eval(), ModelMetadata(type(module).__name__), capabilities)


_FILES: Dict[str, LoadedModel] = {}


def through_file(model: AtomisticModel) -> LoadedModel:
    """Save a model and load it; equal models once in a test session, because compiling takes long."""
    settings = {name: value for name, value in vars(model.module).items() if isinstance(value, (int, float, str))}
    key = f"{type(model.module).__qualname__} {settings} {model.capabilities()!r}"
    if key not in _FILES:
        with tempfile.TemporaryDirectory() as folder:
            model.save(f"{folder}/model.pt")
            _FILES[key] = load_atomistic_model(f"{folder}/model.pt")
    return _FILES[key]


TRICLINIC = np.array([[6.1, 0.2, -0.3], [1.7, 5.8, 0.4], [-0.9, 1.3, 6.4]])


def structures() -> Dict[str, Structure]:
    """Give small asymmetric structures in angstrom: one for each way in which boundary conditions go wrong."""
    rng = np.random.default_rng(5)
    types = np.array([14, 8, 6, 1, 8, 14])
    fractions = rng.uniform(size=(6, 3))
    outside = (fractions + np.array([[0, 0, 0], [2, -1, 0], [0, 0, -3], [1, 0, 0], [0, 0, 0], [0, 1, 1]])) @ TRICLINIC
    spread = np.array([[0, 0, 0], [1.5, 0.3, 0.1], [-0.4, 1.7, 0.9], [0.8, -0.9, 2.1]], dtype=float)
    periodic, open_ = np.array([True, True, True]), np.array([False, False, False])
    slab = np.array([True, True, False])
    return {
        "triclinic": Structure(types, outside, TRICLINIC, periodic),
        "slab": Structure(types[:4], spread + 0.3, 0.6 * TRICLINIC, slab),
        "wire": Structure(types[:4], spread, 0.7 * TRICLINIC, np.array([False, True, False])),
        "molecule": Structure(types[:4], spread - 0.7, np.zeros((3, 3)), open_),
        "one atom": Structure(types[:1], np.array([[0.4, 7.0, -1.0]]), 0.55 * TRICLINIC, periodic),
        "isolated atom": Structure(types[:1], np.array([[0.4, 0.0, -1.0]]), np.zeros((3, 3)), open_),
        "small cell": Structure(types[:2], np.array([[0.1, 0.2, 0.3], [1.1, 1.6, 2.9]]), 0.4 * TRICLINIC, periodic),
    }
