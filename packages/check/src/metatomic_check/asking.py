"""How checks ask a model: many structures in batches of a bearable size, and what it can not be asked."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from metatomic_core.adapters import canonical_name, symbols
from metatomic_core.engine import Engine, Structure

from .finding import Finding, Grade

if TYPE_CHECKING:
    from .bench import Bench

# atoms in one call: networks with many channels take megabytes for each
_MAX_ATOMS = 300
# energies and forces below are zero, in eV and eV/angstrom: no model resolves them
_FLOOR = {"float64": 1e-11, "float32": 1e-6}
EPSILON = {"float64": 2.3e-16, "float32": 1.2e-7}


@dataclasses.dataclass(frozen=True)
class Said:
    """What a model said about one structure, in eV and angstrom; NaN and None for what was not asked."""

    energy: float
    forces: np.ndarray
    virial: np.ndarray
    atomic_energies: np.ndarray

    @property
    def finite(self) -> bool:
        """Whether there is nothing in it that is no number; what was not asked is empty."""
        numbers = (self.energy, self.forces, self.virial, self.atomic_energies)
        return all(bool(np.isfinite(each).all()) for each in numbers)

    @property
    def size(self) -> float:
        """How large its numbers are: the largest force times 1 angstrom, or energy per atom, in eV.

        Rounding is relative to what adds up to a result, not to a force that happens to cancel: the energy of an atom
        stands for it.
        """
        forces = np.abs(self.forces).max(initial=0.0)
        return max(float(forces), abs(self.energy) / max(len(self.forces), len(self.atomic_energies), 1))


def ask(engine: Engine, structures: Sequence[Structure], *results: str) -> list[Said]:
    """Evaluate structures in batches; results that are not finite are given as they are.

    Parameters
    ----------
    engine
        The engine.
    structures
        The structures.
    results
        What to compute: energy and forces unless others are named.
    """
    wanted = results or ("energy", "forces")
    found: list[Said] = []
    checks, engine.check_finite = engine.check_finite, False
    try:
        for batch in _batches(structures):
            found.extend(_said(engine, batch, wanted))
    finally:
        engine.check_finite = checks
    return found


def _batches(structures: Sequence[Structure]) -> Iterator[list[Structure]]:
    batch: list[Structure] = []
    for structure in structures:
        if batch and sum(len(each.types) for each in (*batch, structure)) > _MAX_ATOMS:
            yield batch
            batch = []
        batch.append(structure)
    if batch:
        yield batch


def _said(engine: Engine, batch: list[Structure], wanted: Sequence[str]) -> Iterator[Said]:
    found = engine.evaluate(batch, wanted)
    energies = np.zeros(len(batch)) if found.energy is None else found.energy
    for i, energy in enumerate(energies):
        rows = found.atoms(i)
        n_atoms = len(batch[i].types)
        yield Said(
            float(energy),
            np.zeros((n_atoms, 3)) if found.forces is None else found.forces[rows],
            np.zeros((3, 3)) if found.virial is None else found.virial[i],
            np.zeros(0) if found.atomic_energies is None else found.atomic_energies[rows],
        )


def energies(engine: Engine, structures: Sequence[Structure]) -> np.ndarray:
    """Give the energy of each structure."""
    return np.array([each.energy for each in ask(engine, structures, "energy")])


def available(bench: "Bench", *results: str) -> tuple[str, ...]:
    """Give those of some results that the model gives."""
    return tuple(result for result in results if bench.engine.can_give(result))


def rounding(bench: "Bench", size: float) -> float:
    """Give how far numbers of a size may differ that are the same but for rounding."""
    return bench.rounding * size + _FLOOR[bench.dtype]


def lacking(bench: "Bench", check: str, *results: str, own_structures: bool = False) -> list[Finding]:
    """Say why a check does not apply, if so.

    Parameters
    ----------
    bench
        The bench.
    check
        Name of the check.
    results
        What it needs of the model.
    own_structures
        Whether it makes structures, for which nobody knows the inputs that a model may request.
    """
    missing = [result.replace("_", " ") for result in results if not bench.engine.can_give(result)]
    inputs = ", ".join(bench.engine.model.requested_inputs())
    if missing:
        reason = f"The model gives no {' and no '.join(missing)}."
    elif own_structures and inputs:
        reason = f"The model needs {inputs} with each structure, and this check makes structures itself."
    elif not own_structures and not usable(bench):
        reason = f"The model needs {inputs}: give structures that have it."
    else:
        return []
    return [Finding(check, Grade.NOT_APPLICABLE, reason)]


def usable(bench: "Bench") -> dict[str, Structure]:
    """Give the structures on a bench that have the inputs which the model requests."""
    wanted = {canonical_name(name) for name in bench.engine.model.requested_inputs()}
    return {
        name: each
        for name, each in bench.structures.items()
        if wanted <= {canonical_name(known) for known in each.inputs}
    }


def affordable(bench: "Bench", n_atoms: int, seconds: float) -> int:
    """Give how many structures of so many atoms a model evaluates in some seconds, or four times that if on full.

    Energies are meant: derivatives take three times as long.
    """
    if "seconds per atom" not in bench.memory:
        largest = max(usable(bench).values(), key=lambda each: len(each.types))
        ask(bench.engine, [largest], "energy")
        start = time.perf_counter()
        ask(bench.engine, [largest], "energy")
        bench.memory["seconds per atom"] = (time.perf_counter() - start) / max(len(largest.types), 1)
    return int(seconds * (4 if bench.full else 1) / (bench.memory["seconds per atom"] * max(n_atoms, 1)))


def worst(found: Sequence[tuple[float, float, Any]]) -> tuple[float, float, Any]:
    """Give the entry (number, limit, what) that is furthest above its limit; one that is no number is the worst."""
    return max(found, key=lambda entry: entry[0] / entry[1] if np.isfinite(entry[0]) else np.inf)


def pair_name(one: int, two: int) -> str:
    """Give the name of a pair of species: "Cu-Au"."""
    return "-".join(symbols([one, two]))


def interaction_range(bench: "Bench") -> float:
    """Give the stated interaction range in angstrom."""
    return float(bench.engine.capabilities.engine_interaction_range("angstrom"))


def cutoffs(bench: "Bench") -> list[float]:
    """Give the cutoffs of the neighbor lists that the model requests, in angstrom, each once."""
    lists = bench.engine.model.requested_neighbor_lists()
    return sorted({float(options.engine_cutoff("angstrom")) for options in lists})
