"""One call of a model: what is asked of it in which units, and how it is run with results that need its graph."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import numpy as np
import torch
from metatensor.torch import TensorMap

from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import canonical_name
from metatomic_core.kernels import Kernel
from metatomic_core.model.atomistic_model import AtomisticModel
from metatomic_core.pipeline.batch import NO_LEAVES
from metatomic_core.pipeline.consistency import check_selected_atoms, check_system_data
from metatomic_core.pipeline.derive import answer_of, selected_labels
from metatomic_core.pipeline.results import kinds_of, leaves_for, needs_of, result_table
from metatomic_core.pipeline.systems import systems_of
from metatomic_core.pipeline.units_of_call import unit_of_output, units_from
from metatomic_core.tracing.runner import Question, labelled
from metatomic_core.units import conversion_factor, unit_table

from .jacobians import JACOBIANS

Tensors = dict[str, torch.Tensor]


class Call(NamedTuple):
    """What is asked of a model.

    Attributes
    ----------
    request
        Results of the pipeline, each with the output that it is made from.
    jacobians
        Results that take several backward passes; the same.
    outputs
        Other outputs, with the kind of their samples.
    units
        See ``AtomisticModel.evaluate``.
    selected_atoms
        Shape (n_selected, 2): structure and atom; None for all.
    """

    request: dict[str, str]
    jacobians: dict[str, str]
    outputs: dict[str, str]
    units: dict[str, dict[str, str]]
    selected_atoms: torch.Tensor | None


class Found(NamedTuple):
    """What came out of it: results as arrays, other outputs, and these with their labels."""

    results: dict[str, np.ndarray]
    outputs: Tensors
    tensors: dict[str, TensorMap]


def units_of_call(
    engine: tuple[str, str],
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    known: AbstractSet[str],
    model: AtomisticModel,
) -> dict[str, dict[str, str]]:
    """Sort units into those of the engine, of inputs and of outputs.

    Parameters
    ----------
    engine
        Units of length and energy.
    inputs
        Units of inputs, and of outputs that are not in ``outputs``.
    outputs
        Units of outputs.
    known
        Canonical names of inputs and outputs of the model.
    model
        The model.

    Raises
    ------
    ValueError
        If a name is neither an input nor an output of the model.
    """
    for argument, given in (("units", inputs), ("output_units", outputs)):
        for name in given:
            if canonical_name(name) not in known:
                raise ValueError(
                    f"expected inputs and outputs of the model in `{argument}`, {sorted(known)}, got '{name}'"
                )
    requested = {canonical_name(name) for name in model.requested_inputs()}
    return {
        "engine": {"length": engine[0], "energy": engine[1]},
        "inputs": {name: unit for name, unit in inputs.items() if canonical_name(name) in requested},
        "outputs": {**inputs, **outputs},
    }


def output_unit(name: str, declared: Mapping[str, ModelOutput], units: dict[str, dict[str, str]]) -> str:
    """Give the unit in which an output comes out of a call."""
    return unit_of_output(name, units_from(units), declared[name].unit)


class Given(NamedTuple):
    """What a model is evaluated for, as tensors: see ``AtomisticModel.evaluate``."""

    structures: list[Tensors]
    pairs: list[list[torch.Tensor]]
    vectors: list[list[torch.Tensor]]
    inputs: list[Tensors]


def kernel_lacks(kernel: Kernel, call: Call) -> str:
    """Say what of a call a kernel has no answer to; empty if it has."""
    if call.jacobians:
        return ", ".join(f"'{name}'" for name in call.jacobians)
    return kernel.lacks(_question(call), selects=call.selected_atoms is not None)


def _question(call: Call) -> Question:
    return Question(needs_of(call.request, result_table()), call.request, call.outputs)


def evaluate(
    model: AtomisticModel, given: Given, call: Call, check_consistency: bool, kernel: Kernel | None = None
) -> Found:
    """Run a model, or a kernel in its place; ``check_consistency`` as for ``AtomisticModel.evaluate``."""
    if kernel is not None:
        results, outputs, tensors = _by_kernel(model, kernel, given, call, check_consistency)
    elif call.jacobians:
        results, outputs, tensors = _in_graph(model, given, call, check_consistency)
    else:
        results, outputs, tensors = model.evaluate(
            given.structures,
            given.pairs,
            call.selected_atoms,
            call.request,
            call.outputs,
            call.units,
            check_consistency,
            given.vectors,
            given.inputs,
        )
    # a device has only finished when its results are here
    return Found({name: values.cpu().numpy() for name, values in results.items()}, outputs, tensors)


def _by_kernel(
    model: AtomisticModel, kernel: Kernel, given: Given, call: Call, check_consistency: bool
) -> tuple[Tensors, Tensors, dict[str, TensorMap]]:
    """Run a kernel between the seams of the pipeline."""
    units = units_from(call.units)
    batch = model.batch(
        given.structures, given.pairs, given.vectors, given.inputs, call.selected_atoms, units, NO_LEAVES
    )
    requested = model.requested_inputs()
    if check_consistency:
        lists = model.requested_neighbor_lists()
        check_system_data(systems_of(batch, lists, requested), lists, requested)
    if batch.selected_atoms is not None:
        check_selected_atoms(selected_labels(batch.selected_atoms), batch.n_atoms)
    answer, record = kernel.derive(batch, _question(call))
    returned = {name: labelled(name, answer.outputs[name], kind, record, batch) for name, kind in call.outputs.items()}
    return model.finished(batch, answer, returned, call.request, call.outputs, units)


def _in_graph(
    model: AtomisticModel, given: Given, call: Call, check_consistency: bool
) -> tuple[Tensors, Tensors, dict[str, TensorMap]]:
    """Run a model once, and differentiate as often as needed."""
    if call.selected_atoms is not None:
        raise ValueError(f"expected no `selected_atoms` for {sorted(call.jacobians)}, got some")
    capabilities, units, table = model.capabilities(), units_from(call.units), result_table()
    needs = needs_of(call.request, table)
    # with the graph that a module which differentiates by itself would get
    leaves = leaves_for(needs, differentiates=True)
    kinds = kinds_of(call.request, call.outputs, needs, table)
    # per structure; per atom where another result is made of these
    asked = {**dict.fromkeys(call.jacobians.values(), "system"), **kinds}
    batch = model.batch(given.structures, given.pairs, given.vectors, given.inputs, None, units, leaves)
    returned = model.outputs_of(batch, asked, check_consistency)
    length = conversion_factor(units.length, capabilities.length_unit, "length", unit_table())
    results: Tensors = {}
    made: dict[tuple[object, str], Tensors] = {}
    for result, source in call.jacobians.items():
        row = JACOBIANS[result]
        if (row.compute, source) not in made:
            made[row.compute, source] = row.compute(returned[source], batch, source)
        unit = row.unit.format(energy=units.energy, length=units.length)
        factor = conversion_factor(capabilities.outputs[source].unit, unit, row.dimension, unit_table())
        results[result] = made[row.compute, source][result] * (factor * length**row.n_lengths)
    answer = answer_of(returned, kinds, call.request, call.outputs, batch, leaves, needs)
    others, values, tensors = model.finished(batch, answer, returned, call.request, call.outputs, units)
    return {**results, **others}, values, tensors
