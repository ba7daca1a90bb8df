"""Exported programs of a model that is saved: traced, compared with its compiled code, and described for the header."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import torch
from metatensor.torch import TensorMap

from metatomic_core.files.header import ModelHeader
from metatomic_core.files.programs import OutputLabels, ProgramRecord
from metatomic_core.tracing.flavors import PYTHON_FLAVORS, Flavor
from metatomic_core.tracing.program import (
    DIFFERENTIATES,
    Program,
    Traceable,
    Traced,
    has_programs_inside,
    loaded,
    traced,
)
from metatomic_core.tracing.runner import Runnable

from ._setup import inner_names
from ._trial import RunnableModel, computed, in_one_spelling
from .comparison import Comparison, trial_structures

_Tensors = dict[str, torch.Tensor]


def traced_model(model: RunnableModel, header: ModelHeader) -> Traced:
    """Trace a model in Python; the reason where that can not be.

    Parameters
    ----------
    model, header
        What is saved.
    """
    if isinstance(model.module, torch.jit.ScriptModule):
        return Traced([], "expected a module in Python, got a compiled one; make the model from its Python code")
    if header.differentiates and not has_programs_inside(model.core):
        return Traced([], DIFFERENTIATES)
    outputs = in_one_spelling(header.capabilities.outputs)
    names = inner_names(outputs, model.core.output_names)  # type: ignore[arg-type]
    dtype = header.capabilities.dtype
    return traced(Traceable(model.core, header.neighbor_lists, header.inputs, outputs, names, dtype))


def with_programs(header: ModelHeader, found: Traced, compiled: Any) -> tuple[ModelHeader, dict[str, bytes]]:
    """Compare programs with compiled code; give the header that names those that agree, and their content.

    Parameters
    ----------
    header
        What is known of the model otherwise.
    found
        Its programs.
    compiled
        The same model, compiled, on the CPU.
    """
    structures = trial_structures(header)
    labels = _labels(header, compiled, structures)
    kept: dict[str, bytes] = {}
    records: list[ProgramRecord] = []
    untraced = found.untraced
    for program in found.programs:
        record = dataclasses.replace(
            program.record, values={name: labels[name] for name in program.record.values if name in labels}
        )
        try:
            record, problem = _compared(program._replace(record=record), header, compiled, structures)
        except Exception as error:  # noqa: BLE001  (whatever torch raises on its own graph)
            text = " ".join(str(error).split())[:300]
            problem = f"expected a traced model that runs, got {type(error).__name__}: {text}"
        if problem:
            untraced = problem
            continue
        kept[record.entry] = program.content
        records.append(record)
    if not records and not untraced:
        untraced = "expected an energy or another output, got a model without"
    return dataclasses.replace(header, programs=tuple(records), untraced="" if records else untraced), kept


def _labels(header: ModelHeader, compiled: Any, structures: Mapping[str, _Tensors]) -> dict[str, OutputLabels]:
    """Give the labels of all outputs that have one block."""
    found: dict[str, OutputLabels] = {}
    for name, output in in_one_spelling(header.capabilities.outputs).items():
        for structure in structures.values():
            try:
                tensor = computed(
                    compiled, structure, header.neighbor_lists, header.capabilities.length_unit, {name: output}
                )[name]
            except Exception:  # noqa: BLE001, S112  (whatever a model raises; another structure may do)
                continue
            if len(tensor) == 1:
                found[name] = _labels_of(tensor, output.sample_kind)
            break
    return found


def _labels_of(tensor: TensorMap, kind: str) -> OutputLabels:
    block = tensor.block(0)
    return OutputLabels(
        kind,
        tuple((component.names[0], len(component)) for component in block.components),
        tuple(block.properties.names),
        tuple(tuple(entry) for entry in block.properties.values.tolist()),
    )


def _compared(
    program: Program, header: ModelHeader, compiled: Any, structures: Mapping[str, _Tensors]
) -> tuple[ProgramRecord, str]:
    """Give the record, with whether structures can be joined, and what differs from the compiled code."""
    from metatomic_core.tracing.graph import precision

    record = program.record
    exported = loaded(program.content)
    flavor = Flavor(exported, record, PYTHON_FLAVORS["everything" if record.energy else "values"])
    runnable = Runnable(lambda tensors: flavor(*tensors), flavor.inputs, flavor.outputs)
    comparison = Comparison(header, compiled, record, runnable, precision(exported, header.capabilities.dtype))
    for name, structure in structures.items():
        problem = comparison.problem([structure], joins=True)
        if problem:
            return record, (
                f"expected a traced model that gives what the scripted one does, got another {problem} for {name}; it "
                "depends on numbers of atoms or pairs, or on types, in a way that a trace does not see"
            )
    of_structures = [name for name, labels in record.values.items() if labels.kind == "system"]
    of_structures += [row.name for row in record.inputs if row.name.startswith("inputs/") and row.shape[0] == 1]
    joins = (record.per_atom or not record.energy) and not of_structures
    # atoms of other structures would count, and a comparison sees that only where it is more than rounding
    joins = joins and math.isfinite(header.capabilities.interaction_range)
    # cells of different sizes, open directions, numbers of atoms
    joins = joins and not comparison.problem(list(structures.values()), joins=True)
    return dataclasses.replace(record, joins=joins), ""
