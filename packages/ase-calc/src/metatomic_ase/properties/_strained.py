"""Structures in deformed cells, and what they need to have."""

import ase
import numpy as np

from metatomic_ase._convert import has_stress


def check_crystal(atoms: ase.Atoms, what: str) -> None:
    """Check that a structure is periodic in all directions.

    Raises
    ------
    ValueError
        If it is not.
    """
    if not (has_stress(atoms) and atoms.pbc.all()):
        raise ValueError(
            f"expected a structure that is periodic in three directions for {what}, got pbc {atoms.pbc.tolist()} and a "
            f"cell of rank {atoms.cell.rank}"
        )


def deformed(atoms: ase.Atoms, deformation: np.ndarray) -> ase.Atoms:
    """Give a copy whose cell and atoms are moved by a deformation, x -> F x."""
    copy = atoms.copy()
    copy.calc = None
    copy.set_cell(atoms.cell.array @ np.asarray(deformation).T, scale_atoms=False)
    # not `scale_atoms`, which constraints and fractions of far atoms would change
    copy.arrays["positions"] = atoms.positions @ np.asarray(deformation).T
    return copy
