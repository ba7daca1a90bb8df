"""Energies and forces of two atoms have no steps, at the cutoff or anywhere else."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from metatomic_check.asking import ask, available, cutoffs, interaction_range, lacking, pair_name
from metatomic_check.bench import Bench
from metatomic_check.finding import Finding, Grade, Line, Plot
from metatomic_check.geometry import dimer
from metatomic_check.structures import chosen_pairs, molecule, pair_distance
from metatomic_check.table import check

_N_COARSE = {False: 150, True: 600}
# intervals that are halved until they are narrow
_N_FOLLOWED = 10
_NARROW = {"float64": 1e-7, "float32": 2e-4}
# Steps, in parts of the depth of the curve and of the largest force: up to here they are none, up to there tolerable.
# Lennard-Jones that is cut off at 2.5 sigma has a step of 0.016 in its energy, and if shifted, in its force. The forces
# of dimers in published tables of embedded atoms have steps of a third, where an embedding energy begins like a root.
_ENERGY_STEP = {"float64": 1e-6, "float32": 1e-3}
_FORCE_STEP = {"float64": 1e-4, "float32": 5e-3}
_LARGE_ENERGY_STEP, _LARGE_FORCE_STEP = 1e-2, 0.5
# where forces of a pair are those of a simulation, in parts of the distance of least energy
_INNER = 0.7


@dataclasses.dataclass(frozen=True)
class Curve:
    """Energy, and force along it, of a pair of atoms by distance; both relative to those far away."""

    r: np.ndarray
    energy: np.ndarray
    force: np.ndarray


def curve_of(bench: Bench, one: int, two: int, r: np.ndarray) -> Curve:
    """Evaluate two atoms at some distances."""
    wanted = available(bench, "energy", "forces")
    found = ask(bench.engine, [molecule(bench, dimer(one, two, distance)) for distance in r], *wanted)
    direction = dimer(one, two, 1.0)
    axis = direction.positions[1] - direction.positions[0]
    return Curve(
        r, np.array([said.energy for said in found]), np.array([float(said.forces[1] @ axis) for said in found])
    )


def outer_distance(bench: Bench, distance: float) -> float:
    """Give up to where two atoms are looked at: somewhat beyond the longest cutoff."""
    reach = interaction_range(bench)
    longest = max(cutoffs(bench), default=reach if np.isfinite(reach) else 4 * distance)
    return float(max(longest, 1.5 * distance) + 0.5)


@check("continuity", "contract")
def continuity(bench: Bench) -> Iterator[Finding]:
    """The energy or the force of two atoms has a step at some distance.

    At each passage an atom gains or loses energy, or is kicked.  At the cutoff, the model has no function that takes
    it to zero; within, parts of it do not fit together, or distances are rounded.
    """
    if lack := lacking(bench, "continuity", "energy", own_structures=True):
        yield from lack
        return
    found = [_steps(bench, *pair) for pair in chosen_pairs(bench)]
    if not found:
        return
    for kind, unit, small, large in (
        ("energy", "eV", _ENERGY_STEP[bench.dtype], _LARGE_ENERGY_STEP),
        ("force", "eV/angstrom", _FORCE_STEP[bench.dtype], _LARGE_FORCE_STEP),
    ):
        worst = max(found, key=lambda steps: steps[kind].relative)[kind]
        if kind == "force" and not available(bench, "forces"):
            continue
        yield _finding((kind, unit), worst, (small, large), len(found))


@dataclasses.dataclass(frozen=True)
class _Step:
    pair: tuple[int, int]
    r: float
    height: float
    scale: float
    curve: Curve

    @property
    def relative(self) -> float:
        return self.height / self.scale


def _finding(what: tuple[str, str], worst: _Step, limits: tuple[float, float], n_pairs: int) -> Finding:
    (kind, unit), (small, large) = what, limits
    name = pair_name(*worst.pair)
    if worst.relative <= small:
        grade, text = Grade.PASS, f"The {kind} of two atoms has no step at any distance ({n_pairs} pairs of species)."
    else:
        grade = Grade.WARN if worst.relative <= large else Grade.FAIL
        text = (
            f"The {kind} of {name} has a step of {worst.height:.2g} {unit} at {worst.r:.4f} angstrom: "
            "atoms that pass it are kicked, and runs do not conserve energy."
        )
    more = {} if grade is Grade.PASS else {f"{name} at a step": dimer(*worst.pair, worst.r)}
    return Finding(
        "continuity",
        grade,
        text,
        part=kind,
        number=worst.height,
        limit=large * worst.scale,
        unit=unit,
        structures=more,
        plots=() if grade is Grade.PASS else (_plot(kind, unit, name, worst),),
    )


def _plot(kind: str, unit: str, name: str, worst: _Step) -> Plot:
    y = worst.curve.energy if kind == "energy" else worst.curve.force
    near = np.abs(worst.curve.r - worst.r) < 0.5
    return Plot(
        f"{kind.capitalize()} of {name} around its largest step",
        "distance (angstrom)",
        f"{kind} ({unit})",
        (Line(name, worst.curve.r[near], y[near]),),
        marks=((worst.r, "step"),),
        points=True,
    )


def _steps(bench: Bench, one: int, two: int) -> dict[str, _Step]:
    distance = pair_distance(bench, one, two)
    # no round numbers: a point at a cutoff would be on one side of it for all that is known
    r = np.linspace(_INNER * distance, outer_distance(bench, distance) + 0.0137, _N_COARSE[bench.full])
    r = _with_cutoffs(bench, r)
    coarse = curve_of(bench, one, two, r)
    ok = np.isfinite(coarse.energy) & np.isfinite(coarse.force)
    depth = np.ptp(coarse.energy[ok & (r >= 0.9 * distance)]) if ok.any() else 0.0
    pull = np.abs(coarse.force[ok & (r >= 0.9 * distance)]).max(initial=0.0)
    floor = 1e-6 if bench.dtype == "float64" else 1e-4
    scales = {"energy": max(float(depth), floor), "force": max(float(pull), floor)}
    found = {}
    for kind, scale in scales.items():
        at, height = _largest(bench, (one, two), coarse, kind)
        found[kind] = _Step((one, two), at, height, scale, coarse)
    return found


def _largest(bench: Bench, pair: tuple[int, int], coarse: Curve, kind: str) -> tuple[float, float]:
    """Follow the intervals with the largest changes that are no slope, halving them, and give the highest step."""
    r, values = coarse.r, _rows(coarse)
    heights = _changes(r, values, kind)
    keep = 1 + np.argsort(heights[1:-1])[::-1][:_N_FOLLOWED]
    intervals = np.stack([r[keep], r[keep + 1]], axis=1)
    ends = np.stack([values[keep], values[keep + 1]], axis=1)
    while (np.diff(intervals, axis=1) > _NARROW[bench.dtype]).any():
        middle = intervals.mean(axis=1)
        between = _rows(curve_of(bench, *pair, middle))
        left, right = np.stack([intervals[:, 0], middle], 1), np.stack([middle, intervals[:, 1]], 1)
        left_ends, right_ends = np.stack([ends[:, 0], between], 1), np.stack([between, ends[:, 1]], 1)
        is_left = _rise(left, left_ends, kind) > _rise(right, right_ends, kind)
        intervals = np.where(is_left[:, None], left, right)
        ends = np.where(is_left[:, None, None], left_ends, right_ends)
    # beside each, one as wide: what changes there, too, is slope
    width = np.diff(intervals, axis=1)
    around = np.concatenate([intervals[:, :1] - width, intervals, intervals[:, 1:] + width], axis=1)
    rows = _rows(curve_of(bench, *pair, around.reshape(-1))).reshape(len(around), 4, 2)
    found = [float(_changes(x, y, kind)[1]) for x, y in zip(around, rows, strict=True)]
    i = int(np.argmax(found))
    return float(intervals[i].mean()), found[i]


def _rows(curve: Curve) -> np.ndarray:
    return np.stack([curve.energy, curve.force], axis=1)


def _with_cutoffs(bench: Bench, r: np.ndarray) -> np.ndarray:
    """Put narrow intervals around cutoffs besides those that are there: small steps hide in wide ones."""
    known = [*cutoffs(bench), interaction_range(bench)]
    around = [c + d for c in known if np.isfinite(c) and r[0] < c < r[-1] for d in (-4.1e-3, -1.3e-3, 1.7e-3, 4.3e-3)]
    return np.unique(np.concatenate([r, around]))


def _changes(r: np.ndarray, rows: np.ndarray, kind: str) -> np.ndarray:
    """Give how much of the change over each interval no slope explains, shape (n - 1,).

    The slope of the energy is the force; that of the force is the larger one of those before and after.
    """
    intervals, ends = np.stack([r[:-1], r[1:]], axis=1), np.stack([rows[:-1], rows[1:]], axis=1)
    rise = _rise(intervals, ends, kind)
    if kind == "energy":
        return rise
    width = np.diff(r)
    slope = np.pad(rise / width, 1, mode="edge")
    explained = np.maximum(slope[:-2], slope[2:]) * width
    # beside what is no number, all is
    return np.where(np.isfinite(rise + explained), np.maximum(rise - np.minimum(explained, rise), 0.0), np.inf)


def _rise(intervals: np.ndarray, ends: np.ndarray, kind: str) -> np.ndarray:
    """Give the change over each interval, of the energy without what the force explains; no number is infinite."""
    width = np.diff(intervals, axis=1)[:, 0]
    energy, force = ends[:, :, 0], ends[:, :, 1]
    change = np.diff(force, axis=1)[:, 0]
    if kind == "energy":
        change = np.diff(energy, axis=1)[:, 0] + force.mean(axis=1) * width
    return np.where(np.isfinite(change), np.abs(change), np.inf)
