"""The engine side of an evaluation, with plain tensors: scripted, and saved in every model file.

Steps: units in -> `System` -> attach pairs -> (model) -> gradients -> results in the units of the engine.  The model
itself is called between `build_systems` and `collect_results` by ``AtomisticModel.evaluate``.  This module, with
``_pairs``, ``_derivatives`` and ``_labels``, is the only place where gradients, signs and unit factors of forces and
virials occur.
"""

from typing import Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from ._conversion import cached_factor, dimension_of
from ._derivatives import add_derivatives, volumes
from ._labels import energies_from, ordered_by_label
from .outputs import ModelOutput
from .quantities import base_quantity, other_spelling, standard_quantities
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


def check_units(units: Dict[str, str]) -> None:
    """Check that the units of lengths and energies are given."""
    for name in ["length", "energy"]:
        if name not in units:
            raise ValueError(f"expected the unit of '{name}' in `units`, got none")


def named_unit(name: str, units: Dict[str, str]) -> Optional[str]:
    """Give the unit of an input or output, under either spelling of its name; None where there is none."""
    if name in units:
        return units[name]
    other = other_spelling(name)
    if other != "" and other in units:
        return units[other]
    return None


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


def needs_cell_gradients(request: Dict[str, str]) -> bool:
    """Tell whether a result is a derivative of the energy with respect to the cell: forces alone are cheaper."""
    for result in ["virial", "stress", "atomic_virials"]:
        if result in request and base_quantity(request[result]) == "energy":
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
    positions_require_grad: bool,
    cells_require_grad: bool,
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
    positions_require_grad, cells_require_grad
        Whether positions and cells require gradients.
    """
    model_dtype = torch.float64 if dtype == "float64" else torch.float32
    systems: List[System] = []
    for i in range(len(structures)):
        structure = structures[i]
        given = _per_structure(structure, "types", i)
        types = given.to(torch.int32)
        if given.dtype == torch.int64 and not torch.equal(types.to(torch.int64), given):
            raise ValueError(f"expected `types` of structure {i} to fit in 32-bit integers, got larger values")
        pbc = _per_structure(structure, "pbc", i).to(torch.bool)
        positions = _per_structure(structure, "positions", i).detach()
        cell = _per_structure(structure, "cell", i).detach()
        if positions.dim() != 2 or positions.size(1) != 3 or positions.size(0) != types.size(0):
            raise ValueError(
                f"expected `positions` of structure {i} to have the shape ({types.size(0)}, 3), got {positions.size()}"
            )
        if not bool(torch.isfinite(positions).all()) or not bool(torch.isfinite(cell).all()):
            raise ValueError(f"expected finite positions and cell in structure {i}, got nan or infinity")
        cell = cell * pbc.unsqueeze(1)
        # a copy even where nothing changes: the leaves must not be tensors of the caller
        positions = (positions * length_factor).to(model_dtype)
        cell = (cell * length_factor).to(model_dtype)
        positions.requires_grad_(positions_require_grad)
        cell.requires_grad_(cells_require_grad)
        systems.append(System(types, positions, cell, pbc))
    return systems


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
        # the values of such an input and the geometry would be one and the same
        if name in ["types", "positions", "cell", "pbc"]:
            raise ValueError(f"expected inputs other than the geometry, got '{name}'")
        factor = 1.0
        unit = named_unit(name, units)
        if unit is not None:
            factor = cached_factor(unit, output.unit, dimension_of(name), table, cache)
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
    fits = n_values > 0 and values.numel() > 0 and values.numel() % n_values == 0
    if n_atoms > 0 and not fits:
        raise ValueError(f"expected input '{name}' of the shape {shape}, got {values.size()}")
    n_properties = 1 if n_values == 0 else values.numel() // n_values
    properties = Labels([property_name], torch.arange(n_properties, device=device).reshape(-1, 1))
    block = TensorBlock(values.reshape(shape + [n_properties]), samples, components, properties)
    return TensorMap(Labels(["_"], zero), [block])


def _sizes(systems: List[System]) -> List[int]:
    return [len(system) for system in systems]


def selected_labels(selected_atoms: Optional[torch.Tensor]) -> Optional[Labels]:
    """Give labels for selected atoms, shape (n_selected, 2): system and atom."""
    if selected_atoms is None:
        return None
    if selected_atoms.dim() != 2 or selected_atoms.size(1) != 2:
        raise ValueError(f"expected `selected_atoms` of the shape (n_selected, 2), got {selected_atoms.size()}")
    # `check_selected_atoms` looks for duplicates, and names them
    return Labels(["system", "atom"], selected_atoms.to(torch.int32), assume_unique=True)


def engine_unit(name: str, declared: str, units: Dict[str, str]) -> str:
    """Give the unit in which the engine wants an output: the one it names, else one made of its length and energy."""
    unit = named_unit(name, units)
    if unit is not None:
        return unit
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
    plain = {"length": units["length"], "energy": units["energy"]}
    for result, source in request.items():
        per_atom = result == "atomic_energies" or base_quantity(source) == "non_conservative_force"
        if per_atom:
            kinds[source] = "atom"
        elif source not in kinds:
            kinds[source] = "system"
    for name, kind in outputs.items():
        # energies per system are made from those per atom, where both are wanted
        is_finer = kind == "atom" and base_quantity(name) == "energy"
        if name in kinds and kinds[name] != kind and not is_finer:
            raise ValueError(f"expected one kind of samples for output '{name}', got '{kind}' and '{kinds[name]}'")
        kinds[name] = kind
    sources = [source for source in request.values()]  # noqa: C416 (`list()` of a view does not script)
    asked: Dict[str, ModelOutput] = {}
    for name, kind in kinds.items():
        declared = offered[name].unit if name in offered else ""
        unit = engine_unit(name, declared, units)
        if name in sources:
            # results are in the units of the engine, whatever unit an output of the same name is wanted in
            if name != "energy" and unit != engine_unit(name, declared, plain):
                raise ValueError(f"expected '{name}' in the units of the engine, got the unit '{unit}' for it")
            unit = engine_unit(name, declared, plain)
        asked[name] = ModelOutput("", unit, kind)
    return asked


def collect_results(
    structures: List[Dict[str, torch.Tensor]],
    systems: List[System],
    atoms: torch.Tensor,
    vectors: List[torch.Tensor],
    connected: bool,
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
            add_derivatives(
                results, energies, structures, systems, atoms, vectors, connected, request, energy, length_factor
            )
    for result, source in request.items():
        base = base_quantity(source)
        if base == "energy":
            continue
        # zero forces on atoms that were not selected
        kind = asked[source].sample_kind
        direct = ordered_by_label(returned[source], kind, n_atoms, source, partial, 0.0).detach()
        direct = direct.squeeze(-1).to(torch.float64)
        if result == "virial":
            direct = -direct * volumes(structures, "virial").reshape(-1, 1, 1)
        results[result] = direct
    for name, kind in outputs.items():
        # an output "energy" beside the result "energy" is in the other dictionary only
        if len(returned[name].keys) == 1 and name not in results:
            results[name] = ordered_by_label(returned[name], kind, n_atoms, name, partial, float("nan")).detach()
    return results
