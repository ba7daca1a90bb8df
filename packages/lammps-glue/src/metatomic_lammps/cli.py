"""Commands: ``metatomic-lammps build`` and ``path``; ``metatomic lammps``, which builds if needed and runs LAMMPS."""

import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar

import click

from ._toolchain import SIZES, Target, find_target, find_tool
from .build import build_plugin, plugin_path

Function = TypeVar("Function", bound=Callable[..., Any])

_BUILD_EPILOG = """\b
Examples:
  metatomic-lammps build
  metatomic-lammps build --lammps ~/lammps --mpi-include /usr/include/mpich"""
_RUN_EPILOG = """\b
Example:
  metatomic lammps -in in.lammps -np 4 -- -var temperature 300"""


def _target_options(function: Function) -> Function:
    for option in (
        click.option("--sizes", type=click.Choice([*SIZES]), default="smallbig", help="Integer sizes of LAMMPS."),
        click.option("--mpi-include", metavar="DIR", help="Folder with mpi.h of the MPI library that LAMMPS uses."),
        click.option("--torch", metavar="DIR", help="Folder of libtorch; by default the installed torch."),
        click.option("--lammps", metavar="DIR", help="Source tree or headers; by default the installed LAMMPS."),
    ):
        function = option(function)
    return function


def _clean(action: Callable[[], Any]) -> Any:
    """Run an action; what it raises for the user becomes a message without traceback."""
    try:
        return action()
    except (ValueError, RuntimeError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _build(target: Target, force: bool) -> Path:
    """Build with a progress bar on a terminal."""
    if plugin_path(target).is_file() and not force:
        return plugin_path(target)
    click.echo(
        f"Compiling the pair style for LAMMPS {target.lammps_version_text} and torch {target.torch_version}",
        err=True,
    )
    if not sys.stderr.isatty():
        return build_plugin(target, force=force)
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("configuring", total=None)

        def report(name: str, done: int, total: int) -> None:
            progress.update(task, description=name, completed=done, total=total)

        return build_plugin(target, report, force)


@click.group()
@click.version_option(package_name="metatomic-lammps")
def main() -> None:
    """Build and find the LAMMPS plugin for models of metatomic-core."""


@main.command(epilog=_BUILD_EPILOG)
@_target_options
@click.option("-f", "--force", is_flag=True, help="Compile even if nothing changed.")
def build(lammps: Optional[str], torch: Optional[str], mpi_include: Optional[str], sizes: str, force: bool) -> None:
    """Compile the pair style; LAMMPS then finds it by itself."""
    path = _clean(lambda: _build(find_target(torch, lammps, mpi_include, sizes), force))
    click.echo(f"{path}")


@main.command()
@_target_options
def path(lammps: Optional[str], torch: Optional[str], mpi_include: Optional[str], sizes: str) -> None:
    """Print the path of the plugin, for `plugin load`."""
    found = _clean(lambda: plugin_path(find_target(torch, lammps, mpi_include, sizes)))
    if not found.is_file():
        raise click.ClickException(
            "expected a plugin for this torch and LAMMPS, got none; run `metatomic-lammps build`"
        )
    click.echo(f"{found}")


@click.command(epilog=_RUN_EPILOG)
@click.option("-in", "input_file", required=True, metavar="FILE", type=click.Path(exists=True), help="Input file.")
@click.option("-np", "ranks", default=1, show_default=True, type=click.IntRange(min=1), help="MPI processes.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lammps(input_file: str, ranks: int, arguments: tuple[str, ...]) -> None:
    """Run LAMMPS with the pair style metatomic, building it first if needed.

    ARGUMENTS after -- go to lmp.
    """
    # lmp then finds the plugin by the entry point of this package
    _clean(lambda: _build(find_target(), False))
    command = [_clean(lambda: find_tool("lmp")), "-in", input_file, *arguments]
    if ranks > 1:
        command = [_clean(lambda: find_tool("mpiexec")), "-n", str(ranks), *command]
    raise SystemExit(subprocess.run(command, check=False).returncode)
