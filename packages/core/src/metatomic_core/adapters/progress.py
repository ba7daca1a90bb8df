"""Progress of long work: a bar on terminals, a line for each tenth but the last elsewhere; both on standard error."""

import time
from types import TracebackType
from typing import Any

import click

from metatomic_core.adapters.console import console

_N_LINES = 10


class Progress:
    """Context that shows how far some work is.

    Parameters
    ----------
    what
        What is done, in a word or two.
    total
        Number of steps.
    start
        Number of steps that were done earlier.
    """

    def __init__(self, what: str, total: int, start: int = 0):
        self._what = what
        self._total = total
        self._start = start
        self._begin = time.perf_counter()
        self._shown = _N_LINES * start // max(total, 1)
        self._bar: Any | None = None
        self._task: Any = None
        self._next = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the work began."""
        return time.perf_counter() - self._begin

    def rate(self, done: int) -> float:
        """Give the number of steps per second so far.

        Parameters
        ----------
        done
            Number of steps that are done.

        Returns
        -------
        float
            Steps per second of wall-clock time.
        """
        return (done - self._start) / max(self.elapsed, 1e-9)

    def __enter__(self) -> "Progress":
        self._begin = time.perf_counter()
        out = console(stderr=True)
        if out.is_terminal:
            from rich import progress

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(bar_width=30),
                progress.MofNCompleteColumn(),
                progress.TaskProgressColumn(),
                progress.TimeRemainingColumn(),
                progress.TextColumn("{task.fields[note]}"),
                console=out,
                transient=True,
            )
            self._task = self._bar.add_task(self._what, total=self._total, completed=self._start, note="")
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def due(self, done: int) -> bool:
        """Tell whether `update` would show anything, so that notes are only made when they are seen.

        Parameters
        ----------
        done
            Number of steps that are done.

        Returns
        -------
        bool
            Whether it would.
        """
        if self._bar is not None:
            return time.perf_counter() >= self._next
        return done < self._total and _N_LINES * done // self._total > self._shown

    def update(self, done: int, note: str = "", at_once: bool = False) -> None:
        """Show that so many steps are done, with a short note.

        Parameters
        ----------
        done
            Number of steps that are done.
        note
            What to show besides.
        at_once
            Whether bars show it however quick the last step was: the next one may be long.
        """
        if not self.due(done) and not (at_once and self._bar is not None):
            return
        if self._bar is not None:
            self._next = time.perf_counter() + 0.1
            self._bar.update(self._task, completed=done, note=note)
            return
        self._shown = _N_LINES * done // self._total
        left = duration((self._total - done) / max(self.rate(done), 1e-9))
        text = f"{self._what} {done}/{self._total} ({100 * done // self._total} %), {left} left"
        click.echo(f"{text}, {note}" if note else text, err=True)


def duration(seconds: float) -> str:
    """Format a time as h:mm:ss.

    Parameters
    ----------
    seconds
        The time in seconds.

    Returns
    -------
    str
        The time.
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
