"""`AtomisticModel`: a module with its metadata and capabilities, ready to be saved and run by any engine."""

from typing import Any, ClassVar, Dict, List, Optional, Tuple

import torch
from metatensor.torch import TensorBlock, TensorMap

from metatomic_core.data.capabilities import ModelCapabilities
from metatomic_core.data.metadata import ModelMetadata, check_metadata, metadata_card
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelEvaluationOptions, ModelOutput
from metatomic_core.data.quantities import canonical_name
from metatomic_core.data.system import System
from metatomic_core.files.header import FORMAT_VERSION, ModelHeader
from metatomic_core.pipeline.consistency import (
    check_inputs_present,
    check_request,
    check_system_data,
    check_systems,
)
from metatomic_core.pipeline.conversion import dimension_of, scaled_tensor
from metatomic_core.pipeline.results import Result, leaves_for, needs_of, result_table
from metatomic_core.pipeline.systems import data_of, geometry_of, lists_of, systems_of
from metatomic_core.pipeline.units_of_call import units_from
from metatomic_core.units import unit_table

from ._html import model_html
from ._pipeline import ModelPipeline
from ._setup import check_model_capabilities, inner_names, offered_outputs, with_outputs
from .core import ModelCore
from .interface import check_module, check_requests_are_exported, collect_inputs, collect_neighbor_lists
from .saving import save_model

# Attribute of the modules that loaded models give: the model, whose core knows the classes in its file as they do.
_ORIGIN = "_metatomic_origin"


class AtomisticModel(ModelPipeline):
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
    _factors: Dict[str, float]
    _results: Dict[str, Result]
    # what TorchScript must not compile
    __jit_unused_properties__: ClassVar[List[str]] = ["module"]

    def __init__(self, module: torch.nn.Module, metadata: ModelMetadata, capabilities: ModelCapabilities):
        super().__init__()
        # requests that a scripted module does not export are lost in its file, but not in the header of the file
        header, core = _header_of(module), _core_of(module)
        module = _unwrapped(module)
        if not isinstance(metadata, ModelMetadata):
            raise TypeError(f"expected `metadata` to be ModelMetadata, got {type(metadata).__name__}")
        check_module(module)
        check_metadata(metadata)
        # not `module.requires_grad_`, which scripted modules lack
        for parameter in module.parameters():
            parameter.requires_grad_(False)  # noqa: FBT003  (torch has no name for it)
        neighbor_lists = collect_neighbor_lists(module, getattr(capabilities, "length_unit", ""))
        inputs = collect_inputs(module)
        if header is not None:
            neighbor_lists, inputs = header.neighbor_lists, header.inputs
        elif not neighbor_lists:
            check_requests_are_exported(module)
        check_model_capabilities(capabilities, neighbor_lists, inputs)
        if core is None:
            core = ModelCore(module, neighbor_lists, capabilities.outputs)
        self._hold(core, metadata, capabilities, neighbor_lists, inputs)

    @torch.jit.unused
    def _hold(
        self,
        core: torch.nn.Module,
        metadata: ModelMetadata,
        capabilities: ModelCapabilities,
        neighbor_lists: List[NeighborListOptions],
        inputs: Dict[str, ModelOutput],
    ) -> None:
        """Keep what was checked, and what follows from it."""
        self.core = core
        self._neighbor_lists = neighbor_lists
        self._inputs = inputs
        self._offered = offered_outputs(capabilities.outputs)
        self._inner_names = inner_names(self._offered, core.output_names)  # type: ignore[arg-type]
        self._metadata = metadata
        self._capabilities = with_outputs(capabilities, self._offered)
        self._card = metadata_card(metadata)
        self._unit_table = unit_table()
        self._results = result_table()
        self._factors = {}
        self._format_version = FORMAT_VERSION
        # Whether the module differentiates with respect to its inputs by itself; `save` finds out from its code.
        self._differentiates = True
        self.register_buffer("_types", torch.tensor(capabilities.atomic_types, dtype=torch.int32))
        self.eval()

    @torch.jit.unused
    def _repr_html_(self) -> str:
        return model_html(
            type(self).__name__,
            str(getattr(self, "path", "")),
            self.metadata(),
            self.capabilities(),
            self.requested_neighbor_lists(),
            self.requested_inputs(),
        )

    @property
    def module(self) -> torch.nn.Module:
        """The module that was wrapped."""
        return self.core.module  # type: ignore[return-value]

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

        Returns
        -------
        dict
            What is requested, with units and kinds of samples, by name.
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
            check_request(options.outputs, self._offered)
            check_systems(systems, self._types, self._capabilities.dtype, self._capabilities.supported_devices)
            check_inputs_present(systems, self._inputs)
            if check_consistency:
                check_system_data(systems, self._neighbor_lists, self._inputs)
            structures: List[Dict[str, torch.Tensor]] = []
            neighbors: List[List[TensorBlock]] = []
            data: List[Dict[str, TensorMap]] = []
            for system in systems:
                structures.append(geometry_of(system, factor))
                neighbors.append(lists_of(system, factor, self._neighbor_lists))
                data.append(data_of(system, self._inputs, self._unit_table, self._factors))
            n_atoms = [len(system) for system in systems]
        returned = self._call(
            structures, neighbors, data, n_atoms, options.selected_atoms, options.outputs, check_consistency
        )
        results: Dict[str, TensorMap] = {}
        with torch.profiler.record_function("AtomisticModel::convert_units_output"):
            for name, output in options.outputs.items():
                unit_factor = self._factor(self._offered[name].unit, output.unit, dimension_of(name))
                results[name] = scaled_tensor(returned[name], unit_factor, factor, output.unit)
        return results

    @torch.jit.export
    def evaluate(
        self,
        structures: List[Dict[str, torch.Tensor]],
        pairs: List[List[torch.Tensor]],
        selected_atoms: Optional[torch.Tensor],
        request: Dict[str, str],
        outputs: Dict[str, str],
        units: Dict[str, Dict[str, str]],
        check_consistency: bool = False,
        vectors: Optional[List[List[torch.Tensor]]] = None,
        inputs: Optional[List[Dict[str, torch.Tensor]]] = None,
    ) -> Tuple[Dict[str, torch.Tensor], Dict[str, torch.Tensor], Dict[str, TensorMap]]:
        """Run the whole pipeline on plain tensors: the interface for engines, in Python and in C++.

        Parameters
        ----------
        structures
            For each structure: "types" (n_atoms,) integers; "positions" (n_atoms, 3); "cell" (3, 3), vectors as rows;
            "pbc" (3,) bool.  On the device of the model, in any floating point type, in the units of the engine.
        pairs
            For each structure and each neighbor list of `requested_neighbor_lists`: shape (n_pairs, 5), integers:
            first atom, second atom, and the cell shifts of the second one along the three cell vectors.
        selected_atoms
            Shape (n_selected, 2), integers: system and atom; energies are sums over these atoms, while forces are on
            all atoms.  None for all.
        request
            Which results to compute, each with the output that it is made from: an energy, with derivatives by one
            backward pass, or the direct prediction that the table of results names.  The results are the rows of
            `metatomic_core.pipeline.results.result_table`, such as "energy", "forces" and "stress".
        outputs
            Other outputs to give, with the kind of their samples.
        units
            "engine": its "length" and "energy"; "inputs" and "outputs": the unit of each input and other output by
            name.  Without one, inputs are in the units that the model asks for, outputs of the dimension of an energy,
            force or pressure in units made of those of the engine, and others in the unit that the model declares.
        check_consistency
            Run all checks of `forward`.
        vectors
            For each list of ``pairs``, the vectors positions[second] - positions[first] + shift @ cell, shape
            (n_pairs, 3), in the unit of the engine, which has them from looking for the pairs; None to compute them
            here.  They must not change before the results are read.
        inputs
            For each structure the requested inputs by name: shape (n_samples, components..., n_properties), trailing
            dimensions of size one may be left out.

        Returns
        -------
        dict of torch.Tensor
            The requested results, float64: (n_systems, ...) or (n_atoms, ...) as the table of results says, scalar,
            3 or 3, 3; with the atoms of all structures one after the other.
        dict of torch.Tensor
            The other outputs, unless they have several blocks, in the order of systems and atoms: shape (n_samples,
            components..., n_properties).  With selected atoms, energies and direct forces of all other atoms are zero
            among the results, and NaN here.
        dict of TensorMap
            The other outputs with their labels.

        Raises
        ------
        ValueError
            If anything is not what the model can work with.
        """
        call_units = units_from(units)
        needs = needs_of(request, self._results)
        leaves = leaves_for(needs, self._differentiates)
        with torch.profiler.record_function("AtomisticModel::prepare"):
            batch = self.batch(structures, pairs, vectors, inputs, selected_atoms, call_units, leaves)
            if check_consistency:
                check_system_data(
                    systems_of(batch, self._neighbor_lists, self._inputs), self._neighbor_lists, self._inputs
                )
        answer, returned = self.derive(batch, leaves, needs, request, outputs, check_consistency)
        return self.finished(batch, answer, returned, request, outputs, call_units)

    @torch.jit.unused
    def save(self, file: str, collect_extensions: Optional[str] = None, *, exported: Optional[bool] = None) -> None:
        """Compile the model and write it to a file.

        Parameters
        ----------
        file
            Path to write to; by habit ``*.pt``.  Written whole or not at all.
        collect_extensions
            Directory to copy the TorchScript extensions that the model needs to.
        exported
            Also trace it, so that ``metatomic compile`` can make a faster one of it; a second or some.  A model that
            can not be traced is saved without, and ``metatomic inspect`` says why.  None for what the environment
            variable METATOMIC_EXPORTED says: 1, the default, or 0.

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
        save_model(self, file, collect_extensions, exported)

    @torch.jit.unused
    def export(self, file: str, collect_extensions: Optional[str] = None) -> None:
        """As `save`, of which this is an older name."""
        self.save(file, collect_extensions)


def _unwrapped(module: Any) -> Any:
    """Give the module inside a model, and anything else as it is."""
    if not isinstance(module, torch.nn.Module) or not is_atomistic_model(module):
        return module
    # of a scripted model, whose class has no properties
    return module.module if isinstance(module, AtomisticModel) else module.core.module  # type: ignore[union-attr]


def _header_of(module: Any) -> Optional[ModelHeader]:
    """Give the header of a loaded model, or of its module; None for anything else, also one with a part called so."""
    origin = _origin_of(module)
    return getattr(origin, "header", None) if isinstance(origin, AtomisticModel) else None


def is_atomistic_model(module: Any) -> bool:
    """Tell whether something is a model that engines can run: an `AtomisticModel`, scripted or loaded or neither.

    Parameters
    ----------
    module
        Any module.

    Returns
    -------
    bool
        Whether it is one.

    Raises
    ------
    TypeError
        If it is no module at all.
    """
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"expected `module` to be a torch.nn.Module, got {type(module).__name__}")
    if isinstance(module, AtomisticModel):
        return True
    return (
        isinstance(module, torch.jit.ScriptModule)
        and module.original_name == "AtomisticModel"
        and hasattr(module, "format_version")
    )


def _origin_of(module: Any) -> Any:
    """Give the loaded model that has given a module, and anything else as it is."""
    return vars(module).get(_ORIGIN, module) if isinstance(module, torch.nn.Module) else module


def _core_of(module: Any) -> Optional[torch.nn.Module]:
    """Give the compiled core around a module: of a model, or of what a loaded one has given; None for others."""
    origin = _origin_of(module)
    is_model = isinstance(origin, torch.nn.Module) and is_atomistic_model(origin)
    # around a module in Python a new one is made, for the new capabilities
    is_compiled = is_model and isinstance(origin.core, torch.jit.ScriptModule)
    return origin.core if is_compiled else None


def remember_origin(module: torch.nn.Module, model: AtomisticModel) -> None:
    """Keep where a module comes from, in case that it is wrapped again."""
    vars(module)[_ORIGIN] = model
