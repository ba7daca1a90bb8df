"""The module behind `DFTD3`: the outputs of a model, with dispersion added to some of its energies.

Scripted code, saved in model files.
"""

from typing import Dict, List, Optional, Sequence

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from metatomic_core.authors import energy_output, energy_output_from_terms, per_system_output
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.system import System
from metatomic_core.pipeline.labels import energies_from


class Corrected(torch.nn.Module):
    """A module with dispersion added to energies.

    Parameters
    ----------
    model
        Module with the signature of `ModelInterface`.
    names
        Energies among its outputs.
    dispersions
        Module with ``pair_energies`` for each of these, in its unit.
    """

    # TorchScript needs the types of attributes that can not be inferred from their values
    _names: List[str]

    def __init__(self, model: torch.nn.Module, names: List[str], dispersions: Sequence[torch.nn.Module]):
        super().__init__()
        self.model = model
        self._names = names
        self.dispersions = torch.nn.ModuleList(dispersions)

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        """Give what the module gives, some energies with dispersion; see `ModelInterface`."""
        results: Dict[str, TensorMap] = self.model(systems, outputs, selected_atoms)
        if len(systems) == 0:
            return results
        for number, dispersion in enumerate(self.dispersions):
            name = self._names[number]
            if name in outputs:
                output = outputs[name]
                first, second, energies = dispersion.pair_energies(systems)  # type: ignore[operator]
                added = energy_output_from_terms(systems, [(energies, [first, second])], output, selected_atoms)
                given = self._in_order(results[name], name, systems, output, selected_atoms)
                results[name] = _sum(given, added)
        return results

    def _in_order(
        self,
        given: TensorMap,
        name: str,
        systems: List[System],
        output: ModelOutput,
        selected_atoms: Optional[Labels],
    ) -> TensorMap:
        """Give energies of a model, which may be in any order, in the order of the helpers for authors."""
        n_atoms = [len(system) for system in systems]
        of_systems, of_atoms = energies_from(given, output.sample_kind, name, n_atoms, selected_atoms is not None)
        if of_atoms is None:
            return per_system_output(name, systems, of_systems.to(systems[0].dtype))
        return energy_output(systems, of_atoms, output, selected_atoms)


def _sum(one: TensorMap, other: TensorMap) -> TensorMap:
    """Add values of maps that have one block each, with the same labels."""
    block = one.block_by_id(0)
    values = block.values + other.block_by_id(0).values
    return TensorMap(one.keys, [TensorBlock(values, block.samples, block.components, block.properties)])
