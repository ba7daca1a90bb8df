"""A model of the reference implementation with every kind of output, input and request, and the structures it runs on.

Only for tests/reference: the reference implementation must be installed.
"""

from typing import Dict, List, Optional

import metatomic.torch as reference
import torch
from metatensor.torch import Labels, TensorBlock, TensorMap
from metatomic.torch import ModelOutput, NeighborListOptions, System

from metatomic_core.authors import one_block

CUTOFF = 0.4  # nm
METADATA = {
    "name": "everything",
    "description": "Has all that a file can have",
    "authors": ["A. Author", "B. Author"],
    "references": {"model": ["doi:1"], "architecture": ["doi:2", "doi:3"], "implementation": ["doi:4"]},
    "extra": {"key": "value"},
}


class Everything(torch.nn.Module):
    """Pair energies with the masses of the atoms in them, in nm and kJ/mol; old and new names."""

    def __init__(self):
        super().__init__()
        self.cutoff = CUTOFF
        self.register_buffer("spread", torch.tensor([0.9, 1.0, 1.2], dtype=torch.float64))

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        system = systems[0]
        block = system.get_neighbor_list(NeighborListOptions(self.cutoff, True, True))
        pairs = block.samples.values.to(torch.int64)
        vectors = block.values.squeeze(-1)
        r = vectors.square().sum(1).sqrt()
        mass = system.get_data("masses").block().values.reshape(-1)
        field = system.get_data("tests::field").block().values.reshape(-1)
        zero = torch.zeros_like(system.positions[:, 0])
        weight = (1.0 - r / self.cutoff).pow(4)
        energies = 10.0 * zero.index_add(0, pairs[:, 0], weight * mass[pairs[:, 1]] * (1.0 + 0.1 * field[0]))
        push = zero.unsqueeze(1).expand(-1, 3).index_add(0, pairs[:, 0], weight.unsqueeze(1) * vectors)
        chosen = torch.arange(len(system), device=r.device)
        if selected_atoms is not None:
            chosen = selected_atoms.values[:, 1].to(torch.int64)
        atoms = Labels(["system", "atom"], torch.stack([torch.zeros_like(chosen), chosen], dim=1))
        results: Dict[str, TensorMap] = {}
        for name, output in outputs.items():
            base = name.split("/")[0]
            values = energies.unsqueeze(1)
            if name == "energy/shifted":
                values = values + 1.0
            if base == "energy_ensemble":
                values = values * self.spread.to(values.dtype)
            if base == "energy_uncertainty":
                values = 0.1 * values
            if base == "features":
                results[name] = self.reduced(torch.stack([zero + field, energies], 1), chosen, atoms, output, "f")
            elif base == "non_conservative_forces":
                results[name] = one_block(push[chosen].unsqueeze(-1), atoms, ["xyz"], "non_conservative_forces")
            elif base == "non_conservative_stress":
                stress = (vectors.T @ vectors).reshape(1, 3, 3, 1)
                samples = Labels(["system"], torch.tensor([[0]]))
                results[name] = one_block(stress, samples, ["xyz_1", "xyz_2"], base)
            elif base == "tests::pairs":
                labels = torch.cat([torch.zeros_like(pairs[:, :1]), block.samples.values], 1)
                names = ["system", "first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]
                results[name] = one_block(r.unsqueeze(1), Labels(names, labels.to(torch.int32)), [], "distance")
            else:
                results[name] = self.reduced(values, chosen, atoms, output, "energy")
                if "strain" in output.explicit_gradients:
                    results[name] = self.with_strain_gradient(results[name], vectors)
        return results

    def reduced(self, values: torch.Tensor, chosen: torch.Tensor, atoms: Labels, output: ModelOutput, name: str):
        if output.sample_kind == "atom":
            return one_block(values[chosen], atoms, [], name)
        samples = Labels(["system"], torch.tensor([[0]]))
        return one_block(values[chosen].sum(0, keepdim=True), samples, [], name)

    def with_strain_gradient(self, tensor: TensorMap, vectors: torch.Tensor) -> TensorMap:
        """Add a gradient of the right layout; any values do."""
        block = tensor.block().copy()
        n, m = block.values.size(0), block.values.size(1)
        values = (vectors.T @ vectors).reshape(1, 3, 3, 1).expand(n, 3, 3, m).contiguous()
        components = [Labels(["xyz_" + i], torch.arange(3).reshape(-1, 1)) for i in ["1", "2"]]
        samples = Labels(["sample"], torch.arange(n).reshape(-1, 1))
        block.add_gradient("strain", TensorBlock(values, samples, components, block.properties))
        return TensorMap(tensor.keys, [block])

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(CUTOFF, True, True, "the tests")]

    def requested_inputs(self) -> Dict[str, ModelOutput]:
        return {
            "masses": ModelOutput(unit="u", sample_kind="atom"),
            "tests::field": ModelOutput(unit="", sample_kind="system"),
        }


def outputs():
    energy = {"unit": "kJ/mol", "sample_kind": "atom"}
    return {
        "energy": ModelOutput(**energy, explicit_gradients=["strain"], description="plain"),
        "energy/shifted": ModelOutput(**energy, description="1 kJ/mol more for each atom"),
        "energy_ensemble": ModelOutput(**energy),
        "energy_uncertainty": ModelOutput(**energy),
        "features": ModelOutput(sample_kind="atom"),
        "non_conservative_forces": ModelOutput(unit="kJ/mol/nm", sample_kind="atom"),
        "non_conservative_stress": ModelOutput(unit="kJ/mol/nm^3"),
        "tests::pairs": ModelOutput(unit="nm", sample_kind="atom_pair"),
    }


def capabilities(**changes):
    given = {
        "outputs": outputs(), "atomic_types": [29, 79], "interaction_range": CUTOFF, "length_unit": "nm",
        "supported_devices": ["cuda", "cpu"], "dtype": "float64",
    }  # fmt: skip
    return reference.ModelCapabilities(**{**given, **changes})


def everything(**changes):
    return reference.AtomisticModel(Everything().eval(), reference.ModelMetadata(**METADATA), capabilities(**changes))
