"""Evaluation of many structures: what an earlier run has done is kept, and one bad structure stops no other."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ase
import click
import numpy as np

from metatomic_ase._results import voigt
from metatomic_ase.batched import is_out_of_memory
from metatomic_core.adapters.console import one_line
from metatomic_core.adapters.progress import Progress

from . import _structures
from ._common import StopOnSignal
from ._properties import Property, attach, compute
from ._provenance import as_info, without_info

if TYPE_CHECKING:
    from metatomic_ase import MetatomicCalculator

# seconds, at least, between writes of the structures that are done
WRITE_EVERY = 5.0


class Work:
    """What to evaluate, and how.

    Parameters
    ----------
    calculator
        The calculator.
    images
        All structures.
    properties
        Outputs to add.
    with_energies
        Whether to add energies per atom.
    source
        File of the structures, for messages.
    origin
        What `_provenance.provenance` gave.
    strict
        Whether the first structure that fails ends the work.

    Attributes
    ----------
    done
        Copies of the structures with their results, by number.
    failed
        Why structures were left out, by number.
    """

    def __init__(
        self,
        calculator: "MetatomicCalculator",
        images: Sequence[ase.Atoms],
        properties: Sequence[Property],
        with_energies: bool,
        source: str,
        origin: Mapping[str, Any],
        strict: bool,
    ):
        self._calculator = calculator
        self._images = images
        self._properties = properties
        self._with_energies = with_energies
        self._source = source
        self._origin = origin
        self._strict = strict
        self._next = 0
        self.done: dict[int, ase.Atoms] = {}
        self.failed: dict[int, str] = {}

    def results(self) -> list[ase.Atoms]:
        """List the structures that are done, in their order."""
        return [self.done[number] for number in sorted(self.done)]

    def resume(self, path: Path) -> None:
        """Take what an interrupted command has done from its output.

        Raises
        ------
        ValueError
            If that are not the first structures of the input, but for those that fail, have no results, or come from
            another model or other options.
        """
        for index, atoms in enumerate(_structures.read_structures(str(path))):
            number, left_out = self._next, []
            while number < len(self._images) and not _is_same(atoms, self._images[number]):
                left_out.append(number)
                number += 1
            has_results = atoms.calc is not None and {"energy", "forces"} <= atoms.calc.results.keys()
            if number == len(self._images) or not has_results or not all(self._fails(one) for one in left_out):
                raise ValueError(
                    f"expected the first results of this command in '{path}' for --resume, got another structure "
                    f"{index}; use --force to begin anew"
                )
            self._check_origin(atoms, path)
            self.done[number] = atoms
            self._next = number + 1

    def _check_origin(self, atoms: ase.Atoms, path: Path) -> None:
        model, options = self._origin["model"]["sha256"], as_info(self._origin)["metatomic_options"]
        if atoms.info.get("metatomic_sha256", model) != model:
            raise ValueError(
                f"expected results of the same model in '{path}' for --resume, got those of another; use --force to "
                "begin anew"
            )
        if str(atoms.info.get("metatomic_options", options)) != options:
            raise ValueError(
                f"expected results of the same options in '{path}' for --resume, got "
                f"'{atoms.info['metatomic_options']}'; use --force to begin anew"
            )

    def run(self, batch_size: int, stop: StopOnSignal, path: Path | None) -> float:
        """Evaluate all that is not done, until a signal; give seconds.

        What is done is written every few seconds, so that a run that is killed can go on.
        """
        total = len(self._images)
        due = time.monotonic() + WRITE_EVERY
        with Progress("structure", total, self._next) as progress:
            while self._next < total and not stop.number:
                self._evaluate(list(range(self._next, min(self._next + batch_size, total))))
                progress.update(self._next, f"{progress.rate(self._next):.3g} structures/s")
                begin = time.monotonic()
                if path is not None and self.done and begin >= due and self._next < total:
                    _structures.write_structures(path, self.results())
                    # all of the file is written each time: that may take a twentieth of the time
                    due = time.monotonic() + max(WRITE_EVERY, 20 * (time.monotonic() - begin))
            return progress.elapsed

    def n_passed(self) -> int:
        """Give the number of structures that were looked at."""
        return self._next

    def complain(self) -> None:
        """Print a line for each structure that failed."""
        for number, reason in sorted(self.failed.items()):
            click.echo(f"metatomic: structure {number} of '{self._source}': {reason}", err=True)

    def _fails(self, number: int) -> bool:
        """Evaluate one structure, and tell whether it fails; it is not taken if it does not."""
        self._evaluate([number])
        return self.done.pop(number, None) is None

    def _evaluate(self, numbers: Sequence[int]) -> None:
        """Evaluate a batch; if that fails, each structure by itself, to find the one that is the reason."""
        fitting = [number for number in numbers if self._knows(number)]
        if fitting:
            try:
                self.done.update(self._results(fitting))
            except (ValueError, RuntimeError) as error:
                if is_out_of_memory(error):
                    raise
                for number in fitting:
                    self._alone(number)
        self._next = numbers[-1] + 1

    def _alone(self, number: int) -> None:
        try:
            self.done.update(self._results([number]))
        except (ValueError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise
            self._fail(number, error)

    def _fail(self, number: int, error: Exception) -> None:
        if self._strict:
            raise ValueError(f"structure {number} of '{self._source}': {one_line(error)}") from error
        self.failed[number] = one_line(error)

    def _knows(self, number: int) -> bool:
        """Tell whether the model knows the species of a structure; a failure if not."""
        try:
            _structures.check_species([self._images[number]], self._calculator.capabilities().atomic_types)
        except ValueError as error:
            self._fail(number, error)
            return False
        return True

    def _results(self, numbers: Sequence[int]) -> dict[int, ase.Atoms]:
        """Give copies of structures with their results."""
        batch = [self._images[number] for number in numbers]
        results = self._calculator.compute_energy(batch, compute_forces_and_stresses=True, per_atom=self._with_energies)
        more = compute(self._calculator, batch, self._properties)
        found = {}
        for index, (number, atoms) in enumerate(zip(numbers, batch, strict=True)):
            values = {name: listed[index] for name, listed in results.items()}
            if values.get("stress") is not None:
                values["stress"] = voigt(values["stress"])
            one = found[number] = _structures.with_results(atoms, values)
            one.info = {**without_info(one.info), **as_info(self._origin)}
            attach(one, more[index], self._properties)
        return found


def _is_same(atoms: ase.Atoms, other: ase.Atoms) -> bool:
    """Tell whether structures are the same; text holds eight decimals."""
    return np.array_equal(atoms.numbers, other.numbers) and np.allclose(
        atoms.positions, other.positions, rtol=0, atol=1e-6
    )
