"""The engine side of an evaluation, with plain tensors: scripted, and saved in every model file.

Steps: units in -> `System` -> attach pairs -> (model) -> gradients -> results in the units of the engine.  The model
itself is called between `build_systems` and `collect_results` by ``AtomisticModel.evaluate``.  This is the only place
where gradients, signs and unit factors of forces and virials occur.

Signs: forces = -dE/dr; virial = -dE/dstrain with strain acting as r @ (1 + strain), so that dE/dstrain =
r^T dE/dr + cell^T dE/dcell; stress = dE/dstrain / |det cell|.
"""

from typing import Dict, List, Optional, Tuple

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from ._conversion import cached_factor, dimension_of
from .neighbors import NeighborListOptions
from .outputs import ModelOutput
from .quantities import base_quantity, standard_quantities
from .system import System


def check_request_keys(request: Dict[str, str]) -> None:
    """Check that results are known ones, each made from an output that it can be made from."""
    sources: Dict[str, List[str]] = {
        "energy": ["energy"],
        "atomic_energies": ["energy"],
        "forces": ["energy", "non_conservative_force"],
        "virial": ["energy", "non_conservative_stress"],
        "stress": ["energy", "non_conservative_stress"],
        "atomic_virials": ["energy"],
    }
    energy = ""
    for result, source in request.items():
        if result not in sources:
            known = ", ".join(["'" + key + "'" for key in sources.keys()])
            raise ValueError(f"expected results among {known} in `request`, got '{result}'")
        base = base_quantity(source)
        if base not in sources[result]:
            raise ValueError(f"expected '{result}' to be made from {sources[result]}, got '{source}'")
        if base == "energy":
            if energy != "" and energy != source:
                raise ValueError(f"expected one energy in `request`, got '{energy}' and '{source}'")
            energy = source


def energy_source(request: Dict[str, str]) -> str:
    """Give the name of the energy output that results are made from; the empty string if there is none."""
    for source in request.values():
        if base_quantity(source) == "energy":
            return source
    return ""


def needs_gradients(request: Dict[str, str]) -> bool:
    """Tell whether a result is a derivative of the energy."""
    for result, source in request.items():
        if result not in ["energy", "atomic_energies"] and base_quantity(source) == "energy":
            return True
    return False


def _per_structure(structure: Dict[str, torch.Tensor], key: str, i: int) -> torch.Tensor:
    if key not in structure:
        raise ValueError(f"expected '{key}' in structure {i}, got none")
    return structure[key]


def build_systems(
    structures: List[Dict[str, torch.Tensor]],
    length_factor: float,
    dtype: str,
    requires_grad: bool,
) -> List[System]:
    """Build systems in model units, the positions and cells of which are leaves of the autograd graph.

    Parameters
    ----------
    structures
        For each structure: "types" (n_atoms,), "positions" (n_atoms, 3), "cell" (3, 3) with vectors as rows,
        "pbc" (3,); lengths in the unit of the engine.  Cell vectors of non-periodic directions are ignored.
    length_factor
        Model lengths = length_factor * engine lengths.
    dtype
        "float32" or "float64".
    requires_grad
        Whether positions and cells require gradients.
    """
    model_dtype = torch.float64 if dtype == "float64" else torch.float32
    systems: List[System] = []
    for i in range(len(structures)):
        structure = structures[i]
        types = _per_structure(structure, "types", i).to(torch.int32)
        pbc = _per_structure(structure, "pbc", i).to(torch.bool)
        positions = _per_structure(structure, "positions", i).detach()
        cell = _per_structure(structure, "cell", i).detach()
        if positions.dim() != 2 or positions.size(1) != 3 or positions.size(0) != types.size(0):
            raise ValueError(
                f"expected `positions` of structure {i} to have the shape ({types.size(0)}, 3), got "
                f"{positions.size()}"
            )
        if not bool(torch.isfinite(positions).all()) or not bool(torch.isfinite(cell).all()):
            raise ValueError(f"expected finite positions and cell in structure {i}, got nan or infinity")
        cell = cell * pbc.unsqueeze(1)
        # a copy even where nothing changes: the leaves must not be tensors of the caller
        positions = (positions * length_factor).to(model_dtype)
        cell = (cell * length_factor).to(model_dtype)
        positions.requires_grad_(requires_grad)
        cell.requires_grad_(requires_grad)
        systems.append(System(types, positions, cell, pbc))
    return systems


def pair_vectors(system: System, pairs: torch.Tensor) -> torch.Tensor:
    """Compute positions[second] - positions[first] + shift @ cell, connected to positions and cell.

    Parameters
    ----------
    system
        The system; its positions and cell may require gradients.
    pairs
        Shape (n_pairs, 5), integers: first atom, second atom, cell shifts.

    Returns
    -------
    torch.Tensor
        Shape (n_pairs, 3).
    """
    # int64 and contiguous: index_add in the backward pass is 13 times slower with int32 indices (DESIGN.md, "Speed")
    first = pairs[:, 0].to(torch.int64).contiguous()
    second = pairs[:, 1].to(torch.int64).contiguous()
    positions = system.positions
    vectors = positions.index_select(0, second) - positions.index_select(0, first)
    if bool(system.pbc.any()):
        vectors = vectors + pairs[:, 2:].to(positions.dtype) @ system.cell
    return vectors


def _check_pairs(pairs: torch.Tensor, n_atoms: int) -> None:
    if pairs.dim() != 2 or pairs.size(1) != 5:
        raise ValueError(f"expected pairs of the shape (n_pairs, 5), got {pairs.size()}")
    if pairs.size(0) > 0:
        atoms = pairs[:, :2]
        if int(atoms.min()) < 0 or int(atoms.max()) >= n_atoms:
            raise ValueError(f"expected atoms between 0 and {n_atoms - 1} in pairs, got others")


def attach_pairs(
    systems: List[System], pairs: List[List[torch.Tensor]], requested: List[NeighborListOptions]
) -> List[torch.Tensor]:
    """Compute the vectors of all pairs and register them with the systems.

    Parameters
    ----------
    systems
        The systems.
    pairs
        For each system and each requested list: shape (n_pairs, 5), see `pair_vectors`.
    requested
        The requests, in the order of the lists.

    Returns
    -------
    list of torch.Tensor
        The vectors, shape (n_pairs, 3, 1), in the order of systems and then lists.
    """
    names = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]
    all_vectors: List[torch.Tensor] = []
    if len(pairs) != len(systems) and len(requested) > 0:
        raise ValueError(f"expected `pairs` for {len(systems)} structures, got {len(pairs)}")
    for i in range(len(systems)):
        system = systems[i]
        device = system.positions.device
        component = [Labels(["xyz"], torch.tensor([[0], [1], [2]], device=device))]
        properties = Labels(["distance"], torch.tensor([[0]], device=device))
        if len(requested) > 0 and len(pairs[i]) != len(requested):
            raise ValueError(f"expected {len(requested)} lists of pairs for structure {i}, got {len(pairs[i])}")
        for k in range(len(requested)):
            _check_pairs(pairs[i][k], len(system))
            vectors = pair_vectors(system, pairs[i][k]).unsqueeze(2)
            samples = Labels(names, pairs[i][k].to(torch.int32), assume_unique=True)
            block = TensorBlock(vectors, samples, component, properties)
            system.add_neighbor_list(requested[k], block)
            all_vectors.append(vectors)
    return all_vectors


def attach_inputs(
    systems: List[System],
    structures: List[Dict[str, torch.Tensor]],
    requested: Dict[str, ModelOutput],
    units: Dict[str, str],
    table: Dict[str, List[float]],
    cache: Dict[str, float],
) -> None:
    """Attach the inputs that the model requests, in its units.

    Parameters
    ----------
    systems, structures
        The systems and what they were built from: inputs are in the structures under their names, of the shape
        (n_samples, components..., n_properties); trailing dimensions of size one may be left out.
    requested
        What the model requests.
    units
        Units of the values in the structures, by name.
    table, cache
        Table of units, and factors that are known already.
    """
    for name, output in requested.items():
        factor = 1.0
        if name in units:
            factor = cached_factor(units[name], output.unit, dimension_of(name), table, cache)
        for i in range(len(systems)):
            values = _per_structure(structures[i], name, i).to(systems[i].positions)
            systems[i].add_data(name, _input_tensor(name, output, values * factor, len(systems[i])))


def _input_tensor(name: str, output: ModelOutput, values: torch.Tensor, n_atoms: int) -> TensorMap:
    device = values.device
    zero = torch.tensor([[0]], device=device)
    if output.sample_kind == "atom":
        atoms = torch.arange(n_atoms, device=device)
        samples = Labels(["system", "atom"], torch.stack([torch.zeros_like(atoms), atoms], dim=1))
        n_samples = n_atoms
    else:
        samples = Labels(["system"], zero)
        n_samples = 1
    components: List[Labels] = []
    property_name = "value"
    table = standard_quantities()
    base = base_quantity(name)
    if base in table:
        # inputs keep the property name of the spelling that the model asked for
        property_name = name.split("/")[0]
        for component in table[base].components:
            components.append(Labels([component], torch.tensor([[0], [1], [2]], device=device)))
    shape = [n_samples] + [3 for _ in components]
    n_values = 1
    for size in shape:
        n_values = n_values * size
    if n_values == 0 or values.numel() % n_values != 0 or values.numel() == 0:
        if n_atoms > 0:
            raise ValueError(f"expected input '{name}' of the shape {shape}, got {values.size()}")
    n_properties = 1 if n_values == 0 else values.numel() // n_values
    properties = Labels([property_name], torch.arange(n_properties, device=device).reshape(-1, 1))
    block = TensorBlock(values.reshape(shape + [n_properties]), samples, components, properties)
    return TensorMap(Labels(["_"], zero), [block])


def _sizes(systems: List[System]) -> List[int]:
    return [len(system) for system in systems]


def ordered_by_label(tensor: TensorMap, kind: str, n_atoms: List[int], name: str, partial: bool) -> torch.Tensor:
    """Give the values of an output in the order of systems and atoms, whatever the order of its samples.

    Parameters
    ----------
    tensor
        Output with one block.
    kind
        "system", "atom" or "atom_pair"; pairs keep their order.
    n_atoms
        Number of atoms of each system.
    name
        Name of the output, for messages.
    partial
        Whether samples may be missing; their values are then NaN.

    Returns
    -------
    torch.Tensor
        Shape (n_systems or total number of atoms, components..., n_properties).

    Raises
    ------
    ValueError
        If samples are missing, duplicated or out of range, or there are several blocks.
    """
    if len(tensor.keys) != 1:
        raise ValueError(f"expected output '{name}' to have one block, got {len(tensor.keys)}; use `forward`")
    block = tensor.block_by_id(0)
    values = block.values
    if kind == "atom_pair":
        return values
    labels = block.samples.values.to(torch.int64)
    sizes = torch.tensor(n_atoms, dtype=torch.int64, device=labels.device)
    size = sizes.size(0)
    index = labels[:, 0]
    if labels.size(0) > 0 and (int(index.min()) < 0 or int(index.max()) >= size):
        raise ValueError(f"expected systems between 0 and {size - 1} in the samples of '{name}', got others")
    if kind == "atom":
        if labels.size(1) != 2:
            raise ValueError(f"expected output '{name}' to have the samples system and atom, got others")
        n = sizes[index]
        outside = (labels[:, 1] < 0) | (labels[:, 1] >= n)
        if bool(outside.any()):
            raise ValueError(f"expected atoms that exist in the samples of '{name}', got others")
        index = torch.cumsum(sizes, 0)[index] - n + labels[:, 1]
        size = sum(n_atoms)
    if index.size(0) == size and torch.equal(index, torch.arange(size, device=index.device)):
        return values
    counts = torch.bincount(index, minlength=size)
    if bool((counts > 1).any()):
        raise ValueError(f"expected each sample once in output '{name}' of the model, got duplicates")
    if bool((counts == 0).any()) and not partial:
        missing = int(torch.nonzero(counts == 0)[0].item())
        raise ValueError(f"expected output '{name}' of the model for each {kind}, got none for {kind} {missing}")
    shape = [size] + values.size()[1:]
    dense = torch.full(shape, float("nan"), dtype=values.dtype, device=values.device)
    return dense.index_copy(0, index, values)


def _scatter_to_systems(values: torch.Tensor, n_atoms: List[int]) -> torch.Tensor:
    """Sum per-atom values over the atoms of each system, in float64."""
    sizes = torch.tensor(n_atoms, dtype=torch.int64, device=values.device)
    index = torch.repeat_interleave(torch.arange(len(n_atoms), device=values.device), sizes)
    sums = torch.zeros(len(n_atoms), dtype=torch.float64, device=values.device)
    return sums.index_add(0, index, values.to(torch.float64))


def energies_from(
    tensor: TensorMap, kind: str, name: str, n_atoms: List[int], partial: bool
) -> Tuple[torch.Tensor, Optional[torch.Tensor]]:
    """Give energies per system, float64 and in the graph, and energies per atom if the output has them.

    Energies per atom of atoms that were not selected are zero.
    """
    values = ordered_by_label(tensor, kind, n_atoms, name, partial)
    values = values.reshape(values.size(0))
    if kind == "system":
        return values.to(torch.float64), None
    if partial:
        values = torch.where(torch.isnan(values.detach()), torch.zeros_like(values), values)
    return _scatter_to_systems(values, n_atoms), values


def energy_gradients(
    energies: torch.Tensor, systems: List[System], vectors: List[torch.Tensor], with_vectors: bool
) -> Tuple[torch.Tensor, torch.Tensor, List[torch.Tensor]]:
    """Run the backward pass.

    Parameters
    ----------
    energies
        Shape (n_systems,).
    systems
        Systems whose positions and cells are leaves.
    vectors
        Pair vectors of all lists of all systems.
    with_vectors
        Also give gradients with respect to the vectors.

    Returns
    -------
    torch.Tensor, torch.Tensor, list of torch.Tensor
        dE/dpositions of all atoms (n_atoms, 3), dE/dcell (n_systems, 3, 3), dE/dvectors like ``vectors`` or empty;
        zero where the energy does not depend on something.

    Raises
    ------
    ValueError
        If the energy is not connected to positions although there are pairs: forces would silently be zero.
    """
    positions = [system.positions for system in systems]
    cells = [system.cell for system in systems]
    leaves = positions + cells
    if with_vectors:
        leaves = leaves + vectors
    found: List[Optional[torch.Tensor]] = []
    if energies.requires_grad:
        for gradient in torch.autograd.grad([energies.sum()], leaves, allow_unused=True):
            found.append(gradient)
    else:
        for vector in vectors:
            if vector.size(0) > 0:
                raise ValueError(
                    "expected an energy that is connected to the positions, got one without gradient; does the model "
                    "detach its inputs, or run under torch.no_grad"
                )
        for _ in range(len(leaves)):
            found.append(None)
    gradients: List[torch.Tensor] = []
    for i in range(len(leaves)):
        gradient = found[i]
        if gradient is None:
            gradients.append(torch.zeros_like(leaves[i]))
        else:
            gradients.append(gradient)
    n = len(systems)
    return torch.cat(gradients[:n]), torch.stack(gradients[n : 2 * n]), gradients[2 * n :]


def virials(systems: List[System], dpositions: torch.Tensor, dcells: torch.Tensor) -> torch.Tensor:
    """Give -dE/dstrain, shape (n_systems, 3, 3), from gradients with respect to positions and cells; float64."""
    result: List[torch.Tensor] = []
    start = 0
    for i in range(len(systems)):
        system = systems[i]
        stop = start + len(system)
        positions = system.positions.detach().to(torch.float64)
        cell = system.cell.detach().to(torch.float64)
        gradient = positions.T @ dpositions[start:stop].to(torch.float64)
        gradient = gradient + cell.T @ dcells[i].to(torch.float64)
        # rotational invariance makes it symmetric up to rounding; a field that breaks it has no symmetric virial
        result.append(-gradient)
        start = stop
    return torch.stack(result)


def atomic_virials(
    systems: List[System], vectors: List[torch.Tensor], dvectors: List[torch.Tensor], dpositions: torch.Tensor,
    total: torch.Tensor,
) -> torch.Tensor:
    """Give virials per atom, half of each pair to each of its atoms; they add up to the virial.

    Parameters
    ----------
    systems
        The systems, with their neighbor lists.
    vectors, dvectors
        Pair vectors and dE/dvectors, shape (n_pairs, 3, 1), of all lists of all systems.
    dpositions
        dE/dpositions of all atoms, shape (n_atoms, 3).
    total
        Virials, shape (n_systems, 3, 3).

    Returns
    -------
    torch.Tensor
        Shape (n_atoms, 3, 3), float64.

    Raises
    ------
    ValueError
        If the energy depends on positions or cell in other ways than through the pair vectors.
    """
    results: List[torch.Tensor] = []
    position_gradients: List[torch.Tensor] = []
    n_lists = 0 if len(systems) == 0 else len(vectors) // len(systems)
    for i in range(len(systems)):
        system = systems[i]
        virial = torch.zeros(len(system), 9, dtype=torch.float64, device=dpositions.device)
        gradient_sum = torch.zeros(len(system), 3, dtype=torch.float64, device=dpositions.device)
        lists = system.known_neighbor_lists()
        for k in range(n_lists):
            samples = system.get_neighbor_list(lists[k]).samples.values
            first = samples[:, 0].to(torch.int64).contiguous()
            second = samples[:, 1].to(torch.int64).contiguous()
            vector = vectors[i * n_lists + k].detach().to(torch.float64)
            gradient = dvectors[i * n_lists + k].to(torch.float64)
            # shape (n_pairs, 3, 1) @ (n_pairs, 1, 3)
            half = (-0.5 * (vector @ gradient.transpose(1, 2))).reshape(-1, 9)
            virial = virial.index_add(0, first, half).index_add(0, second, half)
            pull = gradient[:, :, 0]
            gradient_sum = gradient_sum.index_add(0, second, pull).index_add(0, first, -pull)
        results.append(virial.reshape(-1, 3, 3))
        position_gradients.append(gradient_sum)
    result = torch.cat(results)
    start = 0
    for i in range(len(systems)):
        stop = start + len(systems[i])
        _check_only_pairs(position_gradients[i], dpositions[start:stop], result[start:stop], total[i])
        start = stop
    return result


def _check_only_pairs(
    from_pairs: torch.Tensor, dpositions: torch.Tensor, virial: torch.Tensor, total: torch.Tensor
) -> None:
    """Refuse virials per atom of a model that sees geometry in other ways than through pair vectors."""
    if from_pairs.size(0) == 0:
        return
    tolerance = 1e-8 if dpositions.dtype == torch.float64 else 1e-3
    scale = 1e-6 + dpositions.abs().max() + from_pairs.abs().max()
    virial_scale = 1e-6 + total.abs().max() + virial.abs().sum(0).max()
    same_forces = bool((from_pairs - dpositions).abs().max() <= tolerance * scale)
    same_virial = bool((virial.sum(0) - total).abs().max() <= tolerance * virial_scale)
    if not (same_forces and same_virial):
        raise ValueError(
            "expected a model that sees positions and cell only through neighbor vectors for 'atomic_virials', got "
            "one that uses them directly; ask for 'virial'"
        )


def volumes(structures: List[Dict[str, torch.Tensor]]) -> torch.Tensor:
    """Give |det cell| of all structures, in the units of the engine, shape (n_systems,), float64.

    Raises
    ------
    ValueError
        If a structure has no periodic direction, or cell vectors without volume: it has no stress.
    """
    result: List[torch.Tensor] = []
    for i in range(len(structures)):
        cell = structures[i]["cell"].detach().to(torch.float64)
        volume = torch.linalg.det(cell).abs()
        if not bool(structures[i]["pbc"].any()) or bool(volume == 0):
            raise ValueError(
                f"expected a periodic structure with three cell vectors for 'stress', got another one in structure {i}; "
                "ask for 'virial'"
            )
        result.append(volume)
    return torch.stack(result)


def selected_labels(selected_atoms: Optional[torch.Tensor]) -> Optional[Labels]:
    """Give labels for selected atoms, shape (n_selected, 2): system and atom."""
    if selected_atoms is None:
        return None
    if selected_atoms.dim() != 2 or selected_atoms.size(1) != 2:
        raise ValueError(f"expected `selected_atoms` of the shape (n_selected, 2), got {selected_atoms.size()}")
    return Labels(["system", "atom"], selected_atoms.to(torch.int32))


def engine_unit(name: str, declared: str, units: Dict[str, str]) -> str:
    """Give the unit in which the engine wants an output: the one it names, else one made of its length and energy."""
    if name in units:
        return units[name]
    energy, length = units["energy"], units["length"]
    dimension = dimension_of(name)
    if dimension == "energy":
        return energy
    if dimension == "length":
        return length
    if dimension == "force":
        return "(" + energy + ")/(" + length + ")"
    if dimension == "pressure":
        return "(" + energy + ")/(" + length + ")^3"
    return declared


def asked_outputs(
    request: Dict[str, str], outputs: Dict[str, str], units: Dict[str, str], offered: Dict[str, ModelOutput]
) -> Dict[str, ModelOutput]:
    """Give what to ask of the model, in the units of the engine.

    Energies are asked per atom if the request has energies per atom.
    """
    kinds: Dict[str, str] = {}
    for result, source in request.items():
        per_atom = result == "atomic_energies" or base_quantity(source) == "non_conservative_force"
        if per_atom:
            kinds[source] = "atom"
        elif source not in kinds:
            kinds[source] = "system"
    for name, kind in outputs.items():
        if name in kinds and kinds[name] != kind:
            raise ValueError(f"expected one kind of samples for output '{name}', got '{kind}' and '{kinds[name]}'")
        kinds[name] = kind
    asked: Dict[str, ModelOutput] = {}
    for name, kind in kinds.items():
        declared = offered[name].unit if name in offered else ""
        asked[name] = ModelOutput("", engine_unit(name, declared, units), kind)
    return asked


def collect_results(
    structures: List[Dict[str, torch.Tensor]],
    systems: List[System],
    vectors: List[torch.Tensor],
    request: Dict[str, str],
    outputs: Dict[str, str],
    asked: Dict[str, ModelOutput],
    returned: Dict[str, TensorMap],
    length_factor: float,
    partial: bool,
) -> Dict[str, torch.Tensor]:
    """Give all results as plain tensors in the units of the engine; see ``AtomisticModel.evaluate``."""
    n_atoms = _sizes(systems)
    results: Dict[str, torch.Tensor] = {}
    energy = energy_source(request)
    if energy != "":
        energies, per_atom = energies_from(returned[energy], asked[energy].sample_kind, energy, n_atoms, partial)
        results["energy"] = energies.detach()
        if per_atom is not None and "atomic_energies" in request:
            results["atomic_energies"] = per_atom.detach().to(torch.float64)
        if needs_gradients(request):
            _add_gradients(results, energies, structures, systems, vectors, request, energy, length_factor)
    for result, source in request.items():
        base = base_quantity(source)
        if base == "energy":
            continue
        direct = ordered_by_label(returned[source], asked[source].sample_kind, n_atoms, source, partial).detach()
        direct = direct.squeeze(-1).to(torch.float64)
        if result == "virial":
            direct = -direct * volumes(structures).reshape(-1, 1, 1)
        results[result] = direct
    for name, kind in outputs.items():
        if len(returned[name].keys) == 1:
            results[name] = ordered_by_label(returned[name], kind, n_atoms, name, partial).detach()
    return results


def _add_gradients(
    results: Dict[str, torch.Tensor],
    energies: torch.Tensor,
    structures: List[Dict[str, torch.Tensor]],
    systems: List[System],
    vectors: List[torch.Tensor],
    request: Dict[str, str],
    energy: str,
    length_factor: float,
) -> None:
    with_vectors = "atomic_virials" in request
    with torch.profiler.record_function("AtomisticModel::backward"):
        dpositions, dcells, dvectors = energy_gradients(energies, systems, vectors, with_vectors)
    if "forces" in request and request["forces"] == energy:
        # dE/dr_engine = dE/dr_model * (dr_model/dr_engine)
        results["forces"] = -dpositions.to(torch.float64) * length_factor
    wants_virial = "virial" in request and request["virial"] == energy
    wants_stress = "stress" in request and request["stress"] == energy
    if wants_virial or wants_stress or with_vectors:
        total = virials(systems, dpositions, dcells)
        if wants_virial:
            results["virial"] = total
        if wants_stress:
            results["stress"] = -total / volumes(structures).reshape(-1, 1, 1)
        if with_vectors:
            results["atomic_virials"] = atomic_virials(systems, vectors, dvectors, dpositions, total)
