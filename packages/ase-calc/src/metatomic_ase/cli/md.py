"""``metatomic md``: molecular dynamics.  The command line is here, the run itself in ``_run``."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from metatomic_core.adapters.configuration import ConfigurableCommand, given_in_file
from metatomic_core.adapters.console import (
    columns,
    force_option,
    json_option,
    print_json,
    print_table,
)
from metatomic_core.adapters.options import ENGINE_OPTIONS
from metatomic_core.adapters.quantity import Quantity
from metatomic_core.adapters.text_options import text_from_options

from ._common import (
    bibtex_option,
    calculator,
    checked_bibtex,
    checked_plot,
    dynamics_options,
    plot_option,
    structure_options,
)
from ._starts import continued_start, flag, new_start, output_files, settings_of
from ._temperatures import Temperatures

if TYPE_CHECKING:
    from metatomic_ase import MetatomicCalculator

    from ._dynamics import Settings
    from ._run import Outcome, Run
    from ._structures import Read

_EPILOG = """Files: PREFIX.traj (with velocities; `ase gui` opens it), PREFIX.log (columns for numpy.loadtxt) and
PREFIX.restart.

Restarts: the restart file holds positions, velocities, cell, the state of the random generator and the variables of
thermostat and barostat, in full precision, and the conditions, which stay the same.  A run that goes on from it
continues the same trajectory, for each ensemble and thermostat: to the last bit on the same machine from the files
that are written every N steps, within rounding from that of an interrupt.  Log and trajectory are cut back to the step
of the restart file, and appended to.  An interrupt (Ctrl-C) or SIGTERM ends the run after the current step, with a
restart file.

Temperatures in a row, --temperature "300 K:900 K:900 K:300 K", are those that the thermostat passes through, in equal
parts of --steps; with times from the start, "300 K:900 K@5 ps:900 K@10 ps", at these, and the last one stays.

A run that explodes, by the limits of --max-temperature, --max-energy-change and --max-move, ends with exit status 1;
the last restart file is kept, and the state that passed a limit is the last frame of the trajectory.

Several structures, of several files or by --index, are run together, which is quicker, each as if it were alone, with
the seed --seed N, N + 1, ...: PREFIX-NAME.traj, .log and .restart, where NAME is that of the file, and a number if it
has several.  Those that fail are named, the others go on, and the exit status is 1.  After an interrupt, or a kill, the
same command with --resume goes on with each from its last restart file, and may have more --steps.  What others are in
the call changes the last digits of forces, so a run is that of a single structure within rounding.

Temperatures are 2 E_kin / (3 N k_B), with fewer degrees of freedom for constraints, as in ASE.

\b
Examples:
  metatomic md silicon.pt silicon.xyz -o nve --temperature 600 --steps 10000
  metatomic md silicon.pt silicon.xyz -o nvt --ensemble nvt --temperature 600 --steps 10000
  metatomic md silicon.pt silicon.xyz -o npt --ensemble npt --temperature 600 --pressure "1 bar"
  metatomic md silicon.pt silicon.xyz -o melt --ensemble nvt --temperature "300 K:3000 K"
  metatomic md silicon.pt --restart nvt.restart --steps 20000
  metatomic md silicon.pt *.cif -o hot/ --ensemble nvt --temperature 600"""

_POSITIVE = click.IntRange(min=1)


@click.command(cls=ConfigurableCommand, epilog=_EPILOG)
@click.argument("model")
@click.argument("structures", nargs=-1)
@click.option("-o", "--output", "prefix", metavar="PREFIX", help="Start of the names of output files.  [default: md]")
@click.option("--trajectory", metavar="FILE", help="Trajectory: .traj or .extxyz.  [default: PREFIX.traj]")
@click.option("--log", metavar="FILE", help="Log.  [default: PREFIX.log]")
@click.option("--restart", metavar="FILE", help="Go on from this restart file of an earlier run.")
@click.option(
    "--ensemble",
    type=click.Choice(["nve", "nvt", "npt"]),
    default="nve",
    show_default=True,
    help="What is constant: energy and volume, temperature and volume, or temperature and pressure.",
)
@click.option(
    "--temperature",
    type=Temperatures(),
    help="Of thermostat and initial velocities, in K; several for a ramp: '300 K:900 K', '300:900@5 ps:900@10 ps'.",
)
@click.option(
    "--pressure", type=Quantity("GPa", "1 bar", positive=False, needs_unit=True), help="Pressure: '1 bar', '2.5 GPa'."
)
@click.option(
    "--timestep", type=Quantity("fs", "1 fs"), default="1", show_default=True, help="Time step, in fs or with unit."
)
@click.option(
    "--steps",
    type=_POSITIVE,
    metavar="N",
    default=1000,
    show_default=True,
    help="Length of the run in steps, from its very start.",
)
@click.option(
    "--thermostat",
    type=click.Choice(["langevin", "bussi", "nose-hoover"]),
    default="langevin",
    show_default=True,
    help="Thermostat of nvt; npt has a Nose-Hoover chain.",
)
@click.option(
    "--friction",
    type=Quantity("1/ps", "10 1/ps"),
    default="10",
    show_default=True,
    help="Friction of langevin, in 1/ps.",
)
@click.option(
    "--thermostat-time",
    type=Quantity("fs", "100 fs"),
    default="100",
    show_default=True,
    help="Time constant of bussi, nose-hoover and npt, in fs.",
)
@click.option(
    "--barostat",
    type=click.Choice(["isotropic", "full"]),
    default="isotropic",
    show_default=True,
    help="Of npt: change the volume, or all of the cell.",
)
@click.option(
    "--barostat-time",
    type=Quantity("fs", "1 ps"),
    default="1000",
    show_default=True,
    help="Time constant of the barostat, in fs.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", default=0, show_default=True, help="Of all random numbers."
)
@click.option(
    "--repeat", type=(_POSITIVE, _POSITIVE, _POSITIVE), metavar="A B C", help="Repeat the cell along its vectors."
)
@click.option(
    "--equilibrate",
    type=Quantity("ps", "2 ps", positive=False),
    default="0",
    show_default=True,
    help="Leave so much of the start of the whole run out of the averages, in ps.",
)
@click.option(
    "--max-temperature",
    type=Quantity("K", "20000 K"),
    help="Stop with an error above it, in K.  [default: 20000, or 3 times --temperature]",
)
@click.option(
    "--max-energy-change",
    type=Quantity("eV", "50 eV"),
    help="Stop with an error if the potential energy per atom changes by more, in eV.  [default: 50]",
)
@click.option(
    "--max-move",
    type=Quantity("angstrom", "2 angstrom"),
    help="Stop with an error if an atom moves further in a step, in Å.  [default: 2]",
)
@click.option("--new-velocities", is_flag=True, help="Draw velocities even if the input has some.")
@click.option("--index", default="-1", show_default=True, help="Which structures of each file; ':' for all.")
@click.option("--resume", is_flag=True, help="Go on with what an unfinished run of several structures has done.")
@click.option(
    "--log-every", type=_POSITIVE, metavar="N", default=10, show_default=True, help="Steps between lines of the log."
)
@click.option(
    "--trajectory-every", type=_POSITIVE, metavar="N", default=100, show_default=True, help="Steps between frames."
)
@click.option(
    "--restart-every", type=_POSITIVE, metavar="N", default=1000, show_default=True, help="Steps between restart files."
)
@plot_option
@bibtex_option
@structure_options
@dynamics_options
@force_option
@json_option
@click.pass_context
def md(ctx: click.Context, /, model: str, as_json: bool, force: bool, restart: str | None, **options: Any) -> None:
    """Run molecular dynamics of STRUCTURES with MODEL.

    STRUCTURES are files of any format that ASE reads.  Velocities are those of the input, or drawn at the temperature.
    """
    given = {name for name in options if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT}
    model_arguments = {name: options.pop(name) for name in ENGINE_OPTIONS}
    equilibrate, bibtex = options.pop("equilibrate"), checked_bibtex(options.pop("bibtex"), force)
    plot, resume = options.pop("plot"), options.pop("resume")
    picture = checked_plot(plot, force)
    if restart is not None:
        if resume:
            raise click.UsageError("expected --restart, of one structure, or --resume, of several, got both")
        start, files, continued = continued_start(model, restart, options, given, given_in_file(ctx), force)
        calc = calculator(model, model_arguments)
    else:
        settings = settings_of(options, given)
        read = _read(options)
        if len(read) > 1:
            alone = [name for name in ("trajectory", "log") if options[name] is not None]
            alone += ["plot"] if plot is not None else []
            if alone:
                raise click.UsageError(
                    f"expected no {flag(alone[0])} with several structures, whose files start with -o, got {len(read)}"
                )
            options.update(resume=resume, force=force)
            _run_many(ctx, model, read, settings, options, model_arguments, equilibrate, as_json, bibtex)
            return
        if resume:
            raise click.UsageError("expected --resume only for several structures, got one; go on with --restart FILE")
        from ._restart import file_hash
        from ._structures import check_species

        files, continued = output_files(options, force), None
        calc = calculator(model, model_arguments)
        check_species([read[0].atoms], calc.capabilities().atomic_types, options["structures"][0])
        start = new_start(read[0].atoms, settings, options, file_hash(model))
    from ._citations import cite
    from ._provenance import provenance
    from ._run import Run

    origin = provenance(
        "md", model, calc, _origin_options(start.settings, options, model_arguments, restart, start.step)
    )
    run = Run(start, calc, files, origin, continued)
    if not as_json:
        click.echo(_title(run, calc), err=True)
    outcome = run.run()
    if picture is not None:
        from ._run_pictures import draw_dynamics

        draw_dynamics(run, picture)
    _report(outcome, run, equilibrate, origin if as_json else None)
    cite([calc], [start.settings.method], bibtex)
    if outcome.signal:
        click.echo(
            f"metatomic: stopped after step {outcome.step}; go on with "
            f"`metatomic md {model} --restart {files['restart']}`",
            err=True,
        )
        ctx.exit(128 + outcome.signal)


def _read(options: Mapping[str, Any]) -> "list[Read]":
    """Read all structures."""
    from ._structures import read_all

    if not options["structures"]:
        raise click.UsageError("expected STRUCTURES, or --restart, got neither")
    return read_all(options["structures"], options["file_format"], options["index"])


def _run_many(
    ctx: click.Context,
    model: str,
    read: "list[Read]",
    settings: "Settings",
    options: Mapping[str, Any],
    model_arguments: Mapping[str, Any],
    equilibrate: float,
    as_json: bool,
    bibtex: Path | None,
) -> None:
    """Run many structures together; end the command with an error if one of them did not get to its end."""
    from ._citations import cite
    from ._md_many import ManyRuns, as_data, complain, report
    from ._provenance import provenance

    many = ManyRuns(read, settings, options)
    calc = calculator(model, model_arguments)
    origin = provenance("md", model, calc, _origin_options(settings, options, model_arguments))
    many.prepare(calc, origin)
    if not as_json:
        click.echo(many.title(calc.metadata().name or "unnamed model"), err=True)
    outcome = many.run(calc, origin)
    rows = as_data(outcome, settings, equilibrate)
    if as_json:
        print_json({"settings": dataclasses.asdict(settings), "origin": origin, "structures": rows})
    else:
        report(rows, outcome, settings)
    cite([calc], [settings.method], bibtex)
    if outcome.signal:
        click.echo("metatomic: stopped; go on with the same command and --resume", err=True)
        ctx.exit(128 + outcome.signal)
    complain(outcome)


def _origin_options(
    settings: "Settings",
    options: Mapping[str, Any],
    model_arguments: Mapping[str, Any],
    restart: str | None = None,
    step: int = 0,
) -> dict[str, Any]:
    """Give the options that the trajectory depends on, those of the restart file included, and not its length."""
    given = {name: options[name] for name in ("index", "file_format", "repeat", "new_velocities")}
    new = {"structure": " ".join(options["structures"]), **given}
    return {
        **({"restart": restart, "from_step": step} if restart else new),
        **dataclasses.asdict(settings),
        **text_from_options(model_arguments, ENGINE_OPTIONS),
    }


def _title(run: "Run", calc: "MetatomicCalculator") -> str:
    name = calc.metadata().name or "unnamed model"
    step = f", from step {run.start.step}" if run.start.step else ""
    formula = run.atoms.get_chemical_formula(empirical=True)
    return f"{len(run.atoms)} atoms ({formula}), {name}, {run.start.settings.describe()}, {run.start.total} steps{step}"


def _report(outcome: "Outcome", run: "Run", equilibrate: float, origin: Mapping[str, Any] | None) -> None:
    """Print the summary: as data with its origin if that is given."""
    settings = run.start.settings
    summary = outcome.summary(settings, len(run.atoms), equilibrate)
    if origin is not None:
        files = {name: str(path) for name, path in run.files.items()}
        print_json({**summary, "settings": dataclasses.asdict(settings), "files": files, "origin": origin})
        return
    n_samples = len(outcome.averaged(settings, equilibrate))
    table = columns()
    table.add_row("steps", f"{outcome.step} ({summary['time_ps']:g} ps)")
    table.add_row("speed", f"{summary['steps_per_second']:.3g} steps/s, {summary['ns_per_day']:.3g} ns/day")
    table.add_row("averages", _averaged(summary, run.start.step, equilibrate))
    for label, name, unit in (
        ("temperature", "temperature_K", "K"),
        ("pressure", "pressure_GPa", "GPa"),
        ("volume", "volume_A3", "Å^3"),
        ("total energy", "total_energy_eV", "eV"),
    ):
        mean = summary.get(name)
        if mean is not None and mean["mean"] == mean["mean"]:
            # rounding, where it does not change at all
            varies = mean["std"] > 1e-10 * abs(mean["mean"])
            spread = f", standard deviation {mean['std']:.3g}" if varies else ", fixed"
            table.add_row(label, f"{mean['mean']:.6g} {unit}{spread if n_samples > 1 else ''}")
    if "drift_eV_per_atom_per_ps" in summary:
        table.add_row("energy drift", f"{summary['drift_eV_per_atom_per_ps']:.2e} eV per atom and ps")
    for name, path in run.files.items():
        table.add_row(name, str(path))
    print_table(table)


def _averaged(summary: Mapping[str, Any], first_step: int, equilibrate: float) -> str:
    """Say which part of the run the averages are of."""
    start, end = summary["averages_from_ps"], summary["averages_to_ps"]
    if start is None:
        return "none: nothing was logged"
    what = f"of {start:g} to {end:g} ps"
    if first_step and start >= equilibrate:
        what += ", the part since the restart"
    if not equilibrate:
        what += ", equilibration included (see --equilibrate)"
    return what
