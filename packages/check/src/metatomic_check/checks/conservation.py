"""Whether the energy is conserved in molecular dynamics, up to an error that falls with the square of the time step."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from metatomic_check.agreement import NO_ENERGY, not_applicable
from metatomic_check.asking import usable
from metatomic_check.bench import Bench
from metatomic_check.finding import Finding, Line, Plot, graded
from metatomic_check.table import check
from metatomic_core.adapters import masses
from metatomic_core.engine import Structure

_KELVIN = 8.617333262e-5
_TEMPERATURE = 300.0
# eV fs^2/angstrom^2 in a u
_MASS = 103.642697
# The time step times the frequency of the fastest mode, an angle; velocity Verlet is stable below two.
_ANGLE = 0.2
_N_STEPS, _N_FULL_STEPS = 50, 200
# How far a free atom may go in a step, in angstrom.
_FAR = 0.05
# steps of steepest descent, until forces are below this, in eV/angstrom
_N_RELAX, _SMALL = 30, 0.1
_N_POWER, _KICK = 8, {"float64": 1e-4, "float32": 1e-2}
# atoms of the structure that is run: enough for pairs that pass through the cutoff, and few enough to be quick
_WANTED = 8
# Work that is not in the energy: of the thermal energy, and of the error of the long time step, beside rounding.
_OF_THERMAL, _OF_ERROR = 1e-3, 0.3
_EPSILON = {"float64": 1e-13, "float32": 3e-7}


@dataclasses.dataclass(frozen=True)
class _Run:
    """Time in fs, and the total energy in eV beside its first value, at each step."""

    times: np.ndarray
    energies: np.ndarray


@check("conservation", "numerics")
def check_conservation(bench: Bench) -> Iterator[Finding]:
    """The energy of a short run without a thermostat changes by more than the error of the time step.

    The same run is made with a time step and with half of it.  What the steps do wrong falls with their square; what is
    left is work that forces do beside the energy: they are not its derivative, or the energy jumps.  Runs heat up or
    cool down, whatever the time step.
    """
    name = "conservation"
    if not bench.engine.can_give("forces") or not bench.engine.can_give("energy"):
        yield not_applicable(name, NO_ENERGY)
        return
    candidates = [(key, each) for key, each in usable(bench).items() if len(each.types) > 1]
    if not candidates:
        yield not_applicable(name, "there is no structure of two atoms or more")
        return
    label, structure = min(candidates, key=lambda item: (not item[1].pbc.all(), abs(len(item[1].types) - _WANTED)))
    start = _relaxed(bench, structure)
    mass = np.array(masses(start.types.tolist()))
    mass[mass == 0.0] = 1.0
    step = _ANGLE * float(np.sqrt(_MASS / _stiffness(bench, start, mass)))
    velocities = _thermal(bench, mass)
    n_steps = _N_FULL_STEPS if bench.full else _N_STEPS
    runs = [_run(bench, start, (mass, velocities), step / k, k * n_steps) for k in (1, 2)]
    yield _judged(bench, label, start, runs, step)


def _judged(bench: Bench, label: str, start: Structure, runs: list[_Run], step: float) -> Finding:
    """Take the error of the time step off the changes of the energy, and judge what is left."""
    coarse, fine = runs[0].energies, runs[1].energies[::2]
    thermal = 1.5 * len(start.types) * _KELVIN * _TEMPERATURE
    # the error of the fine run is a quarter of that of the coarse one, at each time: Richardson
    left = (4.0 * fine - coarse) / 3.0
    error = float(np.abs(coarse).max())
    rounding = _EPSILON[bench.dtype] * max(abs(bench.energy(start)), float(len(start.types)))
    # of many forces with rounding of their own, each with the path of one step
    noise = rounding * np.sqrt(len(coarse))
    # steps so long that they are on another path: the difference says nothing about the energy
    limit = _OF_THERMAL * thermal + _OF_ERROR * error + 10.0 * noise
    smaller = float(np.abs(coarse).max() / max(np.abs(fine).max(), 1e-300))
    lines = tuple(
        Line(f"{step / k:.3g} fs", run.times, 1000.0 * run.energies) for k, run in zip((1, 2), runs, strict=True)
    )
    plot = Plot("Total energy at constant volume", "time in fs", "change of the total energy in meV", lines)
    number = float(np.abs(left).max())
    right = f"The change of the energy of '{label}' falls by {smaller:.2f} with half the time step of {step:.3g} fs."
    wrong = (
        f"Forces do work of {1000 * number:.3g} meV in {runs[0].times[-1]:.3g} fs that is not in the energy of "
        f"'{label}', whatever the time step: they are not its derivative, or it jumps; do not run without a thermostat."
    )
    found = graded("conservation", number, limit, right, unit="eV", plots=(plot,))
    if not number <= limit:
        return dataclasses.replace(found, text=wrong, structures={label: start})
    return found


def _forces(bench: Bench, structure: Structure, positions: np.ndarray) -> tuple[float, np.ndarray]:
    found = bench.evaluate(dataclasses.replace(structure, positions=positions))
    return float(found.energy[0]), found.forces  # type: ignore[index, return-value]


def _relaxed(bench: Bench, structure: Structure) -> Structure:
    """Take what is too steep out of a structure: atoms go along their forces, by 0.05 angstrom at most."""
    positions = structure.positions.copy()
    energy, forces = _forces(bench, structure, positions)
    move = 0.05
    for _ in range(_N_RELAX):
        largest = np.abs(forces).max()
        if not largest > _SMALL:
            break
        trial = positions + move * forces / largest
        new_energy, new_forces = _forces(bench, structure, trial)
        if new_energy < energy:
            positions, energy, forces, move = trial, new_energy, new_forces, 1.2 * move
        else:
            move *= 0.4
    return dataclasses.replace(structure, positions=positions)


def _stiffness(bench: Bench, start: Structure, mass: np.ndarray) -> float:
    """Give the largest eigenvalue of the Hessian over masses, in eV/(u angstrom^2), by power iteration."""
    root = np.sqrt(mass)[:, None]
    direction = bench.random().normal(size=start.positions.shape)
    value = 0.0
    for _ in range(_N_POWER):
        norm = float(np.linalg.norm(direction))
        if not norm > 0.0:
            # forces that do not change as atoms move
            break
        direction /= norm
        kick = direction / root
        scale = _KICK[bench.dtype] / np.abs(kick).max()
        high, low = (_forces(bench, start, start.positions + sign * scale * kick)[1] for sign in (1, -1))
        direction = -(high - low) / (2.0 * scale) / root
        value = max(value, float(np.linalg.norm(direction)))
    # in a step, a free atom goes no farther than this either
    return max(value, (_ANGLE / _FAR) ** 2 * _KELVIN * _TEMPERATURE / float(mass.min()))


def _thermal(bench: Bench, mass: np.ndarray) -> np.ndarray:
    """Give velocities at 300 K, in angstrom/fs, without a drift."""
    width = np.sqrt(_KELVIN * _TEMPERATURE / (_MASS * mass))[:, None]
    drawn = width * bench.random().normal(size=(len(mass), 3))
    velocities: np.ndarray = drawn - (mass[:, None] * drawn).sum(axis=0) / mass.sum()
    return velocities


def _run(bench: Bench, start: Structure, moving: tuple[np.ndarray, np.ndarray], step: float, n_steps: int) -> _Run:
    """Run velocity Verlet with masses and velocities."""
    mass, velocities = moving
    positions = start.positions
    inverse = 1.0 / (_MASS * mass)[:, None]
    energies = []
    energy, forces = _forces(bench, start, positions)
    for number in range(n_steps + 1):
        if number > 0:
            velocities = velocities + 0.5 * step * forces * inverse
            positions = positions + step * velocities
            energy, forces = _forces(bench, start, positions)
            velocities = velocities + 0.5 * step * forces * inverse
        energies.append(energy + 0.5 * _MASS * float((mass[:, None] * velocities**2).sum()))
    return _Run(step * np.arange(n_steps + 1), np.array(energies) - energies[0])
