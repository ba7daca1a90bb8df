"""`ModelPipeline`: the steps between tensors of an engine and the core of a model; see `AtomisticModel`.

Scripted, saved in every model file. What the steps do is in `metatomic_core.pipeline`; here they meet the model.
"""

from typing import TYPE_CHECKING, Dict, List, Optional, Tuple

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from metatomic_core.data.outputs import ModelOutput
from metatomic_core.pipeline.batch import Answer, Batch, Leaves
from metatomic_core.pipeline.consistency import (
    check_batch,
    check_request,
    check_results,
    check_selected_atoms,
)
from metatomic_core.pipeline.conversion import detached, dimension_of, scaled_tensor
from metatomic_core.pipeline.derive import answer_of, input_maps, selected_labels, structures_of
from metatomic_core.pipeline.finish import finish
from metatomic_core.pipeline.pairs import neighbor_blocks
from metatomic_core.pipeline.prepare import prepare, prepared_inputs, sizes_of
from metatomic_core.pipeline.queries import ModelQueries
from metatomic_core.pipeline.results import Needs, Result, kinds_of
from metatomic_core.pipeline.systems import with_graph
from metatomic_core.pipeline.units_of_call import Units, unit_of_dimension, unit_of_output


class ModelPipeline(ModelQueries):
    """The steps of an evaluation; a base class of `AtomisticModel`, which has the attributes."""

    if TYPE_CHECKING:  # TorchScript takes the annotations of the class that it compiles
        core: torch.nn.Module
        _results: Dict[str, Result]
        _inner_names: Dict[str, str]
        _inputs: Dict[str, ModelOutput]
        _offered: Dict[str, ModelOutput]
        _types: torch.Tensor

    @torch.jit.export
    def finished(
        self,
        batch: Batch,
        answer: Answer,
        returned: Dict[str, TensorMap],
        request: Dict[str, str],
        outputs: Dict[str, str],
        units: Units,
    ) -> Tuple[Dict[str, torch.Tensor], Dict[str, torch.Tensor], Dict[str, TensorMap]]:
        """Give what the model said in the units of the engine; parameters as in `evaluate` and `derive`.

        Parameters
        ----------
        batch
            The structures, from `batch`.
        answer
            Results with the graph they were made in, from `answer_of`.
        returned
            Outputs of the model, by the names of ``outputs``, in its units.
        request, outputs
            As for `evaluate`.
        units
            Units of the call, read by `units_from`.

        Returns
        -------
        dict, dict, dict
            As `evaluate` gives.
        """
        length_factor = self._factor(units.length, self._capabilities.length_unit, "length")
        with torch.profiler.record_function("AtomisticModel::finish"):
            factors: Dict[str, float] = {}
            for result, source in request.items():
                if source not in factors:
                    dimension = "energy"
                    if source in answer.direct:
                        dimension = "force" if self._results[result].per == "atom" else "pressure"
                    unit = unit_of_dimension(dimension, units, "")
                    factors[source] = self._factor(self._declared_unit(source), unit, dimension)
            results = finish(batch, answer, request, self._results, factors, length_factor)
            values: Dict[str, torch.Tensor] = {}
            tensors: Dict[str, TensorMap] = {}
            for name in outputs.keys():
                declared = self._declared_unit(name)
                unit = unit_of_output(name, units, declared)
                factor = self._factor(declared, unit, dimension_of(name))
                tensors[name] = scaled_tensor(detached(returned[name]), factor, length_factor, unit)
                if name in answer.outputs:
                    values[name] = answer.outputs[name] if factor == 1.0 else answer.outputs[name] * factor
        return results, values, tensors

    @torch.jit.export
    def batch(
        self,
        structures: List[Dict[str, torch.Tensor]],
        pairs: List[List[torch.Tensor]],
        vectors: Optional[List[List[torch.Tensor]]],
        inputs: Optional[List[Dict[str, torch.Tensor]]],
        selected_atoms: Optional[torch.Tensor],
        units: Units,
        leaves: Leaves,
    ) -> Batch:
        """Prepare structures of an engine; parameters as in `evaluate`, units read by `units_from`.

        Parameters
        ----------
        structures, pairs, vectors, inputs, selected_atoms
            As for `evaluate`.
        units
            Units of the engine, read by `units_from`.
        leaves
            What requires gradients.

        Returns
        -------
        Batch
            The structures in the units and the floating point type of the model.
        """
        dtype = torch.float64 if self._capabilities.dtype == "float64" else torch.float32
        given: List[Dict[str, torch.Tensor]] = []
        if inputs is not None:
            given = inputs
        like = torch.empty(0, dtype=dtype, device=self._types.device)
        prepared = prepared_inputs(
            given, sizes_of(structures), self._inputs, units, like, self._unit_table, self._factors
        )
        factor = self._factor(units.length, self._capabilities.length_unit, "length")
        batch = prepare(
            structures, pairs, vectors, len(self._neighbor_lists), selected_atoms, prepared, factor, dtype, leaves
        )
        check_batch(batch, self._types, self._capabilities.supported_devices)
        return batch

    @torch.jit.export
    def derive(
        self,
        batch: Batch,
        leaves: Leaves,
        needs: Needs,
        request: Dict[str, str],
        outputs: Dict[str, str],
        check_consistency: bool,
    ) -> Tuple[Answer, Dict[str, TensorMap]]:
        """Run the model on a batch, and the backward pass; everything in the units of the model.

        Parameters
        ----------
        batch, leaves, needs
            What to evaluate, and what is wanted of the energy.
        request, outputs
            As for `evaluate`.
        check_consistency
            Check what the module returns.

        Returns
        -------
        Answer
            Plain tensors, detached.
        dict of TensorMap
            The outputs with their labels, in the graph.
        """
        kinds = kinds_of(request, outputs, needs, self._results)
        returned = self.outputs_of(batch, kinds, check_consistency)
        return answer_of(returned, kinds, request, outputs, batch, leaves, needs), returned

    @torch.jit.export
    def outputs_of(self, batch: Batch, kinds: Dict[str, str], check_consistency: bool) -> Dict[str, TensorMap]:
        """Call the module on a batch, for outputs in its units and in the autograd graph; parameters as in `derive`.

        Parameters
        ----------
        batch
            The structures, from `batch`.
        kinds
            Outputs to compute, with the kind of their samples.
        check_consistency
            Check what the model gets and gives.

        Returns
        -------
        dict
            A `TensorMap` for each output, by name.
        """
        requested: Dict[str, ModelOutput] = {}
        for name, kind in kinds.items():
            requested[name] = ModelOutput("", self._declared_unit(name), kind)
        return self._call(
            structures_of(batch),
            neighbor_blocks(batch.pairs, batch.vectors, batch.n_pairs, len(batch.n_atoms)),
            input_maps(batch, self._inputs),
            batch.n_atoms,
            selected_labels(batch.selected_atoms),
            requested,
            check_consistency,
        )

    @torch.jit.export
    def compute(
        self,
        structures: List[Dict[str, torch.Tensor]],
        neighbors: List[List[TensorBlock]],
        inputs: List[Dict[str, TensorMap]],
        selected_atoms: Optional[Labels],
        outputs: Dict[str, str],
        explicit_gradients: Dict[str, List[str]],
    ) -> Dict[str, TensorMap]:
        """Run the model as a part of another program's autograd graph, in the units of the model.

        This is for files in the formats of others, which hold this model and call it: no class of this package is
        among the arguments, nothing is converted or detached, and derivatives are the business of the caller.

        Parameters
        ----------
        structures
            For each structure: "types" (n_atoms,) int32, "positions" (n_atoms, 3), "cell" (3, 3), "pbc" (3,) bool, in
            the units and the floating point type of the model.
        neighbors
            For each structure the neighbor lists, in the order of the requests.
        inputs
            For each structure the requested inputs, in the units of the model.
        selected_atoms
            As for the module.
        outputs
            Outputs to give, with the kind of their samples.
        explicit_gradients
            Gradients that the model gives with an output, by the name of the output.

        Returns
        -------
        dict
            A `TensorMap` for each output, by name.
        """
        if self._differentiates:
            structures, neighbors = with_graph(structures, neighbors)
        asked: Dict[str, ModelOutput] = {}
        for name, kind in outputs.items():
            gradients: List[str] = []
            if name in explicit_gradients:
                gradients = explicit_gradients[name]
            asked[name] = ModelOutput("", self._declared_unit(name), kind, gradients)
        n_atoms = sizes_of(structures)
        return self._call(structures, neighbors, inputs, n_atoms, selected_atoms, asked, check_consistency=False)

    def _declared_unit(self, name: str) -> str:
        return self._offered[name].unit if name in self._offered else ""

    def _call(
        self,
        structures: List[Dict[str, torch.Tensor]],
        neighbors: List[List[TensorBlock]],
        inputs: List[Dict[str, TensorMap]],
        n_atoms: List[int],
        selected_atoms: Optional[Labels],
        requested: Dict[str, ModelOutput],
        check_consistency: bool,
    ) -> Dict[str, TensorMap]:
        """Call the core under the names that the module knows, between the checks of request and results."""
        check_request(requested, self._offered)
        inner: Dict[str, ModelOutput] = {}
        kinds: Dict[str, str] = {}
        gradients: Dict[str, List[str]] = {}
        for name, output in requested.items():
            inner_name = self._inner_names[name]
            if inner_name in inner and inner[inner_name].sample_kind != output.sample_kind:
                raise ValueError(f"expected one kind of samples for '{name}', got two, one for each spelling")
            inner[inner_name] = output
            kinds[inner_name] = output.sample_kind
            gradients[inner_name] = output.explicit_gradients
        check_selected_atoms(selected_atoms, n_atoms)
        returned = self.core(structures, neighbors, inputs, selected_atoms, kinds, gradients)
        for name in inner.keys():
            if name not in returned:
                raise ValueError(f"expected the model to return the output '{name}', got none")
        if check_consistency:
            with torch.profiler.record_function("AtomisticModel::check_outputs"):
                check_results(n_atoms, inner, selected_atoms, returned, self._capabilities.dtype)
        results: Dict[str, TensorMap] = {}
        for name in requested.keys():
            results[name] = returned[self._inner_names[name]]
        return results
