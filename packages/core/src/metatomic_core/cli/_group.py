"""The group behind ``metatomic``: finds commands, loads them when they are called, and ends with clean errors.

Commands are built in (`_BUILT_IN`) or come from installed packages, through entry points of the group
``metatomic.commands``, each a `click.Command`.  Listing them loads none of them.
"""

import importlib
import importlib.metadata

import click

from metatomic_core.adapters.command_group import CleanGroup
from metatomic_core.adapters.console import one_line
from metatomic_core.foundation.plugins import package_of

ENTRY_POINT_GROUP = "metatomic.commands"
# name: module, attribute, what it does
_BUILT_IN = {
    "compile": ("metatomic_core.cli.compile", "compile_command", "Compile a model for this machine."),
    "convert": ("metatomic_core.cli.convert", "convert", "Write a model file for other engines, or from theirs."),
    "doctor": ("metatomic_core.cli.doctor", "doctor", "Look at this installation: what works, and what to do."),
    "export": ("metatomic_core.cli.export", "export", "Write a reference potential to a model file."),
    "inspect": ("metatomic_core.cli.inspect", "inspect", "Show what a model file says about itself."),
    "combine": ("metatomic_core.cli.combine", "combine", "Write one model file that has several models in it."),
    "wrap": ("metatomic_core.cli.wrap", "wrap", "Average a model over rotations, or give its heat flux."),
    "upgrade": ("metatomic_core.cli.upgrade", "upgrade", "Write a model file again with today's pipeline."),
}
# name: package, what it does; known here so that help needs to load no adapter, and names what to install
_ADAPTERS = {
    "check": ("metatomic-check", "Tell whether a model may be believed, by itself and in each engine."),
    "eval": ("metatomic-ase", "Compute energies, forces and stresses of structures."),
    "md": ("metatomic-ase", "Run molecular dynamics: NVE, NVT or NPT."),
    "relax": ("metatomic-ase", "Relax atoms, and the cell if wanted."),
    "eos": ("metatomic-ase", "Compute the equation of state of a crystal."),
    "elastic": ("metatomic-ase", "Compute the elastic constants of a crystal."),
    "phonons": ("metatomic-ase", "Compute bands and density of states of phonons."),
    "neb": ("metatomic-ase", "Find the path and the barrier between two structures."),
    "compare": ("metatomic-ase", "Compare models on a set of structures."),
    "import": ("metatomic-importers", "Make a model file from a checkpoint of MACE, SevenNet, CHGNet and others."),
    "ipi": ("metatomic-ipi", "Run i-PI with a model, or a model as a client of i-PI."),
    "lammps": ("metatomic-lammps", "Run LAMMPS with the pair style, which is built if needed."),
}
# package: its folder in the repository.  They are not on PyPI, where metatomic-ase is a package of another project.
_FOLDERS = {
    "metatomic-ase": "packages/ase-calc",
    "metatomic-check": "packages/check",
    "metatomic-importers": "packages/importers",
    "metatomic-ipi": "packages/ipi-driver",
    "metatomic-lammps": "packages/lammps-glue",
}
_VERSIONED = ("metatomic-ase", "metatomic-check", "metatomic-importers", "metatomic-ipi", "metatomic-lammps", "torch")
_EPILOG = """\b
Example:
  metatomic export sw -o silicon.pt
  metatomic inspect silicon.pt
  metatomic md silicon.pt silicon.xyz -o run --ensemble nvt --temperature 600 --steps 10000"""


def _installed() -> dict[str, importlib.metadata.EntryPoint]:
    """Give the commands of installed packages, by name; of two with one name the first that is found."""
    found: dict[str, importlib.metadata.EntryPoint] = {}
    for entry in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        found.setdefault(entry.name, entry)
    return found


def _install(package: str) -> str:
    """Say how to install a package."""
    if package not in _FOLDERS:
        return f"run `pip install --upgrade {package}`"
    return f"run `pip install ./packages/core ./{_FOLDERS[package]}` in a clone of metatomic-core"


def _version_of_others(package: str) -> str | None:
    """Give the version of a distribution that has the name of one of ours and none of its commands, or None."""
    try:
        found = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return None
    ours = any(entry.group == ENTRY_POINT_GROUP for entry in found.entry_points)
    return None if ours else found.version


class CommandGroup(CleanGroup):
    """Group whose commands are loaded when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands that are built in or installed."""
        return sorted({*_BUILT_IN, *_installed()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
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
            package, reason = package_of(entry), f"{type(error).__name__}: {one_line(error)}"
            raise click.ClickException(
                f"the command '{cmd_name}' of {package} does not load: {reason}; {_install(package)}, or see "
                f"`metatomic --debug {cmd_name}`"
            ) from error
        if not isinstance(command, click.Command):
            raise click.ClickException(
                f"expected the command '{cmd_name}' of {package_of(entry)} to be a click command, got "
                f"{type(command).__name__}"
            )
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command to call; of one that is not installed say which package has it."""
        name = args[0]
        if not ctx.resilient_parsing and name in _ADAPTERS and name not in self.list_commands(ctx):
            package = _ADAPTERS[name][0]
            other = _version_of_others(package)
            if other is not None:
                raise click.ClickException(
                    f"expected {package} of metatomic-core for the command '{name}', got {package} {other} of another "
                    f"project; run `pip uninstall {package}`, and then {_install(package).replace('run ', '', 1)}"
                )
            raise click.ClickException(f"the command '{name}' is part of {package}; {_install(package)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, without loading any of them."""
        installed = _installed()
        rows = []
        for name in self.list_commands(ctx):
            if name in _BUILT_IN:
                rows.append((name, _BUILT_IN[name][2]))
            elif name in _ADAPTERS and package_of(installed[name]) == _ADAPTERS[name][0]:
                rows.append((name, _ADAPTERS[name][1]))
            else:
                rows.append((name, f"From {package_of(installed[name])}."))
        with formatter.section("Commands"):
            formatter.write_dl(rows)
        missing = [
            (name, f"pip install ./{_FOLDERS[row[0]]}") for name, row in _ADAPTERS.items() if name not in installed
        ]
        if missing:
            with formatter.section("Commands of packages that are not installed (in a clone of metatomic-core)"):
                formatter.write_dl(missing)


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
