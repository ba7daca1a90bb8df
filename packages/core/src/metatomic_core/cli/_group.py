"""The group behind ``metatomic``: finds commands, loads them when they are called, and ends with clean errors.

Commands are built in (`_BUILT_IN`) or come from installed packages, through entry points of the group
``metatomic.commands``, each a `click.Command`.  Listing them loads none of them.
"""

import importlib
import importlib.metadata
import sys
import warnings
from typing import Any, Dict, List, Mapping, NoReturn, Optional, Sequence, Tuple

import click

from ._common import SuggestingGroup, one_line, print_warning

ENTRY_POINT_GROUP = "metatomic.commands"
# name: module, attribute, what it does
_BUILT_IN = {
    "convert": ("metatomic_core.cli.convert", "convert", "Write a model file for other engines, or from theirs."),
    "export": ("metatomic_core.cli.export", "export", "Write a reference potential to a model file."),
    "inspect": ("metatomic_core.cli.inspect", "inspect", "Show what a model file says about itself."),
}
# name: package, what it does; known here so that help needs to load no adapter, and names what to install
_ADAPTERS = {
    "eval": ("metatomic-ase", "Compute energies, forces and stresses of structures."),
    "md": ("metatomic-ase", "Run molecular dynamics: NVE, NVT or NPT."),
    "relax": ("metatomic-ase", "Relax atoms, and the cell if wanted."),
    "ipi": ("metatomic-ipi", "Run a model as a driver of i-PI."),
    "lammps": ("metatomic-lammps", "Run LAMMPS with a model, building its plugin if needed."),
}
_VERSIONED = ("metatomic-ase", "metatomic-ipi", "metatomic-lammps", "torch")
# Errors that say what is wrong with what the user gave; anything else is a bug and keeps its traceback.
_USER_ERRORS = (ValueError, TypeError, RuntimeError, OSError, ImportError)
_INTERRUPTED = 130
_EPILOG = """\b
Example:
  metatomic export sw -o silicon.pt
  metatomic inspect silicon.pt
  metatomic md silicon.pt silicon.xyz -o run --ensemble nvt --temperature 600 --steps 10000"""


def _installed() -> Dict[str, importlib.metadata.EntryPoint]:
    """Give the commands of installed packages, by name; of two with one name the first that is found."""
    found: Dict[str, importlib.metadata.EntryPoint] = {}
    for entry in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        found.setdefault(entry.name, entry)
    return found


def _package(entry: importlib.metadata.EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.module.partition(".")[0]


class CommandGroup(SuggestingGroup):
    """Group whose commands are loaded when they are called, and whose errors are one line on standard error."""

    def list_commands(self, ctx: click.Context) -> List[str]:
        """List the commands that are built in or installed."""
        return sorted({*_BUILT_IN, *_installed()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        """Load a command; None if there is none of this name."""
        if cmd_name in _BUILT_IN:
            module, attribute, _ = _BUILT_IN[cmd_name]
            built_in: click.Command = getattr(importlib.import_module(module), attribute)
            return built_in
        entry = _installed().get(cmd_name)
        if entry is None:
            return None
        try:
            command = entry.load()
        except Exception as error:
            if ctx.find_root().params.get("debug"):
                raise
            package, reason = _package(entry), f"{type(error).__name__}: {one_line(error)}"
            raise click.ClickException(
                f"the command '{cmd_name}' of {package} does not load: {reason}; run `pip install --upgrade "
                f"{package}`, or see `metatomic --debug {cmd_name}`"
            ) from error
        if not isinstance(command, click.Command):
            raise click.ClickException(
                f"expected the command '{cmd_name}' of {_package(entry)} to be a click command, got "
                f"{type(command).__name__}"
            )
        return command

    def resolve_command(
        self, ctx: click.Context, args: List[str]
    ) -> Tuple[Optional[str], Optional[click.Command], List[str]]:
        """Find the command to call; of one that is not installed say which package has it."""
        name = args[0]
        if not ctx.resilient_parsing and name in _ADAPTERS and name not in self.list_commands(ctx):
            package = _ADAPTERS[name][0]
            raise click.ClickException(f"the command '{name}' is part of {package}; run `pip install {package}`")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, without loading any of them."""
        installed = _installed()
        rows = []
        for name in self.list_commands(ctx):
            if name in _BUILT_IN:
                rows.append((name, _BUILT_IN[name][2]))
            elif name in _ADAPTERS and _package(installed[name]) == _ADAPTERS[name][0]:
                rows.append((name, _ADAPTERS[name][1]))
            else:
                rows.append((name, f"From {_package(installed[name])}."))
        with formatter.section("Commands"):
            formatter.write_dl(rows)
        missing = [(name, f"pip install {row[0]}") for name, row in _ADAPTERS.items() if name not in installed]
        if missing:
            with formatter.section("Commands of packages that are not installed"):
                formatter.write_dl(missing)

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command; errors of the library become one line, unless debugging."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except _USER_ERRORS as error:
            if ctx.params.get("debug"):
                raise
            raise click.ClickException(one_line(error)) from error

    def main(  # type: ignore[override]
        self, args: Optional[Sequence[str]] = None, prog_name: Optional[str] = None, **extra: Any
    ) -> NoReturn:
        """Run the command line and end with the exit status.

        0 on success, 2 for wrong usage, 130 after an interrupt, 1 for anything else.
        """
        extra["standalone_mode"] = False
        # only how warnings look changes, not which are shown
        with warnings.catch_warnings():
            warnings.showwarning = print_warning
            sys.exit(self._status(args, prog_name or "metatomic", extra))

    def _status(self, args: Optional[Sequence[str]], prog_name: str, extra: Mapping[str, Any]) -> int:
        try:
            status = super().main(args, prog_name, **extra)
        except click.UsageError as error:
            if error.ctx is not None and not error.ctx.args and type(error).__name__ == "NoArgsIsHelpError":
                error.show()
                return error.exit_code
            hint = f"; see `{error.ctx.command_path} --help`" if error.ctx is not None else ""
            return _fail(error.format_message().rstrip(".?") + hint, error.exit_code)
        except click.ClickException as error:
            return _fail(error.format_message(), error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            return _fail("interrupted", _INTERRUPTED)
        # a command that returns ends well; `ctx.exit(n)` gives its number
        return status if isinstance(status, int) else 0


def _fail(message: str, status: int) -> int:
    click.echo(f"metatomic: error: {message}", err=True)
    return status


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    click.echo(f"metatomic-core {importlib.metadata.version('metatomic-core')}")
    for package in _VERSIONED:
        try:
            click.echo(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    ctx.exit()


@click.group(
    cls=CommandGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option("--debug", is_flag=True, envvar="METATOMIC_DEBUG", help="Show tracebacks of errors.  [METATOMIC_DEBUG=1]")
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Show versions."
)
def metatomic(debug: bool) -> None:
    """Machine-learned interatomic potentials: one model file, any simulation engine."""
    # `debug` is read from the context
