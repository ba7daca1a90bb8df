"""What must not depend on the order of atoms, on where space begins, and on how it is turned."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from metatomic_check.asking import Said, lacking, usable
from metatomic_check.bench import Bench
from metatomic_check.comparing import LEARNED, Case, compare
from metatomic_check.finding import Finding, Grade
from metatomic_check.geometry import mapped, moved, rotation, taken
from metatomic_check.table import check
from metatomic_core.engine import Structure


def _same(said: Said) -> Said:
    return said


@check("permutation", "contract")
def permutation(bench: Bench) -> Iterator[Finding]:
    """Results depend on the order in which atoms are given.

    Engines sort, split and number atoms as they like: LAMMPS reorders them all the time.  The model probably mixes up
    rows of atoms, for instance where it sorts them by species or where it labels its samples.
    """
    if lack := lacking(bench, "permutation", "energy"):
        yield from lack
        return
    rng = bench.random()
    cases = []
    for name, structure in usable(bench).items():
        n_atoms = len(structure.types)
        orders = {
            "reversed": np.arange(n_atoms)[::-1],
            "shuffled": rng.permutation(n_atoms),
            "sorted by species": np.argsort(structure.types, kind="stable"),
        }
        cases += [_reordered(f"{name}, {how}", structure, order) for how, order in orders.items() if n_atoms > 1]
    if not cases:
        # one atom has one order only
        cases = [_reordered(name, structure, np.arange(1)) for name, structure in usable(bench).items()]
    action = "atoms are given in another order"
    yield from compare(bench, "permutation", cases, action, "rows of atoms are mixed up; no engine can use it.")


def _reordered(name: str, structure: Structure, order: np.ndarray) -> Case:
    def expected(said: Said) -> Said:
        each = said.atomic_energies
        return dataclasses.replace(
            said, forces=said.forces[order], atomic_energies=each[order] if len(each) > 0 else each
        )

    return Case(name, structure, taken(structure, order), expected)


@check("translation", "contract")
def translation(bench: Bench) -> Iterator[Finding]:
    """Results depend on where the structure is, or in which of its periodic images an atom is given.

    The model uses positions instead of vectors between atoms, or pairs without the shifts of their cells: forces do not
    add up to zero, and atoms that cross the boundary of the box feel a kick.  Right for models with an external field.
    """
    if lack := lacking(bench, "translation", "energy"):
        yield from lack
        return
    rng = bench.random()
    cases = []
    for name, structure in usable(bench).items():
        cases.append(Case(f"{name}, moved", structure, moved(structure, rng.uniform(-8, 8, size=3)), _same))
        if structure.pbc.any():
            shifts = rng.integers(-2, 3, size=(len(structure.types), 3)) * structure.pbc
            other_images = moved(structure, shifts @ structure.cell)
            cases.append(Case(f"{name}, other images", structure, other_images, _same))
    action = "the structure is moved, or atoms are given in other cells"
    parts = ("energy", "forces", "atomic_energies")
    yield from compare(bench, "translation", cases, action, "it depends on where space begins.", parts=parts)


@check("rotation", "contract")
def rotation_of_space(bench: Bench) -> Iterator[Finding]:
    """Energies change, or forces and virials do not turn along, when the structure and its cell are turned.

    A small deviation is a warning: architectures that learn rotations from data are not exact, and runs with them want
    random rotations or a test that the result does not depend on it.  A large one is a mistake, such as a component of
    vectors that is lost, or a cell that is read by columns.  Right for models with an external field.
    """
    if lack := lacking(bench, "rotation", "energy"):
        yield from lack
        return
    rng = bench.random()
    cases = []
    for name, structure in usable(bench).items():
        if not _has_vectors(structure):
            matrix = rotation(rng)
            cases.append(_mapped(name, structure, mapped(structure, matrix.T), matrix))
    action = "the structure and its cell are turned"
    yield from _if_any(bench, "rotation", cases, action, "directions of space are not alike for this model.")


@check("inversion", "contract")
def inversion(bench: Bench) -> Iterator[Finding]:
    """Energies change, or forces do not change their sign, when the structure is inverted.

    The energy of a molecule and of its mirror image is the same.  A small deviation is a warning, as for rotations:
    networks that know rotations but no parity tell left from right.  A large one is a mistake, such as a sign that is
    lost in an angle or a product of vectors.
    """
    if lack := lacking(bench, "inversion", "energy"):
        yield from lack
        return
    # the lattice is the same with its vectors as they are: right-handed for those who want it
    cases = [
        _mapped(name, structure, mapped(structure, -np.eye(3), with_cell=False), -np.eye(3))
        for name, structure in usable(bench).items()
        if not _has_vectors(structure)
    ]
    action = "the structure is inverted"
    yield from _if_any(bench, "inversion", cases, action, "mirror images have other energies.")


def _if_any(bench: Bench, name: str, cases: list[Case], action: str, consequence: str) -> Iterator[Finding]:
    if cases:
        yield from compare(bench, name, cases, action, consequence, tolerated=LEARNED)
        return
    yield Finding(name, Grade.NOT_APPLICABLE, "The inputs of all structures may have directions in space.")


def _has_vectors(structure: Structure) -> bool:
    """Tell whether an input may have directions: those would turn, too."""
    return any(np.ndim(values) > 1 and np.shape(values)[-1] % 3 == 0 for values in structure.inputs.values())


def _mapped(name: str, structure: Structure, image: Structure, matrix: np.ndarray) -> Case:
    def expected(said: Said) -> Said:
        return dataclasses.replace(said, forces=said.forces @ matrix.T, virial=matrix @ said.virial @ matrix.T)

    return Case(name, structure, image, expected)
