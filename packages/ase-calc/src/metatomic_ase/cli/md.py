"""``metatomic md``: molecular dynamics.  The command line is here, the run itself in ``_run``."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from metatomic_core.adapters.configuration import ConfigurableCommand, given_in_file
from metatomic_core.adapters.console import (
    checked_output,
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
from ._temperatures import Temperatures, schedule

if TYPE_CHECKING:
    from metatomic_ase import MetatomicCalculator

    from ._dynamics import Settings
    from ._restart import Restart
    from ._run import Outcome, Run

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

Temperatures are 2 E_kin / (3 N k_B), with fewer degrees of freedom for constraints, as in ASE.

\b
Examples:
  metatomic md silicon.pt silicon.xyz -o nve --temperature 600 --steps 10000
  metatomic md silicon.pt silicon.xyz -o nvt --ensemble nvt --temperature 600 --steps 10000
  metatomic md silicon.pt silicon.xyz -o npt --ensemble npt --temperature 600 --pressure "1 bar"
  metatomic md silicon.pt silicon.xyz -o melt --ensemble nvt --temperature "300 K:3000 K"
  metatomic md silicon.pt --restart nvt.restart --steps 20000"""

# options that only some ensembles have: option -> ensembles
_ONLY_FOR = {
    "thermostat": ("nvt",),
    "friction": ("nvt",),
    "thermostat_time": ("nvt", "npt"),
    "barostat": ("npt",),
    "barostat_time": ("npt",),
    "pressure": ("npt",),
}
# options that only some thermostats of "nvt" have
_ONLY_FOR_THERMOSTAT = {"friction": ("langevin",), "thermostat_time": ("bussi", "nose-hoover")}
_REQUIRED = {"nve": (), "nvt": ("temperature",), "npt": ("temperature", "pressure")}
# what a restart file fixes
_FIXED_BY_RESTART = (
    *("structure", "file_format", "index", "ensemble", "temperature", "timestep", "seed", "repeat", "new_velocities"),
    *_ONLY_FOR,
)
_SUFFIXES = {"trajectory": ".traj", "log": ".log", "restart": ".restart"}
_POSITIVE = click.IntRange(min=1)


class _OneStructure(ConfigurableCommand):
    """A command that says what to do with several structures, rather than that an argument is not expected."""

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        """Parse, and refuse what is beyond the structure."""
        ctx: click.Context = super().make_context(*arguments, **{**more, "allow_extra_args": True})
        # completion asks what may follow
        if ctx.args and not ctx.resilient_parsing:
            raise click.UsageError(
                f"expected one STRUCTURE, got {1 + len(ctx.args)}, with {' '.join(ctx.args[:3])}; run the command for "
                "each, or all with one call of the model by metatomic_ase.batched.run_together in Python",
                ctx,
            )
        return ctx


@click.command(cls=_OneStructure, epilog=_EPILOG)
@click.argument("model")
@click.argument("structure", required=False)
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
@click.option("--index", default="-1", show_default=True, help="Which structure of the input.")
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
    """Run molecular dynamics of STRUCTURE with MODEL.

    STRUCTURE is a file of any format that ASE reads.  Velocities are those of the input, or drawn at the temperature.
    """
    given = {name for name in options if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT}
    model_arguments = {name: options.pop(name) for name in ENGINE_OPTIONS}
    equilibrate, bibtex = options.pop("equilibrate"), checked_bibtex(options.pop("bibtex"), force)
    picture = checked_plot(options.pop("plot"), force)
    if restart is None:
        settings = _settings(options, given)
        files = _files(options, force)
        calc = calculator(model, model_arguments)
        start, continued = _new(model, settings, calc, options), None
    else:
        start, files, continued = _continued(model, restart, options, given, given_in_file(ctx), force)
        calc = calculator(model, model_arguments)
    from ._citations import cite
    from ._provenance import provenance
    from ._run import Run

    origin = provenance("md", model, calc, _origin_options(start, options, model_arguments, restart))
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


def _origin_options(
    start: "Restart", options: Mapping[str, Any], model_arguments: Mapping[str, Any], restart: str | None
) -> dict[str, Any]:
    """Give the options that the trajectory depends on, those of the restart file included, and not its length."""
    names = ("structure", "index", "file_format", "repeat", "new_velocities")
    return {
        **({"restart": restart, "from_step": start.step} if restart else {name: options[name] for name in names}),
        **dataclasses.asdict(start.settings),
        **text_from_options(model_arguments, ENGINE_OPTIONS),
    }


def _settings(options: dict[str, Any], given: "set[str]") -> "Settings":
    """Make settings from options, after checking that they go together."""
    from ._dynamics import Settings

    ensemble, thermostat = options["ensemble"], options["thermostat"]
    for name in sorted(given & _ONLY_FOR.keys()):
        if ensemble not in _ONLY_FOR[name]:
            raise click.UsageError(
                f"expected {_flag(name)} only with --ensemble {_or(_ONLY_FOR[name])}, got {ensemble}"
            )
        if ensemble == "nvt" and thermostat not in _ONLY_FOR_THERMOSTAT.get(name, (thermostat,)):
            wanted = _or(_ONLY_FOR_THERMOSTAT[name])
            raise click.UsageError(f"expected {_flag(name)} only with --thermostat {wanted}, got {thermostat}")
    for name in _REQUIRED[ensemble]:
        if options[name] is None:
            raise click.UsageError(f"expected {_flag(name)} for --ensemble {ensemble}, got none")
    names = [field.name for field in dataclasses.fields(Settings) if field.name not in ("temperature", "ramp")]
    stops = options["temperature"] or ()
    ramp = schedule(stops, options["steps"] * options["timestep"] / 1000) if stops else None
    if ramp is not None and ensemble == "nve":
        raise click.UsageError("expected one --temperature with --ensemble nve, which has no thermostat, got several")
    temperature = stops[0].temperature if stops else None
    return Settings(**{name: options[name] for name in names}, temperature=temperature, ramp=ramp)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _or(names: tuple[str, ...]) -> str:
    return " or ".join(names)


def _files(options: dict[str, Any], force: bool) -> dict[str, Path]:
    """Give the output files, after checking that they can be written."""
    from ._output import TRAJECTORY_SUFFIXES

    prefix = options["prefix"] or "md"
    files = {name: Path(options.get(name) or prefix + suffix) for name, suffix in _SUFFIXES.items()}
    if files["trajectory"].suffix not in TRAJECTORY_SUFFIXES:
        raise ValueError(f"expected `--trajectory` to end in {_or(TRAJECTORY_SUFFIXES)}, got '{files['trajectory']}'")
    for name, path in files.items():
        checked_output(path, force, "-o" if options.get(name) is None else _flag(name))
    if len({path.resolve() for path in files.values()}) < len(files):
        raise ValueError(
            f"expected different files for trajectory, log and restart, got {[str(p) for p in files.values()]}"
        )
    return files


def _every(options: dict[str, Any]) -> dict[str, int]:
    return {name: options[f"{name}_every"] for name in _SUFFIXES}


def _limits(options: dict[str, Any]) -> dict[str, float]:
    """Give the limits that were given."""
    limits = {name: options[f"max_{name}"] for name in ("temperature", "energy_change", "move")}
    return {name: value for name, value in limits.items() if value is not None}


def _new(model: str, settings: "Settings", calc: "MetatomicCalculator", options: dict[str, Any]) -> "Restart":
    """Read the structure and give it velocities."""
    from ._dynamics import check_structure, has_velocities, set_velocities
    from ._restart import file_hash, random_generator
    from ._run import starting_point
    from ._structures import check_species, read_structure

    if options["structure"] is None:
        raise click.UsageError("expected a STRUCTURE, or --restart, got neither")
    atoms = read_structure(options["structure"], options["file_format"], options["index"])
    check_species([atoms], calc.capabilities().atomic_types, options["structure"])
    check_structure(atoms, settings)
    rng = random_generator(settings.seed)
    repeats = options["repeat"]
    if repeats:
        atoms = atoms.repeat(repeats)
    # copies of an atom must not all move alike
    if options["new_velocities"] or not has_velocities(atoms) or (repeats and max(repeats) > 1):
        if settings.temperature is None:
            raise click.UsageError(
                "expected --temperature for initial velocities, which the structure has not, got none"
            )
        set_velocities(atoms, settings.temperature, rng)
    return starting_point(
        atoms,
        settings,
        rng,
        total=options["steps"],
        every=_every(options),
        model_hash=file_hash(model),
        limits=_limits(options),
    )


def _continued(
    model: str, restart: str, options: dict[str, Any], given: "set[str]", in_file: "set[str]", force: bool
) -> tuple["Restart", dict[str, Path], dict[str, Any] | None]:
    """Read a restart file; give the state, the output files, and how to go on in them (None for new files).

    What a file of ``--config`` says about the start and the files is that of the run to continue.
    """
    import warnings

    from ._restart import file_hash, read_restart

    fixed = sorted((given - in_file) & set(_FIXED_BY_RESTART))
    if fixed:
        names = ", ".join("STRUCTURE" if name == "structure" else _flag(name) for name in fixed)
        raise click.UsageError(
            f"expected no {names} with --restart, which goes on under the same conditions; to change them, start a new "
            "run from the last frame of the trajectory"
        )
    start = read_restart(restart)
    _check_same(start.settings, options, given & in_file, restart)
    every = {name: value for name, value in _every(options).items() if f"{name}_every" in given}
    start = dataclasses.replace(
        start,
        total=options["steps"] if "steps" in given else start.total,
        every={**start.every, **every},
        limits={**start.limits, **_limits(options)},
    )
    if start.step >= start.total:
        raise ValueError(f"expected `--steps` above {start.step}, which '{restart}' has done, got {start.total}")
    if file_hash(model) != start.model_hash:
        warnings.warn(f"expected the model that '{restart}' was made with, got another one, '{model}'", stacklevel=2)
    if {"prefix", "trajectory", "log"} & (given - in_file):
        return start, _files(options, force), None
    files = {name: Path(restart).parent / state["path"] for name, state in start.files.items()}
    return start, {**files, "restart": Path(restart)}, start.files


def _check_same(settings: "Settings", options: Mapping[str, Any], names: "set[str]", restart: str) -> None:
    """Check that conditions in a file of ``--config`` are those of the run to continue."""
    for name in sorted(names & set(_FIXED_BY_RESTART)):
        before, now = getattr(settings, name, options[name]), options[name]
        if name == "temperature":
            now = ":".join(f"{stop.temperature:g} K" for stop in now)
            before = ":".join(f"{one or 0:g} K" for _, one in settings.ramp or [[0.0, before]])
        if now != before:
            raise ValueError(
                f"expected {_flag(name)} in the file of --config as in '{restart}', {before}, got {now}; to "
                "change it, start a new run from the last frame of the trajectory"
            )


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
