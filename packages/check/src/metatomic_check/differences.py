"""Derivatives of energies by finite differences, each with an estimate of its error."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from metatomic_core.engine import Structure

from .asking import EPSILON, Said, ask, available

if TYPE_CHECKING:
    from .bench import Bench

# The largest of three steps, each half of the one before, in angstrom: where rounding of energies and the terms left
# out by Richardson's extrapolation are about equal for potentials with a length scale of some tenths of an angstrom.
LARGEST_STEP = {"float64": 4e-3, "float32": 6e-2}
N_ENERGIES = 6


@dataclasses.dataclass(frozen=True)
class Derivative:
    """A derivative of an energy.

    Attributes
    ----------
    value
        The derivative.
    error
        How far it may be off: by terms left out, steps and kinks in the energy, and rounding.
    """

    value: float
    error: float


def derivatives(bench: "Bench", paths: Sequence[Callable[[float], Structure]], largest_step: float) -> list[Derivative]:
    """Give the derivative of the energy at the start of each path.

    Parameters
    ----------
    bench
        The bench.
    paths
        Each gives the structure at a distance along it, forwards and backwards.
    largest_step
        The largest of the three steps.

    Returns
    -------
    list of Derivative
        One for each path.
    """
    steps = largest_step * np.array([1.0, 0.5, 0.25])
    found = ask(
        bench.engine, [path(sign * step) for path in paths for step in steps for sign in (1, -1)], *_what(bench)
    )
    totals = np.array([_total(said) for said in found]).reshape(-1, 3, 2)
    central = (totals[..., 0] - totals[..., 1]) / (2 * steps)
    finer = (4 * central[:, 1:] - central[:, :-1]) / 3
    spread = np.array([np.abs(said.atomic_energies).sum() + abs(said.energy) for said in found]).reshape(-1, 6)
    noise = 4 * EPSILON[bench.dtype] * spread.max(axis=1, initial=0.0) / steps[-1]
    errors = np.abs(finer[:, 1] - finer[:, 0]) + noise
    return [Derivative(float(value), float(error)) for value, error in zip(finer[:, 1], errors, strict=True)]


def _what(bench: "Bench") -> tuple[str, ...]:
    # in single precision, differences of the energies of atoms lose less than those of their sum
    names = ("energy", "atomic_energies") if bench.dtype == "float32" else ("energy",)
    return available(bench, *names)


def _total(said: Said) -> float:
    atoms = said.atomic_energies
    # energies of atoms that add up to another energy are the business of another check
    adds_up = len(atoms) > 0 and abs(atoms.sum() - said.energy) <= 1e-4 * (np.abs(atoms).sum() + 1e-6)
    return float(atoms.sum()) if adds_up else said.energy


def how_they_differ(derivative: np.ndarray, given: np.ndarray, limit: float) -> str:
    """Say how wrong derivatives look: of the wrong sign, a factor; empty if like nothing known.

    Parameters
    ----------
    derivative
        What is right, shape (n,).
    given
        What the model gives.
    limit
        Differences that do not matter.
    """
    norm = float(given @ given)
    if not np.isfinite(given).all() or norm == 0.0:
        return "they are zero or no numbers"
    factor = float(given @ derivative) / norm
    if np.abs(derivative - factor * given).max() > max(limit, 1e-2 * np.abs(derivative).max()):
        return ""
    if abs(factor - 1) < 1e-3:
        # digits that are lost, and no factor
        return ""
    return "they have the wrong sign" if abs(factor + 1) < 1e-2 else f"times {factor:.4g} they would be right"
