"""`ModelCore`: a module with its requests, behind a method without any class of this package in its signature.

It is what a pipeline holds. In a model file the core keeps the classes that it was compiled with, as the module in it
does; because nothing but tensors and classes of metatensor cross its border, the pipeline of another version can be
compiled around it: Python does so with each file that it loads.
"""

from typing import Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from metatomic_core.data.assembly import assembled
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.system import System


class ModelCore(torch.nn.Module):
    """A module that is called with plain data.

    Parameters
    ----------
    module
        Module with the signature of `ModelInterface`.
    neighbor_lists
        Its requests for neighbor lists.
    outputs
        Its outputs, under the names that it knows.
    """

    # TorchScript needs the types of attributes that can not be inferred from their values
    _neighbor_lists: List[NeighborListOptions]
    _outputs: Dict[str, ModelOutput]
    output_names: List[str]

    def __init__(
        self, module: torch.nn.Module, neighbor_lists: List[NeighborListOptions], outputs: Dict[str, ModelOutput]
    ):
        super().__init__()
        self.module = module
        self._neighbor_lists = neighbor_lists
        self._outputs = outputs
        # plain text, for Python: the classes of a core from a file are not those of this process
        self.output_names = list(outputs)

    def forward(
        self,
        structures: List[Dict[str, torch.Tensor]],
        neighbors: List[List[TensorBlock]],
        inputs: List[Dict[str, TensorMap]],
        selected_atoms: Optional[Labels],
        outputs: Dict[str, str],
        explicit_gradients: Dict[str, List[str]],
    ) -> Dict[str, TensorMap]:
        """Call the module, with everything in its own units and floating point type, and nothing checked.

        Parameters
        ----------
        structures
            For each structure: "types" (n_atoms,) int32, "positions" (n_atoms, 3), "cell" (3, 3), "pbc" (3,) bool.
        neighbors
            For each structure the neighbor lists, in the order of the requests, see ``System.add_neighbor_list``.
        inputs
            For each structure its data by name, the requested inputs among it.
        selected_atoms
            As for the module.
        outputs
            Outputs to give, with the kind of their samples.
        explicit_gradients
            Gradients that the module gives with an output, by the name of the output.
        """
        systems: List[System] = []
        for i in range(len(structures)):
            systems.append(assembled(structures[i], self._neighbor_lists, neighbors[i], inputs[i]))
        asked: Dict[str, ModelOutput] = {}
        for name, kind in outputs.items():
            gradients: List[str] = []
            if name in explicit_gradients:
                gradients = explicit_gradients[name]
            quantity, unit, description = "", "", ""
            if name in self._outputs:
                declared = self._outputs[name]
                quantity, unit, description = declared.quantity, declared.unit, declared.description
            asked[name] = ModelOutput(quantity, unit, kind, gradients, description)
        with torch.profiler.record_function("Model::forward"):
            returned = self.module(systems, asked, selected_atoms)
        return returned  # noqa: RET504 (a `return` within `with` does not script)
