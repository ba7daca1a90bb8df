"""Two things far from each other have the energy of both."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from metatomic_check.asking import Said, ask, available, interaction_range, lacking, rounding
from metatomic_check.bench import Bench
from metatomic_check.finding import Finding, Grade
from metatomic_check.geometry import free, moved, repeated, together, with_boundaries
from metatomic_check.structures import best_crystal, chosen_species, free_boundaries, molecule, trial_molecule
from metatomic_check.table import check
from metatomic_core.engine import Structure

# beyond the interaction range, in angstrom; where it is infinite, this far
_BEYOND, _FAR = 0.05, 30.0
# what electrostatics over this distance may do, relative to the energy of the parts
_LONG_RANGE = 0.02


@check("extensivity", "physics")
def extensivity(bench: Bench) -> Iterator[Finding]:
    """The energy of two clusters, or two slabs, that are far from each other is not the sum of their energies.

    Energies depend on the number of atoms, as with an average over all of them, or atoms feel each other beyond the
    stated interaction range.  Large cells then give other results than small ones.
    """
    if lack := lacking(bench, "extensivity", "energy", own_structures=True):
        yield from lack
        return
    reach = interaction_range(bench)
    gap = reach + _BEYOND if np.isfinite(reach) else _FAR
    pairs = {"clusters": _clusters(bench, gap)}
    if free_boundaries(bench):
        try:
            slabs = _slabs(bench, gap)
            ask(bench.engine, [slabs[0]], "energy")
            pairs["slabs"] = slabs
        except ValueError as error:
            yield Finding("extensivity", Grade.NOT_APPLICABLE, f"The model refuses slabs: {error}", part="slabs")
    for name, (one, two, both) in pairs.items():
        yield _added(bench, name, (one, two, both), gap)


def _clusters(bench: Bench, gap: float) -> tuple[Structure, Structure, Structure]:
    """Give two clusters, the second one different, and both, whose closest atoms are so far from each other."""
    one = trial_molecule(bench)
    # a few atoms more, the other way round, so that nothing cancels
    two = free(one.types[::-1][:4], one.positions[:4] * np.array([[-1.0, 1.0, -1.0]]))
    away = moved(two, np.array([np.ptp(one.positions[:, 0]) + np.ptp(two.positions[:, 0]) + gap, 0, 0]))
    lowest = np.linalg.norm(one.positions[:, None] - away.positions[None], axis=-1)
    # along the axis until the closest pair is at the gap, and not closer
    while lowest.min() > gap:
        away = moved(away, np.array([-(lowest.min() - gap) / 2 - 1e-3, 0, 0]))
        lowest = np.linalg.norm(one.positions[:, None] - away.positions[None], axis=-1)
    away = moved(away, np.array([max(gap - lowest.min(), 0.0) + 1e-3, 0, 0]))
    while np.linalg.norm(one.positions[:, None] - away.positions[None], axis=-1).min() < gap:
        away = moved(away, np.array([1e-2, 0, 0]))
    return tuple(molecule(bench, each) for each in (one, two, together(one, away)))  # type: ignore[return-value]


def _slabs(bench: Bench, gap: float) -> tuple[Structure, Structure, Structure]:
    """Give a slab of three layers, one of two, and both above each other."""
    found = best_crystal(bench, chosen_species(bench, 1)[0])
    cell = found.structure.cell
    normal = np.cross(cell[0], cell[1])
    height = float(cell[2] @ normal / np.linalg.norm(normal))
    bulk = repeated(found.structure, (2, 2, 5))
    layer = np.repeat(np.arange(5), len(found.structure.types))
    layer = np.tile(layer, 4)
    pbc = np.array([True, True, False])
    rng = bench.random()
    bulk = moved(bulk, 0.02 * found.spacing * rng.uniform(-1, 1, size=bulk.positions.shape))
    below, above = _rows(bulk, layer < 3), _rows(bulk, layer >= 3)
    unit = normal / np.linalg.norm(normal) * np.sign(height)
    top, bottom = (below.positions @ unit).max(), (above.positions @ unit).min()
    lifted = moved(above, (gap - (bottom - top)) * unit)
    both = dataclasses.replace(
        bulk,
        types=np.concatenate([below.types, lifted.types]),
        positions=np.concatenate([below.positions, lifted.positions]),
    )
    return tuple(with_boundaries(each, pbc) for each in (below, above, both))  # type: ignore[return-value]


def _rows(structure: Structure, which: np.ndarray) -> Structure:
    return dataclasses.replace(structure, types=structure.types[which], positions=structure.positions[which])


def _added(bench: Bench, name: str, parts: tuple[Structure, Structure, Structure], gap: float) -> Finding:
    one, two, both = ask(bench.engine, parts, *available(bench, "energy", "forces"))
    n_atoms = len(parts[2].types)
    size = max(one.size, two.size, both.size)
    finite = bool(np.isfinite(interaction_range(bench)))
    number = max(abs(one.energy + two.energy - both.energy) / n_atoms, _force_difference(one, two, both))
    limit = rounding(bench, size) if finite else _LONG_RANGE * size
    right = number <= limit
    where = "beyond the stated interaction range" if finite else "far from each other"
    text = f"Two {name} {gap:.1f} angstrom apart have the energy of both, and the same forces."
    if not right:
        text = f"Energies or forces of two {name} {where} ({gap:.1f} angstrom) are not those of both by themselves."
        text += " Results depend on the size of the system, or atoms feel each other from farther than stated."
    bad = Grade.FAIL if finite else Grade.WARN
    return Finding(
        "extensivity",
        Grade.PASS if right else bad,
        text,
        part=name,
        number=number,
        limit=limit,
        unit="eV",
        structures={} if right else {f"two {name}": parts[2]},
    )


def _force_difference(one: Said, two: Said, both: Said) -> float:
    alone = np.concatenate([one.forces, two.forces])
    return float(np.abs(alone - both.forces).max())
