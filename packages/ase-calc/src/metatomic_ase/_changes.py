"""What changed in atoms since the last calculation."""

import ase
import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from ._convert import Inputs

# What ASE compares and a model reads only where it requests it: changes are then those of inputs.
_NOT_READ = frozenset(("initial_charges", "initial_magmoms"))

# of ASE, within which atoms count as the same
_TOLERANCE = 1e-15


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


class Watching(Calculator):
    """A calculator that keeps results until something changes that its model reads, inputs included."""

    _inputs: Inputs

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ignored_changes = set(_NOT_READ)
        self._last_inputs: dict[str, np.ndarray] = {}

    def check_state(self, atoms: ase.Atoms, tol: float = _TOLERANCE) -> list[str]:
        """List what changed of what the model reads, inputs such as momenta or ``info`` included."""
        if tol == _TOLERANCE:
            changes = changed_atoms(self.atoms, atoms)
        else:
            changes = super().check_state(atoms, tol)  # type: ignore[no-untyped-call]
        return changes or self._inputs.changed(self._last_inputs, atoms)
