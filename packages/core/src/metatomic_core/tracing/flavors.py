"""Flavors: what is put around a program for an engine, before it is compiled.

A program gives energies of atoms and dE/dvectors; a flavor adds signs, sums over pairs and the layout that an engine
wants, and leaves out what it does not: with the program in one graph, what nobody reads is not computed. Flavors run
as they are, too.
"""

from collections.abc import Callable, Mapping

import torch
from torch.export import ExportedProgram

from metatomic_core.files.programs import ProgramRecord, TensorRecord

# Inputs that are left out where the model does not look at them; the others tell sizes.
_OPTIONAL = ("positions", "cell", "pbc", "shifts")
# The number of the structure of each atom, and anything of as many rows as there are structures.
STRUCTURE_ROWS = (
    TensorRecord("structure", "int64", ("n_atoms",)),
    TensorRecord("structures", "float64", ("n_structures",)),
)


class Flavor(torch.nn.Module):
    """A program, as Python engines call it.

    Parameters
    ----------
    program, record
        The program, and what is known of it.
    keep
        Which of the outputs to give; see `python_outputs`.

    Attributes
    ----------
    inputs, outputs
        Names, dtypes and shapes, in order. Of the inputs those of the program that it uses, with atoms of pairs as
        int64, "structure", the number of the structure of each atom, and "structures", anything of the shape
        (n_structures,). Of the outputs "atomic_energies" (n_atoms,) or "energy" (1,), "forces" (n_atoms, 3) and
        "virial" (n_structures, 3, 3), float64, "dvectors_k" and "values/NAME"; the virial may be left out where all of
        it is owed to vectors.
    """

    def __init__(self, program: ExportedProgram, record: ProgramRecord, keep: Callable[[str, ProgramRecord], bool]):
        super().__init__()
        self.program = program.module(check_guards=False)
        self.record = record
        self.inputs = [as_given(row) for row in record.inputs if _is_input(row)]
        if record.energy:
            self.inputs += STRUCTURE_ROWS
        self.outputs = [row for row in python_outputs(record) if keep(row.name, record)]

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Give the outputs, from the inputs in order."""
        given = {row.name: values for row, values in zip(self.inputs, tensors, strict=True)}
        returned = self.program(*arguments(self.record, given))
        found = dict(zip([row.name for row in self.record.outputs], returned, strict=True))
        if self.record.energy:
            found.update(derivatives(self.record, given, found))
        return tuple(found[row.name] for row in self.outputs)


def _is_input(row: TensorRecord) -> bool:
    return row.used or not row.name.startswith(_OPTIONAL)


def as_given(row: TensorRecord) -> TensorRecord:
    """Give an input of a program as Python engines give it: atoms of pairs in 64 bits, as sums over pairs take them."""
    return row if not row.name.startswith(("first_", "second_")) else TensorRecord(row.name, "int64", row.shape)


def python_outputs(record: ProgramRecord) -> list[TensorRecord]:
    """List all that can be had of a program."""
    rows = []
    for row in record.outputs:
        if row.name in ("atomic_energies", "energy"):
            rows.append(TensorRecord(row.name, "float64", row.shape))
        elif row.name not in ("dpositions", "dcell"):
            rows.append(row)
    if record.energy:
        rows.append(TensorRecord("forces", "float64", ("n_atoms", 3)))
        rows.append(TensorRecord("virial", "float64", ("n_structures", 3, 3)))
    return rows


def arguments(record: ProgramRecord, given: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """Give the inputs of a program, with zeros of the right shape for those that it does not use."""
    found = []
    sizes: dict[str, int] = {}
    for row in record.inputs:
        if row.name in given:
            pairs = zip(row.shape, given[row.name].shape, strict=True)
            sizes.update({name: size for name, size in pairs if isinstance(name, str)})
    like = given["types"]
    for row in record.inputs:
        dtype = getattr(torch, row.dtype)
        if row.name in given:
            found.append(given[row.name].to(dtype))
        else:
            shape = [sizes[size] if isinstance(size, str) else size for size in row.shape]
            found.append(torch.zeros(shape, dtype=dtype, device=like.device))
    return found


def n_lists(record: ProgramRecord) -> int:
    """Give the number of neighbor lists of a program."""
    return sum(row.name.startswith("vectors_") for row in record.inputs)


def derivatives(
    record: ProgramRecord, given: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Give energies, forces and virial in float64; signs as in `metatomic_core.pipeline.derivatives`."""
    n_atoms, structure, like = given["types"].shape[0], given["structure"], given["structures"]
    forces = torch.zeros(n_atoms, 3, dtype=torch.float64, device=like.device)
    strain = torch.zeros(like.shape[0], 9, dtype=torch.float64, device=like.device)
    for k in range(n_lists(record)):
        first, second = given[f"first_{k}"], given[f"second_{k}"]
        if f"dvectors_{k}" not in found:
            # an energy that depends on nothing
            continue
        gradients, vectors = found[f"dvectors_{k}"].to(torch.float64), given[f"vectors_{k}"].to(torch.float64)
        forces = forces.index_add(0, first, gradients).index_add(0, second, -gradients)
        products = (vectors.unsqueeze(2) * gradients.unsqueeze(1)).reshape(-1, 9)
        strain = strain.index_add(0, structure.index_select(0, first), products)
    if "dpositions" in found:
        gradients, positions = found["dpositions"].to(torch.float64), given["positions"].to(torch.float64)
        forces = forces - gradients
        strain = strain.index_add(0, structure, (positions.unsqueeze(2) * gradients.unsqueeze(1)).reshape(-1, 9))
    if "dcell" in found:
        # for one structure: those that see the cell are not joined
        cell, gradients = given["cell"].to(torch.float64), found["dcell"].to(torch.float64)
        strain = strain + (cell.t() @ gradients).reshape(1, 9)
    name = "atomic_energies" if record.per_atom else "energy"
    return {"forces": forces, "virial": -strain.reshape(-1, 3, 3), name: found[name].to(torch.float64)}


def _is_of_forces(name: str, record: ProgramRecord) -> bool:
    # Products of vectors and dE/dvectors that are added up in the graph take as long as a light model: where all of the
    # virial is owed to vectors, it is one matrix product outside of it.
    sees_directly = any(row.name in ("dpositions", "dcell") for row in record.outputs)
    if name == "virial":
        return sees_directly
    return name in ("atomic_energies", "energy", "forces") or (name.startswith("dvectors_") and not sees_directly)


# What the flavors for Python give.
PYTHON_FLAVORS: dict[str, Callable[[str, ProgramRecord], bool]] = {
    "forces": _is_of_forces,
    "everything": lambda name, record: True,
    "values": lambda name, record: name.startswith("values/"),
}
