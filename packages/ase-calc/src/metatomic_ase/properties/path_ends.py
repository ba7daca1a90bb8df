"""The ends of a path of a reaction, and a path between them to begin with."""

from collections.abc import Sequence

import ase
import numpy as np
from ase.geometry import find_mic
from ase.mep import NEB, idpp_interpolate

from metatomic_ase.batched import relax
from metatomic_ase.calculator import MetatomicCalculator
from metatomic_core.adapters import check_choice, symbols

INTERPOLATIONS = ("idpp", "linear")
# angstrom, of atoms that have not moved, and of cells
_SAME_PLACE = 0.02
_SAME_CELL = 1e-4


def check_ends(initial: ase.Atoms, final: ase.Atoms) -> None:
    """Check that a path can lead from one structure to the other.

    Raises
    ------
    ValueError
        If they do not have the same atoms in the same order, the same cell, and the same periodicity.
    """
    if len(initial) != len(final):
        raise ValueError(
            f"expected the same atoms at both ends of the path, got {len(initial)} and {len(final)} of them"
        )
    if sorted(initial.numbers) != sorted(final.numbers):
        formulas = f"{initial.get_chemical_formula()} and {final.get_chemical_formula()}"
        raise ValueError(f"expected the same atoms at both ends of the path, got {formulas}")
    other = np.flatnonzero(initial.numbers != final.numbers)
    if len(other):
        first, second = symbols([int(initial.numbers[other[0]]), int(final.numbers[other[0]])])
        raise ValueError(
            f"expected the same order of atoms at both ends of the path, got {first} and {second} for atom {other[0]}; "
            "sort the atoms of one of them"
        )
    if initial.pbc.tolist() != final.pbc.tolist():
        raise ValueError(
            f"expected the same periodic directions at both ends of the path, got {initial.pbc.tolist()} and "
            f"{final.pbc.tolist()}"
        )
    largest = float(np.abs(initial.cell.array - final.cell.array).max())
    if largest > _SAME_CELL:
        raise ValueError(
            f"expected the same cell at both ends of the path, got vectors that differ by {largest:.3g} Å; relax one "
            "of them in the cell of the other"
        )


def swapped_atoms(initial: ase.Atoms, final: ase.Atoms) -> int:
    """Count atoms that have another atom's place closer by: many of them say that the order is not the same.

    Parameters
    ----------
    initial, final
        The ends of a path, which `check_ends` has nothing against.

    Returns
    -------
    int
        Number of atoms of the final structure that sit where another atom of the same kind was, within 0.5 angstrom.
    """
    count = 0
    own = np.linalg.norm(_ways(initial, final.positions - initial.positions), axis=1)
    # only those that have moved far may sit in the place of others
    for number in np.flatnonzero(own > 1.0):
        others = np.linalg.norm(_ways(initial, final.positions[number] - initial.positions), axis=1)
        nearest = int(others.argmin())
        count += bool(others[nearest] < 0.5 and initial.numbers[nearest] == initial.numbers[number])
    return count


def _ways(atoms: ase.Atoms, vectors: np.ndarray) -> np.ndarray:
    return np.asarray(find_mic(vectors, atoms.cell, atoms.pbc)[0])


def initial_path(
    initial: ase.Atoms,
    final: ase.Atoms,
    n_images: int = 7,
    *,
    between: Sequence[ase.Atoms] = (),
    interpolation: str = "idpp",
) -> list[ase.Atoms]:
    """Give a path to begin with.

    Parameters
    ----------
    initial, final
        The ends; atoms take the shortest ways, across periodic boundaries too.
    n_images
        Number of structures between the ends.
    between
        Structures to lead through, evenly; if there are so many as images, they are the images.
    interpolation
        One of `INTERPOLATIONS`: "idpp" for distances that stay reasonable, doi:10.1063/1.4878664, or "linear".

    Returns
    -------
    list of ase.Atoms
        All structures, the ends included.

    Raises
    ------
    ValueError
        If there are too few images, or structures that do not fit together.
    """
    check_choice("interpolation", interpolation, INTERPOLATIONS)
    least = max(1, len(between))
    if n_images < least:
        raise ValueError(f"expected `n_images` to be at least {least}, got {n_images}")
    stops = [initial, *between, final]
    for atoms in stops[1:]:
        check_ends(initial, atoms)
    largest = float(np.linalg.norm(_ways(initial, final.positions - initial.positions), axis=1).max(initial=0.0))
    if largest < _SAME_PLACE:
        raise ValueError(
            f"expected two structures that differ, got ends of the path with atoms at most {largest:.3g} Å apart; see "
            "whether they relax to the same one"
        )
    # numbers of the images that are given
    places = np.round(np.linspace(0, n_images + 1, len(stops))).astype(int)
    images = [initial.copy()]
    for number in range(1, len(stops)):
        part = [images[-1].copy() for _ in range(places[number] - places[number - 1])]
        for atoms in part:
            atoms.calc = None
        end = images[-1].copy()
        end.positions += _ways(initial, stops[number].positions - end.positions)
        band = NEB([images[-1], *part[:-1], end], method="improvedtangent")
        band.interpolate(apply_constraint=False)
        if interpolation == "idpp" and len(part) > 1:
            idpp_interpolate(band, traj=None, log=None, mic=bool(initial.pbc.any()))
        images += band.images[1:]
    return images


def relax_ends(
    images: Sequence[ase.Atoms], calculator: MetatomicCalculator, fmax: float, steps: int = 500
) -> list[ase.Atoms]:
    """Relax the atoms of both ends, together.

    Parameters
    ----------
    images
        The ends.
    calculator
        The calculator.
    fmax
        Largest force that is left, in eV/angstrom.
    steps
        Largest number of steps.

    Returns
    -------
    list of ase.Atoms
        The relaxed ends.

    Raises
    ------
    RuntimeError
        If one does not converge.
    """
    found = relax(images, calculator, fmax=fmax, steps=steps)
    for number, one in enumerate(found):
        if one.error is not None:
            raise ValueError(f"end {number} of the path: {one.error}") from one.error
        if not one.converged:
            raise RuntimeError(
                f"expected forces below {fmax:g} eV/Å within {steps} steps for end {number} of the path, got "
                f"{one.largest_force:.3g} eV/Å; relax it first"
            )
    return [one.atoms for one in found]
