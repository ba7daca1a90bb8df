"""What the modules of the potentials share: pairs of all systems together, kinds of pairs, and the energy output.

Scripted code, saved in the model files.  The species of a potential are numbered from zero; the kind of a pair is
``species[first] * n_species + species[second]``, and tables of parameters have one row for each kind.
"""

from typing import List, Optional, Tuple

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from metatomic_core.neighbors import NeighborListOptions
from metatomic_core.outputs import ModelOutput
from metatomic_core.system import System


def joined_pairs(
    systems: List[System], options: NeighborListOptions
) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Give the pairs of all systems, with the atoms of all systems numbered one after the other.

    Returns
    -------
    torch.Tensor, torch.Tensor, torch.Tensor
        Pair vectors (n_pairs, 3), first atoms and second atoms (n_pairs,), int64 and contiguous: `index_add` is ten
        times slower with other integers.
    """
    vectors: List[torch.Tensor] = []
    first: List[torch.Tensor] = []
    second: List[torch.Tensor] = []
    start = 0
    for system in systems:
        block = system.get_neighbor_list(options)
        samples = block.samples.values
        vectors.append(block.values.squeeze(-1))
        first.append(samples[:, 0].to(torch.int64) + start)
        second.append(samples[:, 1].to(torch.int64) + start)
        start += len(system)
    if len(systems) == 1:
        return vectors[0], first[0], second[0]
    return torch.cat(vectors), torch.cat(first), torch.cat(second)


def species_of(systems: List[System], species_of_type: torch.Tensor) -> torch.Tensor:
    """Give the species of all atoms, shape (n_atoms,), int64, from a table indexed by atomic type."""
    types = torch.cat([system.types for system in systems])
    return species_of_type.index_select(0, types)


def pair_kinds(species: torch.Tensor, n_species: int, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Give the kinds of pairs, shape (n_pairs,), int64."""
    if n_species == 1:
        return torch.zeros_like(first)
    return species.index_select(0, first) * n_species + species.index_select(0, second)


def select(table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Give the rows of a table; the one row there is, to be broadcast, if the table has one."""
    if table.size(0) == 1:
        return table
    return table.index_select(0, index)


def switch(r2: torch.Tensor, onset: float, cutoff: float) -> torch.Tensor:
    """Give a factor that goes from 1 at the onset to 0 at the cutoff with zero slope at both.

    It is t^2 (3 - 2 t) with t = (cutoff^2 - r^2) / (cutoff^2 - onset^2), the form that ASE uses.
    """
    t = ((cutoff * cutoff - r2) / (cutoff * cutoff - onset * onset)).clamp(0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def needs_atomic_energies(output: ModelOutput, selected_atoms: Optional[Labels]) -> bool:
    """Tell whether it matters to which atom a part of the energy is given."""
    return output.sample_kind == "atom" or selected_atoms is not None


def energy_map(
    terms: List[Tuple[torch.Tensor, List[torch.Tensor]]],
    systems: List[System],
    output: ModelOutput,
    selected_atoms: Optional[Labels],
) -> TensorMap:
    """Give the energy output for the samples that were asked for.

    Parameters
    ----------
    terms
        Terms of the energy: values (n,), and the atoms (n,) which share each value equally.  No atoms at all: the
        values are for all atoms in order.
    systems
        The systems.
    output
        What was asked for: energies per atom or per system.
    selected_atoms
        Give, or sum over, these atoms only; None for all.
    """
    device = systems[0].positions.device
    if len(systems) == 1 and not needs_atomic_energies(output, selected_atoms):
        total = torch.zeros(1, dtype=systems[0].positions.dtype, device=device)
        for values, _ in terms:
            total = total + values.sum()
        return _as_map(total, ["system"], torch.zeros(1, 1, dtype=torch.int32, device=device))
    atomic = _shared(terms, systems)
    labels = _atom_labels(systems)
    if selected_atoms is not None:
        labels, atomic = _selected(labels, atomic, systems, selected_atoms.values)
    if output.sample_kind == "atom":
        return _as_map(atomic, ["system", "atom"], labels)
    sums = torch.zeros(len(systems), dtype=atomic.dtype, device=device)
    sums = sums.index_add(0, labels[:, 0].to(torch.int64), atomic)
    return _as_map(sums, ["system"], torch.arange(len(systems), device=device).reshape(-1, 1))


def _shared(terms: List[Tuple[torch.Tensor, List[torch.Tensor]]], systems: List[System]) -> torch.Tensor:
    """Give energies of all atoms, shape (n_atoms,)."""
    n_atoms = sum([len(system) for system in systems])
    atomic = torch.zeros(n_atoms, dtype=systems[0].positions.dtype, device=systems[0].positions.device)
    for values, atoms in terms:
        if len(atoms) == 0:
            atomic = atomic + values
        for index in atoms:
            atomic = atomic.index_add(0, index, values / len(atoms))
    return atomic


def _atom_labels(systems: List[System]) -> torch.Tensor:
    """Give system and atom of all atoms, shape (n_atoms, 2)."""
    labels: List[torch.Tensor] = []
    for i in range(len(systems)):
        atoms = torch.arange(len(systems[i]), device=systems[i].positions.device)
        labels.append(torch.stack([torch.full_like(atoms, i), atoms], dim=1))
    return torch.cat(labels)


def _selected(
    labels: torch.Tensor, atomic: torch.Tensor, systems: List[System], selected: torch.Tensor
) -> Tuple[torch.Tensor, torch.Tensor]:
    """Give labels and energies of selected atoms, shape (n_selected, 2), in the order in which they were selected."""
    starts: List[int] = []
    start = 0
    for system in systems:
        starts.append(start)
        start += len(system)
    chosen = selected.to(labels)
    first = torch.tensor(starts, dtype=torch.int64, device=labels.device)
    rows = first.index_select(0, chosen[:, 0].contiguous()) + chosen[:, 1]
    return labels.index_select(0, rows), atomic.index_select(0, rows)


def _as_map(values: torch.Tensor, names: List[str], samples: torch.Tensor) -> TensorMap:
    zero = torch.zeros(1, 1, dtype=torch.int32, device=values.device)
    block = TensorBlock(
        values.unsqueeze(1),
        Labels(names, samples.to(torch.int32), assume_unique=True),
        torch.jit.annotate(List[Labels], []),
        Labels(["energy"], zero),
    )
    return TensorMap(Labels(["_"], zero), [block])
