"""What the commands of this package share: options, values with units, and stopping on signals.

Nothing here imports ASE or torch at module level, so that ``--help`` is quick.
"""

import signal
from types import FrameType
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Tuple, TypeVar

import click

if TYPE_CHECKING:
    from metatomic_ase import MetatomicCalculator

Function = TypeVar("Function", bound=Callable[..., Any])

# keyword of `MetatomicCalculator` where the name of the option is not already the same: see `calculator`
_MODEL_OPTIONS = (
    click.option("--device", metavar="NAME", help="Device to run on: cpu, cuda, cuda:1, ...  [default: the best one]"),
    click.option("--variant", "variants", multiple=True, metavar="NAME=V", help="Variant of an output: energy=pbe."),
    click.option(
        "--non-conservative",
        type=click.Choice(["off", "on", "forces", "stress"]),
        default="off",
        show_default=True,
        help="Take forces, stress or both (on) from direct predictions of the model.",
    ),
    click.option("--extensions", "extensions_directory", metavar="DIR", help="Directory with TorchScript extensions."),
    click.option("--check", "check_consistency", is_flag=True, help="Check all data that the model gets and gives."),
)
_STRUCTURE_OPTIONS = (
    click.option("--format", "file_format", metavar="NAME", help="Format of the input, as ASE names it."),
)


def _with_options(options: Tuple[Callable[[Any], Any], ...], function: Function) -> Function:
    for option in reversed(options):
        function = option(function)
    return function


def model_options(function: Function) -> Function:
    """Add the options of all commands that run a model; see `calculator`."""
    return _with_options(_MODEL_OPTIONS, function)


def structure_options(function: Function) -> Function:
    """Add the options of all commands that read structures."""
    return _with_options(_STRUCTURE_OPTIONS, function)


def calculator(model: str, options: Dict[str, Any], **more: Any) -> "MetatomicCalculator":
    """Make the calculator that `model_options` describe.

    Raises
    ------
    ValueError
        If the model can not be loaded or does not have what is asked of it.
    """
    from metatomic_ase import MetatomicCalculator
    from metatomic_core import memory

    # a process of our own, which asks for the same memory at each step
    memory.keep_freed_memory()
    variants: Dict[str, Optional[str]] = {}
    for text in options.pop("variants"):
        name, separator, variant = text.partition("=")
        if not (name and separator and variant):
            raise click.BadParameter(
                f"expected NAME=VARIANT, such as energy=pbe, got '{text}'", param_hint="'--variant'"
            )
        variants[name] = variant
    return MetatomicCalculator(model, variants=variants, **options, **more)


class StopOnSignal:
    """Context in which the first interrupt or termination signal only sets `number`, to stop where it does no harm.

    A second one interrupts at once.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.number = 0
        self._previous: Dict[int, Any] = {}

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

    def _note(self, number: int, _: Optional[FrameType]) -> None:
        if self.number:
            raise KeyboardInterrupt
        self.number = number
