"""What happens when a model runs for long: memory, and time of the first calls."""

import ctypes
import gc
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from metatomic_check.agreement import NO_ENERGY, Differences, evaluated, not_applicable, results_of
from metatomic_check.bench import Bench
from metatomic_check.finding import Finding, Grade, Line, Plot, graded
from metatomic_check.table import check
from metatomic_core.engine import Engine, Structure

_STATM = Path("/proc/self/statm")
# Calls before memory is looked at, and windows of calls in each of which it must have grown to be a leak.
_N_WARM, _N_WINDOWS, _N_CALLS, _N_FULL_CALLS = 15, 4, 10, 40
# Memory that a call may keep, in kB: half a million steps take a gigabyte or so.
_KEPT = 20.0
_N_TIMED = 10


def resident() -> float:
    """Give the memory of this process that is in use, in kB, without what was freed before and is kept for later.

    Else what a model keeps would fit into that, and not be seen.
    """
    gc.collect()
    # of the C library of Linux; others have no such function
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024.0


@check("growth of memory", "numerics")
def check_memory(bench: Bench) -> Iterator[Finding]:
    """Memory grows with each call.

    The model or its pipeline keeps something of each call: long runs end when the memory does.
    """
    name, results = "growth of memory", results_of(bench)
    if "energy" not in results or not _STATM.exists():
        yield not_applicable(
            name, NO_ENERGY if "energy" not in results else "this system does not tell how much is used"
        )
        return
    structures = [structure for _, structure, _ in evaluated(bench, results)]
    n_calls = _N_FULL_CALLS if bench.full else _N_CALLS
    # from the largest: what comes later needs no more than what was there
    structures.sort(key=lambda structure: -len(structure.types))
    structures = structures[-6:] if not bench.full else structures
    _call(bench.engine, structures, results, _N_WARM)
    used = [resident()]
    for _ in range(_N_WINDOWS):
        _call(bench.engine, structures, results, n_calls)
        used.append(resident())
    # what is kept once, or given back, is no leak: it grows in each window, but the first may fill holes
    grown = max(float(np.diff(used)[1:].min()), 0.0) / n_calls
    calls = np.arange(_N_WINDOWS + 1) * n_calls
    lines = (Line("in use", calls, (np.array(used) - used[0]) / 1024.0),)
    plot = Plot("Memory", "calls", "memory since the first one in MB", lines)
    right = f"Memory does not grow over {_N_WINDOWS * n_calls} calls with changing structures."
    found = graded(name, grown, _KEPT, right, unit="kB per call", plots=(plot,))
    if found.grade is Grade.PASS:
        yield found
        return
    text = "Memory grows with each call: something of each one is kept; long runs will end without memory."
    yield Finding(name, Grade.FAIL, text, number=grown, limit=_KEPT, unit="kB per call", plots=(plot,))


def _call(engine: Engine, structures: Sequence[Structure], results: Sequence[str], n_calls: int) -> None:
    for k in range(n_calls):
        engine.evaluate([structures[k % len(structures)]], results)


@check("first and tenth call", "numerics")
def check_first_calls(bench: Bench) -> Iterator[Finding]:
    """The tenth call of a model gives another result than the first one.

    TorchScript optimizes code as it is called: what it makes of the model is wrong.
    """
    name, results = "first and tenth call", results_of(bench)
    if "energy" not in results:
        yield not_applicable(name, NO_ENERGY)
        return
    label, structure, _ = max(evaluated(bench, results), key=lambda item: len(item[1].types))
    engine, seconds, answers = bench.new_engine(), [], []
    for _ in range(_N_TIMED):
        start = time.perf_counter()
        answers.append(engine.evaluate([structure], results))
        seconds.append(time.perf_counter() - start)
    found = Differences(bench.rounding)
    for result in results:
        found.add(result, label, structure, getattr(answers[-1], result), getattr(answers[0], result))
    yield found.finding(
        name,
        "the tenth call has the results of the first",
        "the tenth call has other results than the first; run it with TorchScript's optimizations off",
    )
    first, last = 1000.0 * seconds[0], 1000.0 * min(seconds[1:])
    text = f"The first call takes {first:.3g} ms, later ones {last:.3g} ms, for {len(structure.types)} atoms."
    line = Line("calls", np.arange(1, _N_TIMED + 1), 1000.0 * np.array(seconds))
    plot = Plot("Time of the first calls", "call", "time in ms", (line,), points=True)
    yield Finding(name, Grade.INFORMATION, text, "time", first / last, unit="times", plots=(plot,))
