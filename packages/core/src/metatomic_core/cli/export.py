"""``metatomic export``: reference potentials, written to model files."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from metatomic_core.adapters.command_group import SuggestingGroup
from metatomic_core.adapters.console import checked_output, force_option, json_option, print_json
from metatomic_core.foundation.elements import symbols

if TYPE_CHECKING:
    from metatomic_core.model.atomistic_model import AtomisticModel

Function = TypeVar("Function", bound=Callable[..., Any])

_EPILOG = """\b
Examples:
  metatomic export lj -o argon.pt
  metatomic export sw -o silicon.pt
  metatomic export eam --file Cu_zhou.eam.alloy -o copper.pt
  metatomic export d3 --species C --species H --functional pbe -o dispersion.pt
  metatomic export zbl --species Si --species O --inner 0.8 --outer 1.2 -o repulsion.pt"""
_LJ_EPILOG = """\b
Examples:
  metatomic export lj -o argon.pt
  metatomic export lj -o neon.pt --species Ne --sigma 2.78 --epsilon 0.00312 --shift smooth
  metatomic export lj -o mixture.pt --species Ar --species Kr --sigma Ar=3.405 --sigma Kr=3.65 \\
      --epsilon Ar=0.01032 --epsilon Kr=0.01412 --cutoff 9"""
_SW_EPILOG = """\b
Examples:
  metatomic export sw -o silicon.pt
  metatomic export sw -o gan.pt --file GaN.sw --energy-sharing thirds
  metatomic export sw -o other.pt --species Ge --parameter epsilon=1.93 --parameter sigma=2.181"""
_EAM_EPILOG = """\b
Examples:
  metatomic export eam -o copper.pt
  metatomic export eam -o copper.pt --file Cu_zhou.eam.alloy"""
_D3_EPILOG = """\b
Examples:
  metatomic export d3 -o d3.pt --species H --species C --functional pbe
  metatomic combine model.pt d3.pt --sum -o with-d3.pt

  metatomic export d3 -o d3.pt --species "H C" --parameter s6=1 --parameter s8=0.7875 \\
      --parameter a1=0.4289 --parameter a2=4.4407

The tables come from a package: pip install 'metatomic-core[dispersion]'"""
_ZBL_EPILOG = """\b
Examples:
  metatomic export zbl -o zbl.pt --species Si --species O
  metatomic export zbl -o zbl.pt --species Fe --inner 1.0 --outer 1.6
  metatomic combine model.pt zbl.pt --sum -o with-zbl.pt"""

_COMMON_OPTIONS = (
    click.option("-o", "--output", required=True, metavar="FILE", help="Model file to write, by habit .pt."),
    click.option("--species", multiple=True, metavar="SYMBOL", help="Element; give it once for each."),
    click.option(
        "--dtype",
        type=click.Choice(["float64", "float32"]),
        default="float64",
        show_default=True,
        help="Precision that the model computes in.",
    ),
    json_option,
    force_option,
)
# option, argument, quantity, and its units as examples, the first of them the default
_UNITS = (
    ("--length-unit", "length_unit", "length", ("angstrom", "bohr", "nm")),
    ("--energy-unit", "energy_unit", "energy", ("eV", "kcal/mol", "Hartree")),
)
_UNIT_OPTIONS = tuple(
    click.option(option, default=units[0], show_default=True, metavar="UNIT", help="Of the model and its parameters.")
    for option, _, _, units in _UNITS
)


def _common_options(function: Function) -> Function:
    for option in reversed(_COMMON_OPTIONS + _UNIT_OPTIONS):
        function = option(function)
    return function


@click.group(cls=SuggestingGroup, epilog=_EPILOG)
def export() -> None:
    """Write a reference potential to a model file."""


@export.command(epilog=_LJ_EPILOG)
@click.option("--sigma", multiple=True, metavar="VALUE", help="Distance: a number, or Ar=3.4, or Ar-Kr=3.5.")
@click.option("--epsilon", multiple=True, metavar="VALUE", help="Depth: a number, or Ar=0.01, or Ar-Kr=0.012.")
@click.option("--cutoff", type=float, help="Cutoff radius.  [default: 2.5 times the largest sigma]")
@click.option(
    "--shift",
    type=click.Choice(["energy", "smooth", "none"]),
    default="energy",
    show_default=True,
    help="At the cutoff: energy shifted to zero, switched off smoothly, or neither, which does not conserve energy.",
)
@click.option("--onset", type=float, help="Where --shift smooth begins.  [default: 0.66 times the cutoff]")
@click.option(
    "--mixing",
    type=click.Choice(["lorentz-berthelot", "geometric"]),
    default="lorentz-berthelot",
    show_default=True,
    help="Rule for sigma between species: arithmetic or geometric mean; epsilon is the geometric mean.",
)
@_common_options
def lj(
    output: str, as_json: bool, force: bool, sigma: tuple[str, ...], epsilon: tuple[str, ...], **options: Any
) -> None:
    """Lennard-Jones; of argon by default."""
    path = checked_output(output, force)
    _check_units(options)

    from metatomic_core.potentials import lennard_jones

    species = options.pop("species") or "Ar"
    model = lennard_jones(
        _list(species), sigma=_parameter("--sigma", sigma), epsilon=_parameter("--epsilon", epsilon), **options
    )
    _save(model, path, as_json)


@export.command(epilog=_SW_EPILOG)
@click.option("--file", metavar="FILE", help="Parameters in the format of LAMMPS (.sw).  [default: silicon]")
@click.option("--parameter", multiple=True, metavar="NAME=VALUE", help="Parameter other than that of silicon.")
@click.option(
    "--energy-sharing",
    type=click.Choice(["central", "thirds"]),
    default="central",
    show_default=True,
    help="Energy of three atoms: all of it to the central one, which needs the atoms within one cutoff only, or a "
    "third to each, as in the energies per atom of LAMMPS' own style.",
)
@_common_options
def sw(output: str, as_json: bool, force: bool, file: str | None, parameter: tuple[str, ...], **options: Any) -> None:
    """Stillinger-Weber; of silicon by default."""
    if file is not None and parameter:
        raise click.UsageError("expected one of --file and --parameter, got both")
    path = checked_output(output, force)
    _check_units(options)

    from metatomic_core.potentials import stillinger_weber

    species = options.pop("species")
    parameters = _all_named("--parameter", parameter)
    model = stillinger_weber(file or parameters or None, species=_list(species) if species else None, **options)
    _save(model, path, as_json)


@export.command(epilog=_EAM_EPILOG)
@click.option(
    "--file",
    "files",
    multiple=True,
    metavar="FILE",
    help="Tables in a format of LAMMPS: setfl (eam/alloy, eam/fs), or funcfl, one for each element.  [default: copper]",
)
@_common_options
def eam(output: str, as_json: bool, force: bool, files: tuple[str, ...], **options: Any) -> None:
    """Embedded atom; copper of Sutton and Chen by default."""
    path = checked_output(output, force)
    _check_units(options)

    from metatomic_core.potentials import embedded_atom

    species = options.pop("species")
    model = embedded_atom(list(files) or None, species=_list(species) if species else None, **options)
    _save(model, path, as_json)


@export.command(epilog=_D3_EPILOG)
@click.option("--functional", metavar="NAME", help="Density functional that the other model was trained on, like pbe.")
@click.option("--parameter", multiple=True, metavar="NAME=VALUE", help="Instead: s6, s8, a1, and a2 in bohr.")
@click.option("--cutoff", type=float, help="Cutoff radius of pairs.  [default: 15 angstrom]")
@click.option(
    "--coordination-cutoff",
    type=float,
    help="Cutoff radius of what is counted as coordination.  [default: 10 angstrom]",
)
@click.option(
    "--width", type=float, help="Length of the smooth step before both cutoffs; 0 for none.  [default: 2 angstrom]"
)
@_common_options
def d3(
    output: str, as_json: bool, force: bool, functional: str | None, parameter: tuple[str, ...], **options: Any
) -> None:
    """Dispersion D3(BJ), to be added to other models."""
    if (functional is None) == (not parameter):
        given = "both" if parameter else "none"
        raise click.UsageError(f"expected one of --functional and --parameter, got {given}")
    path = checked_output(output, force)
    _check_units(options)

    from metatomic_core.potentials import d3_dispersion

    species = _needed_species(options)
    model = d3_dispersion(species, functional or _all_named("--parameter", parameter), **options)
    _save(model, path, as_json)


@export.command(epilog=_ZBL_EPILOG)
@click.option("--inner", type=float, help="Where the smooth step to zero begins.  [default: 0.8 angstrom]")
@click.option("--outer", type=float, help="Cutoff radius.  [default: 1.2 angstrom]")
@_common_options
def zbl(output: str, as_json: bool, force: bool, **options: Any) -> None:
    """Screened repulsion of nuclei, to be added to other models."""
    path = checked_output(output, force)
    _check_units(options)

    from metatomic_core.potentials import zbl as make

    species = _needed_species(options)
    _save(make(species, **options), path, as_json)


def _needed_species(options: dict[str, Any]) -> list[str]:
    """Take the species out of the options; there are no usual ones."""
    species = _list(options.pop("species"))
    if not species:
        raise click.UsageError("expected --species for each element of the model that this is added to, got none")
    return species


def _list(species: str | tuple[str, ...]) -> list[str]:
    """Give one or several elements as a list; commas and blanks separate them too."""
    texts = [species] if isinstance(species, str) else species
    return [symbol for text in texts for symbol in text.replace(",", " ").split()]


def _parameter(option: str, texts: tuple[str, ...]) -> Any:
    """Give one number, or a mapping from elements and pairs of elements to numbers; None for nothing."""
    if not texts:
        return None
    if len(texts) == 1 and "=" not in texts[0]:
        return _number(option, texts[0], texts[0])
    values: dict[str | tuple[str, ...], float] = {}
    for text in texts:
        name, value = _named(option, text)
        members = tuple(name.split("-"))
        # of a pair in both orders, too
        if any(set(members) == set(key if isinstance(key, tuple) else (key,)) for key in values):
            raise click.BadParameter(f"expected each name once, got '{name}' twice", param_hint=f"'{option}'")
        values[members if len(members) > 1 else name] = value
    return values


def _all_named(option: str, texts: tuple[str, ...]) -> dict[str, float]:
    """Give numbers by name, each of them once."""
    values: dict[str, float] = {}
    for text in texts:
        name, value = _named(option, text)
        if name in values:
            raise click.BadParameter(f"expected each name once, got '{name}' twice", param_hint=f"'{option}'")
        values[name] = value
    return values


def _named(option: str, text: str) -> tuple[str, float]:
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise click.BadParameter(f"expected NAME=VALUE, got '{text}'", param_hint=f"'{option}'")
    return name.strip(), _number(option, value, text)


def _number(option: str, value: str, text: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise click.BadParameter(f"expected a number, got '{text}'", param_hint=f"'{option}'") from None


def _check_units(options: dict[str, Any]) -> None:
    """Check that the units are known and of the right kind, and name the option that has another."""
    from metatomic_core.units import unit_conversion_factor

    for option, argument, quantity, units in _UNITS:
        unit = options[argument]
        try:
            unit_conversion_factor(unit, units[0])
        except ValueError:
            known = f"such as {', '.join(units)}"
            raise click.BadParameter(
                f"expected a unit of {quantity}, {known}, got '{unit}'", param_hint=f"'{option}'"
            ) from None


def _save(model: "AtomisticModel", path: Path, as_json: bool) -> None:
    model.save(str(path))
    capabilities = model.capabilities()
    name, species = model.metadata().name, symbols(capabilities.atomic_types)
    reach, unit, dtype = capabilities.interaction_range, capabilities.length_unit, capabilities.dtype
    if as_json:
        data = {"file": path, "name": name, "atomic_types": capabilities.atomic_types, "type_names": species}
        print_json({**data, "interaction_range": reach, "length_unit": unit, "dtype": dtype})
    else:
        click.echo(
            f"wrote {path}: {name or 'unnamed model'} (species {' '.join(species)}, range {reach:g} {unit}, {dtype})"
        )
