"""i-PI and its clients as processes: started with a log file each, watched, and stopped."""

import ctypes
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .session import STOPPING

# Seconds for a process to end after it was asked to, if nothing else is said.
PATIENCE = 20.0
# <sys/prctl.h>
_PR_SET_PDEATHSIG = 1
_LOG_LINES = 5
# lines of tracebacks that say what has happened, and how many of them are shown
_CAUSE = re.compile(r"[\w.]*(?:Error|Exception|Interrupt)\b")
_CAUSES = 3


def _ends_with_parent() -> Callable[[], None] | None:
    """Give what a child calls so that it gets SIGTERM when this process ends, even by SIGKILL; None if not on Linux."""
    if not sys.platform.startswith("linux"):
        return None
    # loaded here: between fork and exec as little as possible is done
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def call() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(128 + signal.SIGTERM)

    return call


class Processes:
    """i-PI and clients, each with a log file.

    Parameters
    ----------
    directory
        Where they run, and where the logs are.
    patience
        Seconds for a process to end after it was asked to.
    """

    def __init__(self, directory: Path, patience: float = PATIENCE):
        self._directory = directory
        self._patience = patience
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start a process, which is called by this name from then on."""
        with self.log(name).open("wb") as log:
            self._running[name] = subprocess.Popen(
                # a session of its own: Ctrl-C reaches only this process, which then stops the others in order
                command,
                cwd=self._directory,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_ends_with_parent(),  # noqa: PLW1509  (libc is loaded before: two system calls)
            )

    def log(self, name: str) -> Path:
        """Give the path of the log of a process."""
        return self._directory / f"{name}.log"

    def status(self, name: str) -> int | None:
        """Give the exit status of a process; None while it runs."""
        return self._running[name].poll()

    def stop(self, name: str) -> None:
        """Ask a process to end, and end it if it does not."""
        process = self._running.get(name)
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(self._patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_all(self) -> None:
        """Ask all processes to end, in the order in which they were started."""
        try:
            for name in self._running:
                self.stop(name)
        except BaseException:
            # somebody presses Ctrl-C again: no more patience, and nothing comes between
            for number in STOPPING:
                signal.signal(number, signal.SIG_IGN)
            for process in self._running.values():
                process.kill()
                process.wait()
            raise

    def last_lines(self, name: str) -> list[str]:
        """Give the last lines of a log, after lines before them that name an error, which may be the cause."""
        lines = self.log(name).read_text(encoding="utf-8", errors="replace").splitlines()
        lines = [line for line in lines if line.strip()]
        causes = [line for line in lines[:-_LOG_LINES] if _CAUSE.match(line)]
        return causes[:_CAUSES] + lines[-_LOG_LINES:]
