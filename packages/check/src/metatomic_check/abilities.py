"""What an engine must be able to do for a structure, a model, and what a user asks of it."""

from collections.abc import Collection

import numpy as np

from metatomic_core.engine import Structure

from .bench import Bench

# dimensions are compared by name: what else is in these units is converted by no engine
_UNITS = ("eV", "angstrom", "Angstrom", "A")
_RIGHT_ANGLE = 1e-6
# by option, what a subject must be able to do if it is given
_OPTIONS = {"variants": "variants", "non_conservative": "direct predictions", "device": "devices"}


def needs_of_structure(structure: Structure, cutoff: float) -> list[str]:
    """Name what an engine must be able to do for a structure, as `metatomic_core.testing.ABILITIES` has it.

    Parameters
    ----------
    structure
        The structure.
    cutoff
        The largest cutoff of the model, in angstrom.
    """
    periodic = structure.pbc.astype(bool)
    angles = _angles(structure.cell)
    found = {
        "one atom": len(structure.types) == 1,
        "free boundaries": not periodic.any(),
        "mixed periodicity": periodic.any() and not periodic.all(),
        # a direction that is open, and along no normal of those that are not
        "oblique free boundaries": bool((angles[np.ix_(periodic, ~periodic)] > _RIGHT_ANGLE).any()),
        "triclinic": bool((angles[np.ix_(periodic, periodic)] > _RIGHT_ANGLE).any()),
        "small cells": _smallest_height(structure) < cutoff,
        "atoms outside": _is_outside(structure),
    }
    return [name for name, is_needed in found.items() if is_needed]


def needs_of_model(bench: Bench) -> list[str]:
    """Name what an engine must be able to do for a model with the options of a user; as `needs_of_structure`."""
    capabilities = bench.engine.capabilities
    found = [need for option, need in _OPTIONS.items() if bench.options.get(option) not in (None, False, "off", "cpu")]
    found += ["inputs"] if bench.engine.model.requested_inputs() else []
    found += ["float32"] if bench.dtype == "float32" else []
    energy = capabilities.outputs[bench.engine.source("energy")].unit
    known = {unit.lower() for unit in _UNITS}
    if energy.lower() not in known or capabilities.length_unit.lower() not in known:
        found.append("other units")
    return found


def _angles(cell: np.ndarray) -> np.ndarray:
    """Give the cosines of angles between cell vectors, zero on the diagonal and for vectors that are zero."""
    lengths = np.linalg.norm(cell, axis=1)
    unit = cell / np.where(lengths > 0.0, lengths, 1.0)[:, None]
    cosines = np.abs(unit @ unit.T)
    np.fill_diagonal(cosines, 0.0)
    return cosines


def _smallest_height(structure: Structure) -> float:
    """Give the smallest distance of a structure from its own image."""
    if not structure.pbc.any():
        return np.inf
    inverse = np.linalg.inv(_completed(structure))
    heights = 1.0 / np.linalg.norm(inverse, axis=0)
    return float(heights[structure.pbc.astype(bool)].min())


def _is_outside(structure: Structure) -> bool:
    if not structure.pbc.any():
        return False
    fractions = structure.positions @ np.linalg.inv(_completed(structure))
    inside = fractions[:, structure.pbc.astype(bool)]
    return bool(((inside < 0.0) | (inside >= 1.0)).any())


def _completed(structure: Structure) -> np.ndarray:
    """Give the cell with directions of its own where there is no cell vector."""
    cell = np.where(structure.pbc[:, None], structure.cell, 0.0).astype(float)
    for axis in np.flatnonzero(~structure.pbc.astype(bool)):
        # the direction that is farthest from the others
        _, _, directions = np.linalg.svd(cell)
        cell[axis] = directions[-1]
    return cell


def lacked(lacks: Collection[str], needs: list[str]) -> list[str]:
    """Give what is needed and lacked, in the order of the needs."""
    return [need for need in needs if need in lacks]
