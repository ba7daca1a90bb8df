"""Options of `evaluation.Evaluator`: those of all engines, and those that only i-PI has a use for.

They are keyword arguments, options of the command line, and what i-PI passes on from ``-o`` and ``<parameters>``.
Nothing here imports torch or ASE, so that ``--help`` is quick.
"""

import functools
from collections.abc import Callable
from typing import Any

from metatomic_core.adapters.options import ENGINE_OPTIONS, Option, Table
from metatomic_core.adapters.text_options import click_options

_ACTIONS = ("stop", "warn", "log")

# What a model is evaluated with; uncertainties are looked at by a guard.
MODEL_OPTIONS: Table = {name: option for name, option in ENGINE_OPTIONS.items() if name != "uncertainty_threshold"}
# What i-PI gets, and what it does not send.
IPI_OPTIONS: Table = {
    "virial": Option(bool, True, "Compute virials. Without, they are NaN: for runs at constant volume."),
    "extras": Option(tuple, (), "Output to send along, such as dipole, charges, uncertainty.", "extra", "NAME"),
    "committee": Option(
        str,
        "none",
        "Send energies (energy), or also forces and virials (full), of an ensemble.",
        choices=("none", "energy", "full"),
    ),
    "pbc": Option(str, "template", "Periodic directions: template, none, or some of xyz."),
    "charge": Option(float, None, "Total charge in e, instead of that of the template."),
    "spin_multiplicity": Option(float, None, "Spin multiplicity, instead of that of the template."),
}
# See `guards.Guards`.
GUARD_OPTIONS: Table = {
    "on_nan": Option(str, "stop", "What to do about results that are not finite.", choices=_ACTIONS),
    "max_force": Option(float, None, "Largest force on an atom in eV/angstrom."),
    "on_max_force": Option(str, "stop", "What to do about larger ones.", choices=_ACTIONS),
    "max_uncertainty": Option(float, None, "Largest uncertainty of an energy (per atom if there is one) in eV."),
    "on_uncertainty": Option(str, "warn", "What to do about higher ones.", choices=_ACTIONS),
    "guard_file": Option(str, "metatomic-ipi-guards.xyz", "Where the action log writes structures.", metavar="FILE"),
}
OPTIONS: Table = {**MODEL_OPTIONS, **IPI_OPTIONS, **GUARD_OPTIONS}


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add all options to a command, which gets them as one dictionary ``options``."""

    @functools.wraps(command)
    def wrapped(**arguments: Any) -> Any:
        return command(options={name: arguments.pop(name) for name in OPTIONS}, **arguments)

    return click_options(OPTIONS)(wrapped)
