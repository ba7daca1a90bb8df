"""Cells, images and free boundaries."""

import numpy as np

from metatomic_core.testing.bench import Bench
from metatomic_core.testing.contract import standard_test


def _results(bench: Bench) -> list[str]:
    return ["energy", "forces"] if bench.can("forces") else ["energy"]


@standard_test("triclinic")
def check_oblique_cells(bench: Bench) -> None:
    """Results are right in orthogonal cells only: rows and columns of the cell are exchanged, or its shear is lost."""
    bench.check("two lists", bench.structures("triclinic"), _results(bench))


@standard_test("atoms outside")
def check_atoms_outside_the_cell(bench: Bench) -> None:
    """Atoms that are outside the cell have no neighbors, or forces go to others.

    Images have to be found wherever the atom is; an engine that wraps atoms must shift pairs, too.
    """
    structures = bench.structures("outside")
    bench.check("two lists", structures, _results(bench))


@standard_test("small cells")
def check_cells_smaller_than_the_cutoff(bench: Bench) -> None:
    """Pairs of one atom with several images of another, or with images of itself, are missing.

    The minimum image convention holds in cells larger than twice the cutoff only.
    """
    bench.check("two lists", bench.structures("small cell", "one atom", "slab", "wire"), _results(bench))


@standard_test("mixed periodicity")
def check_mixed_periodicity(bench: Bench) -> None:
    """Slabs and wires are taken for periodic in all directions, or in none; or atoms beyond open faces are lost.

    The directions are those of the cell vectors, and not of space.
    """
    bench.check("two lists", bench.structures("slab", "wire", "oblique slab"), _results(bench))


@standard_test("free boundaries")
def check_free_boundaries(bench: Bench) -> None:
    """A molecule without a cell has images, or none of its own pairs."""
    bench.check("two lists", bench.structures("molecule", "isolated atom"), _results(bench))


@standard_test("free boundaries")
def check_cell_of_free_boundaries(bench: Bench) -> None:
    """A cell that is there, and periodic in no direction, makes images."""
    structures = bench.structures("molecule")
    structures["molecule"].cell = np.diag([4.0, 4.5, 5.0])
    bench.check("two lists", structures, _results(bench))
