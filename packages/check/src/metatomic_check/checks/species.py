"""The species that a model states, and no others."""

from collections.abc import Iterator

import numpy as np

from metatomic_check.asking import ask, available, lacking
from metatomic_check.bench import Bench
from metatomic_check.finding import Finding, Grade
from metatomic_check.geometry import crystal, dimer, free
from metatomic_check.structures import molecule, pair_distance, trial_distance
from metatomic_check.table import check
from metatomic_core.adapters import symbols
from metatomic_core.engine import Structure

# models of most elements are asked about dimers at distances made from covalent radii
_MANY = 10


@check("species", "contract")
def species(bench: Bench) -> Iterator[Finding]:
    """A species that the model states gives no finite numbers, or one that it does not state is accepted.

    Simulations with the species fail in the middle, or give numbers that mean nothing.  Two species that give the same
    in all structures are probably mixed up by a table.
    """
    if lack := lacking(bench, "species", "energy", own_structures=True):
        yield from lack
        return
    structures = {(number, kind): each for number in bench.species for kind, each in _of(bench, number).items()}
    answers = dict(
        zip(
            structures, ask(bench.engine, list(structures.values()), *available(bench, "energy", "forces")), strict=True
        )
    )
    bad = [key for key, said in answers.items() if not said.finite]
    if bad:
        number, kind = bad[0]
        text = f"No finite numbers for {_named([number for number, _ in bad])}, as in {kind} of {symbols([number])[0]}."
        shown = {f"{symbols([number])[0]}, {kind}": structures[bad[0]]}
        yield Finding("species", Grade.FAIL, text, part="stated", structures=shown)
    else:
        text = f"Finite numbers for an atom, a dimer and a crystal of each of the {len(bench.species)} species."
        yield Finding("species", Grade.PASS, text, part="stated")
    yield _unknown(bench)
    alike = _alike(bench, {key: said.energy for key, said in answers.items()})
    if alike:
        text = (
            f"The same energies for {' and '.join(symbols(alike))}, as an atom, a dimer and a crystal: "
            "the model does not tell these species apart."
        )
        yield Finding("species", Grade.WARN, text, part="told apart")


def _named(numbers: list[int]) -> str:
    return ", ".join(symbols(dict.fromkeys(numbers)))


def _of(bench: Bench, number: int) -> dict[str, Structure]:
    many = len(bench.species) > _MANY
    r = trial_distance(number, number) if many else pair_distance(bench, number, number)
    return {
        "an atom": molecule(bench, free([number], np.array([[0.3, -0.2, 0.1]]))),
        "a dimer": molecule(bench, dimer(number, number, r)),
        # hydrogen at its bond length would have hundreds of neighbors
        "a crystal": crystal("fcc", number, max(r, 1.5)),
    }


def _first_unknown(known: list[int]) -> int:
    return next(number for number in range(1, len(known) + 2) if number not in known)


def _unknown(bench: Bench) -> Finding:
    number = _first_unknown(bench.species)
    known = bench.species[0]
    try:
        ask(bench.engine, [molecule(bench, dimer(known, number, 3.0))], "energy")
    except Exception:  # noqa: BLE001  (whatever a model raises)
        return Finding("species", Grade.PASS, f"{symbols([number])[0]}, not stated, is refused.", part="not stated")
    text = f"{symbols([number])[0]}, not stated, gives numbers: runs with a wrong species are not stopped."
    return Finding("species", Grade.FAIL, text, part="not stated")


def _alike(bench: Bench, energies: dict[tuple[int, str], float]) -> list[int]:
    """Give two species with the same energies at the same lengths, if there are any."""
    numbers = bench.species
    if len(numbers) < 2:
        return []
    r = max(pair_distance(bench, numbers[0], numbers[0]), 1.5)
    several = [each for n in numbers for each in (dimer(n, n, r), dimer(n, n, 1.2 * r))]
    shapes = [molecule(bench, each) for each in several] + [crystal("fcc", n, r) for n in numbers]
    found = np.array([said.energy for said in ask(bench.engine, shapes, "energy")])
    n_types = len(numbers)
    alone = [energies[n, "an atom"] for n in numbers]
    rows = np.column_stack([found[: 2 * n_types].reshape(n_types, 2), found[2 * n_types :], alone])
    for i in range(n_types):
        close = np.isclose(rows[:i], rows[i], rtol=1e-9, atol=1e-9).all(axis=1)
        if close.any():
            return [numbers[int(np.argmax(close))], numbers[i]]
    return []
