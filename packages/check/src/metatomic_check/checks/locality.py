"""How far an atom feels others, beside what the model states.

LAMMPS gives each rank the atoms up to there, and no more.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from metatomic_check.asking import cutoffs, interaction_range, lacking, rounding
from metatomic_check.bench import Bench
from metatomic_check.finding import Finding, Grade
from metatomic_check.geometry import distances, free
from metatomic_check.structures import chosen_species, molecule, pair_distance
from metatomic_check.table import check
from metatomic_core.engine import Structure

# Spacings of atoms in chains: that of least energy, and parts of the longest cutoff, up to which one atom passes on
# what it knows of the next.
_PARTS = (0.45, 0.7, 0.9)
# A derivative that is not zero; where no path leads, it is zero, not only small.
_ZERO = {"float64": 1e-10, "float32": 1e-7}
_MAX_CHAIN = 80
# Effects beyond the stated range that LAMMPS would show in the last digits only, relative to the largest.
_SMALL = 1e-4
# a stated range this many times the longest distance that is felt costs time for nothing
_GENEROUS = 2.0


@dataclasses.dataclass(frozen=True)
class _Reach:
    """How far the first atom of a chain feels others, and the largest relative effect beyond the stated range."""

    chain: Structure
    felt: float
    beyond: float
    farthest: float


@check("interaction range", "physics")
def locality(bench: Bench) -> Iterator[Finding]:
    """The energy of an atom depends on atoms beyond the stated interaction range.

    LAMMPS on several ranks gives each the atoms within this range, so that results are wrong without a message; so are
    energies of selected atoms.  The range is at least the cutoff times the number of layers of message passing, and
    infinite for a model with long-range or global parts.
    """
    if lack := lacking(bench, "interaction range", "energy", own_structures=True):
        yield from lack
        return
    reach = interaction_range(bench)
    if not np.isfinite(reach):
        text = "The interaction range is stated to be infinite: domain decomposition is not possible."
        yield Finding("interaction range", Grade.NOT_APPLICABLE, text)
        return
    yield from _stated(bench, reach)
    if lack := lacking(bench, "interaction range", "atomic_energies", "forces"):
        yield from (dataclasses.replace(each, part="felt") for each in lack)
        return
    if bench.engine.is_direct("forces"):
        text = "Forces are direct predictions, which say nothing about what an energy depends on."
        yield Finding("interaction range", Grade.NOT_APPLICABLE, text, part="felt")
        return
    chains = [_chain(bench, spacing, reach) for spacing in _spacings(bench)]
    found = [_reach(bench, chain, reach) for chain in chains]
    yield _beyond(bench, found, reach)
    yield _without(bench, chains, reach)
    yield _felt(found, reach)


def _stated(bench: Bench, reach: float) -> Iterator[Finding]:
    longest = max(cutoffs(bench), default=0.0)
    if longest <= 0:
        return
    # not below 1: such a statement is refused when the model is made
    text = f"The stated interaction range of {reach:.2f} angstrom is {reach / longest:.3g} times the cutoff."
    yield Finding("interaction range", Grade.INFORMATION, text, part="stated", number=reach, unit="angstrom")


def _spacings(bench: Bench) -> list[float]:
    number = chosen_species(bench, 1)[0]
    least = pair_distance(bench, number, number)
    longest = max(cutoffs(bench), default=interaction_range(bench))
    # closer atoms are no structure of this world
    return [least, *(part * longest for part in _PARTS if part * longest > 0.8 * least)]


def _chain(bench: Bench, spacing: float, reach: float) -> Structure:
    """Give a chain in one direction, not quite straight, that is longer than the range: species take turns."""
    n_atoms = int(np.clip(np.ceil(1.3 * reach / spacing) + 3, 4, _MAX_CHAIN))
    chosen = chosen_species(bench, 3)
    rng = bench.random()
    moves = spacing * np.array([0.48, 0.6, 0.64]) + rng.uniform(-0.04, 0.04, size=(n_atoms, 3)) * spacing
    return free([chosen[i % len(chosen)] for i in range(n_atoms)], np.cumsum(moves, axis=0))


def _reach(bench: Bench, chain: Structure, reach: float) -> _Reach:
    structure = molecule(bench, chain)
    selected = np.array([[0, 0]])
    gradient = bench.evaluate(structure, "energy", "forces", selected_atoms=selected).forces
    r = distances(chain, 0)
    sizes = np.abs(np.asarray(gradient)).max(axis=1)
    largest = max(float(sizes.max()), 1e-300)
    felt = sizes > _ZERO[bench.dtype] * largest
    outside = (r > reach * (1 + 1e-6)) & felt
    return _Reach(
        chain,
        float(r[felt].max(initial=0.0)),
        float((sizes[outside] / largest).max(initial=0.0)),
        float(r[outside].max(initial=0.0)),
    )


def _beyond(bench: Bench, found: list[_Reach], reach: float) -> Finding:
    worst = max(found, key=lambda each: each.beyond)
    right = worst.beyond == 0.0
    text = f"The energy of an atom does not depend on atoms beyond the stated {reach:.2f} angstrom."
    if not right:
        text = (
            f"The energy of an atom depends on atoms at {worst.farthest:.2f} angstrom, beyond the stated interaction "
            f"range of {reach:.2f} ({worst.beyond:.0e} of the largest effect): LAMMPS on several ranks gives wrong "
            "results without a message, so state a larger one."
        )
    return Finding(
        "interaction range",
        _grade(worst.beyond, _ZERO[bench.dtype]),
        text,
        part="derivatives",
        number=worst.beyond,
        limit=_ZERO[bench.dtype],
        structures={} if right else {"chain": worst.chain},
    )


def _without(bench: Bench, chains: list[Structure], reach: float) -> Finding:
    """Take atoms beyond the range away, and exchange them: counts and compositions have no derivatives."""
    entries = []
    for chain in chains:
        near = distances(chain, 0) <= reach
        others = np.where(near, chain.types, np.roll(chain.types, 1))
        variants = [chain, dataclasses.replace(chain, types=others)]
        variants.append(free(chain.types[near], chain.positions[near]))
        energies = [_first_atom(bench, each) for each in variants]
        difference = max(abs(energies[0] - each) for each in energies[1:])
        size = max(abs(energies[0]), 1e-2)
        entries.append((float(difference), rounding(bench, size), (chain, size)))
    number, limit, (chain, size) = max(
        entries, key=lambda entry: entry[0] / entry[1] if np.isfinite(entry[0]) else np.inf
    )
    right = number <= limit
    text = "The energy of an atom is the same without the atoms beyond the range, and with others there."
    if not right:
        text = (
            "The energy of an atom changes when atoms beyond the stated interaction range are taken away or exchanged: "
            "it depends on their number or species, and LAMMPS on several ranks gives wrong results without a message."
        )
    return Finding(
        "interaction range",
        Grade.PASS if right else _grade(number / size, 0.0),
        text,
        part="far atoms",
        number=number,
        limit=limit,
        unit="eV",
        structures={} if right else {"chain": chain},
    )


def _grade(effect: float, zero: float) -> Grade:
    if effect <= zero:
        return Grade.PASS
    return Grade.WARN if effect <= _SMALL else Grade.FAIL


def _first_atom(bench: Bench, structure: Structure) -> float:
    found = bench.evaluate(molecule(bench, structure), "energy", "atomic_energies").atomic_energies
    return float(found[0])  # type: ignore[index]


def _felt(found: list[_Reach], reach: float) -> Finding:
    farthest = max(each.felt for each in found)
    text = f"Atoms feel others up to {farthest:.2f} angstrom, of the {reach:.2f} that are stated."
    generous = 0 < _GENEROUS * farthest < reach
    if generous:
        text += " A smaller statement makes LAMMPS on several ranks faster."
    return Finding(
        "interaction range",
        Grade.WARN if generous else Grade.INFORMATION,
        text,
        part="felt",
        number=farthest,
        unit="angstrom",
    )
