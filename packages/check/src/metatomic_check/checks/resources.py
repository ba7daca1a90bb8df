"""Threads: how many there are, and who else computes, changes nothing."""

import threading
from collections.abc import Iterator

import numpy as np
import torch

from metatomic_check.asking import Said, ask, available, lacking, rounding, usable
from metatomic_check.bench import Bench
from metatomic_check.finding import Finding, Grade, graded
from metatomic_check.table import check
from metatomic_core.engine import Structure

_N_THREADS = (1, 2, 3)


@check("threads", "contract")
def threads(bench: Bench) -> Iterator[Finding]:
    """Results depend on the number of threads, or on another thread that evaluates at the same time.

    Sums in another order change the last digits, and no more.  The model probably keeps something between calls in a
    place that threads share.
    """
    if lack := lacking(bench, "threads", "energy"):
        yield from lack
        return
    structures = usable(bench)
    wanted = available(bench, "energy", "forces")
    expected = ask(bench.engine, list(structures.values()), *wanted)
    yield _graded(bench, structures, expected, _with_numbers(bench, list(structures.values()), wanted), "number")
    # one by one, as the threads do: whether batches matter is the question of another check
    expected = [ask(bench.engine, [structure], *wanted)[0] for structure in structures.values()]
    yield _graded(bench, structures, expected, _at_once(bench, list(structures.values()), wanted), "at once")


_WORDS = {
    "number": "with other numbers of threads in torch",
    "at once": "when two threads of Python evaluate at the same time",
}


def _graded(
    bench: Bench, structures: dict[str, Structure], expected: list[Said], found: list[list[Said]], part: str
) -> Finding:
    names = list(structures)
    entries = []
    for several in found:
        for i, (a, b) in enumerate(zip(expected, several, strict=True)):
            difference = max(
                float(np.abs(a.forces - b.forces).max(initial=0.0)),
                abs(a.energy - b.energy) / max(len(a.forces), 1),
            )
            # what is no number in each of them is no matter of threads
            if a.finite or b.finite:
                entries.append((difference, rounding(bench, a.size), names[i]))
    if not entries:
        return Finding("threads", Grade.NOT_APPLICABLE, "The model gives no finite numbers.", part=part)
    number, limit, name = max(entries, key=lambda entry: entry[0] / entry[1] if np.isfinite(entry[0]) else np.inf)
    is_right = number <= limit
    text = f"Energies and forces are the same {_WORDS[part]}."
    if not is_right:
        text = f"Energies and forces of '{name}' are others {_WORDS[part]}: results are not reproducible."
    shown = {} if is_right else {name: structures[name]}
    return graded("threads", number, limit, text, part=part, unit="eV/angstrom", structures=shown)


def _with_numbers(bench: Bench, structures: list[Structure], wanted: tuple[str, ...]) -> list[list[Said]]:
    before = torch.get_num_threads()
    found = []
    try:
        for number in _N_THREADS:
            torch.set_num_threads(number)
            found.append(ask(bench.engine, structures, *wanted))
    finally:
        torch.set_num_threads(before)
    return found


def _at_once(bench: Bench, structures: list[Structure], wanted: tuple[str, ...]) -> list[list[Said]]:
    """Evaluate in two threads, with an engine each as two simulations have, one in the reverse order."""
    engines = [bench.engine, bench.new_engine()]
    found: list[list[Said]] = [[], []]
    errors: list[BaseException] = []

    def run(i: int) -> None:
        try:
            order = list(range(len(structures)))[:: 1 - 2 * i]
            answers = {k: ask(engines[i], [structures[k]], *wanted)[0] for k in order}
            found[i] = [answers[k] for k in range(len(structures))]
        except BaseException as error:  # noqa: BLE001  (raised below, where it is seen)
            errors.append(error)

    workers = [threading.Thread(target=run, args=(i,)) for i in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if errors:
        raise errors[0]
    return found
