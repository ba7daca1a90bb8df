"""What the commands of this package share: options, values with units, and stopping on signals.

Nothing here imports ASE or torch at module level, so that ``--help`` is quick.
"""

import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from metatomic_core.adapters.console import checked_output
from metatomic_core.adapters.options import ENGINE_OPTIONS
from metatomic_core.adapters.text_options import click_options

if TYPE_CHECKING:
    from metatomic_ase import MetatomicCalculator

Function = TypeVar("Function", bound=Callable[..., Any])

# Of commands that look at structures one by one; only molecular dynamics warns about uncertain atoms as it goes.
MODEL_OPTIONS = {name: option for name, option in ENGINE_OPTIONS.items() if name != "uncertainty_threshold"}
model_options = click_options(MODEL_OPTIONS)
dynamics_options = click_options(ENGINE_OPTIONS)

_STRUCTURE_OPTIONS = (
    click.option("--format", "file_format", metavar="NAME", help="Format of the input, as ASE names it."),
)


bibtex_option = click.option("--bibtex", metavar="FILE", help="Write what to cite to this BibTeX file.")


def checked_bibtex(path: str | None, force: bool) -> Path | None:
    """Check, before any work, that the file of `bibtex_option` can be written."""
    return None if path is None else checked_output(path, force, "--bibtex")


PICTURE_SUFFIXES = (".pdf", ".png", ".svg")
plot_option = click.option("--plot", metavar="FILE", help="Draw the run: .pdf, .png or .svg.")


def checked_plot(path: str | None, force: bool) -> Path | None:
    """Check, before any work, that the file of `plot_option` can be written, and is a picture."""
    if path is None:
        return None
    if Path(path).suffix not in PICTURE_SUFFIXES:
        raise ValueError(f"expected `--plot` to end in {', '.join(PICTURE_SUFFIXES)}, got '{path}'")
    return checked_output(path, force, "--plot")


def _with_options(options: tuple[Callable[[Any], Any], ...], function: Function) -> Function:
    for option in reversed(options):
        function = option(function)
    return function


def structure_options(function: Function) -> Function:
    """Add the options of all commands that read structures."""
    return _with_options(_STRUCTURE_OPTIONS, function)


def calculator(model: str, options: Mapping[str, Any], **more: Any) -> "MetatomicCalculator":
    """Make the calculator that `model_options` or `dynamics_options` describe.

    Raises
    ------
    ValueError
        If the model can not be loaded or does not have what is asked of it.
    """
    from metatomic_ase import MetatomicCalculator
    from metatomic_core.adapters import memory

    # a process of our own, which asks for the same memory at each step
    memory.keep_freed_memory()
    return MetatomicCalculator(model, **{**more, **options})


class StopOnSignal:
    """Context in which the first interrupt or termination signal only sets `number`, to stop where it does no harm.

    A second one interrupts at once.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.number = 0
        self._previous: dict[int, Any] = {}

    @property
    def exit_status(self) -> int:
        """Exit status of a process that a signal ended, as shells give it: 130 for an interrupt."""
        return 128 + self.number

    def __enter__(self) -> "StopOnSignal":
        for number in self.SIGNALS:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.number:
            raise KeyboardInterrupt
        self.number = number
