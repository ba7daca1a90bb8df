"""`Inner`: the core of a model as a module, which other modules have in them.

Scripted code, saved in model files.  The core may come from a file of another version, so no class of this package
crosses its border.
"""

from typing import Any, Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.system import System
from metatomic_core.tracing.stand_ins import are_installed

from .inside import Inside


class Inner(torch.nn.Module):
    """A whole model with the interface of a module, see `ModelInterface`.

    Parameters
    ----------
    inside
        Parts of the model; what is made of it has its units, precision, neighbor lists and inputs.
    traced
        What is traced in place of the core; None for the core itself.
    """

    # TorchScript needs the types of attributes that can not be inferred from their values
    _lists: List[NeighborListOptions]
    _inputs: Dict[str, ModelOutput]

    # requests of the core are in classes of the file that it comes from
    speaks_for_submodules = True

    def __init__(self, inside: Inside, traced: Any = None):
        super().__init__()
        self.traced = traced
        self.core = inside.core
        self._lists = inside.lists
        self._inputs = inside.inputs

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        """Give what the model gives, see `ModelInterface`."""
        structures: List[Dict[str, torch.Tensor]] = []
        neighbors: List[List[TensorBlock]] = []
        inputs: List[Dict[str, TensorMap]] = []
        for system in systems:
            structures.append(
                {"types": system.types, "positions": system.positions, "cell": system.cell, "pbc": system.pbc}
            )
            neighbors.append([system.get_neighbor_list(options) for options in self._lists])
            data: Dict[str, TensorMap] = {}
            for name in self._inputs.keys():
                data[name] = system.get_data(name)
            inputs.append(data)
        asked: Dict[str, str] = {}
        gradients: Dict[str, List[str]] = {}
        for name, output in outputs.items():
            asked[name] = output.sample_kind
            if len(output.explicit_gradients) > 0:
                gradients[name] = output.explicit_gradients
        # two conditions, as the compiler leaves out what is below the first
        if not torch.jit.is_scripting():  # noqa: SIM102
            if self.traced is not None and are_installed():
                found: Dict[str, TensorMap] = self.traced(
                    structures, neighbors, inputs, selected_atoms, asked, gradients
                )
                return found
        returned: Dict[str, TensorMap] = self.core(structures, neighbors, inputs, selected_atoms, asked, gradients)
        return returned

    @torch.jit.unused
    def prepare_for_trace(self) -> None:
        """Load the exported programs of the model, see `metatomic_core.tracing`."""
        if self.traced is not None:
            self.traced.load()

    @torch.jit.export
    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """List the neighbor lists of the model."""
        return self._lists

    @torch.jit.export
    def requested_inputs(self) -> Dict[str, ModelOutput]:
        """List the inputs of the model."""
        return self._inputs
