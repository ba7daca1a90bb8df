"""The engine side in Python: what every adapter does around ``AtomisticModel.evaluate``.

An `Engine` loads and checks a model, chooses device and outputs, keeps neighbor lists, evaluates batches of structures
in the units of a simulation engine, and guards the results.  Gradients, signs and unit factors are in `pipeline`;
names and array layouts of a particular engine belong to its adapter.
"""

import contextlib
import copy
import logging
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core.data.checks import DTYPES
from metatomic_core.data.outputs import ModelEvaluationOptions, ModelOutput
from metatomic_core.data.quantities import base_quantity, canonical_name
from metatomic_core.data.selection import is_on_device, pick_device
from metatomic_core.data.system import System
from metatomic_core.foundation.checks import check_choice, check_type
from metatomic_core.foundation.locks import lock_of
from metatomic_core.foundation.torchscript import clean_errors, unoptimized
from metatomic_core.kernels import Kernel, chosen_kernel
from metatomic_core.loading import load_atomistic_model
from metatomic_core.model.atomistic_model import AtomisticModel, is_atomistic_model
from metatomic_core.neighbor_lists import NeighborSlots
from metatomic_core.pipeline.batch import Leaves
from metatomic_core.pipeline.conversion import detached
from metatomic_core.pipeline.prepare import prepare, prepared_inputs, sizes_of
from metatomic_core.pipeline.systems import systems_of
from metatomic_core.pipeline.units_of_call import Units
from metatomic_core.units import check_unit, conversion_factor, unit_table

from ._checks import check_finite, check_finite_outputs, check_options, checked_variants, warn_uncertain
from .calls import Call, Found, Given, Tensors, evaluate, kernel_lacks, output_unit, units_of_call
from .choices import NON_CONSERVATIVE, Choices
from .jacobians import JACOBIANS
from .quick import Quick
from .structures import Evaluation, Structure, input_tensors, structure_tensors

__all__ = ["Engine", "Model"]

_LOG = logging.getLogger(__name__)

Model = str | os.PathLike[str] | AtomisticModel | torch.jit.ScriptModule


class Engine:
    """A model, ready to be evaluated in the units of a simulation engine.

    An engine may be used from several threads: its methods wait for each other, and for those of other engines of the
    same model.

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
    kernel
        How to run the model, one of `metatomic_core.kernels.KERNELS`: "compiled" for code that ``metatomic compile``
        has made, "script" for the model itself, "eager" for the exported program in its file; "auto" for compiled code
        where there is some that fits, else the model itself.

    Attributes
    ----------
    watched
        Name of the uncertainty that is watched; None if none is.
    seconds
        Wall-clock time spent so far in ``evaluate``, on "neighbors" and in the "model"; and of the latter with each
        kernel that ran: "compiled", "eager" or "script".
    kernel
        What runs the model where it can: "compiled", "eager", or "script" for the model itself.
    fallback
        What the kernel could not do in the last call, which the model itself did then; empty if nothing.

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
        device: str | None = None,
        extensions_directory: str | None = None,
        variants: Mapping[str, str | None] | None = None,
        non_conservative: bool | str = False,
        check_consistency: bool = False,
        neighbor_skin: float = 1.0,
        uncertainty_threshold: float | None = None,
        check_finite: bool = True,
        max_pairs: float | None = None,
        kernel: str = "auto",
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
        self._kernel = chosen_kernel(kernel, self.model, self.device)
        self._falls_back = kernel in {"auto", "eager"}
        # a model in a foreign format may be compiled code itself
        self._itself = getattr(self.model, "way", "script")
        self.kernel = self._itself if self._kernel is None else self._kernel.name
        self.fallback = ""
        self.length_unit = length_unit
        self.energy_unit = energy_unit
        self.check_consistency = check_consistency
        self.check_finite = check_finite
        self.watched: str | None = None
        self.seconds = {"neighbors": 0.0, "model": 0.0}
        self._known_names = {
            canonical_name(name) for name in (*self.capabilities.outputs, *self.model.requested_inputs())
        }
        self._choices = Choices(
            self.capabilities.outputs,
            checked_variants(variants, self.capabilities.outputs),
            NON_CONSERVATIVE[non_conservative],
        )
        self._neighbors = NeighborSlots(self._pair_requests(), neighbor_skin, max_pairs)
        self._known_units: dict[Any, dict[str, dict[str, str]]] = {}
        # what the kernel lacks for a call, by what it asks for
        self._lacking: dict[Any, str] = {}
        self._quick = Quick(self.model, self._neighbors, (length_unit, energy_unit), self.device)
        self.watch_uncertainty(uncertainty_threshold)
        for result in NON_CONSERVATIVE[non_conservative]:
            self.source(result)

    @property
    def lock(self) -> contextlib.AbstractContextManager[Any]:
        """Give the lock of the model, held while it is evaluated, also for adapters; a thread may take it twice."""
        return lock_of(self.model)

    def _pair_requests(self) -> list[tuple[float, bool, bool]]:
        return [
            (options.engine_cutoff(self.length_unit), options.full_list, options.strict)
            for options in self.model.requested_neighbor_lists()
        ]

    def watch_uncertainty(self, threshold: float | None) -> None:
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
        if self._choices.variants.get("energy_uncertainty") is not None and not self.offers("energy_uncertainty"):
            return
        name = self.output("energy_uncertainty")
        self.watched = name if outputs[name].sample_kind == "atom" else None

    def offers(self, name: str) -> bool:
        """Tell whether the model has an output of this name, in the variant that was chosen.

        Parameters
        ----------
        name
            Name of the output, either spelling, without a variant.

        Returns
        -------
        bool
            Whether it has.
        """
        return self._choices.offers(name)

    def output(self, name: str) -> str:
        """Give the name of an output with the variant that was chosen.

        Parameters
        ----------
        name
            Name of the output, either spelling, without a variant.

        Returns
        -------
        str
            Name of the output as the model spells it.

        Raises
        ------
        ValueError
            If the model has no such output.
        """
        return self._choices.output(name)

    def source(self, result: str) -> str:
        """Give the output of the model that a result is made from.

        Parameters
        ----------
        result
            One of `RESULTS`.

        Returns
        -------
        str
            Name of the output.

        Raises
        ------
        ValueError
            If the model does not have it.
        """
        return self._choices.source(result)

    def is_direct(self, result: str) -> bool:
        """Tell whether a result is taken from a direct prediction of the model, without derivatives.

        Parameters
        ----------
        result
            One of `RESULTS`.

        Returns
        -------
        bool
            Whether it is.
        """
        return self._choices.is_direct(result)

    def can_give(self, result: str) -> bool:
        """Tell whether the model can give a result.

        Parameters
        ----------
        result
            One of `RESULTS`.

        Returns
        -------
        bool
            Whether it can.
        """
        return self._choices.can_give(result)

    def evaluate(
        self,
        structures: Sequence[Structure],
        results: Sequence[str] = ("energy",),
        *,
        outputs: Mapping[str, str] | None = None,
        units: Mapping[str, str] | None = None,
        output_units: Mapping[str, str] | None = None,
        selected_atoms: np.ndarray | None = None,
        slots: Sequence[int] | None = None,
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
        wanted = dict(outputs or {})
        call_units = self._units_of_call(units or {}, output_units or {})
        if self.watched is not None:
            if wanted.get(self.watched, "atom") != "atom":
                raise ValueError(
                    f"expected '{self.watched}' in `outputs` for each atom, as the engine watches it, got "
                    f"'{wanted[self.watched]}'; set `uncertainty_threshold` to None"
                )
            wanted[self.watched] = "atom"
        call = Call(
            self._choices.request(tuple(results)),
            {result: self.source(result) for result in results if result in JACOBIANS},
            wanted,
            call_units,
            None if selected_atoms is None else torch.as_tensor(selected_atoms, device=self.device),
        )
        found = self._call_model(structures, slots, call)
        evaluation = Evaluation(
            [len(structure.types) for structure in structures],
            **found.results,
            outputs={name: values.cpu().numpy() for name, values in found.outputs.items()},
            tensors=found.tensors,
        )
        if selected_atoms is None:
            self._remove_net_forces(evaluation)
        if self.check_finite:
            check_finite(evaluation, results, structures)
            if selected_atoms is None:
                check_finite_outputs(evaluation)
        if self.watched is not None and self._uncertainty_threshold is not None:
            values = evaluation.outputs[self.watched]
            unit = output_unit(self.watched, self.capabilities.outputs, call_units)
            if unit != self.energy_unit:
                values = values * conversion_factor(unit, self.energy_unit, "energy", unit_table())
            warn_uncertain(values, self._uncertainty_threshold, self.energy_unit)
        return evaluation

    def _remove_net_forces(self, evaluation: Evaluation) -> None:
        """Make direct forces add up to zero, which they do not by themselves: the centre of mass would drift."""
        if evaluation.forces is None or not self._choices.is_direct("forces"):
            return
        for i in range(len(evaluation.n_atoms)):
            forces = evaluation.forces[evaluation.atoms(i)]
            if len(forces) > 0:
                forces -= forces.mean(axis=0)

    def _units_of_call(self, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """Give the units for the pipeline; checking them costs as much as a small neighbor list, and is done once."""
        key = (tuple(inputs.items()), tuple(outputs.items()))
        if key not in self._known_units:
            self._known_units[key] = units_of_call(
                (self.length_unit, self.energy_unit), inputs, outputs, self._known_names, self.model
            )
        return self._known_units[key]

    def _call_model(self, structures: Sequence[Structure], slots: Sequence[int] | None, call: Call) -> Found:
        """Find neighbors and run the pipeline, one thread at a time, and measure the time; see `AtomisticModel`."""
        with self.lock:
            kernel = self._kernel_for(call)
            program = None
            if kernel is not None and not self.check_consistency:
                program = self._quick.program(kernel, len(structures), call)
            start = time.perf_counter()
            if program is not None:
                with torch.inference_mode():
                    results, middle = self._quick.evaluate(program, structures, slots, call.request)
                found = Found(results, {}, {})
            else:
                found, middle = self._call_pipeline(structures, slots, call, kernel)
            self._count(start, middle, kernel)
        return found

    def _call_pipeline(
        self, structures: Sequence[Structure], slots: Sequence[int] | None, call: Call, kernel: Kernel | None
    ) -> tuple[Found, float]:
        """Take the way through the pipeline of the model; also give the time at which the pairs were found."""
        tensors, inputs = self._tensors(structures)
        with torch.inference_mode(False), torch.enable_grad(), clean_errors(), unoptimized():
            pairs, vectors = self._neighbors.compute(tensors, slots)
            middle = time.perf_counter()
            given = Given(tensors, pairs, vectors, inputs)
            return evaluate(self.model, given, call, self.check_consistency, kernel), middle

    def _count(self, start: float, middle: float, kernel: Kernel | None) -> None:
        """Count the time of a call, in the middle of which the pairs were found."""
        spent = time.perf_counter() - middle
        self.seconds["neighbors"] += middle - start
        self.seconds["model"] += spent
        name = self._itself if kernel is None else kernel.name
        self.seconds[name] = self.seconds.get(name, 0.0) + spent

    def _kernel_for(self, call: Call) -> Kernel | None:
        """Give the kernel, or None where the model itself has to run."""
        if self._kernel is None:
            return None
        key = (
            tuple(call.request.items()),
            tuple(call.outputs.items()),
            tuple(call.jacobians.items()),
            call.selected_atoms is not None,
        )
        if key not in self._lacking:
            self._lacking[key] = kernel_lacks(self._kernel, call)
        missing = self._lacking[key]
        if missing and not self._falls_back:
            raise ValueError(
                f"expected results that the kernel '{self.kernel}' has, got a call for {missing}; use `kernel` 'auto', "
                "or run `metatomic compile --all` with the model"
            )
        if missing and missing != self.fallback:
            _LOG.info("the model itself runs where the kernel '%s' lacks %s", self.kernel, missing)
        self.fallback = missing
        return None if missing else self._kernel

    def run(
        self,
        structures: Sequence[Structure],
        outputs: dict[str, ModelOutput],
        selected_atoms: "Labels | None" = None,
        units: Mapping[str, str] | None = None,
    ) -> dict[str, TensorMap]:
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

        Returns
        -------
        dict
            A `TensorMap` for each output, by name, in the units of ``outputs``.
        """
        if selected_atoms is not None:
            selected_atoms = selected_atoms.to(self.device)
        options = ModelEvaluationOptions(self.length_unit, outputs, selected_atoms)
        with self.lock, torch.inference_mode(False), torch.enable_grad(), clean_errors():
            results = self.model(self.systems(structures, units), options, self.check_consistency)
        return {name: detached(tensor) for name, tensor in results.items()}

    def systems(self, structures: Sequence[Structure], units: Mapping[str, str] | None = None) -> list[System]:
        """Build systems in the units of the engine, with all neighbor lists and inputs that the model requests.

        Parameters
        ----------
        structures
            The structures.
        units
            Units of the inputs, by name.

        Returns
        -------
        list of System
            A system for each structure.
        """
        tensors, given = self._tensors(structures)
        requested, inputs = self.model.requested_neighbor_lists(), self.model.requested_inputs()
        with self.lock, torch.inference_mode(False), torch.enable_grad(), clean_errors():
            pairs, vectors = self._neighbors.compute(tensors, None)
            graph = self.model.differentiates()
            leaves = Leaves(graph, graph, vectors=False, connected=graph)
            # lengths as the engine has them: the model converts what it is given
            like = torch.empty(0, dtype=DTYPES[self.capabilities.dtype], device=self.device)
            call_units = Units(self.length_unit, self.energy_unit, dict(units or {}), {})
            prepared = prepared_inputs(given, sizes_of(tensors), inputs, call_units, like, unit_table(), {})
            batch = prepare(tensors, pairs, vectors, len(requested), None, prepared, 1.0, like.dtype, leaves)
            return systems_of(batch, requested, inputs)

    def forget_neighbors(self) -> None:
        """Drop all neighbor lists that are kept between calls."""
        with self.lock:
            self._neighbors.clear()

    @torch.inference_mode(False)
    def _tensors(self, structures: Sequence[Structure]) -> tuple[list[Tensors], list[Tensors]]:
        """Give the geometry and the inputs of each structure."""
        names = list(self.model.requested_inputs())
        tensors = [structure_tensors(structure, i, self.device) for i, structure in enumerate(structures)]
        return tensors, [input_tensors(structure, names, self.device) for structure in structures]


def _as_model(model: Model, extensions_directory: str | None) -> AtomisticModel:
    if isinstance(model, (str, os.PathLike)):
        return load_atomistic_model(model, extensions_directory)
    if not isinstance(model, torch.nn.Module) or not is_atomistic_model(model):
        raise TypeError(f"expected `model` to be a path or an AtomisticModel, got {type(model).__name__}")
    # a scripted AtomisticModel has the methods of the class
    return cast("AtomisticModel", model)
