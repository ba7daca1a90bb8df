"""All of it: each part in a process of its own, which may crash or hang, and what became of it as sections."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from metatomic_core.adapters.diagnoses import PROBLEM, STATUSES, WARNING, Finding

from .own_run import MODEL
from .parts import Part, parts
from .privacy import private

# in the fresh process: the modules that this one would find, and nothing of the folder it is started in
_CODE = "import sys, json; sys.path[:] = json.loads(sys.argv[2]); from {module} import main; main(sys.argv[1])"
_MODULE = f"{__name__.rpartition('.')[0]}.patient"
# two engines at a time: more would wait for cores and memory of small machines
_AT_ONCE = 2
_BUILDING = 900.0
_POSIX = os.name == "posix"
# name of findings about the process itself
_PROCESS = "process"


@dataclasses.dataclass(frozen=True)
class Section:
    """What was found about one subject.

    Attributes
    ----------
    title
        The subject.
    package
        Name of the distribution that looked.
    findings
        In order.
    """

    title: str
    package: str
    findings: tuple[Finding, ...]

    @property
    def status(self) -> str:
        """The worst of its findings."""
        return max((finding.status for finding in self.findings), key=STATUSES.index, default=STATUSES[0])

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {**dataclasses.asdict(self), "status": self.status}


def examine(seconds: float, *, build: bool = False) -> Iterator[Section]:
    """Look at everything.

    Parameters
    ----------
    seconds
        Limit of each part; what compiles has a quarter of an hour.
    build
        Whether to compile what is missing.

    Yields
    ------
    Section
        Sections in order, each as soon as it and those before it are there.
    """
    limit = max(seconds, _BUILDING) if build else seconds
    with (
        tempfile.TemporaryDirectory(prefix="metatomic-doctor-", ignore_cleanup_errors=True) as name,
        ThreadPoolExecutor(_AT_ONCE) as pool,
    ):
        # sockets and what engines write: not in the folder where the command is run
        folder = Path(os.path.realpath(name))
        for step in parts():
            examined = [_Examined(part, folder, build) for part in step]
            waiting = [pool.submit(one.sections, limit) for one in examined]
            try:
                for future in waiting:
                    yield from future.result()
            finally:
                # after an interrupt, those that still run
                for one, future in zip(examined, waiting, strict=True):
                    future.cancel()
                    one.stop()


class _Examined:
    """One part in its process.

    Parameters
    ----------
    part
        The part.
    folder
        Where all parts have their files.
    build
        Whether it may compile.
    """

    def __init__(self, part: Part, folder: Path, build: bool):
        self._part = part
        self._findings = folder / f"{part.package}-{part.name}.findings"
        self._log = folder / f"{part.package}-{part.name}.log"
        # the first of core saves the model that the others take
        own = folder if part.package == "metatomic-core" else folder / f"{part.package}-{part.name}"
        given = {"folder": str(own), "model": str(folder / MODEL), "build": build, "findings": str(self._findings)}
        given |= {"name": part.name, "package": part.package}
        code = _CODE.format(module=_MODULE)
        # unbuffered: the last that was printed before a crash says what it was about
        self._command = [sys.executable, "-u", "-c", code, json.dumps(given), json.dumps(sys.path)]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def sections(self, limit: float) -> list[Section]:
        """Run it; give what it found until its end, and how that came if it was not its own."""
        end = self._run(limit)
        written, done = self._written()
        sections = [Section(title, self._part.package, tuple(rows)) for title, rows in written]
        missing = self._part.titles[len(sections) :]
        if end is None and done:
            return sections
        end = end or self._early_end("status 0")
        if not sections:
            sections, missing = [Section(missing[0], self._part.package, ())], missing[1:]
        last = sections[-1]
        sections[-1] = dataclasses.replace(last, findings=(*last.findings, end))
        again = Finding("not tried", "the process of what is above ended early", WARNING, "mend that first")
        return sections + [Section(title, self._part.package, (again,)) for title in missing]

    def stop(self) -> None:
        """End the process, if it runs."""
        if self._process is not None and self._process.poll() is None:
            _end(self._process)

    def _run(self, limit: float) -> Finding | None:
        """Run the process; None if it came to its end, and else what became of it."""
        start = time.monotonic()
        with open(self._log, "wb") as log:
            process = self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # so that what it starts ends with it
                start_new_session=_POSIX,
            )
            try:
                status = process.wait(limit)
            except subprocess.TimeoutExpired:
                text = f"no end after {time.monotonic() - start:.0f} s, it was stopped"
                advice = "look at the subject after the last line above, or give a longer --timeout to a slow machine"
                return Finding(_PROCESS, text, PROBLEM, advice)
            finally:
                _end(process)
        if status == 0:
            return None
        return self._early_end(_how(status))

    def _early_end(self, how: str) -> Finding:
        """Say how the process ended, with the last that it printed."""
        lines = [line for line in self._log.read_text("utf-8", errors="replace").splitlines() if line.strip()]
        words = f": {private(lines[-1])}" if lines else ""
        advice = "mend what the text says, or reinstall the package; the lines above are what was found until then"
        return Finding(_PROCESS, f"ended early by {how}{words}", PROBLEM, advice)

    def _written(self) -> tuple[list[tuple[str, list[Finding]]], bool]:
        """Give titles and findings as far as they were written, and whether that was all."""
        found: list[tuple[str, list[Finding]]] = []
        done = False
        if not self._findings.exists():
            return found, done
        for line in self._findings.read_text("utf-8").splitlines():
            with contextlib.suppress(ValueError):  # half of a line, from a process that died
                row = json.loads(line)
                if "section" in row:
                    found.append((row["section"], []))
                elif "finding" in row:
                    texts = {name: private(str(text)) for name, text in row["finding"].items()}
                    found[-1][1].append(Finding(**texts))
                done = "done" in row
        return found, done


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process with all that it started, as far as that is still there."""
    with contextlib.suppress(OSError):
        if _POSIX:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _how(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
