"""Options of `evaluation.Evaluator` as text: for the command line, and for i-PI's ``-o`` and ``<parameters>``.

Nothing here imports torch or ASE, so that ``--help`` is quick.
"""

import difflib
import functools
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Tuple

import click

ACTIONS = ("stop", "warn", "log")
COMMITTEE = ("none", "energy", "full")
GUARD_FILE = "metatomic-ipi-guards.xyz"
NON_CONSERVATIVE = ("off", "on", "forces", "stress")


class Option(NamedTuple):
    """One option: its type on the command line, its default, and what it does."""

    type: Any
    default: Any
    help: str
    multiple: bool = False


# By the name of the argument of `Evaluator`; the options on the command line have dashes instead of underscores.
OPTIONS: Dict[str, Option] = {
    "device": Option(str, None, "Device: cpu, cuda, cuda:1, ...; the best one if not given."),
    "extensions_directory": Option(click.Path(), None, "Directory with the TorchScript extensions of the model."),
    "variants": Option(str, (), "Variant of an output: energy=pbe.", True),
    "non_conservative": Option(
        click.Choice(NON_CONSERVATIVE), "off", "Take forces, stress, or both (on) from direct predictions."
    ),
    "virial": Option(bool, True, "Compute virials. Without, they are NaN: for runs at constant volume."),
    "extras": Option(str, (), "Output to send along, such as dipole, charges, uncertainty.", True),
    "committee": Option(
        click.Choice(COMMITTEE), "none", "Send energies (energy), or also forces and virials (full), of an ensemble."
    ),
    "pbc": Option(str, "template", "Periodic directions: template, none, or some of xyz."),
    "charge": Option(float, None, "Total charge in e, instead of that of the template."),
    "spin_multiplicity": Option(float, None, "Spin multiplicity, instead of that of the template."),
    "check_consistency": Option(bool, False, "Check all that goes into and comes out of the model."),
    "skin": Option(float, 1.0, "Skin of the neighbor lists in angstrom."),
    "on_nan": Option(click.Choice(ACTIONS), "stop", "What to do about results that are not finite."),
    "max_force": Option(float, None, "Largest force on an atom in eV/angstrom."),
    "on_max_force": Option(click.Choice(ACTIONS), "stop", "What to do about larger ones."),
    "max_uncertainty": Option(float, None, "Largest uncertainty of an energy (per atom if there is one) in eV."),
    "on_uncertainty": Option(click.Choice(ACTIONS), "warn", "What to do about higher ones."),
    "guard_file": Option(click.Path(), GUARD_FILE, "Where the action log writes structures."),
}
# Singular where an option is repeated.
# Names on the command line as in all commands of `metatomic`.
_FLAGS = {
    "variants": "variant",
    "extras": "extra",
    "extensions_directory": "extensions",
    "check_consistency": "check",
}


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add all options to a command, which gets them as one dictionary ``options``."""

    @functools.wraps(command)
    def wrapped(**arguments: Any) -> Any:
        options = {name: arguments.pop(name) for name in OPTIONS}
        options["variants"] = _variants_from_flags(options["variants"])
        return command(options=options, **arguments)

    decorated: Callable[..., Any] = wrapped
    for name, option in reversed(OPTIONS.items()):
        flag = "--" + _FLAGS.get(name, name).replace("_", "-")
        if option.type is bool:
            flag = f"{flag}/--no-{flag[2:]}"
        decorated = click.option(
            flag,
            name,
            type=option.type,
            default=option.default,
            multiple=option.multiple,
            help=option.help,
            show_default=option.default not in (None, ()),
        )(decorated)
    return decorated


def arguments_of(options: Mapping[str, Any]) -> "list[str]":
    """Give the command line for options, leaving out those with their default values."""
    line = []
    for name, option in OPTIONS.items():
        value = options[name]
        flag = "--" + _FLAGS.get(name, name).replace("_", "-")
        if name == "variants":
            value = tuple(f"{output}={variant}" for output, variant in value.items())
        if value == option.default:
            continue
        if option.type is bool:
            line.append(flag if value else f"--no-{flag[2:]}")
        else:
            for item in value if option.multiple else [value]:
                line += [flag, str(item)]
    return line


def _variants_from_flags(items: Tuple[str, ...]) -> Dict[str, Optional[str]]:
    """Read ``OUTPUT=VARIANT``."""
    variants: Dict[str, Optional[str]] = {}
    for item in items:
        output, separator, variant = item.partition("=")
        if not (output and separator and variant):
            raise click.BadParameter(
                f"expected NAME=VARIANT, such as energy=pbe, got '{item}'", param_hint="'--variant'"
            )
        variants[output] = variant
    return variants


def variants_from_text(items: Tuple[str, ...]) -> Dict[str, Optional[str]]:
    """Read ``VARIANT`` (of the energy) and ``OUTPUT:VARIANT``, as i-PI passes them, which has another use for ``=``."""
    variants: Dict[str, Optional[str]] = {}
    for item in items:
        output, colon, variant = item.rpartition(":")
        variants[output if colon else "energy"] = variant
    return variants


def options_from_ipi(given: Mapping[str, Any]) -> Dict[str, Any]:
    """Read what i-PI passes to a PES: numbers are numbers, lists have semicolons (i-PI takes commas for itself).

    Raises
    ------
    TypeError
        If an option is unknown, or has a value of the wrong type.
    """
    options: Dict[str, Any] = {}
    for name, value in given.items():
        if name not in OPTIONS:
            nearest = difflib.get_close_matches(name, OPTIONS, n=1)
            hint = f"did you mean '{nearest[0]}'" if nearest else f"known are {', '.join(OPTIONS)}"
            raise TypeError(f"expected an option of metatomic-ipi, got '{name}'; {hint}")
        options[name] = _value(name, value)
    if "variants" in options:
        options["variants"] = variants_from_text(options["variants"])
    return options


def _value(name: str, value: Any) -> Any:
    option = OPTIONS[name]
    if option.multiple:
        items = value if isinstance(value, (list, tuple)) else str(value).split(";")
        return tuple(str(item).strip() for item in items if str(item).strip())
    if option.type is bool:
        if str(value).lower() not in ("true", "false"):
            raise TypeError(f"expected `{name}` to be true or false, got '{value}'")
        return str(value).lower() == "true"
    if option.type is float:
        try:
            return float(value)
        except (TypeError, ValueError):
            raise TypeError(f"expected `{name}` to be a number, got '{value}'") from None
    return str(value)
