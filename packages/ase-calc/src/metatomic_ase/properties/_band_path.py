"""Paths through the Brillouin zone: those of seekpath if it is installed, else of ASE."""

import importlib.util
import itertools
import warnings
from typing import Any

import numpy as np
from ase.cell import Cell
from ase.dft.kpoints import parse_path_string

# The names that ASE and seekpath have for the center, as phonopy writes it.
_GAMMA = {"G": "$\\Gamma$", "GAMMA": "$\\Gamma$"}


def band_path(
    lattice: Cell, primitive: Any, path: str | None, n_points: int
) -> tuple[list[np.ndarray], list[tuple[str, str]]]:
    """Give points of all segments of a path, and the names of their ends."""
    if path is None and importlib.util.find_spec("seekpath") is not None:
        return _seekpath(primitive, n_points)
    try:
        chosen = lattice.bandpath(path, npoints=0)
    except KeyError as error:
        known = " ".join(lattice.bandpath(npoints=0).special_points)
        raise ValueError(f"expected special points of this lattice in `path`, {known}, got {error}") from error
    ends = [pair for part in parse_path_string(chosen.path) for pair in itertools.pairwise(part)]
    places = [(chosen.special_points[start], chosen.special_points[end]) for start, end in ends]
    labels = [(_GAMMA.get(start, start), _GAMMA.get(end, end)) for start, end in ends]
    return [np.linspace(start, end, n_points) for start, end in places], labels


def _seekpath(primitive: Any, n_points: int) -> tuple[list[np.ndarray], list[tuple[str, str]]]:
    import seekpath

    cell = (primitive.cell, primitive.scaled_positions, primitive.numbers)
    with warnings.catch_warnings():
        # of cells that are not the standard ones: this function is for these
        warnings.simplefilter("ignore")
        found = seekpath.get_path_orig_cell(cell)
    places = found["point_coords"]
    labels = [(_GAMMA.get(start, start), _GAMMA.get(end, end)) for start, end in found["path"]]
    return [np.linspace(places[start], places[end], n_points) for start, end in found["path"]], labels
