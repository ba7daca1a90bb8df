"""Displaced supercells for phonons, as phonopy finds them."""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ase
import numpy as np

from ._strained import check_crystal

if TYPE_CHECKING:
    from phonopy import Phonopy

# of a supercell: more than any memory is enough for
_MOST_ATOMS = 200_000
# of structures as a whole, with what they are where nobody says more
_OF_STRUCTURE = {"charge": 0, "total_charge": 0, "spin": 1, "spin_multiplicity": 1, "multiplicity": 1}


def check_phonopy() -> None:
    """Check that phonopy is installed.

    Raises
    ------
    ImportError
        If it is not; the message says how to install it.
    """
    if importlib.util.find_spec("phonopy") is None:
        raise ImportError('expected phonopy for phonons, got none; pip install "metatomic-ase[phonons]"')


def displaced_structures(
    atoms: ase.Atoms, supercell: Sequence[int] | np.ndarray, displacement: float = 0.01, *, symmetry: bool = True
) -> tuple["Phonopy", list[ase.Atoms]]:
    """Give the supercell, and copies of it in which one atom is displaced.

    Parameters
    ----------
    atoms
        A crystal: any cell, from which phonopy finds the primitive one.
    supercell
        Three numbers, or a matrix of shape (3, 3): how often the cell is repeated.
    displacement
        In angstrom.
    symmetry
        Whether symmetry saves displacements.

    Returns
    -------
    tuple of Phonopy and list of ase.Atoms
        The object of phonopy for `fit_phonons`, and the structures: first the supercell itself.

    Raises
    ------
    ImportError
        If phonopy is not installed.
    ValueError
        If the structure is no crystal, or a value is not possible.
    """
    check_phonopy()
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms
    from phonopy.structure.cells import guess_primitive_matrix

    check_crystal(atoms, "phonons")
    n_atoms = len(atoms) * abs(np.linalg.det(supercell if np.ndim(supercell) == 2 else np.diag(supercell)))
    if not 0 < n_atoms <= _MOST_ATOMS:
        raise ValueError(f"expected `supercell` to have one atom to {_MOST_ATOMS}, got {n_atoms:.3g}")
    if not displacement > 0:
        raise ValueError(f"expected `displacement` above zero, got {displacement}; 0.01 is usual")
    cell = PhonopyAtoms(
        numbers=atoms.numbers,
        cell=atoms.cell.array,
        scaled_positions=atoms.get_scaled_positions(),
        masses=atoms.get_masses(),
    )
    # as "auto", which some versions warn of
    primitive = guess_primitive_matrix(cell)
    phonon = Phonopy(cell, supercell_matrix=np.asarray(supercell), primitive_matrix=primitive, is_symmetry=symmetry)
    phonon.generate_displacements(distance=displacement)
    displaced: Any = phonon.supercells_with_displacements
    # the atom of the given cell that each one of the supercell is an image of
    cells: Any = phonon.supercell
    origin = np.array([cells.u2u_map[first] for first in cells.s2u_map])
    return phonon, [_atoms(one, atoms, origin) for one in (cells, *displaced)]


def repeats_for_length(atoms: ase.Atoms, length: float) -> tuple[int, int, int]:
    """Give how often a cell is repeated so that the supercell is so wide at least.

    Parameters
    ----------
    atoms
        The structure.
    length
        Least distance of opposite faces of the supercell, in angstrom.

    Returns
    -------
    tuple of int
        Repeats along the three vectors.
    """
    check_crystal(atoms, "phonons")
    # the heights of the cell are the inverse lengths of its reciprocal vectors
    heights = 1 / np.linalg.norm(atoms.cell.reciprocal().array, axis=1)
    first, second, third = (max(1, int(np.ceil(length / height - 1e-6))) for height in heights)
    return first, second, third


def _atoms(cell: Any, given: ase.Atoms, origin: np.ndarray) -> ase.Atoms:
    """Give a supercell as ASE has it, with what models may request of its atoms."""
    atoms = ase.Atoms(
        numbers=cell.numbers, cell=cell.cell, scaled_positions=cell.scaled_positions, masses=cell.masses, pbc=True
    )
    for name, values in given.arrays.items():
        if name not in atoms.arrays:
            atoms.set_array(name, values[origin])
    if len(atoms) > len(given):
        _check_of_structure(given.info)
    atoms.info = dict(given.info)
    return atoms


def _check_of_structure(info: Mapping[str, Any]) -> None:
    """Refuse what a supercell has more of, in a way that only who asks can know."""
    for name, usual in _OF_STRUCTURE.items():
        if name in info and info[name] != usual:
            raise ValueError(
                f"expected a structure without charge and spin for phonons in a supercell, got {info[name]} for "
                f"'{name}'; take a supercell for the structure itself"
            )
