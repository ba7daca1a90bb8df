"""``metatomic import``: a checkpoint of another package as a model file."""

from typing import TYPE_CHECKING

import click

from metatomic_core.adapters.console import checked_output, columns, force_option, json_option, print_json, print_table

from .family import DTYPES, PARTS
from .registry import families, family
from .requirements import installed_version

if TYPE_CHECKING:
    from .family import Family
    from .importing import Report

_EPILOG = """The package of the family must be installed, once: the file that comes out needs none of it.  It is written
if its results are those of the package's own calculator.

\b
Examples:
  metatomic import --families
  metatomic import sevennet 7net-0 -o 7net0.pt
  metatomic import chgnet 0.3.0 -o chgnet.pt --dtype float64
  metatomic import mace my.model -o mace.pt --head default"""


def _parts(function: click.decorators.FC) -> click.decorators.FC:
    for part in reversed(PARTS):
        function = click.option(f"--{part}", metavar="NAME", help=f"Which {part}, for models with several.")(function)
    return function


def _print_families(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """Print what can be imported, and end."""
    if not value or ctx.resilient_parsing:
        return
    table = columns("family", "needs", "installed", "shipped checkpoints", "description")
    for name, plugin in sorted(families().items()):
        # one that does not load leaves the others
        try:
            table.add_row(name, *_row(family(name)))
        except ValueError:
            table.add_row(name, "", "", "", f"does not load; upgrade or remove {plugin.package}")
    print_table(table)
    ctx.exit()


def _row(each: "Family") -> tuple[str, str, str, str]:
    versions = [installed_version(text) for text in each.requirements]
    installed = "\n".join(version or "no" for version in versions)
    shipped = "\n".join(each.shipped()) if None not in versions else ""
    return "\n".join(each.requirements), installed, shipped, each.description


@click.command("import", epilog=_EPILOG)
@click.argument("name", metavar="FAMILY")
@click.argument("checkpoint")
@click.option("-o", "--output", required=True, metavar="FILE", help="Model file to write, by habit .pt.")
@click.option("--dtype", type=click.Choice(DTYPES), help="Precision that the file computes in.")
@_parts
@click.option(
    "--species", multiple=True, metavar="SYMBOL", help="Element that the file is for, or TYPE=SYMBOL; once for each."
)
@click.option(
    "--families",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_families,
    help="List the families that can be imported, and end.",
)
@json_option
@force_option
def import_command(
    name: str,
    checkpoint: str,
    output: str,
    dtype: str | None,
    species: tuple[str, ...],
    as_json: bool,
    force: bool,
    **parts: str | None,
) -> None:
    """Make a model file from a CHECKPOINT of another package.

    FAMILY is a kind of models, as listed by --families.  CHECKPOINT is a file, or the name of one that comes with the
    package of the family.
    """
    checked_output(output, force)
    chosen = family(name)
    given = {part: value for part, value in parts.items() if value is not None}
    wrong = [part for part in given if part != chosen.part]
    if wrong:
        right = f"--{chosen.part}" if chosen.part else "no part of a model"
        raise click.UsageError(f"expected {right} for {name}, got --{wrong[0]}")
    from .importing import import_model

    report = import_model(
        name, checkpoint, output, dtype=dtype, part=given.get(chosen.part), species=species, force=force
    )
    if as_json:
        print_json(_data(report))
    else:
        _print(report)


def _data(report: "Report") -> dict[str, object]:
    return {
        "file": report.file,
        "compared": [{"structure": row.structure, "n_atoms": row.n_atoms, **row.differences} for row in report.rows],
    }


def _print(report: "Report") -> None:
    """Print how far results are from those of the package, and what was written."""
    names = list(dict.fromkeys(name for row in report.rows for name in row.differences))
    table = columns("structure", "atoms", *(f"{name} off by" for name in names))
    for row in report.rows:
        values = [f"{row.differences[name]:.1e}" if name in row.differences else "-" for name in names]
        table.add_row(row.structure, str(row.n_atoms), *values)
    print_table(table)
    click.echo(f"\nwrote {report.file}; differences are in eV per atom, eV/A and eV/A^3")
