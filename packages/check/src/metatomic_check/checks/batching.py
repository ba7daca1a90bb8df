"""The same structures asked for in other ways: in one call, in parts, again, with pairs in another order."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from metatomic_check.agreement import NO_ENERGY, Differences, evaluated, not_applicable, reason, results_of
from metatomic_check.bench import Bench
from metatomic_check.finding import Finding, Grade
from metatomic_check.table import check
from metatomic_core.engine import Engine, Evaluation, Structure
from metatomic_core.engine.structures import input_tensors, structure_tensors
from metatomic_core.neighbor_lists import NeighborLists

_Tensors = list[torch.Tensor]
# How structures are changed between calls: all lengths by a factor, and each coordinate by up to so many angstrom.
_SWELL, _MOVE = 1.08, 0.15


def part_of(evaluation: Evaluation, result: str, index: int) -> np.ndarray:
    """Give a result of one structure of a batch."""
    values: np.ndarray = getattr(evaluation, result)
    return values[index] if result in ("energy", "virial") else values[evaluation.atoms(index)]


@check("batching", "numerics")
def check_batching(bench: Bench) -> Iterator[Finding]:
    """Structures that are evaluated in one call have other results than alone.

    Beads of i-PI, replicas and training batches are then wrong: something of one structure, such as a sum, an index or
    a mean, reaches another one.
    """
    results = results_of(bench, per_atom=True)
    alone = list(evaluated(bench, results)) if "energy" in results else []
    if len(alone) < 2:
        yield not_applicable("batching", NO_ENERGY if "energy" not in results else "there is one structure only")
        return
    found = Differences(bench.rounding)
    for order in (range(len(alone)), range(len(alone))[::-1]):
        together = bench.evaluate([alone[k][1] for k in order], *results)
        for place, k in enumerate(order):
            name, structure, expected = alone[k]
            for result in results:
                found.add(result, name, structure, part_of(together, result, place), part_of(expected, result, 0))
    yield found.finding(
        "batching",
        f"{len(alone)} structures in one call, in two orders, have the results that they have alone",
        "structures in one call have other results than alone; do not evaluate several at once, as beads of i-PI are",
    )


@check("selected atoms", "numerics")
def check_selected_atoms(bench: Bench) -> Iterator[Finding]:
    """Energies, forces and virials of two halves of the atoms do not add up to those of all atoms.

    LAMMPS on several ranks asks for the energies of the atoms of each rank: its results are then wrong.
    """
    name, results = "selected atoms", results_of(bench)
    if "energy" not in results or not bench.engine.can_give("atomic_energies"):
        why = NO_ENERGY if "energy" not in results else "the model gives no energies of atoms"
        yield not_applicable(name, why)
        return
    results = tuple(each for each in results if not bench.engine.is_direct(each))
    found = Differences(bench.rounding)
    for each, structure, whole in evaluated(bench, (*results, "atomic_energies")):
        try:
            halves = _halves(bench, structure, results)
        except Exception as error:  # noqa: BLE001  (whatever a model raises)
            text = f"The model refuses to be asked for some atoms, as LAMMPS does on several ranks: {reason(error)}."
            yield Finding(name, Grade.WARN, text, structures={each: structure})
            return
        for result in results:
            total = sum(part_of(half, result, 1) for half, _, _ in halves)
            found.add(result, each, structure, total, part_of(whole, result, 0))
        for _, of_atoms, atoms in halves:
            kept = np.zeros(len(structure.types))
            kept[atoms] = part_of(whole, "atomic_energies", 0)[atoms]
            found.add("atomic_energies", each, structure, part_of(of_atoms, "atomic_energies", 1), kept)
    yield found.finding(
        name,
        "two halves of the atoms add up to all of them",
        "the energies, forces or virials of two halves of the atoms are not those of all atoms; do not run it in "
        "LAMMPS on several ranks",
    )


def _halves(
    bench: Bench, structure: Structure, results: Sequence[str]
) -> list[tuple[Evaluation, Evaluation, np.ndarray]]:
    """Evaluate every second atom, and the others, in another order, of the second structure of a batch.

    Their sums are asked for in a call of their own, as engines do: a model that is asked for atoms, too, gives atoms,
    and the pipeline adds them up.
    """
    atoms = np.arange(len(structure.types))
    halves = []
    for chosen in (atoms[::2], atoms[1::2][::-1]):
        selected = np.stack([np.ones_like(chosen), chosen], axis=1)
        # of the first one no atom is asked for
        sums, of_atoms = (
            bench.evaluate([structure, structure], *wanted, selected_atoms=selected)
            for wanted in (results, ("atomic_energies",))
        )
        halves.append((sums, of_atoms, chosen))
    return halves


@check("repeated calls", "numerics")
def check_repeated_calls(bench: Bench) -> Iterator[Finding]:
    """The same structure has other results when it is asked for again, or after others, or for the energy alone.

    The model keeps something between calls or has random numbers in it: no trajectory can be trusted, and none can be
    repeated.
    """
    results = results_of(bench, per_atom=True)
    if "energy" not in results:
        yield not_applicable("repeated calls", NO_ENERGY)
        return
    found, exact = Differences(bench.rounding), True
    first = list(evaluated(bench, results))
    # another engine, whose model has seen nothing yet, from the last to the first; then each of them twice
    fresh = bench.new_engine()
    asked = [*first[::-1], *first]
    for name, structure, expected in asked:
        again = fresh.evaluate([structure], results)
        for result in results:
            found.add(result, name, structure, getattr(again, result), getattr(expected, result))
            exact = exact and np.array_equal(getattr(again, result), getattr(expected, result))
        found.add("energy", name, structure, fresh.evaluate([structure], ["energy"]).energy, expected.energy)
    for name, structure, again, expected in _continued(bench, first, fresh, results):
        for result in results:
            found.add(result, name, structure, getattr(again, result), getattr(expected, result))
    how = "to the last digit" if exact else "up to rounding"
    yield found.finding(
        "repeated calls",
        f"results are the same again, after other structures, and in another order, {how}",
        "results are others when the same structure is asked for again: the model keeps something between calls, or is "
        "random; do not run it",
    )


def _continued(
    bench: Bench, first: Sequence[tuple[str, Structure, Evaluation]], engine: Engine, results: Sequence[str]
) -> Iterator[tuple[str, Structure, Evaluation, Evaluation]]:
    """Move atoms from one call to the next, as in a run, and compare with an engine that has not seen them before.

    They go so far that they get other neighbors: what a model keeps of the call before is no longer right.
    """
    fresh, rng = bench.new_engine(), bench.random()
    for name, structure, _ in first:
        moves = rng.uniform(-_MOVE, _MOVE, size=structure.positions.shape)
        positions = _SWELL * structure.positions + moves
        swollen = dataclasses.replace(structure, positions=positions, cell=_SWELL * structure.cell)
        expected = _if_taken(fresh, swollen, results)
        if expected is not None:
            engine.evaluate([structure], results)
            yield f"{name}, moved", swollen, engine.evaluate([swollen], results), expected


def _if_taken(engine: Engine, structure: Structure, results: Sequence[str]) -> Evaluation | None:
    """Evaluate a structure; None where the model refuses it, which is the question of another check."""
    try:
        return engine.evaluate([structure], results)
    except Exception:  # noqa: BLE001  (whatever a model raises)
        return None


@check("order of pairs", "numerics")
def check_order_of_pairs(bench: Bench) -> Iterator[Finding]:
    """Results depend on the order in which an engine lists the pairs of atoms, or on pairs beyond the cutoff.

    Each engine has an order of its own, in half lists it says which atom is the first, and lists that need not be
    strict have pairs beyond the cutoff: the model is right in one engine, and wrong in another.
    """
    name = "order of pairs"
    results = results_of(bench)
    requests = bench.engine.model.requested_neighbor_lists()
    if "energy" not in results or not requests:
        yield not_applicable(name, NO_ENERGY if "energy" not in results else "the model asks for no neighbor lists")
        return
    rng, found = bench.random(), Differences(bench.rounding)
    for each, structure, expected in evaluated(bench, results):
        for other in (_reordered(bench, structure, rng, vectors) for vectors in (True, False)):
            for result in results:
                found.add(result, each, structure, other[result], getattr(expected, result))
    yield found.finding(
        name,
        "results are the same for pairs in any order",
        "results depend on the order of the pairs, or on pairs beyond the cutoff; they differ between engines",
    )


def _reordered(
    bench: Bench, structure: Structure, rng: np.random.Generator, with_vectors: bool
) -> dict[str, np.ndarray]:
    """Evaluate a structure with shuffled lists, in half lists each pair with its atoms exchanged or not."""
    engine = bench.engine
    tensors = structure_tensors(structure, 0, "cpu")
    requests = engine.model.requested_neighbor_lists()
    pairs: _Tensors = []
    vectors: _Tensors = []
    for options in requests:
        reach = options.engine_cutoff("angstrom") * (1.0 if options.strict else 1.2)
        lists = NeighborLists([(reach, options.full_list, options.strict)], 0.0)
        [listed], [along] = lists.compute(tensors["positions"], tensors["cell"], tensors["pbc"])
        order = torch.as_tensor(rng.permutation(len(listed)))
        listed, along = listed[order], along[order]
        if not options.full_list:
            turned = torch.as_tensor(rng.integers(2, size=len(listed)) == 1)
            listed = torch.where(turned[:, None], _turned(listed), listed)
            along = torch.where(turned[:, None], -along, along)
        pairs.append(listed.to(engine.device))
        vectors.append(along.to(engine.device))
    given = {key: value.to(engine.device) for key, value in tensors.items()}
    inputs = input_tensors(structure, engine.model.requested_inputs(), engine.device)
    request = {result: engine.source(result) for result in results_of(bench)}
    units = {"engine": {"length": "angstrom", "energy": "eV"}, "inputs": {}, "outputs": {}}
    found, _, _ = engine.model.evaluate(
        [given], [pairs], None, request, {}, units, vectors=[vectors] if with_vectors else None, inputs=[inputs]
    )
    return {result: _finished(engine.is_direct(result), result, values) for result, values in found.items()}


def _finished(is_direct: bool, result: str, values: torch.Tensor) -> np.ndarray:
    """Give a result as the engine does, which takes the mean off forces that are predicted."""
    array: np.ndarray = values.detach().cpu().numpy()
    return array - array.mean(axis=0) if is_direct and result == "forces" else array


def _turned(pairs: torch.Tensor) -> torch.Tensor:
    return torch.cat([pairs[:, 1:2], pairs[:, 0:1], -pairs[:, 2:]], dim=1)
