"""What a model gives: outputs from plain tensors, for the systems and atoms that were asked for.

Scripted code, saved in the model files.  Names and numbers of components come from the table of standard quantities;
explicit gradients are not made here.
"""

from typing import List, Optional, Tuple

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import base_quantity, standard_quantities
from metatomic_core.data.system import System

from .inputs import atom_count, selected_index, structure_index
from .labels import atom_labels, one_block, system_labels


def needs_atoms(output: ModelOutput, selected_atoms: Optional[Labels]) -> bool:
    """Tell whether it matters to which atom a part of an output is given, or only the sum over a system is wanted.

    Parameters
    ----------
    output
        What was asked for.
    selected_atoms
        Labels ``system`` and ``atom``; None for all atoms.

    Returns
    -------
    bool
        Whether it matters.
    """
    return output.sample_kind == "atom" or selected_atoms is not None


def energy_output(
    systems: List[System],
    energies: torch.Tensor,
    output: ModelOutput,
    selected_atoms: Optional[Labels],
    of_selected: bool = False,
) -> TensorMap:
    """Give an energy, a variant of it, its ensemble or its uncertainty, from energies of atoms.

    Parameters
    ----------
    systems
        The systems.
    energies
        Shape (n_atoms,), or (n_atoms, n_members) for an ensemble; in the energy unit of the model.
    output
        What was asked for: energies per atom, or their sums per system.
    selected_atoms
        Give, or sum over, these atoms only; None for all.
    of_selected
        Whether ``energies`` are those of the selected atoms alone, in the order of `selected_index`.

    Returns
    -------
    TensorMap
        The output, with one block.

    Raises
    ------
    ValueError
        If the shape is another one, or energies per pair were asked for.

    Notes
    -----
    An uncertainty is summed as if the errors of all atoms were the same one; where they are not, make that of a system
    with `per_system_output`.
    """
    return per_atom_output("energy", systems, energies, output, selected_atoms, None, "", of_selected)


def energy_output_from_terms(
    systems: List[System],
    terms: List[Tuple[torch.Tensor, List[torch.Tensor]]],
    output: ModelOutput,
    selected_atoms: Optional[Labels],
) -> TensorMap:
    """Give an energy from its terms; quicker than `energy_output` where only the total energy is wanted.

    Parameters
    ----------
    systems
        The systems.
    terms
        Terms of the energy: values (n,), and the atoms (n,) which share each value equally.  No atoms at all: the
        values are for all atoms in order.
    output, selected_atoms
        As for `energy_output`.

    Returns
    -------
    TensorMap
        The output, with one block.
    """
    if len(systems) == 1 and not needs_atoms(output, selected_atoms):
        total = torch.zeros(1, dtype=systems[0].dtype, device=systems[0].device)
        for values, _ in terms:
            total = total + values.sum()
        return one_block(total.unsqueeze(1), system_labels(systems), [], "energy")
    energies = torch.zeros(atom_count(systems), dtype=systems[0].dtype, device=systems[0].device)
    for values, atoms in terms:
        if len(atoms) == 0:
            energies = energies + values
        for index in atoms:
            energies = energies.index_add(0, index, values / len(atoms))
    return energy_output(systems, energies, output, selected_atoms)


def per_atom_output(
    name: str,
    systems: List[System],
    values: torch.Tensor,
    output: ModelOutput,
    selected_atoms: Optional[Labels],
    components: Optional[List[str]] = None,
    property_name: str = "",
    of_selected: bool = False,
) -> TensorMap:
    """Give an output from values of atoms: charges, features, direct forces, dipoles, anything of a name of its own.

    Parameters
    ----------
    name
        Name of the output, either spelling, with a variant or without.
    systems
        The systems.
    values
        Shape (n_atoms,) or (n_atoms, n_properties); for vectors, (n_atoms, 3) or (n_atoms, 3, n_properties).
    output
        What was asked for: values per atom, or their sums per system.
    selected_atoms
        Give, or sum over, these atoms only; None for all.
    components
        Names of the components of an output that is not a standard one; None for those of the standard quantity.
    property_name
        Name of the properties where that is for the model to choose; empty for the last part of the name.
    of_selected
        Whether ``values`` are those of the selected atoms alone, in the order of `selected_index`.

    Returns
    -------
    TensorMap
        The output, with one block.

    Raises
    ------
    ValueError
        If the shape is not that of the quantity, or values per pair were asked for.
    """
    names, last = _layout(name, components, property_name)
    n = atom_count(systems)
    if of_selected and selected_atoms is not None:
        n = selected_atoms.values.size(0)
    with_properties = _checked(name, values, names, n, "atom")
    if output.sample_kind == "atom_pair":
        raise ValueError(f"expected '{name}' to be asked for per atom or system, got 'atom_pair'")
    if selected_atoms is not None and not of_selected:
        with_properties = with_properties.index_select(0, selected_index(systems, selected_atoms))
    if output.sample_kind == "atom":
        return one_block(with_properties, atom_labels(systems, selected_atoms), names, last)
    if len(systems) == 1:
        sums = with_properties.sum(0, keepdim=True)
    else:
        index = structure_index(systems)
        if selected_atoms is not None:
            index = selected_atoms.values[:, 0].to(index)
        shape = [len(systems)] + list(with_properties.size()[1:])
        sums = torch.zeros(shape, dtype=values.dtype, device=values.device).index_add(0, index, with_properties)
    return one_block(sums, system_labels(systems), names, last)


def per_system_output(
    name: str,
    systems: List[System],
    values: torch.Tensor,
    components: Optional[List[str]] = None,
    property_name: str = "",
) -> TensorMap:
    """Give an output from values of systems: dipoles, direct stresses, energies of a model that has none of atoms.

    Parameters
    ----------
    name
        Name of the output, either spelling, with a variant or without.
    systems
        The systems.
    values
        Shape (n_systems,) or (n_systems, n_properties); (n_systems, 3) or (n_systems, 3, n_properties) for vectors, and
        two dimensions of 3 for a stress.
    components, property_name
        As for `per_atom_output`.

    Returns
    -------
    TensorMap
        The output, with one block.

    Raises
    ------
    ValueError
        If the shape is not that of the quantity.
    """
    names, last = _layout(name, components, property_name)
    return one_block(_checked(name, values, names, len(systems), "system"), system_labels(systems), names, last)


def per_pair_output(
    name: str, systems: List[System], options: NeighborListOptions, values: torch.Tensor, property_name: str = ""
) -> TensorMap:
    """Give an output from values of the pairs in a neighbor list, shape (n_pairs,) or (n_pairs, n_properties).

    The order is that of `pairs`; the samples are system, first_atom, second_atom and the three cell shifts.

    Parameters
    ----------
    name
        Name of the output, either spelling, with a variant or without.
    systems
        The systems.
    options
        The request for the neighbor list.
    values
        Shape (n_pairs,) or (n_pairs, n_properties), in the order of `pairs`.
    property_name
        Name of the properties; empty for the last part of ``name``.

    Returns
    -------
    TensorMap
        The output, with one block.

    Raises
    ------
    ValueError
        If the shape is another one.
    """
    samples: List[torch.Tensor] = []
    for i in range(len(systems)):
        block = systems[i].get_neighbor_list(options)
        labels = block.samples.values
        samples.append(torch.cat([torch.full_like(labels[:, :1], i), labels], dim=1))
    joined = torch.cat(samples)
    components, last = _layout(name, torch.jit.annotate(Optional[List[str]], None), property_name)
    names = ["system", "first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]
    with_properties = _checked(name, values, components, joined.size(0), "pair")
    return one_block(with_properties, Labels(names, joined, assume_unique=True), components, last)


def _layout(name: str, components: Optional[List[str]], property_name: str) -> Tuple[List[str], str]:
    """Give the names of components and properties of an output."""
    base = base_quantity(name)
    # no table for the output of each step
    if base in ["energy", "energy_ensemble", "energy_uncertainty"]:
        return torch.jit.annotate(List[str], []), "energy"
    table = standard_quantities()
    names = torch.jit.annotate(List[str], [])
    last = base.split("::")[-1]
    if base in table:
        names = table[base].components
        if table[base].property_name != "":
            return names, table[base].property_name
    elif components is not None:
        names = components
    if property_name != "":
        last = property_name
    return names, last


def _checked(name: str, values: torch.Tensor, components: List[str], n: int, kind: str) -> torch.Tensor:
    """Check the shape of values for n samples, and give them with a last dimension of properties."""
    n_dimensions = 1 + len(components)
    is_right = values.dim() in [n_dimensions, n_dimensions + 1] and values.size(0) == n
    for i in range(1, min(n_dimensions, values.dim())):
        # components of a name of its own may be of any number
        is_right = is_right and (values.size(i) == 3 or not components[i - 1].startswith("xyz"))
    if not is_right:
        threes = "".join([", 3" for _ in components])
        short = f"({n},)" if threes == "" else f"({n}{threes})"
        raise ValueError(
            f"expected values of '{name}' for each {kind}, of the shape {short} or ({n}{threes}, n_properties), "
            f"got {list(values.size())}"
        )
    if values.dim() == n_dimensions:
        return values.unsqueeze(-1)
    return values
