"""Periodic boundaries: a crystal is the same in whatever cell it is given."""

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from metatomic_check.asking import Said, ask, available, interaction_range, lacking, usable
from metatomic_check.bench import Bench
from metatomic_check.comparing import Case, compare
from metatomic_check.finding import Finding, Grade
from metatomic_check.geometry import NONE, boxed, repeated, with_boundaries, wrapped
from metatomic_check.structures import trial_molecule
from metatomic_check.table import check
from metatomic_core.engine import Structure

_DIRECTIONS = "abc"
# larger ones take long when they are repeated, and small cells are where mistakes are
_MAX_ATOMS = 16


@check("periodicity", "contract")
def periodicity(bench: Bench) -> Iterator[Finding]:
    """The energy of several cells as one is not as many times that of one cell, or forces are others.

    Tried with boundaries that are periodic in one, two and three directions.  The model probably misses images of
    atoms, takes only the nearest ones in cells that are smaller than its cutoff, or uses cell vectors of directions
    that are not periodic.
    """
    if lack := lacking(bench, "periodicity", "energy"):
        yield from lack
        return
    name, structure = _base(bench)
    if structure is None:
        yield Finding("periodicity", Grade.NOT_APPLICABLE, name)
        return
    cases, refused = [], []
    for pbc in itertools.product((True, False), repeat=3):
        if any(pbc):
            case = _several_cells(f"{name}, periodic along {_along(pbc)}", with_boundaries(structure, np.array(pbc)))
            reason = _refusal(bench, case.first)
            if reason:
                refused.append((_along(pbc), reason))
            else:
                cases.append(case)
    if cases:
        action = f"cells are put together, with boundaries periodic along {_listed(cases)}"
        yield from compare(bench, "periodicity", cases, action, "images of atoms are missing or counted wrongly.")
    if refused:
        directions = "; ".join(direction for direction, _ in refused)
        text = f"The model refuses boundaries that are periodic along {directions}: {refused[0][1]}"
        yield Finding("periodicity", Grade.NOT_APPLICABLE, text, part="refused")


def _base(bench: Bench) -> tuple[str, Structure | None]:
    """Give the smallest structure that is periodic in all directions, and skewed if there is one; its name."""
    fit = [(name, each) for name, each in usable(bench).items() if each.pbc.all() and len(each.types) > 1]
    fit = [(name, each) for name, each in fit if all(_is_of_atoms(each, values) for values in each.inputs.values())]
    if not fit:
        return "No structure is periodic in all directions, with more than one atom and inputs of atoms only.", None
    small = [(name, each) for name, each in fit if len(each.types) <= _MAX_ATOMS] or fit
    skewed = [(name, each) for name, each in small if (each.cell - np.diag(np.diag(each.cell))).any()]
    name, structure = min(skewed or small, key=lambda entry: len(entry[1].types))
    # atoms outside of the cell are images in a crystal, and others where a direction is not periodic
    return name, wrapped(structure)


def _is_of_atoms(structure: Structure, values: np.ndarray) -> bool:
    return np.ndim(values) > 0 and len(values) == len(structure.types)


def _several_cells(name: str, structure: Structure) -> Case:
    repeats = np.where(structure.pbc, 2, 1)
    n_copies = int(np.prod(repeats))

    def expected(said: Said) -> Said:
        return Said(
            n_copies * said.energy,
            np.tile(said.forces, (n_copies, 1)),
            n_copies * said.virial,
            np.tile(said.atomic_energies, n_copies),
        )

    return Case(name, structure, repeated(structure, repeats.tolist()), expected)


def _refusal(bench: Bench, structure: Structure) -> str:
    """Say why a model does not evaluate a structure; empty if it does."""
    try:
        ask(bench.engine, [structure], *available(bench, "energy", "forces"))
    except Exception as error:  # noqa: BLE001  (whatever a model raises)
        return " ".join(str(error).split()) or type(error).__name__
    return ""


def _along(pbc: tuple[bool, ...]) -> str:
    return "".join(name for name, periodic in zip(_DIRECTIONS, pbc, strict=True) if periodic)


def _listed(cases: list[Case]) -> str:
    return ", ".join(_along(tuple(case.first.pbc)) for case in cases)


@check("free boundaries", "contract")
def free_boundaries(bench: Bench) -> Iterator[Finding]:
    """A molecule with free boundaries is not what it is in a box that is larger than the interaction range.

    The model probably uses the cell itself, or treats a cell of zeros as a small one.
    """
    if lack := lacking(bench, "free boundaries", "energy", own_structures=True):
        yield from lack
        return
    reach = interaction_range(bench)
    if not np.isfinite(reach):
        text = "The interaction range is infinite: images are felt in any box."
        yield Finding("free boundaries", Grade.NOT_APPLICABLE, text)
        return
    reason = _refusal(bench, Structure(np.array(bench.species[:1]), np.zeros((1, 3)), np.zeros((3, 3)), NONE))
    if reason:
        yield Finding("free boundaries", Grade.NOT_APPLICABLE, f"The model refuses free boundaries: {reason}")
        return
    chain = trial_molecule(bench)
    box = boxed(chain, reach + 1.0)
    slab = dataclasses.replace(box, pbc=np.array([True, False, True]), cell=box.cell * [[1], [0], [1]])
    cases = [Case("molecule in a box", chain, box, _same)]
    if not _refusal(bench, slab):
        cases.append(Case("molecule, periodic in two directions", chain, slab, _same))
    consequence = "the cell has an effect of its own."
    yield from compare(bench, "free boundaries", cases, "a molecule is put into a large box", consequence)


def _same(said: Said) -> Said:
    return said
