"""What changed in atoms since the last calculation."""

from collections.abc import Mapping

import ase
import numpy as np
from ase.calculators.calculator import all_changes

_ATTRIBUTES = ("cell", "pbc")
_ARRAYS = tuple(name for name in all_changes if name not in _ATTRIBUTES)


def changed_atoms(last: ase.Atoms | None, atoms: ase.Atoms) -> list[str]:
    """List what changed, by ASE's names, to the last bit: ASE's own comparison costs as much as a neighbor list.

    Parameters
    ----------
    last
        Copy of the atoms of the last calculation; None before the first one.
    atoms
        The atoms now.
    """
    if last is None:
        return list(all_changes)
    changes = []
    if not np.array_equal(last.cell.array, atoms.cell.array):
        changes.append("cell")
    if not np.array_equal(last.pbc, atoms.pbc):
        changes.append("pbc")
    for name in _ARRAYS:
        before, now = last.arrays.get(name), atoms.arrays.get(name)
        if before is None or now is None:
            same = before is now
        else:
            same = np.array_equal(before, now)
        if not same:
            changes.append(name)
    return changes


def changed_inputs(last: Mapping[str, np.ndarray], inputs: Mapping[str, np.ndarray]) -> list[str]:
    """List the inputs of the model that changed, by name."""
    return [name for name, values in inputs.items() if name not in last or not np.array_equal(values, last[name])]
