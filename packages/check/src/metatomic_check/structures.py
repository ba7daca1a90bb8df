"""Structures at the lengths at which people use a model: about those of least energy, not those of a table of radii."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement, pairwise
from typing import TYPE_CHECKING

import numpy as np

from metatomic_core.adapters import covalent_radii
from metatomic_core.engine import Engine, Structure

from .asking import energies, interaction_range
from .geometry import DIRECTION, LATTICES, boxed, crystal, dimer

if TYPE_CHECKING:
    from .bench import Bench

# Factors for the lengths of a structure that is made from covalent radii: noble gases need 1.6, metals 0.85.
_COARSE = 0.7 * 1.1 ** np.arange(13)
_FINE = np.linspace(-1, 1, 9)[1:-1]
# structures with more atoms keep their lengths: they would take long, and have many species that fit to no length
_MAX_ATOMS = 40
# distances of neighbors in a crystal, in sums of covalent radii
_STRETCH = 1.15
_VACUUM = 15.0


@dataclasses.dataclass(frozen=True)
class Crystal:
    """The crystal of one species with the least energy of some simple ones.

    Attributes
    ----------
    lattice
        Its name.
    structure
        Its primitive cell.
    spacing
        Distance of neighbors.
    bound
        Whether there is a length of least energy; else the lengths are made from covalent radii.
    """

    lattice: str
    structure: Structure
    spacing: float
    bound: bool


def scaled(structure: Structure, factor: float) -> Structure:
    """Scale all lengths of a structure."""
    return dataclasses.replace(structure, positions=factor * structure.positions, cell=factor * structure.cell)


def least_energy_factors(engine: Engine, structures: Sequence[Structure]) -> list[float | None]:
    """Find the factor for the lengths of each structure at which its energy has a minimum.

    Parameters
    ----------
    engine
        The model.
    structures
        The structures.

    Returns
    -------
    list of float
        Factors; None for a structure that has no minimum between 0.7 and 2.2 times its lengths.
    """
    found = _minima(engine, structures, [_COARSE] * len(structures))
    bound = [i for i, minimum in enumerate(found) if minimum is not None]
    grids = [found[i] * 1.1**_FINE for i in bound]  # type: ignore[operator]
    for i, finer in zip(bound, _minima(engine, [structures[i] for i in bound], grids), strict=True):
        # a kink may leave none between the finer ones
        found[i] = found[i] if finer is None else finer
    return found


def _minima(engine: Engine, structures: Sequence[Structure], grids: Sequence[np.ndarray]) -> list[float | None]:
    many = [scaled(each, factor) for each, grid in zip(structures, grids, strict=True) for factor in grid]
    values = energies(engine, many)
    ends = np.cumsum([len(grid) for grid in grids])
    return [minimum_of(grid, values[end - len(grid) : end]) for grid, end in zip(grids, ends, strict=True)]


def minimum_of(x: np.ndarray, y: np.ndarray) -> float | None:
    """Give where a curve has its minimum, by a parabola through three points; None if it has no inner one.

    Of several, it is the one behind the highest barriers: the bond of two atoms may have more energy than two atoms
    that are almost free, and a hole of a network at short distances has much less.
    """
    y = np.where(np.isfinite(y), y, np.inf)
    noise = 1e-6 * np.abs(y[np.isfinite(y)]).min(initial=np.inf)
    barriers = {
        i: min(y[:i].max(), y[i + 1 :].max()) - y[i]
        for i in range(1, len(y) - 1)
        if np.isfinite(y[i]) and y[i] <= min(y[i - 1], y[i + 1])
    }
    inner = [i for i, barrier in barriers.items() if barrier > noise]
    if not inner:
        return None
    i = max(inner, key=lambda k: barriers[k])
    left, right = y[i - 1] - y[i], y[i + 1] - y[i]
    if not np.isfinite(left + right) or left + right == 0:
        return float(x[i])
    return float(x[i] + 0.5 * (left - right) / (left + right) * (x[i + 1] - x[i - 1]) / 2)


def calibrated_structures(engine: Engine, structures: Mapping[str, Structure]) -> dict[str, Structure]:
    """Scale structures to the lengths of least energy for a model.

    Parameters
    ----------
    engine
        The model, in angstrom.
    structures
        Structures by name, as `trial_structures` makes them.

    Returns
    -------
    dict
        The same, scaled; free atoms, and structures of many atoms or without a minimum, keep their lengths.
    """
    small = [
        name
        for name, each in structures.items()
        if (len(each.types) > 1 or each.pbc.any()) and len(each.types) <= _MAX_ATOMS
    ]
    factors = dict(zip(small, least_energy_factors(engine, [structures[name] for name in small]), strict=True))
    return {name: scaled(each, factors.get(name) or 1.0) for name, each in structures.items()}


def chosen_species(bench: "Bench", most: int) -> list[int]:
    """Give some species of a model: those of the structures on the bench first, the most frequent ones before."""
    numbers = np.concatenate([each.types for each in bench.structures.values()] or [np.zeros(0, dtype=int)])
    frequent = [number for number, _ in Counter(numbers.tolist()).most_common() if number in bench.species]
    return list(dict.fromkeys([*frequent, *bench.species]))[:most]


def chosen_pairs(bench: "Bench") -> list[tuple[int, int]]:
    """Give the pairs of species to look at: six at most, or 21 where there is time."""
    return list(combinations_with_replacement(chosen_species(bench, 6 if bench.full else 3), 2))


def trial_distance(one: int, two: int) -> float:
    """Give a distance of two atoms from covalent radii."""
    return _STRETCH * float(sum(covalent_radii([one, two])))


def pair_distance(bench: "Bench", one: int, two: int) -> float:
    """Give the distance of two atoms at which a model has the least energy; from covalent radii where there is none."""
    key = ("pair", one, two)
    if key not in bench.memory:
        trial = trial_distance(one, two)
        coarse = _distance_of_least_energy(bench, (one, two), trial * 0.7 * 1.04 ** np.arange(32))
        fine = coarse and _distance_of_least_energy(bench, (one, two), coarse * 1.04 ** np.linspace(-1.2, 1.2, 13))
        bench.memory[key] = fine or coarse or trial
    return float(bench.memory[key])


def _distance_of_least_energy(bench: "Bench", pair: tuple[int, int], grid: np.ndarray) -> float | None:
    return minimum_of(grid, energies(bench.engine, [molecule(bench, dimer(*pair, r)) for r in grid]))


def best_crystal(bench: "Bench", number: int) -> Crystal:
    """Give the crystal of a species that has the least energy for each atom."""
    key = ("crystal", number)
    if key not in bench.memory:
        bench.memory[key] = _best_crystal(bench, number)
    return bench.memory[key]


def _best_crystal(bench: "Bench", number: int) -> Crystal:
    trial = trial_distance(number, number)
    trials = [crystal(lattice, number, trial) for lattice in LATTICES]
    factors = least_energy_factors(bench.engine, trials)
    bound = [i for i, factor in enumerate(factors) if factor is not None]
    if not bound:
        return Crystal("fcc", trials[0], trial, bound=False)
    best = [scaled(trials[i], factors[i] or 1.0) for i in bound]
    per_atom = energies(bench.engine, best) / [len(each.types) for each in best]
    i = int(np.argmin(per_atom))
    return Crystal(list(LATTICES)[bound[i]], best[i], trial * (factors[bound[i]] or 1.0), bound=True)


def free_boundaries(bench: "Bench") -> bool:
    """Tell whether a model takes structures that are periodic in no direction: some want a cell."""
    if "free" not in bench.memory:
        number = bench.species[0]
        try:
            energies(bench.engine, [dimer(number, number, trial_distance(number, number))])
            bench.memory["free"] = True
        except Exception:  # noqa: BLE001  (whatever a model raises)
            bench.memory["free"] = False
    return bool(bench.memory["free"])


def molecule(bench: "Bench", structure: Structure) -> Structure:
    """Give a molecule as a model takes it: in a large box where it wants a cell."""
    if free_boundaries(bench):
        return structure
    reach = interaction_range(bench)
    return boxed(structure, max(_VACUUM, reach + 1.0) if np.isfinite(reach) else 2 * _VACUUM)


def trial_molecule(bench: "Bench") -> Structure:
    """Give a bent chain of the most frequent species at about the distances of least energy, without symmetry."""
    chosen = chosen_species(bench, 3)
    chain = [chosen[i % len(chosen)] for i in (0, 1, 2, 0, 1)]
    steps = np.array([DIRECTION, [0.5, -0.7, 0.51], [0.64, 0.1, 0.76], [-0.6, 0.78, -0.17]])
    lengths = [pair_distance(bench, *sorted(pair)) for pair in pairwise(chain)]
    moves = np.array([r * step / np.linalg.norm(step) for r, step in zip(lengths, steps, strict=True)])
    positions = np.concatenate([np.zeros((1, 3)), np.cumsum(moves, axis=0)])
    return Structure(np.array(chain), positions, np.zeros((3, 3)), np.zeros(3, dtype=bool))
