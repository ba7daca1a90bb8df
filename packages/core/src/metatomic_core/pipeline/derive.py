"""Between prepare and finish: what the model says of a batch, and the backward pass; see `AtomisticModel.derive`.

Scripted, saved in every model file for C++.
"""

from typing import Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core.authors import one_block
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import base_quantity, standard_quantities

from .batch import Answer, Batch, Leaves, split
from .derivatives import derivatives
from .labels import energies_from, ordered_by_label
from .results import Needs


def structures_of(batch: Batch) -> List[Dict[str, torch.Tensor]]:
    """Give the geometry of each structure, as views: "types", "positions", "cell", "pbc"."""
    types, pbc = split(batch.types, batch.n_atoms), torch.unbind(batch.pbc)
    structures: List[Dict[str, torch.Tensor]] = []
    for i in range(len(types)):
        structures.append(
            {"types": types[i], "positions": batch.positions_of[i], "cell": batch.cells_of[i], "pbc": pbc[i]}
        )
    return structures


def input_maps(batch: Batch, requested: Dict[str, ModelOutput]) -> List[Dict[str, TensorMap]]:
    """Give the inputs of each structure with their labels."""
    maps: List[Dict[str, TensorMap]] = []
    for _ in batch.n_atoms:
        nothing: Dict[str, TensorMap] = {}
        maps.append(nothing)
    for name, output in requested.items():
        sizes = batch.n_atoms if output.sample_kind == "atom" else [1 for _ in batch.n_atoms]
        values = split(batch.inputs[name], sizes)
        for i in range(len(maps)):
            maps[i][name] = _input_map(name, output, values[i])
    return maps


def _input_map(name: str, output: ModelOutput, values: torch.Tensor) -> TensorMap:
    numbers = torch.arange(values.size(0), device=values.device)
    samples = Labels(["system"], numbers.unsqueeze(1))
    if output.sample_kind == "atom":
        samples = Labels(["system", "atom"], torch.stack([torch.zeros_like(numbers), numbers], dim=1))
    components: List[str] = []
    property_name = "value"
    table = standard_quantities()
    base = base_quantity(name)
    if base in table:
        # inputs keep the property name of the spelling that the model asked for
        property_name = name.split("/")[0]
        components = table[base].components
    tensor = one_block(values, samples, components, property_name)
    if output.unit != "":
        tensor.set_info("unit", output.unit)
    return tensor


def selected_labels(selected_atoms: Optional[torch.Tensor]) -> Optional[Labels]:
    """Give labels for selected atoms, shape (n_selected, 2): structure and atom."""
    if selected_atoms is None:
        return None
    # `check_selected_atoms` looks for duplicates, and names them
    return Labels(["system", "atom"], selected_atoms, assume_unique=True)


def answer_of(
    returned: Dict[str, TensorMap],
    kinds: Dict[str, str],
    request: Dict[str, str],
    outputs: Dict[str, str],
    batch: Batch,
    leaves: Leaves,
    needs: Needs,
) -> Answer:
    """Give what a model has returned as plain tensors, with the derivatives of the energy.

    Parameters
    ----------
    returned
        Outputs by name, in the units of the model.
    kinds
        Kinds of their samples.
    request, outputs
        Results, each with the output that it is made from, and other outputs.
    batch, leaves
        What was evaluated.
    needs
        What is wanted of the energy.
    """
    partial = batch.selected_atoms is not None
    of_energy: Dict[str, torch.Tensor] = {}
    if needs.energy != "":
        tensor = returned[needs.energy]
        energies, per_atom = energies_from(tensor, kinds[needs.energy], needs.energy, batch.n_atoms, partial)
        if needs.gradients:
            of_energy = derivatives(energies, batch, leaves, needs)
        of_energy["energy"] = energies.detach()
        if per_atom is not None:
            of_energy["atomic_energies"] = per_atom.detach().to(torch.float64)
    direct: Dict[str, torch.Tensor] = {}
    for source in request.values():
        if source != needs.energy:
            tensor = returned[source]
            direct[source] = ordered_by_label(tensor, kinds[source], batch.n_atoms, source, partial, 0.0).detach()
    values: Dict[str, torch.Tensor] = {}
    for name in outputs.keys():
        tensor, kind = returned[name], kinds[name]
        if _is_dense(tensor, name, kind):
            # an output of the author's own may be there for some atoms only
            some = partial or "::" in name
            values[name] = ordered_by_label(tensor, kind, batch.n_atoms, name, some, float("nan")).detach()
    return Answer(of_energy, direct, values)


def _is_dense(tensor: TensorMap, name: str, kind: str) -> bool:
    """Tell whether an output has a place in a dense tensor: not with several blocks, or samples of the author's own."""
    if len(tensor.keys) != 1:
        return False
    if "::" not in name:
        return True
    names = tensor.block_by_id(0).samples.names
    if kind == "atom_pair":
        return True
    return names == (["system"] if kind == "system" else ["system", "atom"])
