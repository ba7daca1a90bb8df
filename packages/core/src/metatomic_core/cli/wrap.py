"""``metatomic wrap``: a model inside another one, which averages it over rotations, or gives its heat flux."""

import click
from click.core import ParameterSource

from metatomic_core.adapters.console import checked_output, force_option, json_option, print_json

_EPILOG = """The new file has all outputs of MODEL, in its units, and runs wherever MODEL runs; one with a heat flux
runs where the engine gives velocities: in ASE and LAMMPS.

\b
Examples:
  metatomic wrap model.pt --symmetrize -o symmetric.pt
  metatomic wrap model.pt --symmetrize --degree 7 --no-inversion -o symmetric.pt
  metatomic wrap model.pt --heat-flux -o flux.pt"""


# Options that say how to average.
_OF_AVERAGE = {
    "degree": "--degree",
    "characters": "--characters",
    "inversion": "--no-inversion",
    "batch_size": "--batch-size",
}


def _refuse_options_of_average(context: click.Context) -> None:
    given = [
        option
        for name, option in _OF_AVERAGE.items()
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    ]
    if given:
        raise click.UsageError(f"expected {given[0]} together with --symmetrize, got it alone; add --symmetrize")


@click.command(epilog=_EPILOG)
@click.argument("model", metavar="MODEL")
@click.option("-o", "--output", required=True, metavar="FILE", help="Model file to write, by habit .pt.")
@click.option(
    "--symmetrize",
    "--symmetrise",
    "symmetrize",
    is_flag=True,
    help="Average over rotations and inversion, and give the variance over them.",
)
@click.option(
    "--degree",
    type=int,
    metavar="L",
    help="Average exactly up to this degree of spherical harmonics.  [default: twice that of outputs plus 1, or 3]",
)
@click.option(
    "--characters",
    type=int,
    metavar="L",
    help="Also give the parts of each output that change as representations of the rotations up to this degree.",
)
@click.option("--inversion/--no-inversion", default=True, show_default=True, help="Average over inversion, too.")
@click.option("--batch-size", type=int, default=32, show_default=True, metavar="N", help="Turned copies in one call.")
@click.option("--heat-flux", is_flag=True, help="Add the heat flux of each energy to the outputs.")
@json_option
@force_option
@click.pass_context
def wrap(
    ctx: click.Context,
    model: str,
    output: str,
    symmetrize: bool,
    degree: int | None,
    characters: int | None,
    inversion: bool,
    batch_size: int,
    heat_flux: bool,
    as_json: bool,
    force: bool,
) -> None:
    """Write a model file that has MODEL in it, averaged over rotations, or with its heat flux."""
    if not symmetrize and not heat_flux:
        raise click.UsageError("expected --symmetrize or --heat-flux, got neither; say what to do with the model")
    if not symmetrize:
        _refuse_options_of_average(ctx)
    path = checked_output(output, force)
    from metatomic_core.heat_flux import HeatFlux
    from metatomic_core.loading import load_atomistic_model
    from metatomic_core.o3 import SymmetrizedModel

    wrapped = load_atomistic_model(model)
    before = wrapped.capabilities().outputs
    if symmetrize:
        wrapped = SymmetrizedModel.wrap(
            wrapped,
            max_angular_momentum_character=characters,
            max_angular_momentum_grid=degree,
            include_inversion=inversion,
            batch_size=batch_size,
        )
    if heat_flux:
        wrapped = HeatFlux.wrap(wrapped)
    wrapped.save(str(path))
    added = [name for name in wrapped.capabilities().outputs if name not in before]
    if as_json:
        metadata = wrapped.metadata()
        print_json({"file": path, "name": metadata.name, "added": added, "extra": metadata.extra})
    else:
        click.echo(f"wrote {path}: {wrapped.metadata().name or 'unnamed'} with {', '.join(added)}")
