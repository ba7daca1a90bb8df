"""The virial, and what must be the same number: stress, pressure, and the shares of atoms."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from metatomic_check.agreement import NO_ENERGY, Differences, evaluated, gap, not_applicable, reason, results_of, size
from metatomic_check.bench import Bench
from metatomic_check.comparing import LEARNED
from metatomic_check.finding import Finding, Grade
from metatomic_check.table import check
from metatomic_core.engine import Structure

# Relative changes of the volume, and of the step that is compared with it: the derivative must not depend on it.
_STEPS = {"float64": 1e-4, "float32": 4e-3}
# rounding of an energy, relative to its size; sums of many terms have a few times the spacing of numbers
_EPSILON = {"float64": 1e-14, "float32": 1e-6}
# of the pressure, for what differences leave; of signs and factors nothing is as near to one
_RELATIVE = 1e-3
_SHIFT = np.array([0.37, -0.61, 0.23])


@check("stress", "numerics")
def check_stress(bench: Bench) -> Iterator[Finding]:
    """The virial is not symmetric, or does not fit to the stress or the pressure.

    Cells then relax to wrong volumes and barostats drive to a wrong pressure.  A virial that is not symmetric belongs
    to an energy that changes as a structure turns, or to cell vectors that are rows where they should be columns.
    """
    if not bench.engine.can_give("virial"):
        yield not_applicable("stress", NO_ENERGY)
        return
    symmetry, consistency = Differences(bench.rounding), Differences(bench.rounding)
    largest = 0.0
    for name, structure, found in evaluated(bench, ["energy", "virial"]):
        virial = found.virial[0]  # type: ignore[index]
        symmetry.add("virial", name, structure, virial, virial.T)
        largest = max(largest, gap(virial, virial.T) / size("virial", virial, len(structure.types)))
        if structure.pbc.all():
            stress = bench.evaluate(structure, "stress").stress[0]  # type: ignore[index]
            volume = abs(np.linalg.det(structure.cell))
            consistency.add("virial", name, structure, -stress * volume, virial)
    yield symmetry.finding(
        "stress",
        "the virial is symmetric",
        "the virial is not symmetric, so the energy depends on how the structure is turned, or its derivative is wrong",
        "symmetry",
        # as rotation is graded, of which this is the derivative
        wrong_is=Grade.WARN if largest <= LEARNED else Grade.FAIL,
    )
    if consistency:
        yield consistency.finding(
            "stress",
            "the stress is minus the virial over the volume",
            "stress and virial are not the same but for the volume; do not run at constant pressure",
            "against the virial",
        )
        if not bench.engine.is_direct("virial"):
            yield _pressure(bench)


def _pressure(bench: Bench) -> Finding:
    """Compare the trace of the virial with the change of the energy as the volume changes."""
    found = Differences(_RELATIVE)
    step = _STEPS[bench.dtype]
    for name, structure, evaluation in evaluated(bench, ["energy", "virial"]):
        if not structure.pbc.all():
            continue
        trace = float(np.trace(evaluation.virial[0]))  # type: ignore[index]
        near, far = (_slope(bench, structure, factor * step) for factor in (1, 2))
        # Richardson: what is left of third derivatives
        slope = (4.0 * near - far) / 3.0
        n_atoms = len(structure.types)
        noise = _EPSILON[bench.dtype] * size("energy", evaluation.energy, n_atoms) / step  # type: ignore[arg-type]
        # a pair on the edge of the cutoff, and steps that are too long for walls that are too steep
        left = abs(near - far) + 4.0 * noise
        found.add_gap("virial", name, structure, abs(-slope - trace), _RELATIVE * max(abs(trace), n_atoms) + left)
    return found.finding(
        "stress",
        "the trace of the virial is minus the change of the energy with the volume",
        "the pressure is not the change of the energy with the volume; do not run at constant pressure",
        "pressure",
    )


def _slope(bench: Bench, structure: Structure, step: float) -> float:
    """Differentiate the energy along a strain that is the same in all directions."""
    low, high = (bench.energy(_scaled(structure, 1.0 + sign * step)) for sign in (-1, 1))
    return (high - low) / (2.0 * step)


def _scaled(structure: Structure, factor: float) -> Structure:
    return dataclasses.replace(structure, positions=factor * structure.positions, cell=factor * structure.cell)


@check("virials of atoms", "numerics")
def check_atomic_virials(bench: Bench) -> Iterator[Finding]:
    """The virials of atoms do not add up to the virial, or depend on where a structure lies.

    Heat currents, thermal conductivities and stresses of atoms are then wrong.
    """
    name = "virials of atoms"
    if not bench.engine.can_give("atomic_virials") or bench.engine.is_direct("virial"):
        yield not_applicable(name, NO_ENERGY if not bench.engine.can_give("virial") else "the stress is predicted")
        return
    sums, moved = Differences(bench.rounding), Differences(bench.rounding)
    for each, structure, found in evaluated(bench, results_of(bench)):
        try:
            virials = bench.evaluate(structure, "atomic_virials").atomic_virials
        except ValueError as error:
            # of models that use positions or cells beside the vectors of pairs there are none
            yield not_applicable(name, reason(error))
            return
        # the terms may be far larger than what they add up to
        limit = bench.rounding * max(len(structure.types), np.abs(virials).sum(axis=0).max())  # type: ignore[arg-type]
        total = virials.sum(axis=0)  # type: ignore[union-attr]
        sums.add_gap("virial", each, structure, np.abs(total - found.virial[0]).max(), limit)  # type: ignore[index]
        elsewhere = dataclasses.replace(structure, positions=structure.positions + _SHIFT)
        again = bench.evaluate(elsewhere, "atomic_virials").atomic_virials
        moved.add("atomic_virials", each, structure, again, virials)
    yield sums.finding(
        name,
        "the virials of atoms add up to the virial",
        "the virials of atoms do not add up to the virial; do not compute heat currents or stresses of atoms",
        "sum",
    )
    yield moved.finding(
        name,
        "the virials of atoms are the same wherever the structure lies",
        "the virials of atoms change as the whole structure moves; do not compute heat currents or stresses of atoms",
        "translation",
    )
