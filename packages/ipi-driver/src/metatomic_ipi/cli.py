"""``metatomic ipi`` and ``metatomic-ipi``: the client, and the commands around it.

Nothing here imports torch or ASE at module level, so that ``--help`` is quick.
"""

import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import click

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


def say(text: str) -> None:
    """Print a line for the user at once: often into a log that somebody follows."""
    click.echo(f"metatomic-ipi: {text}", err=True)


class ClientByDefault(click.Group):
    """Group in which anything that is no command is a model to run the client with."""

    def resolve_command(
        self, ctx: click.Context, args: List[str]
    ) -> Tuple[Optional[str], Optional[click.Command], List[str]]:
        """Find the command to call."""
        if args and args[0] not in self.commands:
            args = [_CLIENT, *args]
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: List[str]) -> List[str]:
        """Give options before the model to the client as well."""
        if args and args[0].startswith("-") and args[0] not in ("--help", "-h"):
            args = [_CLIENT, *args]
        return super().parse_args(ctx, args)


@click.group(cls=ClientByDefault, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
def ipi() -> None:
    """Run a model as a driver of i-PI."""


_model = click.argument("model", type=click.Path(exists=True, dir_okay=False))
_structure = click.argument("structure", type=click.Path(exists=True, dir_okay=False))


@ipi.command(_CLIENT)
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
    unix: Optional[str],
    host: Optional[str],
    port: Optional[int],
    sockets_prefix: str,
    shm: bool,
    wait: float,
    timeout: float,
    options: Dict[str, Any],
) -> None:
    r"""Serve i-PI with energies, forces and virials of MODEL (the default command).

    TEMPLATE is the structure that i-PI starts from, with the atoms in the same order: species, periodicity and charge
    are taken from it, positions and cell are not.  The client waits for i-PI and ends when i-PI ends: with status 0
    after a finished run, 1 if i-PI goes away or the model fails, 143 after SIGTERM.

    \b
    Example:
      metatomic-ipi model.pt template.xyz --unix metatomic
      metatomic-ipi model.pt template.xyz --host node12 --port 31415
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
        click.option("--temperature", default=300.0, show_default=True, help="Temperature in K."),
        click.option("--temperatures", help="Temperatures in K for remd, separated by commas."),
        click.option("--pressure", default=0.0, show_default=True, help="Pressure in GPa."),
        click.option("--timestep", default=0.5, show_default=True, help="Time step in fs."),
        click.option("--tau", default=100.0, show_default=True, help="Time constant of the thermostat in fs."),
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


@ipi.command("input")
@_model
@_structure
@_input_options
@model_options
def input_(model: str, structure: str, options: Dict[str, Any], **settings: Any) -> None:
    r"""Write an input.xml for i-PI that runs MODEL on STRUCTURE.

    Writes input.xml, init.xyz (the structure, turned as i-PI wants it) and template.xyz (for the client), and prints
    the commands to run.

    \b
    Example:
      metatomic-ipi input water.pt water.xyz --case pimd-npt --beads 16 --temperature 300 -o run
    """
    from .runner import prepare

    prepared = prepare(model, structure, options, settings)
    for path in prepared.files:
        click.echo(f"wrote {path}")
    click.echo("run it with")
    for line in prepared.shell_lines():
        click.echo(f"  {line}")


@ipi.command()
@_model
@_structure
@click.option("--clients", type=click.IntRange(1), default=1, show_default=True, help="Number of clients.")
@_input_options
@model_options
def run(model: str, structure: str, clients: int, options: Dict[str, Any], **settings: Any) -> None:
    r"""Write an input for MODEL and STRUCTURE, start i-PI and clients, and draw energy and temperature at the end.

    Ctrl-C stops all of them; i-PI then writes a RESTART file.

    \b
    Example:
      metatomic-ipi run water.pt water.xyz --case pimd --temperature 300 --steps 2000 -o run
    """
    from .runner import prepare, run_all

    prepared = prepare(model, structure, options, settings, clients)
    click.get_current_context().exit(run_all(prepared, clients))


@ipi.command("pes-path")
def pes_path() -> None:
    r"""Print the file to give to i-PI as a PES.

    \b
    Example:
      i-pi-py_driver -m custom -P $(metatomic-ipi pes-path) -u -a metatomic -o model=model.pt,template=template.xyz
    """
    click.echo(pes_file())


def pes_file() -> Path:
    """Give the path of the file of the PES."""
    return Path(__file__).with_name("pes.py")


def main() -> None:
    """Run the console script ``metatomic-ipi``; ends the process with the exit status."""
    from metatomic_core.cli import metatomic

    metatomic.main(["ipi", *sys.argv[1:]], prog_name="metatomic")
