"""``metatomic ipi`` and ``metatomic-ipi``: the client, and the commands around it.

Nothing here imports torch or ASE at module level, so that ``--help`` is quick.
"""

import difflib
import importlib.metadata
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from metatomic_core.adapters.quantity import Quantity

from ._console import pes_file, say
from .options import model_options

_CLIENT = "client"
_CASES = ("nve", "nvt", "npt", "pimd", "pimd-npt", "remd", "geop", "phonons")
_MODES = ("unix", "inet", "shm", "ffdirect")
_PREFIX = "/tmp/ipi_"
_EPILOG = """\b
Without the name of a command, the first argument is a model, and the client runs:
  metatomic-ipi MODEL TEMPLATE [--unix NAME | --host HOST --port PORT] [--shm] [OPTIONS]
\b
Example:
  metatomic-ipi input model.pt start.xyz --case pimd --temperature 300
  i-pi input.xml &
  metatomic-ipi model.pt template.xyz --unix metatomic
or all in one:
  metatomic-ipi run model.pt start.xyz --case pimd --temperature 300"""

_CLIENT_EXAMPLES = """\b
Example:
  metatomic-ipi model.pt template.xyz --unix metatomic
  metatomic-ipi model.pt template.xyz --host node12 --port 31415"""

_INPUT_EXAMPLES = """\b
Example:
  metatomic-ipi input water.pt water.xyz --case pimd-npt --beads 16 --temperature 300 -o run"""

_RUN_EXAMPLES = """\b
Example:
  metatomic-ipi run water.pt water.xyz --case pimd --temperature 300 --steps 2000 -o run
  metatomic-ipi run water.pt --continue -o run"""

_PES_PATH_EXAMPLES = """\b
Example:
  i-pi-py_driver -m custom -P $(metatomic-ipi pes-path) -u -a metatomic -o model=model.pt,template=template.xyz"""


class ClientByDefault(click.Group):
    """Group in which anything that is no command is a model to run the client with.

    What is no file either, and looks like a command, is taken for a typo of that.
    """

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command to call."""
        if args and args[0] not in self.commands:
            nearest = difflib.get_close_matches(args[0], self.commands, n=1)
            if nearest and not Path(args[0]).exists():
                raise click.UsageError(
                    f"expected a command of {ctx.command_path} or the file of a model, got '{args[0]}'; did you mean "
                    f"'{nearest[0]}'",
                    ctx,
                )
            args = [_CLIENT, *args]
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give options before the model to the client as well."""
        if args and args[0].startswith("-") and args[0] not in ("--help", "-h", "--version"):
            args = [_CLIENT, *args]
        return super().parse_args(ctx, args)


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    for package in ("metatomic-ipi", "metatomic-core", "ipi"):
        click.echo(f"{package} {importlib.metadata.version(package)}")
    ctx.exit()


@click.group(cls=ClientByDefault, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Show versions."
)
def ipi() -> None:
    """Run a model as a driver of i-PI."""


_model = click.argument("model", type=click.Path(exists=True, dir_okay=False))
_structure = click.argument("structure", type=click.Path(exists=True, dir_okay=False))


@ipi.command(_CLIENT, epilog=_CLIENT_EXAMPLES)
@_model
@click.argument("template", type=click.Path(exists=True, dir_okay=False))
@click.option("-u", "--unix", help="Name of i-PI's unix socket, the <address> of its input.")
@click.option("--host", help="Host of i-PI, for mode inet.  [localhost]")
@click.option("-p", "--port", type=click.IntRange(1, 65535), help="Port of i-PI, for mode inet.  [31415]")
@click.option("-S", "--sockets-prefix", default=_PREFIX, show_default=True, help="What i-PI puts before the name.")
@click.option("--shm", is_flag=True, help="Shared memory: for <ffsocket mode='shm'>, with --unix.")
@click.option("--wait", default=60.0, show_default=True, help="Seconds to wait for i-PI to start.")
@click.option(
    "--timeout",
    default=0.0,
    show_default=True,
    help="Seconds of silence to give up after; 0 for never, and for ten minutes before the first message.",
)
@model_options
def client(
    model: str,
    template: str,
    unix: str | None,
    host: str | None,
    port: int | None,
    sockets_prefix: str,
    shm: bool,
    wait: float,
    timeout: float,
    options: dict[str, Any],
) -> None:
    """Serve i-PI with energies, forces and virials of MODEL (the default command).

    TEMPLATE is the structure that i-PI starts from, with the atoms in the same order: species, periodicity and charge
    are taken from it, positions and cell are not.  The client waits for i-PI and ends when i-PI ends: with status 0
    after a finished run, 1 if i-PI goes away or the model fails, 143 after SIGTERM.
    """
    if unix is not None and (host is not None or port is not None):
        raise click.UsageError("expected either --unix or --host and --port, got both")
    if unix is None and host is None and port is None:
        raise click.UsageError("expected --unix NAME, or --host and --port, got none of them")
    if shm and unix is None:
        raise click.UsageError("expected --unix with --shm, got --host or --port: shared memory is on one machine")
    if not wait >= 0 or not timeout >= 0:
        raise click.UsageError(f"expected --wait and --timeout to be zero or more, got {wait} and {timeout}")
    from .connecting import DEFAULT_PORT
    from .evaluation import Evaluator
    from .session import run_client

    address = sockets_prefix + unix if unix is not None else (host or "localhost", port or DEFAULT_PORT)
    evaluator = Evaluator(model, template, say=say, **options)
    status = run_client(evaluator, address, say, use_shm=shm, wait=wait, timeout=timeout)
    click.get_current_context().exit(status)


def _input_options(command: Callable[..., Any]) -> Callable[..., Any]:
    rows = [
        click.option("--case", type=click.Choice(_CASES), default="nvt", show_default=True, help="Kind of simulation."),
        click.option(
            "--temperature", type=Quantity("K", "300 K", positive=False), default="300", show_default=True, help="In K."
        ),
        click.option("--temperatures", help="Temperatures in K for remd, separated by commas."),
        click.option(
            "--pressure",
            type=Quantity("GPa", "1 bar", needs_unit=True, positive=False),
            default="0",
            show_default=True,
            help="Pressure: '1 bar', '2.5 GPa'.",
        ),
        click.option(
            "--timestep",
            type=Quantity("fs", "0.5 fs", positive=False),
            default="0.5",
            show_default=True,
            help="In fs or with unit.",
        ),
        click.option(
            "--thermostat-time",
            "tau",
            type=Quantity("fs", "100 fs", positive=False),
            default="100",
            show_default=True,
            help="Time constant of the thermostat, in fs or with unit.",
        ),
        click.option("--steps", type=click.IntRange(1), default=1000, show_default=True, help="Number of steps."),
        click.option("--beads", type=click.IntRange(1), help="Number of beads.  [8 for path integrals, else 1]"),
        click.option("--stride", type=click.IntRange(1), help="Steps between two lines of output.  [1/1000 of all]"),
        click.option("--seed", type=click.IntRange(0), default=12345, show_default=True, help="Random seed."),
        click.option("--prefix", default="simulation", show_default=True, help="Start of the names of i-PI's files."),
        click.option("--address", default="metatomic", show_default=True, help="Name of the socket, or host."),
        click.option("-p", "--port", type=click.IntRange(1, 65535), default=31415, show_default=True, help="For inet."),
        click.option(
            "--mode", type=click.Choice(_MODES), default="unix", show_default=True, help="How i-PI reaches the model."
        ),
        click.option("--batch-size", type=click.IntRange(1), help="Structures in one call of the model.  [all]"),
        click.option(
            "-o", "--output", type=click.Path(), default=".", show_default=True, help="Directory to write to."
        ),
        click.option("-f", "--force", is_flag=True, help="Overwrite existing files."),
    ]
    for row in reversed(rows):
        command = row(command)
    return command


def _explicit() -> list[str]:
    """Give the names of the parameters that the user has given."""
    context = click.get_current_context()
    return [name for name in context.params if context.get_parameter_source(name) == ParameterSource.COMMANDLINE]


@ipi.command("input", epilog=_INPUT_EXAMPLES)
@_model
@_structure
@_input_options
@model_options
def input_(model: str, structure: str, options: dict[str, Any], **settings: Any) -> None:
    """Write an input.xml for i-PI that runs MODEL on STRUCTURE.

    Writes input.xml, init.xyz (the structure, turned as i-PI wants it) and template.xyz (for the client), and prints
    the commands to run.
    """
    from .runner import prepare

    prepared = prepare(model, structure, options, {**settings, "explicit": _explicit()})
    for path in prepared.files:
        click.echo(f"wrote {path}")
    click.echo("run it with")
    for line in prepared.shell_lines():
        click.echo(f"  {line}")


@ipi.command(epilog=_RUN_EXAMPLES)
@_model
@click.argument("structure", type=click.Path(exists=True, dir_okay=False), required=False)
@click.option("--clients", type=click.IntRange(1), default=1, show_default=True, help="Number of clients.")
@click.option("--continue", "go_on", is_flag=True, help="Go on from the RESTART in the directory of -o.")
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds that i-PI has to end its step and write RESTART when the run is stopped.",
)
@_input_options
@model_options
def run(
    model: str,
    structure: str | None,
    clients: int,
    go_on: bool,
    patience: float,
    options: dict[str, Any],
    **settings: Any,
) -> None:
    """Write an input for MODEL and STRUCTURE, start i-PI and clients, and draw energy and temperature at the end.

    Ctrl-C stops all of them; i-PI then writes a RESTART file, from which --continue goes on with the same trajectory:
    with the conditions of the first input, and --steps as the length of the whole run.
    """
    from .runner import prepare, prepare_to_go_on, run_all

    explicit = _explicit()
    if go_on:
        fixed = [name for name in explicit if name in settings and name not in ("steps", "output")]
        if structure is not None or fixed:
            what = "STRUCTURE" if structure is not None else f"--{fixed[0]}"
            raise click.UsageError(f"expected the conditions of RESTART with --continue, got {what}; leave it out")
        steps = settings["steps"] if "steps" in explicit else None
        prepared = prepare_to_go_on(model, options, Path(settings["output"]), steps)
    elif structure is None:
        raise click.UsageError("expected a STRUCTURE, or --continue, got none of them")
    else:
        prepared = prepare(model, structure, options, {**settings, "explicit": explicit}, clients)
    click.get_current_context().exit(run_all(prepared, clients, patience))


@ipi.command("pes-path", epilog=_PES_PATH_EXAMPLES)
def pes_path() -> None:
    """Print the file to give to i-PI as a PES."""
    click.echo(pes_file())


def main() -> None:
    """Run the console script ``metatomic-ipi``; ends the process with the exit status."""
    from metatomic_core.cli import metatomic

    metatomic.main(["ipi", *sys.argv[1:]], prog_name="metatomic")
