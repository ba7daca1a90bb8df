"""The modules behind combined models: each part in its own units and precision, and what is made of all of them.

Scripted code, saved in model files.  Parts are the cores of models, which no class of this package crosses: they may
come from files of another version.
"""

from typing import Any, Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from metatomic_core.authors import energy_output, per_system_output
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.system import System
from metatomic_core.pipeline.labels import energies_from
from metatomic_core.tracing.stand_ins import are_installed

from .traced import traced_energies


class Part(torch.nn.Module):
    """Gives the energies of one model, in the units of the whole.

    Parameters
    ----------
    core
        The core of the model, a `ModelCore`, compiled or not.
    output
        Its output: an energy.
    energy
        Factor from its energies to those of the whole.
    length
        Factor from lengths of the whole to its own.
    lists
        Its neighbor lists, in its own order, with cutoffs in the length unit of the whole.
    inputs
        Names of the inputs that it requests.
    is_double
        Whether it computes in float64.
    traced
        What is traced in place of the core; None for the core itself.
    """

    # TorchScript needs the types of attributes that can not be inferred from their values
    _lists: List[NeighborListOptions]
    _inputs: List[str]

    def __init__(
        self,
        core: torch.nn.Module,
        output: str,
        energy: float,
        length: float,
        lists: List[NeighborListOptions],
        inputs: List[str],
        is_double: bool,
        traced: Any = None,
    ):
        super().__init__()
        self.core = core
        self.traced = traced
        self.output = output
        self.energy = energy
        self.length = length
        self._lists = lists
        self._inputs = inputs
        self.is_double = is_double

    @torch.jit.unused
    def prepare_for_trace(self) -> None:
        """Load the exported programs of the model, see `metatomic_core.tracing`."""
        if self.traced is not None:
            self.traced.load()

    def scaled(self, lengths: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Give lengths as the part wants them: the same tensor where it can be, which a part may differentiate by."""
        if self.length != 1.0:
            lengths = lengths * self.length
        return lengths.to(dtype)

    def forward(self, systems: List[System], kind: str, selected_atoms: Optional[Labels]) -> torch.Tensor:
        """Give energies per "atom" (n_atoms,) or per "system" (n_systems,), float64; zero for atoms not selected."""
        dtype = torch.float64 if self.is_double else torch.float32
        structures: List[Dict[str, torch.Tensor]] = []
        neighbors: List[List[TensorBlock]] = []
        inputs: List[Dict[str, TensorMap]] = []
        n_atoms: List[int] = []
        for system in systems:
            structures.append(
                {
                    "types": system.types,
                    "positions": self.scaled(system.positions, dtype),
                    "cell": self.scaled(system.cell, dtype),
                    "pbc": system.pbc,
                }
            )
            blocks: List[TensorBlock] = []
            for options in self._lists:
                block = system.get_neighbor_list(options)
                values = self.scaled(block.values, dtype)
                blocks.append(TensorBlock(values, block.samples, block.components, block.properties))
            neighbors.append(blocks)
            data: Dict[str, TensorMap] = {}
            for name in self._inputs:
                data[name] = system.get_data(name).to(dtype)
            inputs.append(data)
            n_atoms.append(len(system))
        gradients: Dict[str, List[str]] = {}
        asked: Dict[str, str] = {self.output: kind}
        # two conditions, as the compiler leaves out what is below the first
        if not torch.jit.is_scripting():  # noqa: SIM102
            if are_installed():
                core = self.core if self.traced is None else self.traced
                found = core(structures, neighbors, inputs, selected_atoms, asked, gradients)[self.output]
                return traced_energies(found, kind, systems[0]) * self.energy
        returned: Dict[str, TensorMap] = self.core(structures, neighbors, inputs, selected_atoms, asked, gradients)
        of_systems, of_atoms = energies_from(
            returned[self.output], kind, self.output, n_atoms, selected_atoms is not None
        )
        if kind == "atom":
            if of_atoms is None:
                raise RuntimeError("expected energies of atoms, got those of systems")
            return of_atoms.to(torch.float64) * self.energy
        return of_systems * self.energy


class Combined(torch.nn.Module):
    """Energies made of those of other models.

    Parameters
    ----------
    parts
        The models.
    weights
        Weight of each in the energy.
    lists
        Neighbor lists of all of them.
    inputs
        Inputs of all of them.
    """

    weights: torch.Tensor
    _requested_lists: List[NeighborListOptions]
    _requested_data: Dict[str, ModelOutput]

    # the lists and inputs of parts are in their own units
    speaks_for_submodules = True

    def __init__(
        self,
        parts: List[Part],
        weights: List[float],
        lists: List[NeighborListOptions],
        inputs: Dict[str, ModelOutput],
    ):
        super().__init__()
        self.parts = torch.nn.ModuleList(parts)
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float64))
        self._requested_lists = lists
        self._requested_data = inputs

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        """Give the energy, and what members of a committee say, see `ModelInterface`."""
        results: Dict[str, TensorMap] = {}
        if len(outputs) == 0 or len(systems) == 0:
            return results
        kind = "system"
        for output in outputs.values():
            if output.sample_kind == "atom":
                kind = "atom"
        energies: List[torch.Tensor] = []
        for part in self.parts:
            energies.append(part(systems, kind, selected_atoms))
        # a row for each atom or system, a column for each part
        members = torch.stack(energies, dim=1)
        for name, output in outputs.items():
            results[name] = self.made_of(members, kind, name, systems, output, selected_atoms)
        return results

    def made_of(
        self,
        members: torch.Tensor,
        kind: str,
        name: str,
        systems: List[System],
        output: ModelOutput,
        selected_atoms: Optional[Labels],
    ) -> TensorMap:
        """Give one output from the energies of all parts."""
        if output.sample_kind != "atom" and kind == "atom":
            # first of all, as the spread of a sum is not the sum of spreads
            sizes = torch.tensor([len(system) for system in systems], device=members.device)
            index = torch.repeat_interleave(torch.arange(len(systems), device=members.device), sizes)
            sums = torch.zeros(len(systems), members.size(1), dtype=members.dtype, device=members.device)
            members = sums.index_add(0, index, members)
        if name.startswith("energy_ensemble"):
            values = members
        elif name.startswith("energy_uncertainty"):
            values = members.std(dim=1, unbiased=True)
        else:
            values = torch.mv(members, self.weights)
        values = values.to(systems[0].dtype)
        if output.sample_kind == "atom":
            return energy_output(systems, values, output, selected_atoms)
        return per_system_output(name, systems, values)

    @torch.jit.export
    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """List the neighbor lists of all parts."""
        return self._requested_lists

    @torch.jit.export
    def requested_inputs(self) -> Dict[str, ModelOutput]:
        """List the inputs of all parts."""
        return self._requested_data
