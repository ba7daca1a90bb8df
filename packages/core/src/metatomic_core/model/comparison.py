"""Programs and packages beside the compiled code of their model: the same results, on structures of several sizes."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from metatomic_core.files.header import ModelHeader
from metatomic_core.files.programs import ProgramRecord
from metatomic_core.pipeline.batch import NO_LEAVES
from metatomic_core.pipeline.results import needs_of, result_table
from metatomic_core.pipeline.units_of_call import units_from
from metatomic_core.tracing.runner import Question, Runnable, derive

from ._trial import evaluated, filled_input, in_one_spelling, pairs_of, small_structures
from .locality import cluster_types, dense_cluster

_N_ATOMS = 24
_Tensors = dict[str, torch.Tensor]
# Of the largest number among the results.
_TOLERANCES = {"float64": 1e-10, "float32": 1e-4}


def trial_structures(header: ModelHeader) -> dict[str, _Tensors]:
    """Give structures of several sizes, in the length unit of the model."""
    found = small_structures(header.capabilities, header.neighbor_lists, header.inputs)
    cutoff = max((options.cutoff for options in header.neighbor_lists), default=1.0)
    if math.isfinite(cutoff):
        types = cluster_types(_N_ATOMS, header.capabilities.atomic_types, 1)
        edge = 1.3 * cutoff * torch.tensor([[1.0, 0.0, 0.0], [0.2, 1.1, 0.0], [-0.1, 0.3, 0.9]], dtype=torch.float64)
        crystal = {
            "types": types,
            "positions": dense_cluster(_N_ATOMS, 0.6 * cutoff, 7),
            "cell": edge,
            "pbc": torch.ones(3, dtype=torch.bool),
        }
        for name, request in header.inputs.items():
            crystal[name] = filled_input(name, request, _N_ATOMS, 1.0)
        found["a crystal"] = crystal
    return found


class Comparison:
    """Asks the compiled code of a model and a program of it the same.

    Parameters
    ----------
    header
        What is known of the model.
    compiled
        The model as TorchScript, with ``batch`` and ``evaluate``.
    record
        The program.
    runnable
        The program in a flavor; what it gives decides what is compared.
    precision
        Floating point type that it computes in, which may be less than that of the model; see
        `metatomic_core.tracing.graph.precision`.

    Attributes
    ----------
    tolerance
        What is taken for rounding, of the largest number among the results.
    """

    def __init__(self, header: ModelHeader, compiled: Any, record: ProgramRecord, runnable: Runnable, precision: str):
        self.tolerance = _TOLERANCES[precision]
        self._header, self._compiled, self._record, self._runnable = header, compiled, record, runnable
        given = {row.name for row in runnable.outputs}
        energy = header.capabilities.outputs[record.energy].unit if record.energy else ""
        self._units = {"length": header.capabilities.length_unit, "energy": energy}
        names = []
        if "forces" in given:
            names = ["energy", "forces", "virial", *(["atomic_energies"] if record.per_atom else [])]
            direct = {"dpositions", "dcell"} & {row.name for row in record.outputs}
            # of models without neighbor lists there are none either
            if not direct and "dvectors_0" in given:
                names.append("atomic_virials")
        self._request = dict.fromkeys(names, record.energy)
        self._outputs = {
            name: output
            for name, output in in_one_spelling(header.capabilities.outputs).items()
            if name in record.values and f"values/{name}" in given
        }

    def differences(self, structures: Sequence[_Tensors], *, joins: bool) -> dict[str, float]:
        """Give the largest difference of each result, over the largest of all numbers in the results.

        Infinity for results of other shapes, or NaN in other places. Nothing where the model refuses the structures:
        engines will hear of it.

        Parameters
        ----------
        structures
            As `trial_structures` gives them.
        joins
            Whether to join them for the program.
        """
        try:
            expected = self._expected(structures)
        except Exception:  # noqa: BLE001  (whatever a model raises)
            return {}
        found = self._found(structures, joins)
        # forces that cancel have the rounding of their terms
        largest = max((float(v.nan_to_num().abs().max()) for v in expected.values() if v.numel()), default=0.0)
        return {name: _difference(values, found[name], largest or 1.0) for name, values in expected.items()}

    def problem(self, structures: Sequence[_Tensors], *, joins: bool) -> str:
        """Name a result that differs by more than rounding; empty if none does."""
        differences = self.differences(structures, joins=joins)
        return next((f"'{name}'" for name, value in differences.items() if not value <= self.tolerance), "")

    def _selected(self, structures: Sequence[_Tensors]) -> torch.Tensor | None:
        """Give every second atom, counted backwards, where the program selects."""
        if not self._record.selects:
            return None
        rows = [(i, atom) for i, structure in enumerate(structures) for atom in range(len(structure["types"]))[::-1]]
        return torch.tensor(rows[::2], dtype=torch.int64).reshape(-1, 2)

    def _expected(self, structures: Sequence[_Tensors]) -> _Tensors:
        """Give the results of compiled code; of several structures one after the other."""
        parts = []
        selected = self._selected(structures)
        for i, structure in enumerate(structures):
            chosen = None
            if selected is not None:
                chosen = selected[selected[:, 0] == i] * torch.tensor([0, 1])
            pairs, vectors = pairs_of(structure, self._header.neighbor_lists)
            results, _ = evaluated(
                self._compiled, structure, pairs, vectors, chosen, self._request, self._outputs, self._units
            )
            parts.append(results)
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _found(self, structures: Sequence[_Tensors], joins: bool) -> _Tensors:
        kinds = {name: output.sample_kind for name, output in self._outputs.items()}
        lists = [pairs_of(structure, self._header.neighbor_lists) for structure in structures]
        batch = self._compiled.batch(
            [{key: structure[key] for key in ("types", "positions", "cell", "pbc")} for structure in structures],
            [pairs for pairs, _ in lists],
            [vectors for _, vectors in lists],
            [{name: structure[name] for name in self._header.inputs} for structure in structures],
            self._selected(structures),
            units_from({"engine": self._units}),
            NO_LEAVES,
        )
        record = dataclasses.replace(self._record, joins=joins)
        needs = needs_of(self._request, result_table())
        with torch.no_grad():
            answer = derive(self._runnable, record, batch, Question(needs, self._request, kinds))
        return {**answer.outputs, **answer.of_energy}


def _difference(expected: torch.Tensor, found: torch.Tensor, scale: float) -> float:
    if expected.shape != found.shape or not torch.equal(torch.isnan(expected), torch.isnan(found)):
        return math.inf
    if expected.numel() == 0:
        return 0.0
    return float((expected.to(torch.float64) - found.to(torch.float64)).nan_to_num().abs().max()) / scale


def largest_differences(
    comparison: Comparison, record: ProgramRecord, structures: Mapping[str, _Tensors]
) -> dict[str, float]:
    """Give the largest differences of each result over all structures, alone and, where they join, together."""
    found: dict[str, float] = {}
    questions = [[structure] for structure in structures.values()]
    if record.joins:
        questions.append(list(structures.values()))
    for question in questions:
        for name, value in comparison.differences(question, joins=record.joins).items():
            found[name] = max(found.get(name, 0.0), value)
    return found
