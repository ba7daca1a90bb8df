"""Derivatives of the energy: forces, virials, virials per atom and stress.

Scripted code, saved in every model file.  Signs: forces = -dE/dr; virial = -dE/dstrain with strain acting as
r @ (1 + strain), so that dE/dstrain = r^T dE/dr + cell^T dE/dcell; stress = dE/dstrain / |det cell|.
"""

from typing import Dict, List, Tuple

import torch

from .system import System


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
    with_cells = cells[0].requires_grad
    leaves = positions + vectors if with_vectors else positions
    if with_cells:
        leaves = leaves + cells
    gradients = _gradients(energies, leaves, vectors)
    n = len(systems)
    dcells = torch.stack(gradients[len(leaves) - n :]) if with_cells else torch.zeros_like(torch.stack(cells))
    n_vectors = len(vectors) if with_vectors else 0
    return torch.cat(gradients[:n]), dcells, gradients[n : n + n_vectors]


def _gradients(energies: torch.Tensor, leaves: List[torch.Tensor], vectors: List[torch.Tensor]) -> List[torch.Tensor]:
    """Give the gradient with respect to each leaf, zero for those that the energy does not depend on."""
    if not energies.requires_grad:
        for vector in vectors:
            if vector.size(0) > 0:
                raise ValueError(
                    "expected an energy that is connected to the positions, got one without gradient; does the model "
                    "detach its inputs, or run under torch.no_grad"
                )
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad([energies.sum()], leaves, allow_unused=True)
    gradients: List[torch.Tensor] = []
    for i in range(len(leaves)):
        gradient = found[i]
        if gradient is None:
            gradients.append(torch.zeros_like(leaves[i]))
        else:
            gradients.append(gradient)
    return gradients


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
    systems: List[System],
    vectors: List[torch.Tensor],
    dvectors: List[torch.Tensor],
    dpositions: torch.Tensor,
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
            # outer products, one for each pair
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
                f"expected a periodic structure with three cell vectors for 'stress', got another in structure {i}; "
                "ask for 'virial'"
            )
        result.append(volume)
    return torch.stack(result)


def add_derivatives(
    results: Dict[str, torch.Tensor],
    energies: torch.Tensor,
    structures: List[Dict[str, torch.Tensor]],
    systems: List[System],
    vectors: List[torch.Tensor],
    request: Dict[str, str],
    energy: str,
    length_factor: float,
) -> None:
    """Add the requested derivatives of the energy to the results, in the units of the engine.

    Parameters
    ----------
    results
        Where to add "forces", "virial", "stress", "atomic_virials".
    energies
        Shape (n_systems,), in the energy unit of the engine.
    structures, systems, vectors
        What was evaluated: in the units of the engine, in those of the model, and the pair vectors of the latter.
    request
        Which results to make from which output.
    energy
        Name of the energy output.
    length_factor
        Model lengths = length_factor * engine lengths.
    """
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
