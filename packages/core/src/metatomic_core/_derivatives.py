"""Derivatives of the energy: forces, virials, virials per atom and stress.

Scripted code, saved in every model file.  Signs: forces = -dE/dr; virial = -dE/dstrain with strain acting as
r @ (1 + strain), so that dE/dstrain = r^T dE/dr + cell^T dE/dcell; stress = dE/dstrain / |det cell|.
"""

from typing import Dict, List, Tuple

import torch

from ._pairs import gradients_of_atoms, joined_vectors, strain_gradients
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
        zero where the energy does not depend on something.  Of vectors that are leaves, what the energy owes to them is
        not in the first two.

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


def atomic_virials(atoms: torch.Tensor, vectors: torch.Tensor, dvectors: torch.Tensor, n_atoms: int) -> torch.Tensor:
    """Give virials per atom, half of each pair to each of its atoms; they add up to the virial.

    Parameters
    ----------
    atoms
        First and second atoms of all pairs, shape (2, n_pairs), int64.
    vectors, dvectors
        Pair vectors and dE/dvectors, shape (n_pairs, 3), float64.
    n_atoms
        Number of atoms of all systems.

    Returns
    -------
    torch.Tensor
        Shape (n_atoms, 3, 3), float64.
    """
    # outer products, one for each pair
    half = (-0.5 * (vectors.unsqueeze(2) @ dvectors.unsqueeze(1))).reshape(-1, 9)
    virial = torch.zeros(n_atoms, 9, dtype=torch.float64, device=vectors.device)
    return virial.index_add(0, atoms[0], half).index_add(0, atoms[1], half).reshape(-1, 3, 3)


def _check_only_pairs(
    direct: torch.Tensor,
    direct_strain: torch.Tensor,
    systems: List[System],
    atoms: torch.Tensor,
    vectors: torch.Tensor,
    dvectors: torch.Tensor,
) -> None:
    """Refuse virials per atom of a model that sees geometry in other ways than through pair vectors.

    What is left is compared with the terms of the sums over pairs, to which its rounding is owed: in a perfect crystal
    the sums are zero and their terms are not.

    Parameters
    ----------
    direct, direct_strain
        What is not owed to pair vectors of dE/dpositions, shape (n_atoms, 3), and dE/dstrain, shape (n_systems, 3, 3).
    systems
        What was evaluated.
    atoms
        First and second atoms of all pairs, shape (2, n_pairs), int64.
    vectors, dvectors
        Pair vectors and dE/dvectors, shape (n_pairs, 3), float64.
    """
    if direct.size(0) == 0:
        return
    # some hundred times the resolution of the type
    tolerance = 1e-11 if systems[0].positions.dtype == torch.float64 else 1e-5
    terms = dvectors.square().sum(1).sqrt()
    of_atoms = torch.zeros(direct.size(0), dtype=terms.dtype, device=terms.device)
    of_atoms = of_atoms.index_add(0, atoms[0], terms).index_add(0, atoms[1], terms)
    # lengths that forces are multiplied with in the strain: positions, and cell vectors between them
    length = torch.cat([system.positions.detach() for system in systems]).abs().max().to(torch.float64)
    if vectors.size(0) > 0:
        length = length + vectors.abs().max()
    limit = tolerance * (1e-6 + of_atoms.max())
    strain_limit = tolerance * (1e-6 + length * of_atoms.sum())
    if not bool((direct.abs().max() <= limit) & (direct_strain.abs().max() <= strain_limit)):
        raise ValueError(
            "expected a model that sees positions and cell only through neighbor vectors for 'atomic_virials', got "
            "one that uses them directly; ask for 'virial'"
        )


def total_gradients(
    energies: torch.Tensor,
    systems: List[System],
    atoms: torch.Tensor,
    vectors: List[torch.Tensor],
    connected: bool,
    with_strain: bool,
    per_atom: bool,
) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Differentiate energies, and add up what is owed to positions, to cells and to pair vectors.

    Parameters
    ----------
    energies
        Shape (n_systems,).
    systems, atoms, vectors
        What was evaluated: systems, the atoms of all pairs, see `pair_atoms`, and their vectors, see `attach_pairs`.
    connected
        Whether the vectors are connected to positions and cells, rather than leaves beside them.
    with_strain
        Also give dE/dstrain; without it, a tensor without values stands in its place.
    per_atom
        Also give virials per atom; the same.

    Returns
    -------
    torch.Tensor, torch.Tensor, torch.Tensor
        dE/dpositions (n_atoms, 3), dE/dstrain (n_systems, 3, 3), virials per atom (n_atoms, 3, 3); float64.
    """
    with_vectors = per_atom or not connected
    with torch.profiler.record_function("AtomisticModel::backward"):
        found, dcells, dvectors = energy_gradients(energies, systems, vectors, with_vectors)
    nothing = torch.zeros(0, 3, 3, dtype=torch.float64, device=found.device)
    dpositions = found.to(torch.float64)
    strain = -virials(systems, found, dcells) if with_strain else nothing
    if not with_vectors or (len(vectors) == 0 and not per_atom):
        return dpositions, strain, nothing
    direct, direct_strain = dpositions, strain
    joined = joined_vectors(dvectors, dpositions)
    of_pairs = gradients_of_atoms(atoms, joined, dpositions.size(0))
    strain_of_pairs = strain_gradients(vectors, dvectors, len(systems), nothing) if with_strain else nothing
    if connected:
        direct = dpositions - of_pairs
        direct_strain = strain - strain_of_pairs
    else:
        dpositions = direct + of_pairs
        strain = direct_strain + strain_of_pairs
    if not per_atom:
        return dpositions, strain, nothing
    all_vectors = joined_vectors(vectors, dpositions)
    per_atom_virials = atomic_virials(atoms, all_vectors, joined, dpositions.size(0))
    _check_only_pairs(direct, direct_strain, systems, atoms, all_vectors, joined)
    return dpositions, strain, per_atom_virials


def volumes(structures: List[Dict[str, torch.Tensor]], result: str) -> torch.Tensor:
    """Give |det cell| of all structures, in the units of the engine, shape (n_systems,), float64.

    Parameters
    ----------
    structures
        The structures.
    result
        What is made of the volumes, for messages: "stress", or the "virial" of a direct stress.

    Raises
    ------
    ValueError
        If a structure has no periodic direction, or cell vectors without volume: it has no stress.
    """
    advice = "ask for 'virial'" if result == "stress" else "take it from the energy, without `non_conservative`"
    found: List[torch.Tensor] = []
    for i in range(len(structures)):
        cell = structures[i]["cell"].detach().to(torch.float64)
        volume = torch.linalg.det(cell).abs()
        if not bool(structures[i]["pbc"].any()) or bool(volume == 0):
            raise ValueError(
                f"expected a periodic structure with three cell vectors for '{result}', got another in structure {i}; "
                f"{advice}"
            )
        found.append(volume)
    return torch.stack(found)


def add_derivatives(
    results: Dict[str, torch.Tensor],
    energies: torch.Tensor,
    structures: List[Dict[str, torch.Tensor]],
    systems: List[System],
    atoms: torch.Tensor,
    vectors: List[torch.Tensor],
    connected: bool,
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
    structures, systems, atoms, vectors, connected
        What was evaluated, in the units of the engine and in those of the model; see `total_gradients`.
    request
        Which results to make from which output.
    energy
        Name of the energy output.
    length_factor
        Model lengths = length_factor * engine lengths.
    """
    per_atom = "atomic_virials" in request
    wants_virial = "virial" in request and request["virial"] == energy
    wants_stress = "stress" in request and request["stress"] == energy
    dpositions, strain, of_atoms = total_gradients(
        energies, systems, atoms, vectors, connected, wants_virial or wants_stress or per_atom, per_atom
    )
    # TorchScript may say that it requires a gradient, where the module has used `torch.jit.fork`
    strain = strain.detach()
    if "forces" in request and request["forces"] == energy:
        # dE/dr_engine = dE/dr_model * (dr_model/dr_engine)
        results["forces"] = -dpositions * length_factor
    if wants_virial:
        results["virial"] = -strain
    if wants_stress:
        results["stress"] = strain / volumes(structures, "stress").reshape(-1, 1, 1)
    if per_atom:
        results["atomic_virials"] = of_atoms
