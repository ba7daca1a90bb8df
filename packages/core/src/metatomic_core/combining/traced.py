"""`TracedCore`: the core of a model from a file, where what is made of it is traced.

Compiled code from files can not be traced, but the exported programs in them can be a part of another graph.  They give
energies with their derivatives, so these are what a trace of the whole takes, rather than a second way back through
the same operations.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from metatomic_core.data.quantities import canonical_name
from metatomic_core.data.system import System
from metatomic_core.files.programs import ProgramRecord
from metatomic_core.model.atomistic_model import AtomisticModel
from metatomic_core.model.loaded import LoadedModel
from metatomic_core.tracing.eager import checked_program
from metatomic_core.tracing.flavors import arguments
from metatomic_core.tracing.program import DIFFERENTIATES
from metatomic_core.tracing.stand_ins import Labels, NotTraceableError, TensorBlock, TensorMap

# outputs of a program, and the inputs that they are derivatives by
_LEAVES = {"dpositions": "positions", "dcell": "cell", "dvectors_": "vectors_"}


def traced_core(model: AtomisticModel, differentiates: bool) -> "TracedCore | None":
    """Give what stands for the core of a model in a trace; None for a core in Python that is traced itself.

    Parameters
    ----------
    model
        The model.
    differentiates
        Whether it may differentiate by positions itself.
    """
    name = model.metadata().name
    if isinstance(model, LoadedModel):
        return TracedCore(name, model.header.programs, model.programs, model.header.untraced)
    return TracedCore(name, (), {}, DIFFERENTIATES) if differentiates else None


class TracedCore:
    """Called in place of the core of a model, for energies, while a trace is made.

    Parameters
    ----------
    name
        Name of the model.
    records, programs
        Its exported programs.
    untraced
        Why there is none.
    """

    def __init__(self, name: str, records: Sequence[ProgramRecord], programs: Mapping[str, bytes], untraced: str):
        self._name, self._records, self._programs, self._why = name or "unnamed", records, programs, untraced
        self._loaded: dict[str, torch.nn.Module] = {}

    def load(self) -> None:
        """Load the programs, which can not be done while a trace is made.

        Raises
        ------
        ValueError
            If one of them can not be loaded by this version.
        """
        self._loaded = {
            record.entry: checked_program(self._programs[record.entry], record).module(check_guards=False)
            for record in self._records
        }

    def __call__(  # noqa: PLR0917  (as a core is called)
        self,
        structures: list[dict[str, torch.Tensor]],
        neighbors: list[list[Any]],
        inputs: list[dict[str, Any]],
        selected_atoms: Any,
        outputs: Mapping[str, str],
        explicit_gradients: Mapping[str, list[str]],
    ) -> dict[str, Any]:
        """Give energies; see `ModelCore`."""
        del explicit_gradients
        (structure,), (blocks,), (data,) = structures, neighbors, inputs
        given = dict(structure)
        for k, block in enumerate(blocks):
            first, second, *shifts = (block.samples.column(name) for name in block.samples.names)
            given[f"first_{k}"], given[f"second_{k}"] = first, second
            given[f"shifts_{k}"] = torch.stack(shifts, dim=1)
            given[f"vectors_{k}"] = block.values.squeeze(2)
        given.update({f"inputs/{name}": values.block_by_id(0).values for name, values in data.items()})
        if selected_atoms is not None:
            given["selected"] = selected_atoms.column("atom").to(torch.int64)
        return {name: self._energy(name, kind, given, selected_atoms is not None) for name, kind in outputs.items()}

    def _energy(self, name: str, kind: str, given: dict[str, torch.Tensor], selects: bool) -> TensorMap:
        record = self._record(name, kind, selects)
        returned = self._loaded[record.entry](
            *arguments(record, {key: values.detach() for key, values in given.items()})
        )
        found = dict(zip([row.name for row in record.outputs], returned, strict=True))
        energies = found["atomic_energies" if record.per_atom else "energy"]
        if kind == "system" and record.per_atom:
            energies = energies.sum().reshape(1)
        atoms = torch.arange(energies.shape[0], dtype=torch.int64)
        if selects and kind == "atom":
            # what the others get would be lost, and the part of the derivatives with it
            atoms = given["selected"]
            energies = energies.index_select(0, atoms)
        values = _connected(energies, found, given).reshape(-1, 1)
        zeros = torch.zeros_like(atoms, dtype=torch.int32)
        columns = [zeros] if kind == "system" else [zeros, atoms.to(torch.int32)]
        samples = Labels.of_columns(["system", "atom"][: len(columns)], columns)
        block = TensorBlock(values, samples, [], Labels(["energy"], torch.zeros(1, 1, dtype=torch.int32)))
        return TensorMap(Labels.single(), [block])

    def _record(self, name: str, kind: str, selects: bool) -> ProgramRecord:
        for record in self._records:
            fits = canonical_name(record.energy) == canonical_name(name) and record.selects == selects
            if fits and (record.per_atom or kind == "system"):
                return record
        what = " of selected atoms" if selects else ""
        why = f"; {self._why}" if self._why else "; export it again"
        raise NotTraceableError(
            f"expected parts with exported programs, got '{self._name}' without one for '{name}'{what}{why}"
        )


def traced_energies(tensor: TensorMap, kind: str, system: System) -> torch.Tensor:
    """Give the energies of the one system of a trace, or of its atoms in their order, zero for those not selected.

    Parameters
    ----------
    tensor
        An energy, as a model gives it.
    kind
        "atom" or "system".
    system
        The system.

    Returns
    -------
    torch.Tensor
        Shape (n_atoms,) or (1,), float64.
    """
    block = tensor.block_by_id(0)
    values = block.values.reshape(-1).to(torch.float64)
    if kind == "system":
        return values
    zeros = torch.zeros(system.types.shape[0], dtype=torch.float64, device=values.device)
    return zeros.index_copy(0, block.samples.column("atom").to(torch.int64), values)


def _connected(
    energies: torch.Tensor, found: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    """Give energies whose sum has the derivatives that a program gave."""
    leaves, gradients = [], []
    for output, gradient in found.items():
        for prefix, leaf in _LEAVES.items():
            if output.startswith(prefix):
                leaves.append(given[output.replace(prefix, leaf, 1)])
                gradients.append(gradient)
    connected: torch.Tensor = _OfKnownGradients.apply(  # type: ignore[no-untyped-call]
        energies, len(leaves), *leaves, *gradients
    )
    return connected


class _OfKnownGradients(torch.autograd.Function):
    """Energies of which only the sum is differentiated, by what is known already."""

    @staticmethod
    def forward(ctx: Any, energies: torch.Tensor, n_leaves: int, *tensors: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(*tensors[n_leaves:])
        return energies.clone()

    @staticmethod
    def backward(ctx: Any, given: torch.Tensor) -> Any:
        # the same for all energies, and no division by zero where there are none
        share = given.sum() / torch.ones_like(given).sum().clamp(min=1.0)
        gradients = [share * gradient for gradient in ctx.saved_tensors]
        return (None, None, *gradients, *(None for _ in gradients))
