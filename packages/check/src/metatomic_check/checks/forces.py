"""Forces and the virial are derivatives of the energy: compared with finite differences."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from metatomic_check.asking import affordable, ask, lacking, usable
from metatomic_check.bench import Bench
from metatomic_check.comparing import by_design
from metatomic_check.differences import LARGEST_STEP, N_ENERGIES, Derivative, derivatives, how_they_differ
from metatomic_check.finding import Finding, Grade, graded
from metatomic_check.geometry import strained
from metatomic_check.table import check
from metatomic_core.engine import Structure

# Relative to the size of what a model gives: what is left of the error of differences where their estimate misses it.
_TOLERANCE = {"float64": 1e-6, "float32": 2e-3}
# Estimated errors above this fraction say nothing about forces.
_UNKNOWN = 0.05
# times the estimated error of a difference
_SAFETY = 5.0
# geometries that are tried before a difference counts: at one of them, an atom may sit at a cutoff
_N_TRIES = 3
_RATTLE = 0.02
# the first neighbors of an atom turn a strain into a displacement, in angstrom
_LEVER = 4.0


@dataclasses.dataclass(frozen=True)
class _Result:
    """Comparison at one geometry: both derivatives, shape (n,), how far they may differ, and whether it is known."""

    name: str
    structure: Structure
    right: np.ndarray
    given: np.ndarray
    limits: np.ndarray
    unknown: bool

    @property
    def excess(self) -> float:
        """How far the worst one is above its limit, as a factor."""
        ratio = np.abs(self.right - self.given) / self.limits
        return float(ratio.max()) if np.isfinite(ratio).all() else np.inf


_Compare = Callable[[Bench, str, Structure], _Result]


@check("forces", "contract")
def forces(bench: Bench) -> Iterator[Finding]:
    """Forces are not the derivatives of the energy that the model gives.

    Molecular dynamics heats up or cools down, and minimizations do not end.  The model probably has a wrong sign or
    factor in its gradient, stops gradients somewhere, or predicts forces directly.
    """
    if lack := lacking(bench, "forces", "energy", "forces"):
        yield from lack
        return
    found = _findings(bench, "forces", usable(bench), _compare_forces, "eV/angstrom")
    yield from _unless_direct(bench, "forces", found)


@check("strain", "contract")
def strain(bench: Bench) -> Iterator[Finding]:
    """The virial is not minus the derivative of the energy with respect to strain, component by component.

    The pressure is wrong, and so is each run with a barostat.  The model probably has a wrong sign or factor,
    transposes the tensor, or has a part of its energy that strain does not reach.
    """
    if lack := lacking(bench, "strain", "energy", "virial"):
        yield from lack
        return
    small = dict(sorted(usable(bench).items(), key=lambda item: len(item[1].types))[: 7 if bench.full else 4])
    found = _findings(bench, "strain", small, _compare_strain, "eV")
    yield from _unless_direct(bench, "virial", found)


def _unless_direct(bench: Bench, result: str, found: Iterator[Finding]) -> Iterator[Finding]:
    if not bench.engine.is_direct(result):
        yield from found
        return
    reason = "They are direct predictions, which were asked for: no derivatives of the energy."
    yield from by_design(found, reason)


def _findings(
    bench: Bench, name: str, structures: dict[str, Structure], compare: _Compare, unit: str
) -> Iterator[Finding]:
    results = [_best_of_tries(bench, each, structure, compare) for each, structure in structures.items()]
    known = [result for result in results if not result.unknown]
    what = "forces" if name == "forces" else "virial"
    if known:
        worst = max(known, key=lambda result: result.excess)
        i = int(np.argmax(np.nan_to_num(np.abs(worst.right - worst.given) / worst.limits, nan=np.inf)))
        number, limit = abs(worst.right[i] - worst.given[i]), worst.limits[i]
        is_right = worst.excess <= 1
        yield graded(
            name,
            number,
            limit,
            _text(what, worst, len(known), is_right=is_right),
            unit=unit,
            structures={} if is_right else {worst.name: worst.structure},
        )
    unknown = {result.name: result.structure for result in results if result.unknown}
    if unknown:
        text = (
            f"The energy is not smooth on the scale of {LARGEST_STEP[bench.dtype]:g} angstrom at {', '.join(unknown)}: "
            f"its derivative, and with it the {what}, could not be compared; expect that runs do not conserve energy."
        )
        first = next(iter(unknown))
        yield Finding(name, Grade.WARN, text, part="smoothness", structures={first: unknown[first]})


def _text(what: str, worst: _Result, n_structures: int, *, is_right: bool) -> str:
    are = "are" if what == "forces" else "is"
    derivative = "minus the derivatives" if what == "forces" else "minus the derivative"
    if is_right:
        return f"The {what} {are} {derivative} of the energy at {n_structures} structures."
    how = how_they_differ(worst.right, worst.given, float(worst.limits.max())) or _transposed(worst)
    more = f" ({how})" if how else ""
    return f"The {what} {are} not {derivative} of the energy at '{worst.name}'{more}: no run conserves energy with it."


def _transposed(worst: _Result) -> str:
    if len(worst.given) != 9:
        return ""
    turned = worst.given.reshape(3, 3).T.reshape(-1)
    return "its transpose would be right" if (np.abs(worst.right - turned) <= worst.limits).all() else ""


def _best_of_tries(bench: Bench, name: str, structure: Structure, compare: _Compare) -> _Result:
    rng = bench.random()
    tries: list[_Result] = []
    while len(tries) < _N_TRIES:
        moves = _RATTLE * rng.uniform(-1, 1, size=structure.positions.shape) * min(len(tries), 1)
        tries.append(compare(bench, name, dataclasses.replace(structure, positions=structure.positions + moves)))
        if tries[-1].excess <= 1 and not tries[-1].unknown:
            return tries[-1]
    return min(tries, key=lambda result: (result.unknown, result.excess))


def _result(
    bench: Bench, named: tuple[str, Structure], found: list[Derivative], given: np.ndarray, size: float
) -> _Result:
    errors = np.array([each.error for each in found])
    right = -np.array([each.value for each in found])
    limits = _TOLERANCE[bench.dtype] * size + _SAFETY * errors + 1e-9
    # forces that are no numbers are known to be wrong
    unknown = bool((errors > _UNKNOWN * size + 1e-4).any()) and bool(np.isfinite(given).all())
    return _Result(*named, right, given, limits, unknown)


def _compare_forces(bench: Bench, name: str, structure: Structure) -> _Result:
    said = ask(bench.engine, [structure], "energy", "forces")[0]
    directions = _directions(bench, structure)
    paths = [_displaced(structure, direction) for direction in directions]
    found = derivatives(bench, paths, LARGEST_STEP[bench.dtype])
    given = np.array([float((said.forces * direction).sum()) for direction in directions])
    return _result(bench, (name, structure), found, given, said.size)


def _directions(bench: Bench, structure: Structure) -> list[np.ndarray]:
    """Give unit vectors in the space of all coordinates: one of all atoms, and one of some atoms each."""
    n_atoms = len(structure.types)
    rng = bench.random()
    n_single = int(np.clip(affordable(bench, N_ENERGIES * n_atoms, 0.5), 1, min(n_atoms, 32 if bench.full else 8)))
    found = [rng.normal(size=(n_atoms, 3))]
    for atom in rng.permutation(n_atoms)[:n_single]:
        single = np.zeros((n_atoms, 3))
        single[atom] = rng.normal(size=3)
        found.append(single)
    return [direction / np.linalg.norm(direction) for direction in found]


def _displaced(structure: Structure, direction: np.ndarray) -> Callable[[float], Structure]:
    return lambda step: dataclasses.replace(structure, positions=structure.positions + step * direction)


def _compare_strain(bench: Bench, name: str, structure: Structure) -> _Result:
    said = ask(bench.engine, [structure], "energy", "virial", "forces")[0]
    n_atoms = len(structure.types)
    paths = [_sheared(structure, i, j) for i in range(3) for j in range(3)]
    found = derivatives(bench, paths, LARGEST_STEP[bench.dtype] / _LEVER)
    # of all atoms together
    size = max(_LEVER * n_atoms * said.size, float(np.abs(said.virial).max()))
    return _result(bench, (name, structure), found, said.virial.reshape(-1), size)


def _sheared(structure: Structure, i: int, j: int) -> Callable[[float], Structure]:
    unit = np.zeros((3, 3))
    unit[i, j] = 1.0
    return lambda step: strained(structure, step * unit)
