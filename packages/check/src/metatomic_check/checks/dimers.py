"""Curves of pairs of species, to look at: one minimum, repulsion below it, and nothing far away."""

from collections.abc import Iterator

import numpy as np

from metatomic_check.asking import ask, available, cutoffs, energies, interaction_range, lacking, pair_name, rounding
from metatomic_check.bench import Bench
from metatomic_check.finding import Finding, Grade, Line, Plot
from metatomic_check.geometry import dimer, free
from metatomic_check.structures import chosen_pairs, chosen_species, molecule, pair_distance
from metatomic_check.table import check
from metatomic_core.adapters import symbols

from .continuity import Curve, curve_of, outer_distance

# distances in parts of that of least energy
_INNER, _LOWEST = 0.45, 0.15
_N_POINTS = {False: 120, True: 400}
# Below, changes of a curve are no minima and no signs, in parts of its depth or of its largest force.
_NOISE = 1e-3
# ratio of the way that an energy goes up and down to that of a curve with one minimum
_TORTUOUS = 1.05
# of a curve at a tiny distance, a model may say anything that is finite
_MUST_BE_FINITE = 0.5


@check("dimer curves", "physics")
def dimer_curves(bench: Bench) -> Iterator[Finding]:
    """A pair of atoms has more than one minimum, or an energy that goes up and down.

    Energies of networks away from their data; atoms may be caught at distances that do not exist.  Many right models
    have such curves, as pairs of atoms alone are rarely among the data.
    """
    if lack := lacking(bench, "dimer curves", "energy", own_structures=True):
        yield from lack
        return
    for one, two in chosen_pairs(bench):
        yield _curve(bench, one, two)


def _curve(bench: Bench, one: int, two: int) -> Finding:
    distance = pair_distance(bench, one, two)
    r = np.linspace(_INNER * distance, outer_distance(bench, distance) + 0.5, _N_POINTS[bench.full])
    curve = curve_of(bench, one, two, r)
    name = pair_name(one, two)
    if not np.isfinite(curve.energy).all():
        worst = float(r[~np.isfinite(curve.energy)].max())
        text = f"The energy of {name} is no number at {worst:.2f} angstrom."
        shown = {f"{name}, no number": dimer(one, two, worst)}
        return Finding("dimer curves", Grade.WARN, text, part=name, structures=shown)
    minima, turns, tortuosity = shape_of(curve)
    many = minima > 1 or tortuosity > _TORTUOUS
    minimum = f"least energy at {distance:.2f} angstrom" if minima else "no minimum"
    text = (
        f"{name}: {minimum}, {_count(minima, 'minimum', 'minima')}, force changes its sign "
        f"{_count(turns, 'time', 'times')}, tortuosity {tortuosity:.2f}."
    )
    if many:
        text += " Look at the curve: a pair of atoms has one minimum, as a rule."
    grade = Grade.WARN if many else Grade.INFORMATION
    return Finding("dimer curves", grade, text, part=name, number=tortuosity, plots=_plots(bench, name, curve))


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def shape_of(curve: Curve) -> tuple[int, int, float]:
    """Give the number of minima, how often the force changes its sign, and the tortuosity of a curve.

    The tortuosity is the sum of all rises and falls of the energy, over that of a curve which goes down to its least
    energy and from there up to its end, without other minima.
    """
    energy = curve.energy
    depth = max(float(energy[-1] - energy.min()), 1e-9)
    # a repulsive wall is steep, and its height depends on where one begins
    energy = np.minimum(energy, energy[-1] + 2 * depth)
    rises = _rises(energy, _NOISE * depth)
    signs = np.sign(rises)
    turns = int((np.diff(signs) != 0).sum()) if len(signs) > 1 else 0
    minima = int(((signs[:-1] < 0) & (signs[1:] > 0)).sum())
    shortest = (energy[0] - energy.min()) + (energy[-1] - energy.min())
    return minima, turns, float(np.abs(rises).sum() / shortest) if shortest > 0 else 1.0


def _rises(energy: np.ndarray, noise: float) -> np.ndarray:
    """Give the rises and falls between turning points, each larger than noise."""
    pivots = [float(energy[0])]
    extreme = float(energy[0])
    direction = 0.0
    for value in map(float, energy[1:]):
        if direction == 0.0 and abs(value - pivots[0]) > noise:
            direction, extreme = np.sign(value - pivots[0]), value
        elif direction * (value - extreme) > 0:
            extreme = value
        elif direction * (extreme - value) > noise:
            pivots.append(extreme)
            direction, extreme = -direction, value
    pivots.append(extreme)
    rises: np.ndarray = np.diff(pivots)
    return rises[rises != 0]


def _plots(bench: Bench, name: str, curve: Curve) -> tuple[Plot, ...]:
    reach = interaction_range(bench)
    marks = dict.fromkeys(cutoffs(bench), "cutoff")
    marks |= {reach: "interaction range"} if np.isfinite(reach) and reach not in marks else {}
    inside = tuple((r, label) for r, label in sorted(marks.items()) if r <= curve.r[-1])
    energy = curve.energy - curve.energy[-1]
    depth = max(-float(energy.min()), 1e-3)
    pull = max(float(np.abs(curve.force[energy < depth]).max(initial=0.0)), 1e-3)
    # walls are cut off: they would take all of the height
    low, weak = (
        np.where(energy < 2 * depth, energy, np.nan),
        np.where(np.abs(curve.force) < 2 * pull, curve.force, np.nan),
    )
    shown = [("Energy", "energy (eV)", low)]
    if available(bench, "forces"):
        shown.append(("Force", "force (eV/angstrom)", weak))
    return tuple(
        Plot(f"{what} of {name}", "distance (angstrom)", label, (Line(name, curve.r, y),), marks=inside)
        for what, label, y in shown
    )


@check("short distances", "physics")
def short_distances(bench: Bench) -> Iterator[Finding]:
    """Two atoms that are close attract each other, or their energy is no number.

    Atoms that collide, in hot runs or under irradiation, fall into each other, and the run ends with an error.  No
    number at half the distance of a bond is a failure; attraction is a warning: few data are so close.
    """
    if lack := lacking(bench, "short distances", "energy", "forces", own_structures=True):
        yield from lack
        return
    attractive, broken = {}, {}
    pairs = chosen_pairs(bench)
    for one, two in pairs:
        distance = pair_distance(bench, one, two)
        r = distance * np.linspace(_LOWEST, 0.8, 40)
        curve = curve_of(bench, one, two, r)
        bad = ~(np.isfinite(curve.energy) & np.isfinite(curve.force))
        if bad.any():
            broken[one, two] = (float(r[bad].max()), float(r[bad].max() / distance))
        pulls = (curve.force < 0) & ~bad
        if pulls.any():
            attractive[one, two] = float(r[pulls].max())
    for (one, two), (r_bad, part) in broken.items():
        grade = Grade.FAIL if part >= _MUST_BE_FINITE else Grade.WARN
        name = pair_name(one, two)
        text = f"Energy or force of {name} are no numbers at {r_bad:.2f} angstrom: a run in which atoms collide ends."
        yield Finding("short distances", grade, text, part=name, structures={name: dimer(one, two, r_bad)})
    if attractive:
        (one, two), r_pull = max(attractive.items(), key=lambda item: item[1])
        names = ", ".join(pair_name(*pair) for pair in attractive)
        text = (
            f"Atoms attract each other at short distances ({names}; {pair_name(one, two)} below {r_pull:.2f} "
            "angstrom): atoms that collide fall into each other, so add a repulsion or stay at moderate temperatures."
        )
        shown = {f"{pair_name(one, two)}, attractive": dimer(one, two, r_pull)}
        yield Finding("short distances", Grade.WARN, text, part="repulsion", structures=shown)
    elif len(broken) < len(pairs):
        text = f"Finite and repulsive down to {_LOWEST:.0%} of the distance of least energy ({len(pairs)} pairs)."
        yield Finding("short distances", Grade.PASS, text, part="repulsion")


@check("long distances", "physics")
def long_distances(bench: Bench) -> Iterator[Finding]:
    """The energy of two atoms far apart is not that of two atoms alone.

    Vacuum between molecules or slabs then has an effect of its own, and energies of binding are wrong.
    """
    if lack := lacking(bench, "long distances", "energy", own_structures=True):
        yield from lack
        return
    reach = interaction_range(bench)
    finite = np.isfinite(reach)
    start = reach if finite else max(4 * pair_distance(bench, *chosen_pairs(bench)[0]), 20.0)
    entries = []
    for one, two in chosen_pairs(bench):
        far = np.array([start + 0.3, 1.2 * start + 0.5, 1.5 * start + 1.0])
        energy = curve_of(bench, one, two, far).energy
        apart = alone(bench, one) + alone(bench, two)
        depth = max(abs(curve_of(bench, one, two, np.array([pair_distance(bench, one, two)])).energy[0] - apart), 1e-3)
        entries.append((float(np.abs(energy - apart).max()), _limit(bench, depth, apart, finite=finite), (one, two)))
    number, limit, (one, two) = max(entries, key=lambda entry: entry[0] / entry[1])
    right = number <= limit
    text = f"Two atoms beyond {start:.1f} angstrom have the energies of atoms alone ({len(entries)} pairs)."
    if not right:
        text = f"{pair_name(one, two)} beyond {start:.1f} angstrom has not the energy of its atoms alone."
    yield Finding(
        "long distances",
        Grade.PASS if right else Grade.WARN,
        text,
        number=number,
        limit=limit,
        unit="eV",
        structures={} if right else {pair_name(one, two): dimer(one, two, start + 0.3)},
    )


def _limit(bench: Bench, depth: float, apart: float, *, finite: bool) -> float:
    # charges at 20 angstrom are felt, and right
    part = bench.rounding if finite else 0.05
    return part * (depth + abs(apart)) + 1e-9


def alone(bench: Bench, number: int) -> float:
    """Give the energy of an atom alone, in eV."""
    key = ("alone", number)
    if key not in bench.memory:
        atom = molecule(bench, free([number], np.zeros((1, 3))))
        bench.memory[key] = float(energies(bench.engine, [atom])[0])
    return float(bench.memory[key])


@check("isolated atoms", "physics")
def isolated_atoms(bench: Bench) -> Iterator[Finding]:
    """Atoms alone have forces, or energies that are no numbers.

    The energy of an atom alone is where energies of binding begin; forces on it come from space itself.
    """
    if lack := lacking(bench, "isolated atoms", "energy", own_structures=True):
        yield from lack
        return
    numbers = chosen_species(bench, 100 if bench.full else 10)
    structures = [molecule(bench, free([number], np.array([[0.3, -0.2, 0.1]]))) for number in numbers]
    found = ask(bench.engine, structures, *available(bench, "energy", "forces"))
    pushed = [
        (float(np.abs(said.forces).max()), number)
        for said, number in zip(found, numbers, strict=True)
        if not said.finite or np.abs(said.forces).max() > rounding(bench, max(abs(said.energy), 1.0))
    ]
    names = symbols(numbers)
    listed = ", ".join(f"{name} {said.energy:.6g}" for name, said in zip(names, found, strict=True))
    text = f"Energies of atoms alone in eV: {listed}."
    yield Finding("isolated atoms", Grade.INFORMATION, text, part="energies")
    if pushed:
        force, number = max(pushed)
        text = f"An atom alone has a force ({symbols([number])[0]}): it comes from space itself."
        yield Finding(
            "isolated atoms",
            Grade.WARN,
            text,
            part="forces",
            number=force,
            unit="eV/angstrom",
            structures={symbols([number])[0]: structures[numbers.index(number)]},
        )
