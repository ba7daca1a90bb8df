"""What every fuzzed reader must keep to, whatever it reads: refuse in one line, or accept; quickly, in little memory.

A `Target` is one reader.  `judge` gives it one input and says what it did, or raises: the exception that should not
have come out, or a `FindingError`.
"""

import contextlib
import dataclasses
import os
import re
import resource
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, Callable, Iterator, List, Tuple, Type

from hypothesis.strategies import SearchStrategy

ACCEPTED, REFUSED = "accepted", "refused"
# Seconds of the processor, and of the clock: other processes may take most of the machine.
_CPU_SECONDS, _SECONDS = 10.0, 120.0
# Bytes beyond what the process has already that a reader may take; the inputs have some thousand.
_MEMORY, _ADDRESS_SPACE = 300_000_000, 3_000_000_000
# A line for people to read.
_LONGEST_MESSAGE = 1000
# "expected X, got Y"; the parser of units speaks of the text that it is at, and click of what it was given.
_FORM = re.compile(r"(expected|unknown|unexpected|unbalanced|overflow|ambiguous)\b")
# What only code does that nobody asked for; the last one is how pickles find what they call.
_EXECUTION = ("os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen", "pickle.find_class")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class FindingError(AssertionError):
    """A reader did what it must not do."""


class _OutOfTimeError(BaseException):
    """Raised in the middle of a reader; no handler of errors takes it."""


@dataclasses.dataclass(frozen=True)
class Target:
    """A reader of what others wrote.

    Attributes
    ----------
    name
        Also that of its folder in ``corpus``.
    inputs
        What it is given: bytes, or what JSON can hold.
    run
        Reads an input in a folder, which has an empty folder ``out`` for what is written.  Refuses by one of `allowed`,
        or else has checked what came out.
    examples
        How many inputs continuous integration tries.
    allowed
        How it may refuse.
    executes
        Whether it may run other programs, and write outside of the folder.
    outcomes
        What must be among the results of some hundred inputs: those that are all refused try little.
    prepare
        Makes what it needs, once; called before each input, without any limit.
    """

    name: str
    inputs: SearchStrategy[Any]
    run: Callable[[Any, Path], None]
    examples: int = 200
    allowed: Tuple[Type[Exception], ...] = (ValueError, TypeError, OSError)
    executes: bool = False
    outcomes: Tuple[str, ...] = (ACCEPTED, REFUSED)
    prepare: Callable[[], Any] = tuple


def judge(target: Target, value: Any) -> str:
    """Give an input to a reader: "accepted" or "refused".

    Raises
    ------
    FindingError
        If it took too long or too much memory, ran something, left something, or refused in other words than ours.
    Exception
        If it raised what is not allowed.
    """
    target.prepare()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder, out = Path(name), Path(name, "out")
        out.mkdir()
        with warnings.catch_warnings():
            # a person gets them as lines of their own, and the reader goes on
            warnings.simplefilter("ignore")
            try:
                with _in_time(), _in_memory(), _in_peace(target, folder):
                    target.run(value, folder)
            except target.allowed as error:
                check_message(str(error))
                left = sorted(path.name for path in out.iterdir())
                if left:
                    raise FindingError(f"expected nothing left of what was refused, got {left}") from error
                return REFUSED
    return ACCEPTED


def check_message(message: str) -> None:
    """Raise a `FindingError` for a message that is not one line of ours."""
    if len(message.splitlines()) != 1:
        raise FindingError(f"expected a message of one line, got {message[:_LONGEST_MESSAGE]!r}")
    if not _FORM.match(message) or (message.endswith(".") and not message.endswith("...")):
        raise FindingError(f"expected a message in the form of this project, got {message[:_LONGEST_MESSAGE]!r}")
    if len(message) > _LONGEST_MESSAGE:
        raise FindingError(f"expected a message to read, got {len(message)} characters: {message[:200]!r}")


@contextlib.contextmanager
def _in_time() -> Iterator[None]:
    def stop(number: int, frame: Any) -> None:
        raise _OutOfTimeError

    before = {number: signal.signal(number, stop) for number in (signal.SIGALRM, signal.SIGPROF)}
    start = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, _CPU_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        yield
        # compiled code does not hear the signal
        if time.process_time() - start > _CPU_SECONDS:
            raise _OutOfTimeError
    except _OutOfTimeError:
        raise FindingError(f"expected an answer within {_CPU_SECONDS:g} s, got none") from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _in_memory() -> Iterator[None]:
    """Refuse large allocations at once, and find what was used and freed again in between."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _memory("VmRSS")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_memory("VmSize") + _ADDRESS_SPACE, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        used = _memory("VmHWM") - before
    if used > _MEMORY:
        raise FindingError(f"expected at most {_MEMORY / 1e6:.0f} MB, got {used / 1e6:.0f} MB")


def _memory(name: str) -> int:
    """Give the bytes that Linux counts for this process."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:")]
    return 1024 * int(line.split()[1])


# folder in which the reader works, and what it did elsewhere; nothing while no reader runs
_watched: List[Path] = []
_done: List[str] = []


def _notice(event: str, arguments: Tuple[Any, ...]) -> None:
    if not _watched:
        return
    if event in _EXECUTION:
        _done.append(f"{event} {arguments!r}"[:_LONGEST_MESSAGE])
    elif event == "open":
        path, _, flags = arguments
        own = str(path).startswith((str(_watched[0]), "/dev/"))
        # compiled Python of modules that are imported when they are needed
        if flags & _WRITING and isinstance(path, str) and not own and "__pycache__" not in path:
            _done.append(f"write {path}")


sys.addaudithook(_notice)


@contextlib.contextmanager
def _in_peace(target: Target, folder: Path) -> Iterator[None]:
    """Find code that was executed, and files that were written elsewhere."""
    _done.clear()
    if not target.executes:
        _watched.append(folder)
    try:
        yield
    finally:
        _watched.clear()
    if _done:
        raise FindingError(f"expected a reader that does nothing else, got {_done[0]}")
