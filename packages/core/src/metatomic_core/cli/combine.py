"""``metatomic combine``: sums and committees of models, as one model file."""

import click

from metatomic_core.adapters.console import checked_output, force_option, json_option, print_json

_EPILOG = """The new model has the units of the first one, and the code of all of them in it.

\b
Examples:
  metatomic combine bonded.pt dispersion.pt -o both.pt
  metatomic combine model.pt model.pt --variant pbe --variant r2scan --weight 0.7 --weight 0.3 -o mixed.pt
  metatomic combine seed1.pt seed2.pt seed3.pt --committee -o committee.pt"""


@click.command(epilog=_EPILOG)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("-o", "--output", required=True, metavar="FILE", help="Model file to write, by habit .pt.")
@click.option(
    "--sum/--committee",
    "is_sum",
    default=True,
    show_default=True,
    help="Add the energies; or give their mean, and their spread as uncertainty.",
)
@click.option("--weight", "weights", multiple=True, type=float, metavar="NUMBER", help="Of a sum: once for each model.")
@click.option(
    "--variant",
    "variants",
    multiple=True,
    metavar="NAME",
    help="Variant of the energy, once for each model; off for the default one.",
)
@click.option("--name", default="", metavar="TEXT", help="Name of the new model.")
@json_option
@force_option
def combine(
    models: tuple[str, ...],
    output: str,
    is_sum: bool,
    weights: tuple[float, ...],
    variants: tuple[str, ...],
    name: str,
    as_json: bool,
    force: bool,
) -> None:
    """Write one model file that has several MODELs in it."""
    path = checked_output(output, force)
    from metatomic_core.combining import combine as combined
    from metatomic_core.foundation.elements import symbols

    how = "sum" if is_sum else "committee"
    model = combined(
        models,
        how,
        weights=weights or None,
        variants=[None if variant == "off" else variant for variant in variants] or None,
        name=name,
    )
    model.save(str(path))
    capabilities, found = model.capabilities(), model.metadata()
    species = symbols(capabilities.atomic_types)
    if as_json:
        print_json({"file": path, "name": found.name, "of": found.extra[f"{how} of"], "species": species})
    else:
        click.echo(f"wrote {path}: {found.name} (species {' '.join(species)}, {capabilities.dtype})")
