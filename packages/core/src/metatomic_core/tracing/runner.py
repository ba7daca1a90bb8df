"""Programs in place of a model, between the seams: from a `Batch` to an `Answer`, whatever runs the program."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from metatomic_core.data.quantities import base_quantity
from metatomic_core.files.programs import OutputLabels, ProgramRecord, TensorRecord
from metatomic_core.pipeline.batch import Answer, Batch
from metatomic_core.pipeline.derivatives import atomic_virials, joined_vectors, strain_of_pairs
from metatomic_core.pipeline.results import Needs

# Outputs of atoms whose sums are those of the structure, by definition.
_ADDITIVE = ("energy", "energy_ensemble")

Run = Callable[[Sequence[torch.Tensor]], Sequence[torch.Tensor]]


class Runnable(NamedTuple):
    """A program in one flavor, ready to be called.

    Attributes
    ----------
    run
        From inputs to outputs, in order.
    inputs, outputs
        What these are.
    """

    run: Run
    inputs: Sequence[TensorRecord]
    outputs: Sequence[TensorRecord]


class Question(NamedTuple):
    """What is asked of a model; see ``AtomisticModel.derive``.

    Attributes
    ----------
    needs
        What is wanted of the energy.
    request, outputs
        Results, each with the output that it is made from, and other outputs with the kind of their samples.
    """

    needs: Needs
    request: Mapping[str, str]
    outputs: Mapping[str, str]


def lacks(record: ProgramRecord, question: Question) -> str:
    """Say what of a question a program has no answer to; empty if it has all."""
    needs = question.needs
    if needs.energy not in ("", record.energy):
        return f"derivatives of '{needs.energy}'"
    if needs.per_atom and not record.per_atom:
        return "energies of atoms"
    if needs.pairs and any(row.name in ("dpositions", "dcell") for row in record.outputs):
        return "virials of atoms, as the model sees positions or cell directly"
    sources = [source for source in question.request.values() if source not in (needs.energy, *record.values)]
    if sources:
        return f"the output '{sources[0]}'"
    missing = [_missing(record, name, kind) for name, kind in question.outputs.items()]
    return next(filter(None, missing), "")


def _missing(record: ProgramRecord, name: str, kind: str) -> str:
    """Name an output that a program does not have for this kind of samples; empty if it has it."""
    if name == record.energy and (record.per_atom or kind == "system"):
        return ""
    if name not in record.values:
        return f"the output '{name}'"
    given = record.values[name].kind
    is_sum = given == "atom" and kind == "system" and base_quantity(name) in _ADDITIVE
    return "" if kind == given or is_sum else f"the output '{name}' for each {kind}"


def flavor_for(question: Question) -> str:
    """Give the flavor that a question takes; see `metatomic_core.tracing.flavors`."""
    needs, outputs = question.needs, question.outputs
    if needs.energy == "":
        return "values" if not any(base_quantity(name) == "energy" for name in outputs) else "everything"
    others = any(name != needs.energy for name in (*outputs, *question.request.values()))
    return "everything" if needs.pairs or others else "forces"


def derive(runnable: Runnable, record: ProgramRecord, batch: Batch, question: Question) -> Answer:
    """Give what a program says of a batch, as ``AtomisticModel.derive`` does.

    Parameters
    ----------
    runnable, record
        The program.
    batch
        What to evaluate; nothing in it needs to require gradients.
    question
        What is asked, and has an answer; see `lacks`.
    """
    n_structures = len(batch.n_atoms)
    if record.joins or n_structures == 1:
        found = _called(runnable, record, batch, range(n_structures))
    else:
        parts = [_called(runnable, record, batch, range(i, i + 1)) for i in range(n_structures)]
        found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    return _answer(found, record, batch, question)


def _called(runnable: Runnable, record: ProgramRecord, batch: Batch, structures: range) -> dict[str, torch.Tensor]:
    """Call the program for structures that follow each other, joined to one."""
    given = _given(record, batch, structures)
    tensors = []
    for row in runnable.inputs:
        values = given[row.name]()
        dtype = getattr(torch, row.dtype)
        # compiled code takes tensors for what they should be
        tensors.append(values.detach().to(dtype).contiguous())
    returned = runnable.run(tensors)
    return {row.name: values for row, values in zip(runnable.outputs, returned, strict=True)}


def _given(record: ProgramRecord, batch: Batch, structures: range) -> dict[str, Callable[[], torch.Tensor]]:
    """Give all inputs by name; made where they are wanted."""
    device, i = batch.types.device, structures.start
    start, sizes = sum(batch.n_atoms[:i]), batch.n_atoms[i : structures.stop]
    stop = start + sum(sizes)
    given: dict[str, Callable[[], torch.Tensor]] = {
        "types": lambda: batch.types[start:stop],
        "positions": lambda: batch.positions[start:stop],
        "cell": lambda: batch.cells[i],
        "pbc": lambda: batch.pbc[i],
        "selected": lambda: _selected(batch, structures, start),
        "structure": lambda: _structure_index(sizes, device),
        "structures": lambda: torch.zeros(len(sizes), dtype=torch.float64, device=device),
    }
    offset = 0
    for k, counts in enumerate(batch.n_pairs):
        before = sum(counts[:i])
        a, b = before, before + sum(counts[i : structures.stop])
        atoms = batch.atoms[:, offset + a : offset + b]
        given[f"first_{k}"] = lambda atoms=atoms: atoms[0] - start if start else atoms[0]  # type: ignore[misc]
        given[f"second_{k}"] = lambda atoms=atoms: atoms[1] - start if start else atoms[1]  # type: ignore[misc]
        given[f"shifts_{k}"] = lambda k=k, a=a, b=b: batch.pairs[k][a:b, 2:]  # type: ignore[misc]
        given[f"vectors_{k}"] = lambda k=k, a=a, b=b: batch.vectors[k][a:b]  # type: ignore[misc]
        offset += sum(counts)
    for row in record.inputs:
        if row.name.startswith("inputs/"):
            values = batch.inputs[row.name[len("inputs/") :]]
            part = values[start:stop] if row.shape[0] == "n_atoms" else values[i : structures.stop]
            given[row.name] = lambda part=part: part  # type: ignore[misc]
    return given


def _selected(batch: Batch, structures: range, start: int) -> torch.Tensor:
    if batch.selected_atoms is None:
        return torch.arange(sum(batch.n_atoms[structures.start : structures.stop]), device=batch.types.device)
    chosen = batch.selected_atoms.to(torch.int64)
    if len(structures) < len(batch.n_atoms):
        chosen = chosen[chosen[:, 0] == structures.start]
    return _atoms_of_batch(batch, chosen) - start


def _atoms_of_batch(batch: Batch, chosen: torch.Tensor) -> torch.Tensor:
    """Give the numbers in the batch of atoms that are given by structure and atom."""
    sizes = torch.tensor([0, *batch.n_atoms[:-1]], device=chosen.device)
    return torch.cumsum(sizes, 0)[chosen[:, 0]] + chosen[:, 1]


def _structure_index(sizes: Sequence[int], device: torch.device) -> torch.Tensor:
    if len(sizes) == 1:
        return torch.zeros(sizes[0], dtype=torch.int64, device=device)
    return torch.repeat_interleave(
        torch.arange(len(sizes), device=device), torch.tensor(list(sizes), device=device), output_size=sum(sizes)
    )


def _sums(values: torch.Tensor, n_atoms: Sequence[int]) -> torch.Tensor:
    """Sum values of atoms over each structure."""
    if len(n_atoms) == 1:
        return values.sum(0, keepdim=True)
    index = _structure_index(n_atoms, values.device)
    zeros = torch.zeros([len(n_atoms), *values.shape[1:]], dtype=values.dtype, device=values.device)
    return zeros.index_add(0, index, values)


def _answer(found: Mapping[str, torch.Tensor], record: ProgramRecord, batch: Batch, question: Question) -> Answer:
    needs, request, outputs = question
    of_energy: dict[str, torch.Tensor] = {}
    if needs.energy:
        atomic = found.get("atomic_energies")
        of_energy["energy"] = found["energy"] if atomic is None else _sums(atomic, batch.n_atoms)
        if atomic is not None:
            of_energy["atomic_energies"] = atomic
        if needs.gradients:
            of_energy["forces"] = found["forces"]
        if needs.cells:
            of_energy["virial"] = (
                found["virial"] if "virial" in found else -strain_of_pairs(batch, _gradients(found, batch))
            )
        if needs.pairs:
            gradients = _gradients(found, batch)
            of_energy["atomic_virials"] = atomic_virials(
                batch.atoms, joined_vectors(batch), gradients, batch.types.shape[0]
            )
    direct = {}
    for source in request.values():
        if source != needs.energy:
            values = found[f"values/{source}"]
            if batch.selected_atoms is not None and record.values[source].kind == "atom":
                # zero where atoms were not selected, and whatever the model says where they were
                values = torch.where(_mask(batch).reshape(-1, *(1 for _ in values.shape[1:])), values, 0.0)
            direct[source] = values
    values_of = {name: _values(name, kind, found, record, batch) for name, kind in outputs.items()}
    return Answer(of_energy, direct, values_of)


def _gradients(found: Mapping[str, torch.Tensor], batch: Batch) -> torch.Tensor:
    """Give dE/dvectors of all lists, shape (n_pairs, 3), float64; zero for those that the energy does not depend on."""
    lists = [
        found[f"dvectors_{k}"].to(torch.float64) if f"dvectors_{k}" in found else torch.zeros_like(vectors).double()
        for k, vectors in enumerate(batch.vectors)
    ]
    return torch.cat(lists) if lists else joined_vectors(batch)


def _mask(batch: Batch) -> torch.Tensor:
    """Tell of each atom whether it is selected."""
    mask = torch.zeros(batch.types.shape[0], dtype=torch.bool, device=batch.types.device)
    if batch.selected_atoms is None:
        return ~mask
    mask[_atoms_of_batch(batch, batch.selected_atoms.to(torch.int64))] = True
    return mask


def _values(
    name: str, kind: str, found: Mapping[str, torch.Tensor], record: ProgramRecord, batch: Batch
) -> torch.Tensor:
    if name == record.energy and name not in record.values:
        if kind == "system":
            total = found["energy"] if "energy" in found else _sums(found["atomic_energies"], batch.n_atoms)
            return total.unsqueeze(-1).to(batch.positions.dtype)
        energies = found["atomic_energies"].unsqueeze(-1).to(batch.positions.dtype)
        return torch.where(_mask(batch).unsqueeze(-1), energies, float("nan"))
    values = found[f"values/{name}"]
    if kind != record.values[name].kind:
        if batch.selected_atoms is not None:
            values = torch.where(_mask(batch).reshape(-1, *(1 for _ in values.shape[1:])), values, 0.0)
        return _sums(values, batch.n_atoms)
    return values


def labelled(name: str, values: torch.Tensor, kind: str, record: ProgramRecord, batch: Batch) -> TensorMap:
    """Give values of an output, as in an `Answer`, with their labels."""
    labels = record.values.get(name, OutputLabels(kind, (), ("energy",), ((0,),)))
    device = values.device
    if kind == "system":
        names, samples = ["system"], torch.arange(len(batch.n_atoms), device=device).unsqueeze(1)
    elif batch.selected_atoms is not None:
        names, samples = ["system", "atom"], batch.selected_atoms
        values = values.index_select(0, _atoms_of_batch(batch, batch.selected_atoms.to(torch.int64)))
    else:
        sizes = batch.n_atoms
        atoms = torch.cat([torch.arange(size, device=device) for size in sizes])
        names, samples = ["system", "atom"], torch.stack([_structure_index(sizes, device), atoms], 1)
    block = TensorBlock(
        values,
        Labels(names, samples.to(torch.int32), assume_unique=True),
        [
            Labels([component], torch.arange(size, dtype=torch.int32, device=device).unsqueeze(1))
            for component, size in labels.components
        ],
        Labels(list(labels.property_names), torch.tensor(labels.properties, dtype=torch.int32, device=device)),
    )
    return TensorMap(Labels(["_"], torch.zeros(1, 1, dtype=torch.int32, device=device)), [block])
