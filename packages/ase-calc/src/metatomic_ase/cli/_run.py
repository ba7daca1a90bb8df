"""One run of molecular dynamics: the loop, with its log, trajectory, restart files, progress and summary."""

import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import ase
import numpy as np

from metatomic_core.adapters.progress import Progress

from ._common import StopOnSignal
from ._dynamics import Settings, get_state, heat, make_dynamics, set_state
from ._guard import Guard, Limits, largest_temperature
from ._output import Frames, Log, Sample, drift, sample
from ._restart import Restart, random_generator, write_restart

_FS_PER_NS = 1e6
_SECONDS_PER_DAY = 86400


@dataclasses.dataclass
class Outcome:
    """How a run ended.

    Attributes
    ----------
    step
        Number of steps that are done, those of earlier processes included.
    n_steps
        Number of steps of this process.
    seconds
        Wall time of these.
    signal
        Number of the signal that stopped the run, or 0.
    samples
        What was logged.
    """

    step: int
    n_steps: int
    seconds: float
    signal: int
    samples: list[Sample]

    def averaged(self, settings: Settings, equilibrate: float) -> list[Sample]:
        """List what was logged after the first part of the whole run, which is left out of means.

        Parameters
        ----------
        settings
            Conditions.
        equilibrate
            Length of this part in ps.
        """
        # half a step: times are sums of rounded numbers
        first = equilibrate - settings.timestep / 2000
        return [line for line in self.samples if line.time >= first]

    def summary(self, settings: Settings, n_atoms: int, equilibrate: float = 0.0) -> dict[str, Any]:
        """Give speed and means as data; means are over what this process logged, less the equilibration in ps."""
        samples = self.averaged(settings, equilibrate)
        steps_per_second = self.n_steps / max(self.seconds, 1e-9)
        means = {
            name: {"mean": float(np.mean(values)), "std": float(np.std(values))}
            for name, values in (
                ("temperature_K", [line.temperature for line in samples]),
                ("pressure_GPa", [line.pressure for line in samples]),
                ("volume_A3", [line.volume for line in samples]),
                ("total_energy_eV", [line.total for line in samples]),
            )
            if len(values) > 0
        }
        summary = {
            "step": self.step,
            "time_ps": self.step * settings.timestep / 1000,
            "n_atoms": n_atoms,
            "seconds": self.seconds,
            "steps_per_second": steps_per_second,
            "ns_per_day": ns_per_day(steps_per_second, settings.timestep),
            **means,
            "averages_from_ps": samples[0].time if samples else None,
            "averages_to_ps": samples[-1].time if samples else None,
        }
        if settings.ensemble == "nve":
            summary["drift_eV_per_atom_per_ps"] = drift(samples, n_atoms)
        return summary


def ns_per_day(steps_per_second: float, timestep: float) -> float:
    """Give the speed in ns of simulated time in a day; time step in fs."""
    return steps_per_second * timestep / _FS_PER_NS * _SECONDS_PER_DAY


class RunCalculator(Protocol):
    """What a run asks of a calculator, beside what ASE does."""

    results: dict[str, Any]

    def reset(self) -> None:
        """Forget results."""

    def forget_neighbors(self) -> None:
        """Forget neighbor lists."""


class Run:
    """Molecular dynamics that writes its files and can be stopped and continued.

    Parameters
    ----------
    start
        State to start from, of step 0 for a new run.
    calculator
        Calculator of the atoms.
    files
        Paths of "trajectory", "log" and "restart".
    origin
        What `_provenance.provenance` gave.
    continued
        For a run that goes on in its files what was in them, as in ``start.files``; None for new files.

    Raises
    ------
    ValueError
        If the model fails for the first structure.
    """

    def __init__(
        self,
        start: Restart,
        calculator: RunCalculator,
        files: dict[str, Path],
        origin: Mapping[str, Any],
        continued: dict[str, dict[str, Any]] | None = None,
    ):
        self.start = start
        self.atoms = start.atoms
        self.files = files
        self._calculator = calculator
        self.atoms.calc = calculator
        self._rng = random_generator(start.settings.seed, start.random)
        self._dynamics = make_dynamics(self.atoms, start.settings, self._rng)
        if start.step > 0:
            set_state(self._dynamics, start.settings, start.state)
        # before the files are touched, so that a model that fails leaves no files
        self.atoms.get_potential_energy()
        limits = Limits(**{"temperature": largest_temperature(start.settings.largest_temperature), **start.limits})
        self._guard = Guard(limits, self.atoms, start.settings.timestep)
        self._log = Log(files["log"], origin, (continued or {}).get("log"))
        self._frames = Frames(files["trajectory"], origin, (continued or {}).get("trajectory"))
        self._samples: list[Sample] = []
        self._new_files = continued is None
        self.saved: int | None = None

    def run(self) -> Outcome:
        """Run to the last step, or until a signal.

        Raises
        ------
        ValueError
            If the model gives a result that is not finite, or a limit is passed; the message says where the last
            restart file stands.
        """
        with Progress("step", self.start.total, self.start.step) as progress, StopOnSignal() as stop:

            def show(step: int) -> None:
                if progress.due(step):
                    progress.update(step, self._note(progress.rate(step)))

            return self.go(stop, show)

    def go(self, stop: StopOnSignal, after_step: Callable[[int], None]) -> Outcome:
        """Run to the last step, or until `stop` has a signal.

        Parameters
        ----------
        stop
            Looked at after each step.
        after_step
            Called with the number of each step that is done.

        Raises
        ------
        ValueError
            As `run`.
        """
        first, total = self.start.step, self.start.total
        step, begin = first, time.perf_counter()
        if self._new_files:
            self._record(step, always=True)
        try:
            while step < total and not stop.number:
                # not `run(1)`, which compares all atoms once more
                step += 1
                if self.start.settings.ramp is not None:
                    heat(self._dynamics, self.start.settings, self.start.settings.temperature_at(step))
                self._dynamics.step()  # type: ignore[attr-defined]
                self._check(step)
                self._record(step)
                after_step(step)
        except ValueError as error:
            raise ValueError(self._failure(step, error)) from error
        finally:
            self._log.close()
            self._frames.close()
        if self.saved != step:
            self._save(step)
        return Outcome(step, step - first, time.perf_counter() - begin, stop.number, self._samples)

    def _check(self, step: int) -> None:
        """Check the limits; the state that passes one is written, to be looked at, but not to the restart file."""
        try:
            self._guard.check(self.atoms)
        except ValueError:
            if np.isfinite(self.atoms.positions).all() and "energy" in self._calculator.results:
                self._write(step, always=True)
            raise

    def _record(self, step: int, always: bool = False) -> None:
        """Write what is due after a step."""
        self._write(step, always)
        if step > self.start.step and step % self.start.every["restart"] == 0:
            self._save(step)

    def _write(self, step: int, always: bool = False) -> None:
        """Write what is due in log and trajectory."""
        every = self.start.every
        log, frame = always or step % every["log"] == 0, always or step % every["trajectory"] == 0
        if log or frame:
            line = sample(self.atoms, step, self.start.settings.timestep)
            if log:
                self._log.write(line)
                self._samples.append(line)
            if frame:
                self._frames.write(self.atoms, line)

    def _save(self, step: int) -> None:
        """Write the restart file, and go on from what it holds and nothing else: a restarted run is the same."""
        directory = self.files["restart"].parent
        files = {"log": self._log.state(), "trajectory": self._frames.state()}
        for state in files.values():
            state["path"] = os.path.relpath(state["path"], directory)
        bare = self.atoms.copy()
        write_restart(
            self.files["restart"],
            dataclasses.replace(
                self.start,
                step=step,
                atoms=bare,
                state=get_state(self._dynamics, self.start.settings),
                random=self._rng.bit_generator.state,
                files=files,
            ),
        )
        self.saved = step
        # Neighbor lists that were made at another step hold the pairs in another order, and so round differently.
        self._calculator.reset()
        self._calculator.forget_neighbors()

    def _note(self, rate: float) -> str:
        temperature = self.atoms.get_temperature()
        speed = f"{rate:.3g} steps/s, {ns_per_day(rate, self.start.settings.timestep):.3g} ns/day"
        return f"{temperature:.0f} K, {speed}"

    def _failure(self, step: int, error: ValueError) -> str:
        if self.saved is None and self.start.step == 0:
            kept = "there is no restart file yet"
        else:
            kept = f"'{self.files['restart']}' holds step {self.saved if self.saved is not None else self.start.step}"
        advice = "" if "--timestep" in str(error) else "; a smaller --timestep may help"
        return f"step {step} failed: {error}; {kept}{advice}"


def starting_point(atoms: ase.Atoms, settings: Settings, rng: np.random.Generator, **more: Any) -> Restart:
    """Give the state of a run that has not begun; its random numbers go on after those of the velocities."""
    atoms.calc = None
    return Restart(
        step=0,
        settings=settings,
        atoms=atoms,
        state={},
        random=rng.bit_generator.state,
        files={},
        **more,
    )
