"""`AtomisticModel`: a module with its metadata and capabilities, ready to be saved and run by any engine."""

from typing import Dict, List, Optional, Tuple

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from . import io
from ._consistency import (
    check_inputs_present,
    check_request,
    check_results,
    check_selected_atoms,
    check_system_data,
    check_systems,
)
from ._conversion import converted_system, detached, dimension_of, scaled_tensor
from ._elements import masses, symbols
from ._graph_entry import connected_systems
from ._model_setup import check_model_capabilities, header_of, inner_names, offered_outputs, unwrapped, with_outputs
from ._pairs import attach_pairs, check_pairs, pair_atoms
from .capabilities import ModelCapabilities
from .interface import check_module, check_requests_are_exported, collect_inputs, collect_neighbor_lists
from .metadata import ModelMetadata, check_metadata, metadata_card
from .neighbors import NeighborListOptions
from .outputs import ModelEvaluationOptions, ModelOutput
from .pipeline import (
    asked_outputs,
    attach_inputs,
    build_systems,
    check_request_keys,
    check_units,
    collect_results,
    needs_cell_gradients,
    needs_gradients,
    selected_labels,
)
from .quantities import canonical_name
from .queries import ModelQueries
from .system import System
from .units import unit_table


class AtomisticModel(ModelQueries):
    """A model that engines can run: converts units, checks data, and carries metadata and capabilities.

    Parameters
    ----------
    module
        Module with the signature of `ModelInterface`, in evaluation mode; scripted or not.  A model, also
        one from a file, is unwrapped first.  Its parameters stop requiring gradients.
    metadata
        Who made the model.
    capabilities
        What it can do.

    Raises
    ------
    TypeError
        If an argument has the wrong type, or ``forward`` another signature.
    ValueError
        If the module is in training mode, or is scripted and lost its requests; if interaction range, devices or dtype
        are not set; if a neighbor list has a cutoff above the interaction range; if requests contradict each other.
    """

    # TorchScript needs the types of attributes that can not be inferred from their values
    _capabilities: ModelCapabilities
    _metadata: ModelMetadata
    _neighbor_lists: List[NeighborListOptions]
    _inputs: Dict[str, ModelOutput]
    _offered: Dict[str, ModelOutput]
    _inner_names: Dict[str, str]
    _unit_table: Dict[str, List[float]]
    _types: torch.Tensor
    _type_names: List[str]
    _type_masses: List[float]
    _factors: Dict[str, float]

    def __init__(self, module: torch.nn.Module, metadata: ModelMetadata, capabilities: ModelCapabilities):
        super().__init__()
        # requests that a scripted module does not export are lost in its file, but not in the header of the file
        header = header_of(module)
        module = unwrapped(module)
        if not isinstance(metadata, ModelMetadata):
            raise TypeError(f"expected `metadata` to be ModelMetadata, got {type(metadata).__name__}")
        check_module(module)
        check_metadata(metadata)
        # not `module.requires_grad_`, which scripted modules lack
        for parameter in module.parameters():
            parameter.requires_grad_(False)
        self.module = module
        self._neighbor_lists = collect_neighbor_lists(module, getattr(capabilities, "length_unit", ""))
        self._inputs = collect_inputs(module)
        if header is not None:
            self._neighbor_lists, self._inputs = header.neighbor_lists, header.inputs
        elif not self._neighbor_lists:
            check_requests_are_exported(module)
        check_model_capabilities(capabilities, self._neighbor_lists, self._inputs)
        self._offered = offered_outputs(capabilities.outputs)
        self._inner_names = inner_names(capabilities.outputs)
        self._metadata = metadata
        self._capabilities = with_outputs(capabilities, self._offered)
        self._card = metadata_card(metadata)
        self._type_names = symbols(capabilities.atomic_types)
        self._type_masses = masses(capabilities.atomic_types)
        self._unit_table = unit_table()
        self._factors = {}
        self._format_version = io.FORMAT_VERSION
        # Whether the module differentiates with respect to its inputs by itself; `save` finds out from its code.
        self._differentiates = True
        self.register_buffer("_types", torch.tensor(capabilities.atomic_types, dtype=torch.int32))
        self.eval()

    @torch.jit.export
    def capabilities(self) -> ModelCapabilities:
        """Give what the model can do; outputs are listed under both spellings."""
        return self._capabilities

    @torch.jit.export
    def metadata(self) -> ModelMetadata:
        """Give who made the model and what to cite."""
        return self._metadata

    @torch.jit.export
    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """List the neighbor lists that the model needs in each system."""
        return self._neighbor_lists

    @torch.jit.export
    def requested_neighbors_lists(self) -> List[NeighborListOptions]:
        """Older name of `requested_neighbor_lists`."""
        return self._neighbor_lists

    @torch.jit.export
    def requested_inputs(self, use_new_names: bool = False) -> Dict[str, ModelOutput]:
        """List the inputs that the model needs in each system.

        Parameters
        ----------
        use_new_names
            Give the canonical (singular) names rather than those that the module used.
        """
        if not use_new_names:
            return self._inputs
        renamed: Dict[str, ModelOutput] = {}
        for name, output in self._inputs.items():
            renamed[canonical_name(name)] = output
        return renamed

    def forward(
        self,
        systems: List[System],
        options: ModelEvaluationOptions,
        check_consistency: bool,
    ) -> Dict[str, TensorMap]:
        """Run the model.

        Parameters
        ----------
        systems
            Systems in the length unit of ``options``, with the requested neighbor lists and inputs.  They are not
            changed.
        options
            What to compute, in which units.
        check_consistency
            Also check everything that the engine gives and the model returns, values of labels included.

        Returns
        -------
        dict
            The requested outputs, under the names that were asked for, in the units that were asked for.

        Raises
        ------
        ValueError
            If systems or options are not what the model can work with; from a loaded model as ``torch.jit.Error``,
            which `metatomic_core.engine` turns back.
        """
        with torch.profiler.record_function("AtomisticModel::convert_units_input"):
            factor = self._factor(options.length_unit, self._capabilities.length_unit, "length")
            check_systems(systems, self._types, self._capabilities.dtype, self._capabilities.supported_devices)
            check_inputs_present(systems, self._inputs)
            if check_consistency:
                check_system_data(systems, self._neighbor_lists, self._inputs)
            converted: List[System] = []
            for system in systems:
                converted.append(converted_system(system, factor, self._inputs, self._unit_table, self._factors))
        return self._run(converted, options.outputs, options.selected_atoms, factor, check_consistency)

    @torch.jit.export
    def evaluate(
        self,
        structures: List[Dict[str, torch.Tensor]],
        pairs: List[List[torch.Tensor]],
        selected_atoms: Optional[torch.Tensor],
        request: Dict[str, str],
        outputs: Dict[str, str],
        units: Dict[str, str],
        check_consistency: bool = False,
        vectors: Optional[List[List[torch.Tensor]]] = None,
    ) -> Tuple[Dict[str, torch.Tensor], Dict[str, TensorMap]]:
        """Run the whole pipeline on plain tensors: the interface for engines, in Python and in C++.

        Parameters
        ----------
        structures
            For each structure: "types" (n_atoms,) integers; "positions" (n_atoms, 3); "cell" (3, 3), vectors as rows;
            "pbc" (3,) bool; and each requested input under its name, which is none of these.  On the device of the
            model, in any floating point type, in the units of the engine.
        pairs
            For each structure and each neighbor list of `requested_neighbor_lists`: shape (n_pairs, 5), integers:
            first atom, second atom, and the cell shifts of the second one along the three cell vectors.
        selected_atoms
            Shape (n_selected, 2), integers: system and atom; energies are sums over these atoms, while forces are on
            all atoms.  None for all.
        request
            Which results to compute, each with the output that it is made from: "energy", "atomic_energies",
            "forces", "virial", "stress", "atomic_virials" from an energy (derivatives by one backward pass), forces
            also from a non-conservative force, virial and stress from a non-conservative stress.
        outputs
            Other outputs to give, with the kind of their samples.
        units
            Units of the engine: "length", "energy", and the unit of each input and other output by name.  Without
            one, outputs of the dimension of an energy, force or pressure are in units made of those two, and others
            in the unit that the model declares.
        check_consistency
            Run all checks of `forward`.
        vectors
            For each list of ``pairs``, the vectors positions[second] - positions[first] + shift @ cell, shape
            (n_pairs, 3), in the unit of the engine, which has them from looking for the pairs; None to compute them
            here.  They must not change before the results are read.

        Returns
        -------
        dict of torch.Tensor
            The requested results, float64: energy (n_systems,), atomic_energies (n_atoms,), forces (n_atoms, 3),
            virial and stress (n_systems, 3, 3), atomic_virials (n_atoms, 3, 3), with the atoms of all structures one
            after the other; and the other outputs in the order of systems and atoms, shape (n_samples,
            components..., n_properties), unless they have the name of a result or several blocks.  With selected
            atoms, energies and direct forces of all other atoms are zero, and other outputs NaN.
        dict of TensorMap
            The other outputs with their labels.
        """
        check_request_keys(request)
        check_units(units)
        length_factor = self._factor(units["length"], self._capabilities.length_unit, "length")
        # modules that differentiate by themselves want pair vectors that are connected to positions and cells
        connected = self._differentiates
        gradients = needs_gradients(request)
        with torch.profiler.record_function("AtomisticModel::build_systems"):
            systems = build_systems(
                structures,
                length_factor,
                self._capabilities.dtype,
                gradients or connected,
                needs_cell_gradients(request) or connected,
            )
            check_systems(systems, self._types, self._capabilities.dtype, self._capabilities.supported_devices)
            check_pairs(pairs, vectors, len(systems), len(self._neighbor_lists))
            atoms = pair_atoms(systems, pairs, len(self._neighbor_lists))
            attached = attach_pairs(
                systems, structures, length_factor, pairs, vectors, self._neighbor_lists, connected, gradients
            )
            attach_inputs(systems, structures, self._inputs, units, self._unit_table, self._factors)
            if check_consistency:
                check_system_data(systems, self._neighbor_lists, self._inputs)
        asked = asked_outputs(request, outputs, units, self._offered)
        selected = selected_labels(selected_atoms)
        returned = self._run(systems, asked, selected, length_factor, check_consistency)
        with torch.profiler.record_function("AtomisticModel::collect_results"):
            results = collect_results(
                structures,
                systems,
                atoms,
                attached,
                connected,
                request,
                outputs,
                asked,
                returned,
                length_factor,
                selected is not None,
            )
        tensors: Dict[str, TensorMap] = {}
        for name in outputs.keys():
            tensors[name] = detached(returned[name])
        return results, tensors

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
        """
        systems = connected_systems(structures, neighbors, inputs, self._neighbor_lists, self._differentiates)
        asked: Dict[str, ModelOutput] = {}
        for name, kind in outputs.items():
            gradients: List[str] = []
            if name in explicit_gradients:
                gradients = explicit_gradients[name]
            declared = self._offered[name].unit if name in self._offered else ""
            asked[name] = ModelOutput("", declared, kind, gradients)
        return self._run(systems, asked, selected_atoms, 1.0, False)

    def _run(
        self,
        systems: List[System],
        requested: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels],
        length_factor: float,
        check_consistency: bool,
    ) -> Dict[str, TensorMap]:
        """Call the module on systems in its own units, and convert what it returns."""
        check_request(requested, self._offered)
        inner: Dict[str, ModelOutput] = {}
        for name, output in requested.items():
            inner_name = self._inner_names[name]
            if inner_name in inner and inner[inner_name].sample_kind != output.sample_kind:
                raise ValueError(f"expected one kind of samples for '{name}', got two, one for each spelling")
            inner[inner_name] = output
        check_selected_atoms(selected_atoms, systems)
        with torch.profiler.record_function("Model::forward"):
            returned = self.module(systems, inner, selected_atoms)
        for name in inner.keys():
            if name not in returned:
                raise ValueError(f"expected the model to return the output '{name}', got none")
        if check_consistency:
            with torch.profiler.record_function("AtomisticModel::check_outputs"):
                check_results(systems, inner, selected_atoms, returned, self._capabilities.dtype)
        results: Dict[str, TensorMap] = {}
        with torch.profiler.record_function("AtomisticModel::convert_units_output"):
            for name, output in requested.items():
                factor = self._factor(self._offered[name].unit, output.unit, dimension_of(name))
                results[name] = scaled_tensor(returned[self._inner_names[name]], factor, length_factor, output.unit)
        return results

    @torch.jit.unused
    def save(self, file: str, collect_extensions: Optional[str] = None) -> None:
        """Compile the model and write it to a file.

        Parameters
        ----------
        file
            Path to write to; by habit ``*.pt``.  Written whole or not at all.
        collect_extensions
            Directory to copy the TorchScript extensions that the model needs to.

        Raises
        ------
        RuntimeError
            If the module is not TorchScript-compatible, or compilation is disabled (``PYTORCH_JIT=0``); if the compiled
            model fails when it is tried on one and two atoms, and not because it refuses such structures by an error
            of its own.  Nothing is written then.

        Warns
        -----
        UserWarning
            If it fails on some of them, as on an atom without neighbors.
        """
        io.save_model(self, file, collect_extensions)

    @torch.jit.unused
    def export(self, file: str, collect_extensions: Optional[str] = None) -> None:
        """Older name of `save`."""
        self.save(file, collect_extensions)
