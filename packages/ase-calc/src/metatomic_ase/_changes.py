"""What changed in atoms since the last calculation."""

import ase
import numpy as np
from ase.calculators.calculator import all_changes

# What ASE compares and a model reads only where it requests it: changes are then those of inputs.
NOT_READ = frozenset(("initial_charges", "initial_magmoms"))


def changed_atoms(last: ase.Atoms | None, atoms: ase.Atoms) -> list[str]:
    """List what changed of what all models read, by ASE's names, to the last bit.

    ASE's own comparison costs as much as a neighbor list.

    Parameters
    ----------
    last
        Copy of the atoms of the last calculation; None before the first one.
    atoms
        The atoms now.
    """
    if last is None:
        return list(all_changes)
    changes = [name for name in ("positions", "numbers") if not np.array_equal(last.arrays[name], atoms.arrays[name])]
    if not np.array_equal(last.pbc, atoms.pbc):
        changes.append("pbc")
    # without any periodic direction nobody looks at it, along an open one for the volume
    if atoms.pbc.any() and not np.array_equal(last.cell.array, atoms.cell.array):
        changes.append("cell")
    return changes
