"""Commands: ``metatomic-lammps build`` and ``path``; ``metatomic lammps``, which builds if needed and runs LAMMPS."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from metatomic_core.adapters.command_group import CleanGroup

from ._toolchain import SIZES, Target, find_target, find_tool
from .build import build_plugin, is_built, plugin_path

Function = TypeVar("Function", bound=Callable[..., Any])

_BUILD_EPILOG = """\b
Examples:
  metatomic-lammps build
  metatomic-lammps build --lammps ~/lammps --mpi-include /usr/include/mpich"""
_PATH_EPILOG = """\b
Example:
  metatomic-lammps path"""
_RUN_EPILOG = """\b
Example:
  metatomic lammps -in in.lammps -np 4 -var temperature 300"""
_HELP = {"help_option_names": ["-h", "--help"]}
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the path as JSON.")


class _Group(CleanGroup):
    """Commands of ``metatomic-lammps``."""

    program = "metatomic-lammps"


def _print_path(path: Path, as_json: bool) -> None:
    click.echo(json.dumps({"path": str(path)}) if as_json else f"{path}")


def _target_options(function: Function) -> Function:
    for option in (
        click.option("--sizes", type=click.Choice([*SIZES]), default="smallbig", help="Integer sizes of LAMMPS."),
        click.option("--mpi-include", metavar="DIR", help="Folder with mpi.h of the MPI library that LAMMPS uses."),
        click.option("--torch", metavar="DIR", help="Folder of libtorch; by default the installed torch."),
        click.option(
            "--lammps-version", type=int, metavar="YYYYMMDD", help="Version of --lammps, for headers without version.h."
        ),
        click.option("--lammps", metavar="DIR", help="Source tree or headers; by default the installed LAMMPS."),
    ):
        function = option(function)
    return function


def _build(target: Target, force: bool) -> Path:
    """Build with a progress bar on a terminal."""
    if is_built(target) and not force:
        return plugin_path(target)
    click.echo(
        f"Compiling the pair style for LAMMPS {target.lammps_version_text} and torch {target.torch_version}",
        err=True,
    )
    if not sys.stderr.isatty():
        path = build_plugin(target, force=force)
        click.echo("Compiled", err=True)
        return path
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("configuring", total=None)

        def report(name: str, done: int, total: int) -> None:
            progress.update(task, description=name, completed=done, total=total)

        return build_plugin(target, report, force)


@click.group(cls=_Group, context_settings=_HELP, epilog=_BUILD_EPILOG)
@click.version_option(package_name="metatomic-lammps")
def main() -> None:
    """Build and find the LAMMPS plugin for models of metatomic-core."""


@main.command(epilog=_BUILD_EPILOG)
@_target_options
@click.option("-f", "--force", is_flag=True, help="Compile even if nothing changed.")
@_JSON
def build(
    lammps: str | None,
    lammps_version: int | None,
    torch: str | None,
    mpi_include: str | None,
    sizes: str,
    force: bool,
    as_json: bool,
) -> None:
    """Compile the pair style; LAMMPS then finds it by itself."""
    path = _build(find_target(torch, lammps, mpi_include, sizes, lammps_version), force)
    _print_path(path, as_json)


@main.command(epilog=_PATH_EPILOG)
@_target_options
@_JSON
def path(
    lammps: str | None,
    lammps_version: int | None,
    torch: str | None,
    mpi_include: str | None,
    sizes: str,
    as_json: bool,
) -> None:
    """Print the path of the plugin, for `plugin load`."""
    found = plugin_path(find_target(torch, lammps, mpi_include, sizes, lammps_version))
    if not found.is_file():
        raise click.ClickException(
            "expected a plugin for this torch and LAMMPS, got none; run `metatomic-lammps build`"
        )
    _print_path(found, as_json)


class _PassesOn(click.Command):
    """A command that passes on what it does not know: options of lmp, among and after its own."""

    _WITH_VALUE = ("-in", "-np")
    _ALONE = ("-h", "--help")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse own options, wherever they are before ``--``, and leave the others to lmp."""
        own: list[str] = []
        others: list[str] = []
        rest = iter(args)
        for text in rest:
            if text == "--":
                break
            if text in self._ALONE:
                own.append(text)
            elif text in self._WITH_VALUE:
                value = next(rest, None)
                if value is None:
                    raise click.UsageError(f"expected a value after {text}, got none", ctx)
                own += [text, value]
            else:
                others.append(text)
        return super().parse_args(ctx, [*own, "--", *others, *rest])


@click.command(cls=_PassesOn, epilog=_RUN_EPILOG)
@click.option(
    "-in", "input_file", required=True, metavar="FILE", type=click.Path(exists=True, dir_okay=False), help="Input file."
)
@click.option("-np", "ranks", default=1, show_default=True, type=click.IntRange(min=1), help="MPI processes.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lammps(input_file: str, ranks: int, arguments: tuple[str, ...]) -> None:
    """Run LAMMPS with the pair style metatomic, building it first if needed.

    Other ARGUMENTS go to lmp, such as -var and -log.
    """
    # lmp then finds the plugin by the entry point of this package
    _build(find_target(), force=False)
    command = [find_tool("lmp"), "-in", input_file, *arguments]
    if ranks > 1:
        command = [find_tool("mpiexec"), "-n", str(ranks), *command]
    raise SystemExit(subprocess.run(command, check=False).returncode)
