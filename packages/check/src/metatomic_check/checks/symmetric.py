"""Structures of high symmetry: where angles are straight and sums of vectors vanish, slopes may be no numbers."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from metatomic_check.asking import Said, ask, available, lacking, rounding
from metatomic_check.bench import Bench
from metatomic_check.comparing import LEARNED
from metatomic_check.finding import Finding, Grade, graded
from metatomic_check.geometry import LATTICES, crystal, free
from metatomic_check.structures import best_crystal, chosen_species, molecule, pair_distance
from metatomic_check.table import check
from metatomic_core.engine import Structure

# hydrogen at its bond length would have hundreds of neighbors in a crystal
_MIN_SPACING = 1.5


@check("symmetric structures", "contract")
def symmetric_structures(bench: Bench) -> Iterator[Finding]:
    """Forces on atoms in a line, in a square or in a perfect crystal are no numbers, or not what symmetry makes them.

    The model probably has the arc cosine of an angle, or the length of a sum of vectors, where its slope is infinite:
    carbon dioxide and relaxed crystals, which is what people start from, give NaN.
    """
    name = "symmetric structures"
    if lack := lacking(bench, name, "energy", "forces", own_structures=True):
        yield from lack
        return
    cases = dict(_cases(bench))
    answers = ask(bench.engine, [structure for structure, _ in cases.values()], *available(bench, "energy", "forces"))
    said = dict(zip(cases, answers, strict=True))
    broken = [case for case in cases if not said[case].finite]
    if broken:
        text = f"Energy or forces are no numbers for {', '.join(broken)}: runs that start from there fail at once."
        yield Finding(name, Grade.FAIL, text, structures={broken[0]: cases[broken[0]][0]})
        return
    worst = max(cases, key=lambda case: _forbidden(said[case], cases[case][1]) / rounding(bench, said[case].size))
    number, limit = _forbidden(said[worst], cases[worst][1]), rounding(bench, said[worst].size)
    text = f"Forces are numbers, and vanish where symmetry says so, in {len(cases)} structures."
    shown = {}
    if not number <= limit:
        text = f"{worst} has forces that its symmetry forbids: symmetric structures do not stay what they are."
        shown = {worst: cases[worst][0]}
    found = graded(name, number, limit, text, unit="eV/angstrom", structures=shown)
    # as rotation is graded, of which this is a consequence
    learned = number <= LEARNED * said[worst].size
    yield dataclasses.replace(found, grade=Grade.WARN) if found.grade is Grade.FAIL and learned else found


def _forbidden(said: Said, is_zero: np.ndarray) -> float:
    return float(np.abs(said.forces[is_zero]).max(initial=0.0))


def _cases(bench: Bench) -> Iterator[tuple[str, tuple[Structure, np.ndarray]]]:
    """Give structures by name, each with the components of forces that are zero, shape (n_atoms, 3)."""
    species = chosen_species(bench, 2)
    one, two = species[0], species[-1]
    r = pair_distance(bench, one, two)
    # along axes and around the origin: sums of vectors vanish to the last digit
    line = free([one, two, one], r * np.array([[-1, 0, 0], [0, 0, 0], [1, 0, 0]]))
    yield "three atoms in a line", (molecule(bench, line), np.array([[0, 1, 1], [1, 1, 1], [0, 1, 1]], dtype=bool))
    r = pair_distance(bench, one, one)
    corners = np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]]) / np.sqrt(2)
    # forces are along the diagonals
    yield "a square", (molecule(bench, free([one] * 4, r * corners)), corners == 0)
    spacing = max(best_crystal(bench, one).spacing, _MIN_SPACING)
    for lattice in LATTICES:
        structure = crystal(lattice, one, spacing)
        yield f"a {lattice} crystal", (structure, np.ones_like(structure.positions, dtype=bool))
