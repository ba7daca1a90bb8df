"""Where a run of ``metatomic md`` starts: conditions and files from options, a new state, or that of a restart file."""

import dataclasses
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metatomic_core.adapters.console import checked_output

from ._temperatures import schedule

if TYPE_CHECKING:
    import ase

    from ._dynamics import Settings
    from ._restart import Restart

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
    *("structures", "file_format", "index", "ensemble", "temperature", "timestep", "seed", "repeat", "new_velocities"),
    *_ONLY_FOR,
)
SUFFIXES = {"trajectory": ".traj", "log": ".log", "restart": ".restart"}


def settings_of(options: dict[str, Any], given: "set[str]") -> "Settings":
    """Make settings from options, after checking that they go together."""
    from ._dynamics import Settings

    ensemble, thermostat = options["ensemble"], options["thermostat"]
    for name in sorted(given & _ONLY_FOR.keys()):
        if ensemble not in _ONLY_FOR[name]:
            raise click.UsageError(f"expected {flag(name)} only with --ensemble {_or(_ONLY_FOR[name])}, got {ensemble}")
        if ensemble == "nvt" and thermostat not in _ONLY_FOR_THERMOSTAT.get(name, (thermostat,)):
            wanted = _or(_ONLY_FOR_THERMOSTAT[name])
            raise click.UsageError(f"expected {flag(name)} only with --thermostat {wanted}, got {thermostat}")
    for name in _REQUIRED[ensemble]:
        if options[name] is None:
            raise click.UsageError(f"expected {flag(name)} for --ensemble {ensemble}, got none")
    names = [field.name for field in dataclasses.fields(Settings) if field.name not in ("temperature", "ramp")]
    stops = options["temperature"] or ()
    ramp = schedule(stops, options["steps"] * options["timestep"] / 1000) if stops else None
    if ramp is not None and ensemble == "nve":
        raise click.UsageError("expected one --temperature with --ensemble nve, which has no thermostat, got several")
    length = options["steps"] * options["timestep"] / 1000
    if ramp is not None and ramp[-1][0] > length * (1 + 1e-9):
        warnings.warn(
            f"expected temperatures within the run of {length:g} ps, got {ramp[-1][1]:g} K at {ramp[-1][0]:g} ps, "
            "which is not reached; raise --steps",
            stacklevel=2,
        )
    temperature = stops[0].temperature if stops else None
    return Settings(**{name: options[name] for name in names}, temperature=temperature, ramp=ramp)


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _or(names: tuple[str, ...]) -> str:
    return " or ".join(names)


def output_files(options: dict[str, Any], force: bool) -> dict[str, Path]:
    """Give the output files, after checking that they can be written."""
    from ._output import TRAJECTORY_SUFFIXES

    prefix = options["prefix"] or "md"
    files = {name: Path(options.get(name) or prefix + suffix) for name, suffix in SUFFIXES.items()}
    if files["trajectory"].suffix not in TRAJECTORY_SUFFIXES:
        raise ValueError(f"expected `--trajectory` to end in {_or(TRAJECTORY_SUFFIXES)}, got '{files['trajectory']}'")
    for name, path in files.items():
        checked_output(path, force, "-o" if options.get(name) is None else flag(name))
    if len({path.resolve() for path in files.values()}) < len(files):
        raise ValueError(
            f"expected different files for trajectory, log and restart, got {[str(p) for p in files.values()]}"
        )
    return files


def every_of(options: Mapping[str, Any]) -> dict[str, int]:
    """Give the steps between lines of the log, frames of the trajectory, and restart files."""
    return {name: options[f"{name}_every"] for name in SUFFIXES}


def limits_of(options: Mapping[str, Any]) -> dict[str, float]:
    """Give the limits that were given."""
    limits = {name: options[f"max_{name}"] for name in ("temperature", "energy_change", "move")}
    return {name: value for name, value in limits.items() if value is not None}


def new_start(atoms: "ase.Atoms", settings: "Settings", options: Mapping[str, Any], model_hash: str) -> "Restart":
    """Give a structure velocities, where it has none; the seed is that of the settings.

    Raises
    ------
    click.UsageError
        If there is no temperature for them.
    ValueError
        If the structure does not suit the settings.
    """
    from ._dynamics import check_structure, has_velocities, set_velocities
    from ._restart import random_generator
    from ._run import starting_point

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
        every=every_of(options),
        model_hash=model_hash,
        limits=limits_of(options),
    )


def continued_start(
    model: str, restart: str, options: dict[str, Any], given: "set[str]", in_file: "set[str]", force: bool
) -> tuple["Restart", dict[str, Path], dict[str, Any] | None]:
    """Read a restart file; give the state, the output files, and how to go on in them (None for new files).

    What a file of ``--config`` says about the start and the files is that of the run to continue.
    """
    from ._restart import file_hash, read_restart

    fixed = sorted((given - in_file) & set(_FIXED_BY_RESTART))
    if fixed:
        names = ", ".join("STRUCTURES" if name == "structures" else flag(name) for name in fixed)
        raise click.UsageError(
            f"expected no {names} with --restart, which goes on under the same conditions; to change them, start a new "
            "run from the last frame of the trajectory"
        )
    start = read_restart(restart)
    _check_same(start.settings, options, given & in_file, restart)
    every = {name: value for name, value in every_of(options).items() if f"{name}_every" in given}
    start = dataclasses.replace(
        start,
        total=options["steps"] if "steps" in given else start.total,
        every={**start.every, **every},
        limits={**start.limits, **limits_of(options)},
    )
    if start.step >= start.total:
        raise ValueError(f"expected `--steps` above {start.step}, which '{restart}' has done, got {start.total}")
    if file_hash(model) != start.model_hash:
        warnings.warn(f"expected the model that '{restart}' was made with, got another one, '{model}'", stacklevel=2)
    if {"prefix", "trajectory", "log"} & (given - in_file):
        return start, output_files(options, force), None
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
                f"expected {flag(name)} in the file of --config as in '{restart}', {before}, got {now}; to "
                "change it, start a new run from the last frame of the trajectory"
            )
