"""Relaxation of many structures at once: what is done is kept in a file, and one bad structure stops no other."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import ase
import click
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator

from metatomic_ase._cells import cell_freedom
from metatomic_ase.batched import Relaxed, irelax
from metatomic_ase.properties.kept import as_text, read_kept, write_kept
from metatomic_core.adapters.console import columns, one_line, print_table
from metatomic_core.adapters.progress import Progress

from ._common import StopOnSignal
from ._convergence import Convergence
from ._structures import check_species

if TYPE_CHECKING:
    from metatomic_ase import MetatomicCalculator

UNFINISHED = ".unfinished"
# seconds between writes of what is done: a kill costs no more work than that
_WRITE_EVERY = 2.0
# structures on their way: a kill costs what these have done
_AT_A_TIME = 64
_RESULTS = ("energy", "forces", "stress")


class Settings(NamedTuple):
    """How to relax: as arguments of `metatomic_ase.batched.irelax`."""

    optimizer: str
    fmax: float
    steps: int
    cell: str
    pressure: float
    smax: float | None


class Outcome(NamedTuple):
    """What became of the structures.

    Attributes
    ----------
    done
        Relaxed structures by number; those that failed have an error.
    signal
        Number of the signal that stopped the work, or 0.
    seconds
        Wall time.
    """

    done: dict[int, Relaxed]
    signal: int
    seconds: float


class Many:
    """Structures to relax, and the file of what is done.

    Parameters
    ----------
    structures
        The structures, each with where it comes from.
    calculator
        The calculator.
    settings
        How to relax.
    output
        File of the results; that of what is done stands beside it.
    """

    def __init__(
        self,
        structures: Sequence[tuple[str, ase.Atoms]],
        calculator: "MetatomicCalculator",
        settings: Settings,
        output: Path,
    ):
        self._structures = structures
        self._calculator = calculator
        self._settings = settings
        self._kept = output.with_name(output.name + UNFINISHED)

    def run(self, origin: Mapping[str, Any], resume: bool, force: bool) -> Outcome:
        """Relax all that is not done, until a signal.

        Raises
        ------
        ValueError
            If there is an unfinished run that is not to be continued, or one of other structures, model or options.
        """
        text = as_text({"sha256": origin["model"]["sha256"], "options": origin["options"], "read": self._read()})
        done = self._begin(text, resume, force)
        n_before, written = len(done), time.monotonic()
        with StopOnSignal() as stop, Progress("structure", len(self._structures), n_before) as progress:
            waiting = [number for number in range(len(self._structures)) if number not in done]
            bad = {number: error for number in waiting if (error := self._refused(number)) is not None}
            done.update(bad)
            waiting = [number for number in waiting if number not in bad]
            chosen = (self._structures[number][1] for number in waiting)
            for index, relaxed in irelax(
                chosen, self._calculator, max_structures=_AT_A_TIME, **self._settings._asdict()
            ):
                done[waiting[index]] = relaxed
                progress.update(len(done), f"{progress.rate(len(done)):.3g} structures/s")
                if stop.number or time.monotonic() - written > _WRITE_EVERY:
                    write_kept(self._kept, text, {number: _arrays(one) for number, one in done.items()})
                    written = time.monotonic()
                if stop.number:
                    break
            return Outcome(done, stop.number if len(done) < len(self._structures) else 0, progress.elapsed)

    def forget(self) -> None:
        """Delete the file of what is done: the results are written."""
        self._kept.unlink(missing_ok=True)

    def _read(self) -> list[Any]:
        return [[where, atoms.numbers.tolist(), atoms.positions.tolist()] for where, atoms in self._structures]

    def _begin(self, text: str, resume: bool, force: bool) -> dict[int, Relaxed]:
        if not self._kept.exists():
            return {}
        if not resume and not force:
            raise ValueError(
                f"expected no unfinished run, got '{self._kept}'; go on with it with --resume, or begin anew with "
                "--force"
            )
        if not resume:
            return {}
        kept = read_kept(self._kept, text)
        return {number: _relaxed(self._structures[number][1], arrays) for number, arrays in kept.items()}

    def _refused(self, number: int) -> Relaxed | None:
        """Give the failure of a structure that no step can be made with; None for others."""
        atoms = self._structures[number][1]
        known = self._calculator.capabilities().atomic_types
        try:
            check_species([atoms], known)
            cell_freedom(atoms, self._settings.cell, self._settings.pressure)
        except ValueError as error:
            return Relaxed(atoms, converged=False, n_steps=0, largest_force=np.nan, error=error)
        return None


def _arrays(one: Relaxed) -> dict[str, np.ndarray]:
    """Give what is kept of a structure."""
    found = {
        "positions": one.atoms.positions,
        "cell": one.atoms.cell.array,
        "converged": np.array(one.converged),
        "steps": np.array(one.n_steps),
        "largest": np.array(one.largest_force),
    }
    if one.largest_stress is not None:
        found["stress_left"] = np.array(one.largest_stress)
    if one.error is not None:
        return {**found, "error": np.array(one_line(one.error))}
    return {**found, **{name: np.array(value) for name, value in one.atoms.calc.results.items()}}


def _relaxed(start: ase.Atoms, arrays: Mapping[str, np.ndarray]) -> Relaxed:
    atoms = start.copy()
    atoms.set_cell(arrays["cell"])
    atoms.positions[:] = arrays["positions"]
    error = ValueError(str(arrays["error"])) if "error" in arrays else None
    if error is None:
        results = {name: arrays[name] for name in _RESULTS if name in arrays}
        atoms.calc = SinglePointCalculator(atoms, **{**results, "energy": float(arrays["energy"])})
    stress = float(arrays["stress_left"]) if "stress_left" in arrays else None
    return Relaxed(atoms, bool(arrays["converged"]), int(arrays["steps"]), float(arrays["largest"]), error, stress)


def as_data(structures: Sequence[tuple[str, ase.Atoms]], outcome: Outcome) -> list[dict[str, Any]]:
    """Give what became of each structure, as plain data."""
    found = []
    for number, one in sorted(outcome.done.items()):
        failed = one.error is not None
        found.append(
            {
                "source": structures[number][0],
                "formula": one.atoms.get_chemical_formula(),
                "n_atoms": len(one.atoms),
                "converged": one.converged,
                "steps": one.n_steps,
                "fmax_eV_per_A": None if failed else one.largest_force,
                "smax_GPa": one.largest_stress,
                "energy_eV": None if failed else float(one.atoms.calc.results["energy"]),
                "error": one_line(one.error) if one.error is not None else None,
            }
        )
    return found


def report(outcome: Outcome, path: Path) -> None:
    """Print how many were relaxed, and how quickly."""
    relaxed = [one for one in outcome.done.values() if one.error is None]
    table = columns()
    table.add_row("structures", f"{len(outcome.done)} in {outcome.seconds:.3g} s")
    table.add_row("converged", str(sum(one.converged for one in relaxed)))
    table.add_row("NOT converged", str(sum(not one.converged for one in relaxed)))
    table.add_row("failed", str(len(outcome.done) - len(relaxed)))
    if relaxed:
        table.add_row("steps", f"{np.mean([one.n_steps for one in relaxed]):.3g} on average")
        table.add_row("written", str(path))
    print_table(table)


def complain(structures: Sequence[tuple[str, ase.Atoms]], outcome: Outcome, limits: Convergence) -> None:
    """Print what went wrong, a line for each structure, and raise if anything did.

    Raises
    ------
    RuntimeError
        If a structure failed, or did not converge.
    """
    n_wrong = 0
    for number, one in sorted(outcome.done.items()):
        if one.error is not None:
            reason = one_line(one.error)
        elif not one.converged:
            reason = f"largest force {limits.got(one.largest_force, one.largest_stress)} after {one.n_steps} steps"
        else:
            continue
        n_wrong += 1
        click.echo(f"metatomic: {structures[number][0]}: {reason}", err=True)
    if n_wrong:
        raise RuntimeError(
            f"expected {limits.wanted()} for all {len(outcome.done)} structures, got {n_wrong} that failed or "
            "did not converge"
        )
