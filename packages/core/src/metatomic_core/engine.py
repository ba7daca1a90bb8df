"""The engine side in Python: what every adapter does around ``AtomisticModel.evaluate``.

An `Engine` loads and checks a model, chooses device and outputs, keeps neighbor lists, evaluates batches of structures
in the units of a simulation engine, and guards the results.  Gradients, signs and unit factors are in `pipeline`;
names and array layouts of a particular engine belong to its adapter.
"""

import copy
import os
import time
from typing import Any, ContextManager, Dict, List, Mapping, Optional, Sequence, Tuple, Union, cast

import numpy as np
import torch
from metatensor.torch import Labels, TensorMap

from ._conversion import detached, dimension_of, scaled_tensor
from ._engine_checks import check_finite, check_finite_outputs, check_options, checked_variants, warn_uncertain
from ._ensembles import EnsembleDerivatives, ensemble_derivatives
from ._labels import ordered_by_label
from ._locks import lock_of
from ._neighbor_slots import NeighborSlots
from ._pairs import attach_pairs
from ._torchscript import clean_errors, unoptimized
from ._validation import check_choice, check_type
from .io import load_atomistic_model
from .loaded import LoadedModel, is_atomistic_model
from .model import AtomisticModel
from .outputs import ModelEvaluationOptions, ModelOutput
from .pipeline import attach_inputs, build_systems, engine_unit, named_unit
from .quantities import base_quantity, canonical_name, split_variant
from .selection import is_on_device, pick_device, pick_output
from .structures import Evaluation, Structure, structure_tensors
from .system import System
from .units import check_unit, conversion_factor, unit_table

__all__ = ["NON_CONSERVATIVE", "RESULTS", "Engine", "Evaluation", "Model", "Structure"]

NON_CONSERVATIVE = {
    "off": (),
    "on": ("forces", "stress"),
    "forces": ("forces",),
    "stress": ("stress",),
}
# Results of the pipeline, with the output of a model that each can also be taken from without derivatives.
RESULTS = {
    "energy": None,
    "atomic_energies": None,
    "forces": "non_conservative_force",
    "virial": "non_conservative_stress",
    "stress": "non_conservative_stress",
    "atomic_virials": None,
}

Model = Union[str, "os.PathLike[str]", AtomisticModel, LoadedModel, torch.jit.ScriptModule]


class Engine:
    """A model, ready to be evaluated in the units of a simulation engine.

    Parameters
    ----------
    model
        Path of a model file, or a model; one on another device is copied.
    length_unit, energy_unit
        Units of the engine.
    device
        Device to run on; None for the best one.
    extensions_directory
        Directory with the TorchScript extensions of the model.
    variants
        Variant to use for each output, by the name of the output: ``{"energy": "pbe"}``.  Uncertainty, ensemble and
        non-conservative outputs follow the energy unless they have an entry of their own, which may be None.
    non_conservative
        Which of "forces" and "stress" to take from direct predictions: False, True for both, or one of them.
    check_consistency
        Run all checks at each evaluation.
    neighbor_skin
        Skin of the neighbor lists, in ``length_unit``.
    uncertainty_threshold
        Warn about atoms whose energy uncertainty is above this value, in ``energy_unit``; None for never.  See
        `watch_uncertainty`.
    check_finite
        Refuse results that are not finite; without it they are given as they are.
    max_pairs
        Number of pairs of a structure above which it is refused, by an estimate: cells that have collapsed would take
        all memory.  None for what fits into the memory of the machine.

    An engine may be used from several threads: its methods wait for each other, and for those of other engines of the
    same model.

    Attributes
    ----------
    watched
        Name of the uncertainty that is watched; None if none is.
    seconds
        Wall-clock time spent so far in ``evaluate``, on "neighbors" and in the "model".

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If the model can not be loaded or does not have what is asked of it.
    """

    def __init__(
        self,
        model: Model,
        *,
        length_unit: str,
        energy_unit: str,
        device: Optional[str] = None,
        extensions_directory: Optional[str] = None,
        variants: Optional[Mapping[str, Optional[str]]] = None,
        non_conservative: Union[bool, str] = False,
        check_consistency: bool = False,
        neighbor_skin: float = 1.0,
        uncertainty_threshold: Optional[float] = None,
        check_finite: bool = True,
        max_pairs: Optional[float] = None,
    ):
        check_unit("length_unit", length_unit, "length")
        check_unit("energy_unit", energy_unit, "energy")
        if isinstance(non_conservative, bool):
            non_conservative = "on" if non_conservative else "off"
        check_type("non_conservative", non_conservative, str, "True, False or a string")
        check_choice("non_conservative", non_conservative, NON_CONSERVATIVE)
        check_options(variants, check_consistency, neighbor_skin, uncertainty_threshold, max_pairs)
        self.model = _as_model(model, extensions_directory)
        self.capabilities = self.model.capabilities()
        self.device = pick_device(self.capabilities.supported_devices, device)
        if not isinstance(model, (str, os.PathLike)) and not is_on_device(self.model, self.device):
            # the model of the caller stays where it is: another engine may run it there
            self.model = copy.deepcopy(self.model)
        self.model.to(self.device)
        self.length_unit = length_unit
        self.energy_unit = energy_unit
        self.check_consistency = check_consistency
        self.check_finite = check_finite
        self.watched: Optional[str] = None
        self.seconds = {"neighbors": 0.0, "model": 0.0}
        self._known_names = {
            canonical_name(name) for name in (*self.capabilities.outputs, *self.model.requested_inputs())
        }
        self._variants = checked_variants(variants, self.capabilities.outputs)
        self._direct = NON_CONSERVATIVE[non_conservative]
        self._neighbors = NeighborSlots(self._pair_requests(), neighbor_skin, max_pairs)
        self._known_requests: Dict[Tuple[str, ...], Dict[str, str]] = {}
        self.watch_uncertainty(uncertainty_threshold)
        for result in self._direct:
            self.source(result)

    @property
    def lock(self) -> ContextManager[Any]:
        """Give the lock of the model, held while it is evaluated, also for adapters; a thread may take it twice."""
        return lock_of(self.model)

    def _pair_requests(self) -> List[tuple[float, bool, bool]]:
        return [
            (options.engine_cutoff(self.length_unit), options.full_list, options.strict)
            for options in self.model.requested_neighbor_lists()
        ]

    def watch_uncertainty(self, threshold: Optional[float]) -> None:
        """Warn from now on about atoms with an uncertain energy, if the model has an uncertainty for each atom.

        Parameters
        ----------
        threshold
            Uncertainty above which to warn, in ``energy_unit``; None for never.

        Raises
        ------
        ValueError
            If the model has several uncertainties, and neither ``variants`` nor a default says which one.
        """
        self._uncertainty_threshold = threshold
        self.watched = None
        outputs = self.capabilities.outputs
        if threshold is None or "energy_uncertainty" not in {base_quantity(name) for name in outputs}:
            return
        # a variant of the energy may have none; it is not mixed with that of another one
        if self._variants.get("energy_uncertainty") is not None and not self.offers("energy_uncertainty"):
            return
        name = self.output("energy_uncertainty")
        self.watched = name if outputs[name].sample_kind == "atom" else None

    def offers(self, name: str) -> bool:
        """Tell whether the model has an output of this name, in the variant that was chosen."""
        try:
            self.output(name)
        except ValueError:
            return False
        return True

    def output(self, name: str) -> str:
        """Give the name of an output with the variant that was chosen.

        Raises
        ------
        ValueError
            If the model has no such output.
        """
        if split_variant(name)[1]:
            if name not in self.capabilities.outputs:
                raise ValueError(
                    f"expected an output of the model, one of {sorted(self.capabilities.outputs)}, got '{name}'"
                )
            return name
        return pick_output(name, self.capabilities.outputs, self._variants.get(canonical_name(name)))

    def source(self, result: str) -> str:
        """Give the output of the model that a result is made from.

        Parameters
        ----------
        result
            One of `RESULTS`.

        Raises
        ------
        ValueError
            If the model does not have it.
        """
        check_choice("results", result, RESULTS)
        direct = RESULTS[result]
        if direct is not None and ("stress" if result == "virial" else result) in self._direct:
            return self.output(direct)
        return self.output("energy")

    def _request(self, results: Tuple[str, ...]) -> Dict[str, str]:
        """Give the source of each result; looking names up costs as much as a small neighbor list."""
        if results not in self._known_requests:
            self._known_requests[results] = {result: self.source(result) for result in results}
        return self._known_requests[results]

    def can_give(self, result: str) -> bool:
        """Tell whether the model can give a result."""
        direct = RESULTS[result]
        taken_directly = direct is not None and ("stress" if result == "virial" else result) in self._direct
        # an energy that has several variants and no default is an error, not something that is missing
        if not taken_directly and "energy" not in {base_quantity(name) for name in self.capabilities.outputs}:
            return False
        name = self.source(result)
        return result != "atomic_energies" or self.capabilities.outputs[name].sample_kind == "atom"

    def evaluate(
        self,
        structures: Sequence[Structure],
        results: Sequence[str] = ("energy",),
        *,
        outputs: Optional[Mapping[str, str]] = None,
        units: Optional[Mapping[str, str]] = None,
        output_units: Optional[Mapping[str, str]] = None,
        selected_atoms: Optional[np.ndarray] = None,
        slots: Optional[Sequence[int]] = None,
    ) -> Evaluation:
        """Evaluate structures, in one call of the model.

        Parameters
        ----------
        structures
            The structures.
        results
            What to compute: names in `RESULTS`.
        outputs
            Other outputs, with the kind of their samples: "system", "atom" or "atom_pair".
        units
            Units of inputs, and of other outputs that are not in ``output_units``, by name.
        output_units
            Units of other outputs, by name: also of those that have the name of an input, or of what a result is made
            from.  The results themselves are in the units of the engine.
        selected_atoms
            Shape (n_selected, 2): structure and atom; see ``AtomisticModel.evaluate``.
        slots
            Which neighbor lists each structure continues, for engines that move several structures; by default the
            place in the batch.

        Returns
        -------
        Evaluation
            The results.

        Raises
        ------
        ValueError
            If a structure or request is not what the model can work with, or a result is not finite.

        Warns
        -----
        UserWarning
            If the uncertainty of an atom is above the threshold.
        """
        request = self._request(tuple(results))
        wanted = dict(outputs or {})
        all_units, factors = self._units_of_call(request, wanted, units or {}, output_units or {})
        if self.watched is not None:
            if wanted.get(self.watched, "atom") != "atom":
                raise ValueError(
                    f"expected '{self.watched}' in `outputs` for each atom, as the engine watches it, got "
                    f"'{wanted[self.watched]}'; set `uncertainty_threshold` to None"
                )
            wanted[self.watched] = "atom"
        tensors = self._tensors(structures)
        selected = None if selected_atoms is None else torch.as_tensor(selected_atoms, device=self.device)
        values, maps = self._call_model(tensors, slots, selected, request, wanted, all_units)
        arrays = {result: values[result].numpy() for result in request}
        n_atoms = [len(structure.types) for structure in structures]
        evaluation = Evaluation(
            n_atoms,
            **arrays,
            outputs={
                name: _values_in_order(name, kind, values, maps[name], n_atoms, selected is not None)
                for name, kind in wanted.items()
                if len(maps[name].keys) == 1
            },
            tensors=dict(maps),
        )
        if self.check_finite:
            check_finite(evaluation, request, structures)
            if selected is None:
                check_finite_outputs(evaluation)
        if self.watched is not None and self._uncertainty_threshold is not None:
            warn_uncertain(evaluation.outputs[self.watched], self._uncertainty_threshold, self.energy_unit)
        for name, (factor, unit) in factors.items():
            if name in evaluation.outputs:
                evaluation.outputs[name] = evaluation.outputs[name] * factor
            evaluation.tensors[name] = scaled_tensor(evaluation.tensors[name], factor, 1.0, unit)
        return evaluation

    def _units_of_call(
        self, request: Dict[str, str], wanted: Dict[str, str], units: Mapping[str, str], output_units: Mapping[str, str]
    ) -> Tuple[Dict[str, str], Dict[str, Tuple[float, str]]]:
        """Give the units for the pipeline, where a name has one, and what is left to convert afterwards.

        Returns
        -------
        dict of str, dict of (float, str)
            Units by name, and for some outputs the factor to their unit and this unit.
        """
        engine = {"length": self.length_unit, "energy": self.energy_unit}
        if not (wanted or units or output_units):
            return engine, {}
        for argument, given in (("units", units), ("output_units", output_units)):
            for name in given:
                if canonical_name(name) not in self._known_names:
                    raise ValueError(
                        f"expected inputs and outputs of the model in `{argument}`, {sorted(self._known_names)}, got "
                        f"'{name}'"
                    )
        inputs = {canonical_name(name) for name in self.model.requested_inputs()}
        # names whose unit is not that of an output with this name
        taken = {"energy", *inputs}
        if wanted:
            taken |= {canonical_name(name) for name in (*request.values(), self.watched or "energy")}
        passed = {name: unit for name, unit in units.items() if canonical_name(name) in inputs or name not in wanted}
        own = {name: named_unit(name, {**units, **output_units}) for name in wanted}
        direct = {k: unit for k, unit in own.items() if unit is not None and canonical_name(k) not in taken}
        passed = {**passed, **direct, **engine}
        factors: Dict[str, Tuple[float, str]] = {}
        for name, unit in own.items():
            declared = self.capabilities.outputs.get(name)
            before = engine_unit(name, "" if declared is None else declared.unit, passed)
            if unit is not None and unit != before:
                factors[name] = (conversion_factor(before, unit, dimension_of(name), unit_table()), unit)
        return passed, factors

    def _call_model(
        self,
        tensors: List[Dict[str, torch.Tensor]],
        slots: Optional[Sequence[int]],
        selected: Optional[torch.Tensor],
        request: Dict[str, str],
        wanted: Dict[str, str],
        units: Dict[str, str],
    ) -> Tuple[Dict[str, torch.Tensor], Dict[str, TensorMap]]:
        """Find neighbors and run the pipeline, one thread at a time, and measure the time; see `AtomisticModel`."""
        with self.lock, torch.inference_mode(False), torch.enable_grad(), clean_errors(), unoptimized():
            start = time.perf_counter()
            pairs, vectors = self._neighbors.compute(tensors, slots)
            found = time.perf_counter()
            values, maps = self.model.evaluate(
                tensors, pairs, selected, request, wanted, units, self.check_consistency, vectors
            )
            # a device has only finished when its results are here
            values = {**values, **{result: values[result].cpu() for result in request}}
            self.seconds["neighbors"] += found - start
            self.seconds["model"] += time.perf_counter() - found
        return values, maps

    def run(
        self,
        structures: Sequence[Structure],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels] = None,
        units: Optional[Mapping[str, str]] = None,
    ) -> Dict[str, TensorMap]:
        """Call ``forward`` of the model on structures, for outputs with all their labels and gradients.

        Parameters
        ----------
        structures
            The structures.
        outputs
            What to compute, with units.
        selected_atoms
            Labels ``system`` and ``atom``; None for all.
        units
            Units of the inputs, by name.
        """
        if selected_atoms is not None:
            selected_atoms = selected_atoms.to(self.device)
        options = ModelEvaluationOptions(self.length_unit, outputs, selected_atoms)
        with self.lock, torch.inference_mode(False), torch.enable_grad(), clean_errors():
            results = self.model(self.systems(structures, units), options, self.check_consistency)
        return {name: detached(tensor) for name, tensor in results.items()}

    def systems(self, structures: Sequence[Structure], units: Optional[Mapping[str, str]] = None) -> List[System]:
        """Build systems in the units of the engine, with all neighbor lists and inputs that the model requests."""
        tensors = self._tensors(structures)
        requested = self.model.requested_neighbor_lists()
        inputs = self.model.requested_inputs()
        with self.lock, torch.inference_mode(False), torch.enable_grad(), clean_errors():
            graph = self.model.differentiates()
            systems = build_systems(tensors, 1.0, self.capabilities.dtype, graph, graph)
            pairs, vectors = self._neighbors.compute(tensors, None)
            attach_pairs(systems, tensors, 1.0, pairs, vectors, requested, graph, False)
            attach_inputs(systems, tensors, inputs, dict(units or {}), unit_table(), {})
        return systems

    def ensemble(
        self,
        structures: Sequence[Structure],
        units: Optional[Mapping[str, str]] = None,
        slots: Optional[Sequence[int]] = None,
    ) -> EnsembleDerivatives:
        """Compute energy, forces and virial of each member of an ensemble; see `EnsembleDerivatives`.

        Parameters
        ----------
        structures
            The structures.
        units
            Units of the inputs, by name.
        slots
            Which neighbor lists each structure continues.

        Raises
        ------
        ValueError
            If the model has no "energy_ensemble".
        """
        name = self.output("energy_ensemble")
        tensors = self._tensors(structures)
        with self.lock, torch.inference_mode(False), torch.enable_grad(), clean_errors():
            systems = build_systems(tensors, 1.0, self.capabilities.dtype, True, True)
            pairs, vectors = self._neighbors.compute(tensors, slots)
            attach_pairs(systems, tensors, 1.0, pairs, vectors, self.model.requested_neighbor_lists(), True, True)
            attach_inputs(systems, tensors, self.model.requested_inputs(), dict(units or {}), unit_table(), {})
            options = ModelEvaluationOptions(self.length_unit, {name: ModelOutput("", self.energy_unit, "system")})
            returned = self.model(systems, options, self.check_consistency)
            return ensemble_derivatives(returned[name], systems, name)

    def forget_neighbors(self) -> None:
        """Drop all neighbor lists that are kept between calls."""
        with self.lock:
            self._neighbors.clear()

    @torch.inference_mode(False)
    def _tensors(self, structures: Sequence[Structure]) -> List[Dict[str, torch.Tensor]]:
        inputs = self.model.requested_inputs()
        return [structure_tensors(structure, i, inputs, self.device) for i, structure in enumerate(structures)]


def _values_in_order(
    name: str, kind: str, values: Dict[str, torch.Tensor], tensor: TensorMap, n_atoms: List[int], partial: bool
) -> np.ndarray:
    if name not in RESULTS:
        return values[name].cpu().numpy()
    # the name stands for a result there: an energy per system, maybe of another variant
    return ordered_by_label(tensor, kind, n_atoms, name, partial, float("nan")).detach().cpu().numpy()


def _as_model(model: Model, extensions_directory: Optional[str]) -> Union[AtomisticModel, LoadedModel]:
    if isinstance(model, (str, os.PathLike)):
        return load_atomistic_model(model, extensions_directory)
    if not isinstance(model, torch.nn.Module) or not is_atomistic_model(model):
        raise TypeError(f"expected `model` to be a path or an AtomisticModel, got {type(model).__name__}")
    # a scripted AtomisticModel has the methods of the class
    return cast(AtomisticModel, model)
