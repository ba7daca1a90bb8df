"""What stands before the seam: structures of an engine to a `Batch`, with all checks that depend on their values.

Scripted, saved in every model file for C++, and never traced.
"""

import math
from typing import Dict, List, Optional

import torch

from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import base_quantity, standard_quantities

from .batch import Batch, Leaves, joined, split
from .conversion import cached_factor, dimension_of
from .pairs import batch_atoms, check_pairs, connected_vectors, pair_vectors
from .units_of_call import Units, named_unit


def _of_structure(tensors: Dict[str, torch.Tensor], key: str, i: int) -> torch.Tensor:
    if key not in tensors:
        raise ValueError(f"expected '{key}' in structure {i}, got none")
    return tensors[key]


def _column(structures: List[Dict[str, torch.Tensor]], key: str) -> List[torch.Tensor]:
    return [_of_structure(structures[i], key, i).detach() for i in range(len(structures))]


def sizes_of(structures: List[Dict[str, torch.Tensor]]) -> List[int]:
    """Give the number of atoms of each structure; raise a ValueError if there are no structures."""
    if len(structures) == 0:
        raise ValueError("expected at least one system, got an empty list")
    return [int(types.size(0)) for types in _column(structures, "types")]


def _types(structures: List[Dict[str, torch.Tensor]]) -> torch.Tensor:
    found = _column(structures, "types")
    converted: List[torch.Tensor] = []
    for i in range(len(found)):
        types = found[i].to(torch.int32)
        if found[i].dtype == torch.int64 and not torch.equal(types.to(torch.int64), found[i]):
            raise ValueError(f"expected `types` of structure {i} to fit in 32-bit integers, got larger values")
        converted.append(types)
    return joined(converted)


def _positions(structures: List[Dict[str, torch.Tensor]], n_atoms: List[int]) -> torch.Tensor:
    found = _column(structures, "positions")
    for i in range(len(found)):
        if found[i].dim() != 2 or found[i].size(1) != 3 or found[i].size(0) != n_atoms[i]:
            raise ValueError(
                f"expected `positions` of structure {i} to have the shape ({n_atoms[i]}, 3), got {found[i].size()}"
            )
    positions = joined(found)
    # one pass over them: a sum is finite if all terms are, of numbers of this size
    if not math.isfinite(float(positions.sum())):
        raise ValueError(_not_finite(found, "positions"))
    return positions


def _cells(structures: List[Dict[str, torch.Tensor]]) -> torch.Tensor:
    found = _column(structures, "cell")
    cells = torch.stack(found)
    if not math.isfinite(float(cells.sum())):
        raise ValueError(_not_finite(found, "cell"))
    return cells


def _not_finite(tensors: List[torch.Tensor], name: str) -> str:
    i = 0
    while i < len(tensors) and bool(torch.isfinite(tensors[i]).all()):
        i += 1
    return f"expected finite positions and cell in structure {i}, got nan or infinity in `{name}`"


def prepare(
    structures: List[Dict[str, torch.Tensor]],
    pairs: List[List[torch.Tensor]],
    vectors: Optional[List[List[torch.Tensor]]],
    n_lists: int,
    selected_atoms: Optional[torch.Tensor],
    inputs: Dict[str, torch.Tensor],
    length_factor: float,
    dtype: torch.dtype,
    leaves: Leaves,
) -> Batch:
    """Make a batch of the structures of an engine.

    Parameters
    ----------
    structures
        For each structure: "types" (n_atoms,), "positions" (n_atoms, 3), "cell" (3, 3) with vectors as rows, "pbc"
        (3,); lengths in the unit of the engine.  Cell vectors of directions that are not periodic are ignored.
    pairs, vectors, selected_atoms
        As for ``AtomisticModel.evaluate``.
    n_lists
        Number of neighbor lists of each structure.
    inputs
        Inputs in the units of the model, see `prepared_inputs`.
    length_factor
        Lengths of the model = length_factor * lengths of the engine.
    dtype
        Floating point type of the model.
    leaves
        What is differentiated with respect to.

    Raises
    ------
    ValueError
        If shapes or types of tensors are others, numbers are not finite, or atoms of pairs do not exist.
    """
    n_atoms = sizes_of(structures)
    types = _types(structures)
    pbc = torch.stack(_column(structures, "pbc")).to(torch.bool)
    positions = _positions(structures, n_atoms)
    given_cells = _cells(structures)
    cells = given_cells * pbc.unsqueeze(2)
    check_pairs(pairs, vectors, len(structures), n_lists)
    atoms = batch_atoms(pairs, n_lists, n_atoms, positions.device)
    # a copy even where nothing changes: leaves must not be tensors of the caller
    model_positions = (positions * length_factor).to(dtype).requires_grad_(leaves.positions)
    model_cells = (cells * length_factor).to(dtype).requires_grad_(leaves.cells)
    # one node of the autograd graph for all structures
    positions_of = split(model_positions, n_atoms)
    cells_of: List[torch.Tensor] = list(torch.unbind(model_cells))
    all_pairs: List[torch.Tensor] = []
    n_pairs: List[List[int]] = []
    all_vectors: List[torch.Tensor] = []
    for k in range(n_lists):
        of_list = [pairs[i][k] for i in range(len(structures))]
        given = _vectors(structures, cells, of_list, vectors, k)
        # not the tensor of the caller, of which it is a view; those made in inference mode can not require gradients
        given = given.clone() if given.is_inference() else given.detach()
        if length_factor != 1.0:
            given = given * length_factor
        values = given.to(dtype)
        if leaves.connected:
            graph = connected_vectors(positions_of, cells_of, pbc, of_list)
            values = graph + (values - graph.detach())
        elif leaves.vectors:
            values.requires_grad_()
        all_pairs.append(joined([p.to(torch.int32) for p in of_list]))
        n_pairs.append([int(p.size(0)) for p in of_list])
        all_vectors.append(values)
    selected: Optional[torch.Tensor] = None
    if selected_atoms is not None:
        if selected_atoms.dim() != 2 or selected_atoms.size(1) != 2:
            raise ValueError(f"expected `selected_atoms` of the shape (n_selected, 2), got {selected_atoms.size()}")
        selected = selected_atoms.to(torch.int32)
    return Batch(
        types,
        model_positions,
        model_cells,
        positions_of,
        cells_of,
        pbc,
        n_atoms,
        all_pairs,
        n_pairs,
        all_vectors,
        atoms,
        selected,
        given_cells,
        inputs,
    )


def _vectors(
    structures: List[Dict[str, torch.Tensor]],
    cells: torch.Tensor,
    pairs: List[torch.Tensor],
    vectors: Optional[List[List[torch.Tensor]]],
    k: int,
) -> torch.Tensor:
    """Give the vectors of one list of all structures, in the units of the engine.

    Differences of positions that were rounded to float32 get worse with the distance from the origin, and engines give
    positions that are not wrapped into the cell: the vectors come from what the engine has, mostly in float64.
    """
    found: List[torch.Tensor] = []
    for i in range(len(structures)):
        if vectors is not None:
            found.append(vectors[i][k])
        else:
            positions = structures[i]["positions"].detach()
            found.append(pair_vectors(positions, cells[i].to(positions.dtype), pairs[i], periodic=True))
    return joined(found)


def prepared_inputs(
    given: List[Dict[str, torch.Tensor]],
    n_atoms: List[int],
    requested: Dict[str, ModelOutput],
    units: Units,
    like: torch.Tensor,
    table: Dict[str, List[float]],
    cache: Dict[str, float],
) -> Dict[str, torch.Tensor]:
    """Give the inputs that the model requests, in its units, with the samples of all structures one after the other.

    Parameters
    ----------
    given
        For each structure the inputs by name, of the shape (n_samples, components..., n_properties); trailing
        dimensions of size one may be left out.
    n_atoms
        Number of atoms of each structure.
    requested
        What the model requests.
    units
        Those of the call.
    like
        A tensor of the device and the dtype that the inputs shall have.
    table, cache
        Table of units, and factors that are known already.

    Raises
    ------
    ValueError
        If an input is missing or has another shape.
    """
    inputs: Dict[str, torch.Tensor] = {}
    for name, output in requested.items():
        factor = 1.0
        unit = named_unit(name, units.inputs)
        if unit is not None:
            factor = cached_factor(unit, output.unit, dimension_of(name), table, cache)
        found: List[torch.Tensor] = []
        for i in range(len(n_atoms)):
            if i >= len(given) or name not in given[i]:
                raise ValueError(f"expected the input '{name}', which the model requests, in structure {i}, got none")
            n_samples = n_atoms[i] if output.sample_kind == "atom" else 1
            found.append(_shaped(name, given[i][name].to(like), n_samples))
        # structures without atoms do not tell the number of properties
        width = max([int(values.size(-1)) for values in found])
        for i in range(len(found)):
            if found[i].size(0) == 0:
                found[i] = found[i][..., :1].expand(list(found[i].size()[:-1]) + [width])
        inputs[name] = joined(found) * factor
    return inputs


def _shaped(name: str, values: torch.Tensor, n_samples: int) -> torch.Tensor:
    shape = [n_samples]
    base = base_quantity(name)
    table = standard_quantities()
    if base in table:
        shape = shape + [3 for _ in table[base].components]
    n_values = 1
    for size in shape:
        n_values = n_values * size
    fits = n_values > 0 and values.numel() > 0 and values.numel() % n_values == 0
    if n_samples > 0 and not fits:
        raise ValueError(f"expected input '{name}' of the shape {shape}, got {values.size()}")
    n_properties = 1 if n_values == 0 else values.numel() // n_values
    return values.reshape(shape + [n_properties])
