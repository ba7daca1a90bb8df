"""Whether energies and forces go on smoothly as an atom passes through a cutoff."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator

import numpy as np

from metatomic_check.agreement import NO_ENERGY, not_applicable, sentence
from metatomic_check.asking import cutoffs, pair_name, usable
from metatomic_check.bench import Bench
from metatomic_check.finding import Finding, Grade, Line, Plot
from metatomic_check.geometry import dimer
from metatomic_check.table import check
from metatomic_core.engine import Structure
from metatomic_core.engine.structures import structure_tensors
from metatomic_core.neighbor_lists import NeighborLists

# how far from the cutoff on both sides, in angstrom
_STEP = {"float64": 1e-5, "float32": 4e-3}
# Rounding of energies and forces relative to their size, and what is left of curvature after the slopes on both sides.
_NOISE = {"float64": 1e-12, "float32": 2e-6}
# Jumps: of the energy in eV, no more than this in a run of thousands of such passages; of forces in eV/angstrom, which
# costs a part of the order of the time step; of the slope of forces in eV/angstrom^2.
_ENERGY, _FORCE, _SLOPE = 1e-5, 0.02, 0.05
# pairs of species, at most
_N_PAIRS, _N_FULL_PAIRS = 3, 10
_N_CURVE = 21
# how far an atom of a crystal is moved to the cutoff of another one, in angstrom
_FAR = 0.4


@dataclasses.dataclass(frozen=True)
class _Passage:
    """Jumps of energy, forces and their slopes where a distance passes through a cutoff, and what noise is."""

    name: str
    structure: Structure
    energy: float
    force: float
    slope: float
    noise: tuple[float, float, float]

    @property
    def grade(self) -> Grade:
        noise = self.noise
        if not self.energy <= _ENERGY + noise[0] or not self.force <= _FORCE + noise[1]:
            return Grade.FAIL
        quiet = self.energy <= 0.1 * _ENERGY + noise[0] and self.force <= 1e-3 * _FORCE + noise[1]
        return Grade.PASS if quiet and self.slope <= _SLOPE + noise[2] else Grade.WARN

    @property
    def severity(self) -> tuple[int, float]:
        order = (Grade.PASS, Grade.WARN, Grade.FAIL)
        return order.index(self.grade), self.energy / _ENERGY + self.force / _FORCE + 1e-3 * self.slope / _SLOPE


@check("smoothness at the cutoff", "numerics")
def check_smoothness(bench: Bench) -> Iterator[Finding]:
    """The energy or the forces jump as an atom passes through the cutoff.

    Each atom that comes or goes then makes energy from nothing or takes it away: runs at constant energy drift, and
    relaxations do not converge.  A jump of the slope of the forces disturbs phonons only.
    """
    name = "smoothness at the cutoff"
    engine = bench.engine
    if not engine.can_give("energy"):
        yield not_applicable(name, NO_ENERGY)
        return
    radii = [cutoff for cutoff in cutoffs(bench) if np.isfinite(cutoff) and cutoff > 0]
    if not radii:
        yield not_applicable(name, "the model has no neighbor list with a cutoff")
        return
    for cutoff in radii:
        passages = [*_of_dimers(bench, cutoff), *_in_crystals(bench, cutoff)]
        part = f"{cutoff:.6g} angstrom"
        if not passages:
            yield not_applicable(name, "the model refuses dimers, and no structure has a pair near the cutoff", part)
            continue
        yield _finding(bench, name, part, cutoff, max(passages, key=lambda passage: passage.severity))


def _finding(bench: Bench, name: str, part: str, cutoff: float, worst: _Passage) -> Finding:
    """Say what the worst passage means: in terms of the energy if that jumps, else of the forces, else of slopes."""
    rows = (
        (worst.energy, _ENERGY + worst.noise[0], 0.1 * _ENERGY + worst.noise[0], "eV", "the energy"),
        (worst.force, _FORCE + worst.noise[1], 1e-3 * _FORCE + worst.noise[1], "eV/angstrom", "a force"),
        (worst.slope, _SLOPE + worst.noise[2], _SLOPE + worst.noise[2], "eV/angstrom^2", "the slope of a force"),
    )
    # for failures the limit of failures, for warnings that of warnings
    limits = [row[1] if worst.grade is Grade.FAIL else row[2] for row in rows]
    row, limit = next(
        ((row, limit) for row, limit in zip(rows, limits, strict=True) if not row[0] <= limit), (rows[1], limits[1])
    )
    said = {
        Grade.PASS: f"energy and forces are smooth where atoms pass through the cutoff, of {worst.name}",
        Grade.WARN: f"{row[4]} jumps where a distance passes through the cutoff, of {worst.name}: little, so "
        "phonons and tight relaxations may notice it, but not molecular dynamics",
        Grade.FAIL: f"{row[4]} jumps where a distance passes through the cutoff, of {worst.name}; runs at constant "
        "energy will drift, and relaxations may not converge",
    }
    return Finding(
        name,
        worst.grade,
        sentence(said[worst.grade]),
        part,
        float(row[0]),
        float(limit),
        row[3],
        {} if worst.grade is Grade.PASS else {worst.name: worst.structure},
        _plots(bench, cutoff),
    )


def _of_dimers(bench: Bench, cutoff: float) -> Iterator[_Passage]:
    """Take two atoms through the cutoff."""
    for one, two in _species_pairs(bench):

        def at(step: float, one: int = one, two: int = two) -> Structure:
            return dimer(one, two, cutoff + step)

        passage = _passage(bench, f"a dimer {pair_name(one, two)}", at(0.0), at)
        if passage is not None:
            yield passage


def _in_crystals(bench: Bench, cutoff: float) -> Iterator[_Passage]:
    """Move one atom of each structure, such that its distance from another one passes through the cutoff."""
    for name, structure in usable(bench).items():
        lists = NeighborLists([(cutoff + _FAR, True, True)], 0.0)
        tensors = structure_tensors(structure, 0, "cpu")
        [pairs], [vectors] = lists.compute(tensors["positions"], tensors["cell"], tensors["pbc"])
        # an atom and its own image keep their distance
        other = pairs[:, 0] != pairs[:, 1]
        first, along = pairs[other][:, 0].numpy(), vectors[other].numpy()
        if len(first) == 0:
            continue
        distances = np.linalg.norm(along, axis=1)
        nearest = int(np.argmin(np.abs(distances - cutoff)))
        # farther, it would meet another atom
        if abs(distances[nearest] - cutoff) > _FAR:
            continue
        unit, atom = along[nearest] / distances[nearest], int(first[nearest])
        # away from the other one: the distance grows
        middle = _moved(structure, atom, (distances[nearest] - cutoff) * unit)

        def at(step: float, middle: Structure = middle, atom: int = atom, unit: np.ndarray = unit) -> Structure:
            return _moved(middle, atom, -step * unit)

        passage = _passage(bench, f"'{name}' with atom {atom} moved", middle, at)
        if passage is not None:
            yield passage


def _passage(bench: Bench, name: str, structure: Structure, at: Callable[[float], Structure]) -> _Passage | None:
    """Measure jumps; again with a smaller step if there are any: other radii may be near, and curves steep."""
    step = _STEP[bench.dtype]
    found = _measured(bench, name, structure, at, step)
    if found is None or found.grade is Grade.PASS:
        return found
    finer = _measured(bench, name, structure, at, 0.2 * step)
    return found if finer is None else min(found, finer, key=lambda passage: passage.severity)


def _measured(
    bench: Bench, name: str, structure: Structure, at: Callable[[float], Structure], step: float
) -> _Passage | None:
    """Measure jumps at zero from values at one and more steps on both sides, without what slopes make of them."""
    asked = ("energy", "forces") if bench.engine.can_give("forces") else ("energy",)
    try:
        found = [bench.evaluate(at(k * step), *asked) for k in (-5, -3, -1, 1, 3, 5)]
    except Exception:  # noqa: BLE001  (whether a model takes a structure is the question of another check)
        return None
    energies = np.array([float(each.energy[0]) for each in found])  # type: ignore[index]
    forces = np.array([np.zeros(3) if each.forces is None else each.forces.ravel() for each in found])
    rounding = 10.0 * _NOISE[bench.dtype]
    scale = max(float(np.abs(forces).max(initial=0.0)), 1.0)
    energy_scale = max(float(np.abs(energies).max()), float(len(structure.types)))
    curvature = float(np.abs(_second(forces)).max(initial=0.0))
    return _Passage(
        name,
        structure,
        float(np.abs(_jump(energies[:, None])).max()),
        _longest(_jump(forces)),
        _longest(_jump_of_slope(forces, step)),
        (
            rounding * energy_scale + _third(energies),
            rounding * scale + _third(forces),
            4.0 * (rounding * scale + curvature) / step,
        ),
    )


def _jump(values: np.ndarray) -> np.ndarray:
    """Extrapolate to zero from both sides, as parabolas."""
    left = (3.0 * values[0] - 10.0 * values[1] + 15.0 * values[2]) / 8.0
    right = (15.0 * values[3] - 10.0 * values[4] + 3.0 * values[5]) / 8.0
    jump: np.ndarray = right - left
    return jump


def _jump_of_slope(values: np.ndarray, step: float) -> np.ndarray:
    jump: np.ndarray = ((values[4] - values[3]) - (values[2] - values[1])) / (2.0 * step)
    return jump


def _longest(vectors: np.ndarray) -> float:
    """Give the largest length of vectors of atoms that stand one after the other."""
    return float(np.linalg.norm(vectors.reshape(-1, 3), axis=1).max())


def _second(values: np.ndarray) -> np.ndarray:
    """Give second differences on each side, which no jump at zero is part of."""
    left, right = (values[k] - 2.0 * values[k + 1] + values[k + 2] for k in (0, 3))
    return np.stack([left, right])


def _third(values: np.ndarray) -> float:
    """Give how far parabolas may be wrong: third derivatives and rounding change second differences as well."""
    left, right = _second(values)
    return 2.0 * float(np.abs(right - left).max(initial=0.0))


def _moved(structure: Structure, atom: int, by: np.ndarray) -> Structure:
    positions = structure.positions.copy()
    positions[atom] += by
    return dataclasses.replace(structure, positions=positions)


def _species_pairs(bench: Bench) -> list[tuple[int, int]]:
    """Give pairs of species of the structures, equal ones first; none where nobody knows the inputs of dimers."""
    if bench.engine.model.requested_inputs():
        return []
    present = list(dict.fromkeys(int(t) for each in bench.structures.values() for t in each.types))
    pairs = sorted(itertools.combinations_with_replacement(present, 2), key=lambda pair: pair[0] != pair[1])
    few = _N_FULL_PAIRS if bench.full else _N_PAIRS
    # as many of equal ones as of others
    equal, others = [p for p in pairs if p[0] == p[1]], [p for p in pairs if p[0] != p[1]]
    return (equal[: few - few // 2] + others)[:few]


def _plots(bench: Bench, cutoff: float) -> tuple[Plot, ...]:
    """Draw the energy of dimers beside its value behind the cutoff."""
    lines = []
    for one, two in _species_pairs(bench):
        distances = np.linspace(0.85 * cutoff, 1.05 * cutoff, _N_CURVE)
        try:
            energies = [bench.energy(dimer(one, two, r)) for r in distances]
        except Exception:  # noqa: BLE001, S112  (as above)
            continue
        lines.append(Line(pair_name(one, two), distances, 1000.0 * (np.array(energies) - energies[-1])))
    if not lines:
        return ()
    marks = ((cutoff, "cutoff"),)
    return (Plot("Dimers near the cutoff", "distance in angstrom", "energy in meV", tuple(lines), marks=marks),)
