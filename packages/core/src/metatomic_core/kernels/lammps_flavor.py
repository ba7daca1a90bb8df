"""The flavor that the LAMMPS plugin runs: pairs come by columns, and derivatives go back by columns.

The plugin finds the pairs in each step, and adds dE/dvectors to the forces in one loop over the pairs of each atom. It
writes and reads each component of a vector as an array of its own, so that all loops of the compiled code go over
pairs, which use the vector units of the processor: that is what `ByColumns` makes of the program.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch.export import ExportedProgram

from metatomic_core.files.programs import ProgramRecord, TensorRecord
from metatomic_core.tracing.flavors import STRUCTURE_ROWS, as_given, derivatives, python_outputs
from metatomic_core.tracing.runner import Runnable

from .columns import ByColumns, Columns

AXES = ("x", "y", "z")


class LammpsFlavor(torch.nn.Module):
    """A program, as the LAMMPS plugin calls it.

    Parameters
    ----------
    program, record
        The program, and what is known of it.

    Attributes
    ----------
    inputs, outputs
        Names, dtypes and shapes, in order. Of the inputs those of the program that it reads, with "x_k", "y_k" and
        "z_k" (n_pairs_k,) in place of "vectors_k"; of the outputs "atomic_energies" (n_atoms,) or "energy" (1,), in the
        dtype and unit of the model as all, "dpositions" and "dcell" where the energy depends on them directly, and
        "dx_k", "dy_k" and "dz_k" (n_pairs_k,) in place of "dvectors_k".
    """

    def __init__(self, program: ExportedProgram, record: ProgramRecord):
        super().__init__()
        self.program = program.module(check_guards=False)
        self.record = record
        self.inputs = [part for row in record.inputs if _is_given(row) for part in _by_axis(row, "vectors_", "")]
        kept = [row for row in record.outputs if not row.name.startswith("values/")]
        self.outputs = [part for row in kept for part in _by_axis(row, "dvectors_", "d")]

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Give the outputs, from the inputs in order."""
        given = {row.name: values for row, values in zip(self.inputs, tensors, strict=True)}
        sizes = {
            name: size
            for row, values in zip(self.inputs, tensors, strict=True)
            for name, size in zip(row.shape, values.shape, strict=True)
            if isinstance(name, str)
        }
        arguments = [_argument(row, given, sizes) for row in self.record.inputs]
        returned: Sequence[Any] = ByColumns(self.program).run(*arguments)
        results: list[torch.Tensor] = []
        for row, value in zip(self.record.outputs, returned, strict=True):
            if row.name.startswith("dvectors_"):
                columns = value.columns if isinstance(value, Columns) else value.unbind(1)
                # outputs of their own: two that are one tensor would come as one
                results += [column.clone() for column in columns]
            elif not row.name.startswith("values/"):
                results.append(value.whole() if isinstance(value, Columns) else value)
        return tuple(results)


def _is_given(row: TensorRecord) -> bool:
    # types tell the number of atoms, vectors that of pairs
    return row.used or row.name == "types" or row.name.startswith("vectors_")


def _by_axis(row: TensorRecord, prefix: str, put: str) -> list[TensorRecord]:
    """Give three rows in place of one of vectors, and any other as it is."""
    if not row.name.startswith(prefix):
        return [row]
    number = row.name.removeprefix(prefix)
    return [dataclasses.replace(row, name=f"{put}{axis}_{number}", shape=row.shape[:1]) for axis in AXES]


def _argument(row: TensorRecord, given: dict[str, torch.Tensor], sizes: dict[str, Any]) -> Any:
    """Give an input of the program; zeros for what it does not read."""
    if row.name.startswith("vectors_"):
        number = row.name.removeprefix("vectors_")
        return Columns([given[f"{axis}_{number}"] for axis in AXES], [3])
    if row.name in given:
        return given[row.name]
    shape = [sizes.get(size, 0) if isinstance(size, str) else size for size in row.shape]
    return torch.zeros(shape, dtype=getattr(torch, row.dtype), device=given["types"].device)


def as_python(runnable: Runnable, record: ProgramRecord) -> Runnable:
    """Give what has inputs and outputs of the flavor "forces", to be compared with the model."""
    inputs = [*(as_given(row) for row in record.inputs), *STRUCTURE_ROWS]
    outputs = [row for row in python_outputs(record) if row.name in ("atomic_energies", "energy", "forces", "virial")]

    def run(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        given = {row.name: values for row, values in zip(inputs, tensors, strict=True)}
        for name in [name for name in given if name.startswith("vectors_")]:
            number = name.removeprefix("vectors_")
            for axis, column in zip(AXES, given[name].unbind(1), strict=True):
                given[f"{axis}_{number}"] = column.contiguous()
        wanted = [given[row.name].to(getattr(torch, row.dtype)) for row in runnable.inputs]
        returned = dict(zip([row.name for row in runnable.outputs], runnable.run(wanted), strict=True))
        for row in record.outputs:
            if row.name.startswith("dvectors_"):
                number = row.name.removeprefix("dvectors_")
                returned[row.name] = torch.stack([returned[f"d{axis}_{number}"] for axis in AXES], 1)
        found = derivatives(record, given, returned)
        return [found[row.name] for row in outputs]

    return Runnable(run, inputs, outputs)
