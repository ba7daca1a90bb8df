"""Helpers for authors of models: from systems to plain tensors, and from plain tensors to outputs.

All systems are one after the other in these tensors, so that a model has no loop over them: atoms are numbered from 0
to ``n_atoms - 1`` through all of them.  A model gets pairs, species and structures with `pairs`, `species_index` and
`structure_index`, computes with tensors, and makes its outputs with `energy_output`, `per_atom_output`,
`per_system_output` and `per_pair_output`, which know labels and layouts, sum over systems where that is asked for, and
leave out the atoms that are not selected.

The functions are TorchScript-compatible and saved in the model files.  They look at shapes, never at values, so that
they can be traced (`torch.export`) too; they make tensors where those of the systems are.
"""

from .inputs import (
    all_positions,
    all_types,
    atom_count,
    cell_shifts,
    pairs,
    selected_index,
    species_index,
    species_table,
    structure_index,
    sum_at_atoms,
)
from .labels import atom_labels, one_block, system_labels
from .outputs import (
    energy_output,
    energy_output_from_terms,
    needs_atoms,
    per_atom_output,
    per_pair_output,
    per_system_output,
)

__all__ = [
    "all_positions",
    "all_types",
    "atom_count",
    "atom_labels",
    "cell_shifts",
    "energy_output",
    "energy_output_from_terms",
    "needs_atoms",
    "one_block",
    "pairs",
    "per_atom_output",
    "per_pair_output",
    "per_system_output",
    "selected_index",
    "species_index",
    "species_table",
    "structure_index",
    "sum_at_atoms",
    "system_labels",
]
