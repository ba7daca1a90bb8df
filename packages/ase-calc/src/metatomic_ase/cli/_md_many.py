"""``metatomic md`` of several structures: each a run with files of its own, and one call of the model for all."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ase
import click
import numpy as np

from metatomic_ase import MetatomicCalculator
from metatomic_ase.batched import run_together
from metatomic_core.adapters.console import checked_output, columns, one_line, print_table
from metatomic_core.adapters.progress import Progress

from ._common import StopOnSignal
from ._dynamics import Settings
from ._output import check_own, read_log
from ._restart import Restart, read_restart
from ._run import Outcome, Run, ns_per_day
from ._starts import SUFFIXES, every_of, new_start
from ._structures import Read, check_species

# structures at a time, as `run_together` has it, and files that a process has open beside theirs
_MOST, _OTHER_FILES = 256, 100


@dataclasses.dataclass
class Job:
    """One structure: where it comes from, its files, what it starts from, and how it ended.

    Attributes
    ----------
    where
        What messages call it.
    label
        What its files are called.
    seed
        Seed of its random numbers.
    files
        Paths of "trajectory", "log" and "restart".
    start
        State to start from; None if there is none to start from.
    continued
        What was in its files, as for `_run.Run`; None for new ones.
    step
        Number of steps that are done; None before it began.
    error
        Why it failed.
    """

    where: str
    label: str
    seed: int
    files: dict[str, Path]
    start: Restart | None = None
    continued: dict[str, dict[str, Any]] | None = None
    step: int | None = None
    error: Exception | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether there are steps to make."""
        return self.start is not None and self.error is None and self.start.step < self.start.total


@dataclasses.dataclass(frozen=True)
class OutcomeOfMany:
    """How the runs ended: the signal that stopped them, or 0, and steps and wall time of this process."""

    jobs: Sequence[Job]
    signal: int
    n_steps: int
    seconds: float


class ManyRuns:
    """Runs of several structures.

    Parameters
    ----------
    read
        The structures.
    settings
        Conditions; the seed is that of the first structure.
    options
        Options of the command, "resume" and "force" among them.

    Raises
    ------
    ValueError
        If two structures have one name, or files exist that are not to be replaced.
    """

    def __init__(self, read: Sequence[Read], settings: Settings, options: Mapping[str, Any]):
        self._options = options
        self._settings = settings
        self._atoms = [one.atoms for one in read]
        _check_labels(read)
        self._jobs = [
            Job(one.where, one.label, settings.seed + k, _files(options["prefix"], one.label))
            for k, one in enumerate(read)
        ]
        for job in self._jobs:
            self._check_files(job)

    def prepare(self, calculator: MetatomicCalculator, origin: Mapping[str, Any]) -> None:
        """Find out where each structure starts; those that can not be run have an error then.

        Raises
        ------
        ValueError
            If a restart file is of another run.
        click.UsageError
            If an option is missing.
        """
        known, model_hash = calculator.capabilities().atomic_types, origin["model"]["sha256"]
        for job, atoms in zip(self._jobs, self._atoms, strict=True):
            settings = dataclasses.replace(self._settings, seed=job.seed)
            try:
                check_species([atoms], known)
                fresh = new_start(atoms, settings, self._options, model_hash)
            except ValueError as error:
                job.error = error
                continue
            job.start = fresh
            if self._options["resume"] and job.files["restart"].exists():
                job.start = self._kept(job, fresh)
                job.continued, job.step = job.start.files, job.start.step

    def title(self, model: str) -> str:
        """Say what is run."""
        starts = [job.start for job in self._jobs if job.start is not None]
        sizes = sorted(len(start.atoms) for start in starts)
        atoms = f" of {sizes[0]} to {sizes[-1]} atoms" if sizes else ""
        total = f"{self._options['steps']} steps each"
        return f"{len(self._jobs)} structures{atoms}, {model}, {self._settings.describe()}, {total}"

    def run(self, calculator: MetatomicCalculator, origin: Mapping[str, Any]) -> OutcomeOfMany:
        """Run all to their last step, or until a signal."""
        waiting = [job for job in self._jobs if job.is_waiting]
        starts = [job.start for job in waiting if job.start is not None]
        done, total = sum(start.step for start in starts), sum(start.total for start in starts)
        n_steps = 0
        with Progress("step", total, done) as progress, StopOnSignal() as stop:

            def count(_: int) -> None:
                nonlocal n_steps
                n_steps += 1
                if progress.due(done + n_steps):
                    progress.update(done + n_steps, _speed(n_steps / max(progress.elapsed, 1e-9), self._settings))

            job_of = {id(start.atoms): job for start, job in zip(starts, waiting, strict=True)}

            def follow(atoms: ase.Atoms) -> None:
                if not stop.number:
                    _follow(job_of[id(atoms)], atoms, origin, stop, count)

            run_together([start.atoms for start in starts], calculator, follow, max_structures=_at_a_time())
            ended = all(job.error is not None or job.step == self._options["steps"] for job in self._jobs)
            return OutcomeOfMany(self._jobs, 0 if ended else stop.number, n_steps, progress.elapsed)

    def _check_files(self, job: Job) -> None:
        if not self._options["resume"]:
            for path in job.files.values():
                checked_output(path, self._options["force"], "-o")
        elif job.files["log"].exists():
            check_own(job.files["log"])

    def _kept(self, job: Job, fresh: Restart) -> Restart:
        """Give what the restart file of a structure holds, after checking that it is of this run."""
        path = str(job.files["restart"])
        kept = read_restart(path)
        differ = {
            "conditions": kept.settings != fresh.settings,
            "model": kept.model_hash != fresh.model_hash,
            "atoms": kept.atoms.numbers.tolist() != fresh.atoms.numbers.tolist(),
        }
        if any(differ.values()):
            names = ", ".join(name for name, other in differ.items() if other)
            raise ValueError(
                f"expected '{path}' to be of the run to continue, got one with other {names}; leave --resume out and "
                "give --force to begin anew, or name other files with -o"
            )
        if kept.step > fresh.total:
            raise ValueError(f"expected `--steps` of at least {kept.step}, which '{path}' has done, got {fresh.total}")
        return dataclasses.replace(kept, total=fresh.total, every=every_of(self._options), limits=fresh.limits)


def _at_a_time() -> int:
    """Give how many structures may run at a time: each has a log and a trajectory open."""
    try:
        import resource
    except ImportError:  # not on Windows
        return _MOST
    most_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if most_files < 0 else max(1, min(_MOST, (most_files - _OTHER_FILES) // 2))


def _check_labels(read: Sequence[Read]) -> None:
    labels = [one.label for one in read]
    twice = next((one for one in read if labels.count(one.label) > 1), None)
    if twice is not None:
        others = [one.where for one in read if one.label == twice.label]
        raise ValueError(
            f"expected structures in files of different names, which name the output, got '{twice.label}' for "
            f"{' and '.join(others[:2])}"
        )


def _files(prefix: str | None, label: str) -> dict[str, Path]:
    """Give the files of a structure; a prefix that ends as a folder does is one."""
    prefix = prefix or "md"
    start = prefix if prefix.endswith("/") else f"{prefix}-"
    return {name: Path(f"{start}{label}{suffix}") for name, suffix in SUFFIXES.items()}


def _follow(job: Job, atoms: ase.Atoms, origin: Mapping[str, Any], stop: StopOnSignal, count: Any) -> None:
    """Run one structure, whose calculator waits for the others; what it fails of is kept."""
    if job.start is None:
        raise RuntimeError(f"expected a start of {job.where}, got none")
    own = {**origin, "options": {**origin["options"], "structure": job.where, "seed": job.seed}}
    try:
        job.step = Run(job.start, atoms.calc, job.files, own, job.continued).go(stop, count).step
    except (ValueError, RuntimeError, OSError) as error:
        job.error = error


def _speed(rate: float, settings: Settings) -> str:
    return f"{rate:.3g} steps/s, {ns_per_day(rate, settings.timestep):.3g} ns/day in total"


def as_data(outcome: OutcomeOfMany, settings: Settings, equilibrate: float) -> list[dict[str, Any]]:
    """Give a row for each structure: files, how it ended, and means of all that its log has."""
    rows = []
    for job in outcome.jobs:
        row: dict[str, Any] = {"source": job.where, "seed": job.seed, "error": None, "files": {}}
        if job.error is not None:
            row["error"] = one_line(job.error)
        if job.start is not None and job.files["log"].exists():
            row["files"] = {name: str(path) for name, path in job.files.items() if path.exists()}
            n_atoms, samples = len(job.start.atoms), read_log(job.files["log"])
            step = job.step if job.step is not None else (samples[-1].step if samples else 0)
            whole = Outcome(step, 0, 0.0, 0, samples)
            summary = whole.summary(settings, n_atoms, equilibrate)
            # of all structures together
            for name in ("seconds", "steps_per_second", "ns_per_day"):
                del summary[name]
            row.update(formula=job.start.atoms.get_chemical_formula(), **summary)
        rows.append(row)
    return rows


# heading, key of a row, key within, form
_CELLS = (
    ("temperature [K]", "temperature_K", ".5g"),
    ("pressure [GPa]", "pressure_GPa", ".4g"),
    ("volume [Å^3]", "volume_A3", ".6g"),
    ("energy [eV]", "total_energy_eV", ".6g"),
)


def report(rows: Sequence[Mapping[str, Any]], outcome: OutcomeOfMany, settings: Settings) -> None:
    """Print a line for each structure, and how quick all of them were."""
    table = columns("structure", "steps", *(heading for heading, _, _ in _CELLS))
    for job, row in zip(outcome.jobs, rows, strict=True):
        means = [row[key]["mean"] if key in row else np.nan for _, key, _ in _CELLS]
        cells = [
            f"{mean:{form}}" if np.isfinite(mean) else "-" for mean, (_, _, form) in zip(means, _CELLS, strict=True)
        ]
        table.add_row(job.label, str(row.get("step", 0)), *cells)
    print_table(table)
    rate = outcome.n_steps / max(outcome.seconds, 1e-9)
    click.echo(f"{outcome.n_steps} steps in {outcome.seconds:.3g} s, {_speed(rate, settings)}")


def complain(outcome: OutcomeOfMany) -> None:
    """Print what failed, a line for each structure, and raise if anything did.

    Raises
    ------
    RuntimeError
        If a run failed.
    """
    failed = [(job.where, job.error) for job in outcome.jobs if job.error is not None]
    for where, error in failed:
        click.echo(f"metatomic: {where}: {one_line(error)}", err=True)
    if failed:
        raise RuntimeError(
            f"expected all {len(outcome.jobs)} structures to get to their last step, got {len(failed)} that failed"
        )
