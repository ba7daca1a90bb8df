"""The function that is traced: a model on plain tensors, with the backward pass of its energy.

What goes in and comes out is named here, in order; see `program`. Everything is in the units and the floating point
type of the model, for one structure, or several joined into one where the model allows that.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch

from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.pipeline.batch import Batch
from metatomic_core.pipeline.derive import input_maps

from . import stand_ins

# Inputs before those of the neighbor lists: name, dtype (None for that of the model), shape.
STRUCTURE_INPUTS: tuple[tuple[str, torch.dtype | None, tuple[str | int, ...]], ...] = (
    ("types", torch.int32, ("n_atoms",)),
    ("positions", None, ("n_atoms", 3)),
    ("cell", None, (3, 3)),
    ("pbc", torch.bool, (3,)),
    ("selected", torch.int64, ("n_selected",)),
)
# Of each neighbor list.
LIST_INPUTS: tuple[tuple[str, torch.dtype | None, tuple[str | int, ...]], ...] = (
    ("first", torch.int32, ("n_pairs",)),
    ("second", torch.int32, ("n_pairs",)),
    ("shifts", torch.int32, ("n_pairs", 3)),
    ("vectors", None, ("n_pairs", 3)),
)


class Question(NamedTuple):
    """What one program answers.

    Attributes
    ----------
    energy
        Output that is differentiated; empty for none.
    per_atom
        Whether it is asked for each atom.
    others
        Other outputs, with the kind of their samples.
    selects
        "nothing" if all atoms count; otherwise whether the "model" is given the selected atoms, or its energies of
        atoms are selected "afterwards".
    """

    energy: str
    per_atom: bool
    others: dict[str, str]
    selects: str


class _Given(NamedTuple):
    """The inputs, sorted; positions, cell and vectors are leaves."""

    types: torch.Tensor
    positions: torch.Tensor
    cell: torch.Tensor
    pbc: torch.Tensor
    selected: torch.Tensor | None
    lists: list[tuple[torch.Tensor, ...]]
    vectors: list[torch.Tensor]
    inputs: dict[str, torch.Tensor]


class Seam:
    """Calls the core of a model on plain tensors.

    Parameters
    ----------
    core
        A `ModelCore`, in Python.
    lists, inputs
        What the model requests.
    inner_names
        The name that the module knows each output by.
    question
        What to ask.
    """

    def __init__(
        self,
        core: Callable[..., Any],
        lists: list[NeighborListOptions],
        inputs: dict[str, ModelOutput],
        inner_names: Mapping[str, str],
        question: Question,
    ):
        self._core, self._lists, self._inputs = core, lists, inputs
        self._inner_names, self._question = inner_names, question
        # of the outputs of the last call, in order
        self.output_names: list[str] = []

    def __call__(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Give the outputs; see the names of `output_names`."""
        n_structure, n_list = len(STRUCTURE_INPUTS), len(LIST_INPUTS)
        selected = None
        if self._question.selects == "nothing":
            n_structure -= 1
        else:
            selected = tensors[n_structure - 1]
        types, positions, cell, pbc = tensors[:4]
        lists = [tensors[n_structure + n_list * k : n_structure + n_list * (k + 1)] for k in range(len(self._lists))]
        inputs = dict(zip(self._inputs, tensors[n_structure + n_list * len(lists) :], strict=True))
        given = _Given(
            types,
            positions.detach().requires_grad_(),
            cell.detach().requires_grad_(),
            pbc,
            selected,
            lists,
            [columns[3].detach().requires_grad_() for columns in lists],
            inputs,
        )
        returned = self._returned(given)
        named: dict[str, torch.Tensor] = {}
        if self._question.energy:
            named.update(self._of_energy(returned[self._question.energy], given))
        for name, kind in self._question.others.items():
            block = returned[name].block_by_id(0)
            values = block.values.detach()
            if kind == "atom":
                values = self._of_atoms(values, block.samples, given, float("nan"))
            named[f"values/{name}"] = values
        self.output_names = list(named)
        return tuple(named.values())

    def _returned(self, given: _Given) -> dict[str, Any]:
        """Call the core."""
        question = self._question
        xyz = [stand_ins.Labels(["xyz"], torch.arange(3, dtype=torch.int32).unsqueeze(1))]
        distance = stand_ins.Labels(["distance"], torch.zeros(1, 1, dtype=torch.int32))
        blocks = [
            stand_ins.TensorBlock(
                given.vectors[k].unsqueeze(2),
                stand_ins.Labels.of_columns(stand_ins.PAIR_NAMES, [first, second, *torch.unbind(shifts, 1)]),
                xyz,
                distance,
            )
            for k, (first, second, shifts, _) in enumerate(given.lists)
        ]
        n_atoms, selected = given.types.shape[0], given.selected
        batch = Batch(
            types=given.types,
            positions=given.positions,
            cells=given.cell,
            positions_of=[],
            cells_of=[],
            pbc=given.pbc,
            n_atoms=[n_atoms],
            pairs=[],
            n_pairs=[],
            vectors=[],
            atoms=given.positions,
            selected_atoms=None,
            engine_cells=given.cell,
            inputs=given.inputs,
        )
        chosen = None
        if question.selects == "model" and selected is not None:
            chosen = stand_ins.Labels.of_columns(
                ["system", "atom"], [torch.zeros_like(selected, dtype=torch.int32), selected.to(torch.int32)]
            )
        structure = {"types": given.types, "positions": given.positions, "cell": given.cell, "pbc": given.pbc}
        kinds = {self._inner_names[name]: kind for name, kind in question.others.items()}
        if question.energy:
            kinds[self._inner_names[question.energy]] = "atom" if question.per_atom else "system"
        returned = self._core([structure], [blocks], input_maps(batch, self._inputs), chosen, kinds, {})
        asked = [*question.others, *([question.energy] if question.energy else [])]
        for name in asked:
            if len(returned[self._inner_names[name]].blocks()) != 1:
                raise stand_ins.NotTraceableError(f"expected the output '{name}' to have one block, got several")
        return {name: returned[self._inner_names[name]] for name in asked}

    def _of_energy(self, tensor: Any, given: _Given) -> dict[str, torch.Tensor]:
        """Give energies, and what is owed to positions, cell and vectors, where anything is."""
        block = tensor.block_by_id(0)
        energies = block.values.reshape(-1)
        if self._question.per_atom:
            name = "atomic_energies"
            energies = self._of_atoms(energies, block.samples, given, 0.0)
        else:
            name = "energy"
        named = {name: energies.detach()}
        if not energies.requires_grad:
            if given.vectors:
                raise stand_ins.NotTraceableError(
                    "expected an energy that is connected to the positions, got one without gradient"
                )
            return named
        leaves = {"dpositions": given.positions, "dcell": given.cell}
        leaves.update({f"dvectors_{k}": values for k, values in enumerate(given.vectors)})
        found = torch.autograd.grad([energies.sum()], list(leaves.values()), allow_unused=True)
        for (leaf, values), gradient in zip(leaves.items(), found, strict=True):
            if gradient is not None:
                named[leaf] = gradient.detach()
            elif leaf.startswith("dvectors"):
                named[leaf] = torch.zeros_like(values)
        return named

    def _of_atoms(self, values: torch.Tensor, samples: Any, given: _Given, fill: float) -> torch.Tensor:
        """Give values in the order of atoms, by the labels of their samples, with others for atoms not selected."""
        if samples.names != ["system", "atom"]:
            raise stand_ins.NotTraceableError(f"expected the samples system and atom, got {samples.names}")
        dense = torch.full([given.types.shape[0], *values.shape[1:]], fill, dtype=values.dtype, device=values.device)
        atoms = samples.column("atom").to(torch.int64)
        selected = given.selected
        if self._question.selects == "afterwards" and selected is not None:
            values, atoms = values.index_select(0, selected), atoms.index_select(0, selected)
        return dense.index_copy(0, atoms, values)
