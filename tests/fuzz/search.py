"""Trying many inputs of a target: a fixed number in tests, and by hand as many as there is time for."""

import dataclasses
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Dict, List, Set, Tuple

from hypothesis import HealthCheck, Phase, given, seed, settings

from .harness import Target, judge

_SETTINGS = settings(
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    print_blob=False,
)
Signature = Tuple[str, ...]


class _Input:
    """An input that does not write itself out: some have millions of bytes."""

    def __init__(self, value: Any):
        self.value = value

    def __repr__(self) -> str:
        return f"an input of {len(self.value)}"


@dataclasses.dataclass
class Problem:
    """An input that showed something, as small as it could be made, and what it showed."""

    value: Any
    signature: Signature
    text: str


def try_examples(target: Target, examples: int) -> Counter:
    """Try a number of inputs, the same ones each time; raise what the smallest bad one raised. Give counts."""
    return _search(
        target, settings(_SETTINGS, max_examples=examples, derandomize=True), lambda function: function, set()
    )


def search_until(
    target: Target,
    end: float,
    number: int,
    found: Dict[Signature, Problem],
    counts: Counter,
    note: Callable[[Any], None],
) -> None:
    """Try other inputs for each number until a time; note each before it is tried, and problems not found yet."""
    while time.monotonic() < end:
        last: List[Any] = []
        # rounds of so many examples that one of them takes seconds
        profile = settings(_SETTINGS, max_examples=max(20, target.examples // 2), derandomize=False)
        try:
            counts += _search(target, profile, seed(number), set(found), last, note)
        except Exception as error:  # noqa: BLE001  (whatever it is)
            signature = signature_of(error)
            found[signature] = Problem(last[-1], signature, _text(error))
            counts["findings"] += 1
        number += 1_000_003


def _text(error: BaseException) -> str:
    # without the notes, which repeat the input
    lines = traceback.format_exception(type(error), type(error)(*error.args), error.__traceback__)
    return "".join(line[:1000] for line in lines)[-5000:]


def _search(
    target: Target,
    profile: settings,
    decorate: Callable[[Any], Any],
    known: Set[Signature],
    last: Any = None,
    note: Any = None,
) -> Counter:
    counts: Counter = Counter()

    @settings(profile, phases=(Phase.generate, Phase.shrink))
    @given(target.inputs.map(_Input))
    def check(given: _Input) -> None:
        value = given.value
        if last is not None:
            last[:] = [value]
            note(value)
        try:
            counts[judge(target, value)] += 1
        except Exception as error:
            if signature_of(error) not in known:
                raise
            counts["known"] += 1

    decorate(check)()
    return counts


def signature_of(error: BaseException) -> Signature:
    """Say where something went wrong: the last place in our packages, and the kind of error."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/metatomic_" in frame.filename]
    cause = error.__cause__
    place = [f"{Path(frame.filename).name}:{frame.name}" for frame in ours[-1:]]
    if cause is not None and not place:
        place = [*signature_of(cause)]
    # numbers and texts of the input are not what makes a problem another one
    return (type(error).__name__, *place, str(error)[:40] if type(error).__name__ == "FindingError" else "")
