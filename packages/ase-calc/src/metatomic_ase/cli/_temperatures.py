"""Temperatures that change in the course of a run: ``"300 K:900 K"`` on the command line.

Nothing here imports ASE or torch, so that ``--help`` is quick.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import click

from metatomic_core.adapters.quantity import Quantity

_KELVIN = Quantity("K", "300 K")
_TIME = Quantity("ps", "5 ps", positive=False)


class Stop(NamedTuple):
    """A temperature in K, and the time in ps from the start of the run when it is reached, if that was said."""

    temperature: float
    time: float | None


class Temperatures(click.ParamType):  # type: ignore[type-arg]
    """One temperature, or several that a run passes through, with or without the times when it does.

    The value is a tuple of `Stop`.
    """

    name = "temperatures"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Give what stands for the value in the help."""
        return "VALUE[:VALUE...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Stop, ...]:
        """Give the temperatures."""
        if isinstance(value, tuple):
            return value
        stops = []
        for text in str(value).split(":"):
            temperature, sign, time = text.partition("@")
            when = _TIME.convert(time, param, ctx) if sign else None
            stops.append(Stop(_KELVIN.convert(temperature, param, ctx), when))
        # the first one is that of the start
        if stops[0].time is None:
            stops[0] = Stop(stops[0].temperature, 0.0)
        times = [stop.time for stop in stops]
        said = [time for time in times[1:] if time is not None]
        if said and len(said) < len(times) - 1:
            self.fail(f"expected a time for each temperature after the first, or for none, got '{value}'", param, ctx)
        if times[0] != 0 or any(after <= before for before, after in zip([0.0, *said], said, strict=False)):
            self.fail(f"expected times that grow from 0, such as '300 K:900 K@5 ps', got '{value}'", param, ctx)
        return tuple(stops)


def schedule(stops: Sequence[Stop], length: float) -> list[list[float]] | None:
    """Give the times in ps, each with its temperature in K, of a run; None for one temperature.

    Parameters
    ----------
    stops
        The temperatures; those without times follow in equal parts of the run.
    length
        Length of the run in ps.
    """
    if len(stops) == 1:
        return None
    part = length / (len(stops) - 1)
    return [[number * part if stop.time is None else stop.time, stop.temperature] for number, stop in enumerate(stops)]
