"""Guards: what to do about results that are not finite, forces that are too large, and uncertainties that are too high.

Each has an action: "stop" raises, "warn" prints to standard error (the 1st, 10th, 100th, ... time), "log" writes the
structure with its forces to a file that ASE reads.
"""

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import ase
import ase.io
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator

from metatomic_core.adapters import all_finite
from metatomic_core.adapters.options import checked_options, takes_options

from .options import GUARD_OPTIONS
from .units import ANGSTROM, ELECTRONVOLT


class GuardError(ValueError):
    """A guard with the action "stop" has found something."""


@takes_options(GUARD_OPTIONS)
class Guards:
    """Looks at each result before i-PI gets it.

    Parameters
    ----------
    say
        Called with the text of a warning.
    {options}

    Raises
    ------
    ValueError
        If an action is unknown or a limit not positive.
    """

    def __init__(self, *, say: Callable[[str], None] | None = None, **options: Any):
        given = checked_options("Guards", options, GUARD_OPTIONS)
        self._actions = {name: given[name] for name, option in GUARD_OPTIONS.items() if option.choices}
        self.max_force, self.max_uncertainty = given["max_force"], given["max_uncertainty"]
        for name in ("max_force", "max_uncertainty"):
            limit = given[name]
            if limit is not None and not limit > 0:
                raise ValueError(f"expected `{name}` to be positive, got {limit}")
        self._file: str | os.PathLike[str] = given["guard_file"]
        self._say = say if say is not None else _silent
        self.counts: dict[str, int] = dict.fromkeys(self._actions, 0)

    def check(  # noqa: PLR0917  (what a driver has after each evaluation)
        self,
        atoms: Callable[[], ase.Atoms],
        energy: float,
        forces: np.ndarray,
        virial: np.ndarray | None,
        uncertainties: np.ndarray | None,
        extras: Mapping[str, np.ndarray],
    ) -> None:
        """Check the results of one structure, in i-PI's atomic units.

        Parameters
        ----------
        atoms
            Gives the structure, for the action "log".
        energy
            The energy.
        forces
            Shape (n_atoms, 3).
        virial
            Shape (3, 3); None if there is none to check.
        uncertainties
            Shape (n,), in eV; None if they are not watched.
        extras
            What i-PI gets besides, by name: it takes the forces of a committee from there.

        Raises
        ------
        GuardError
            If something is found whose action is "stop".
        """
        problem = _not_finite(energy, forces, virial, extras)
        if problem is not None:
            self._found("on_nan", problem, atoms, energy, forces)
        elif self.max_force is not None:
            unit = ELECTRONVOLT * ANGSTROM**-1
            # the components decide cheaply whether the norms are worth computing
            if np.abs(forces).max(initial=0.0) * np.sqrt(3.0) > self.max_force * unit:
                norms = np.linalg.norm(forces, axis=1) / unit
                if norms.max() > self.max_force:
                    text = f"forces up to {self.max_force:g} eV/angstrom, got {norms.max():g} on atom {norms.argmax()}"
                    self._found("on_max_force", text, atoms, energy, forces)
        if uncertainties is not None and not uncertainties.max(initial=0.0) <= self.max_uncertainty:
            where = f" for atom {uncertainties.argmax()}" if len(uncertainties) > 1 else ""
            text = f"uncertainties up to {self.max_uncertainty:g} eV, got {uncertainties.max():g}{where}"
            self._found("on_uncertainty", text, atoms, energy, forces)

    def _found(self, guard: str, text: str, atoms: Callable[[], ase.Atoms], energy: float, forces: np.ndarray) -> None:
        self.counts[guard] += 1
        action = self._actions[guard]
        if action == "stop":
            raise GuardError(f"expected {text}; `{guard}` is 'stop'")
        if action == "warn":
            count = self.counts[guard]
            if str(count).strip("0") == "1":
                self._say(f"expected {text}" + (f" ({count} times so far)" if count > 1 else ""))
        else:
            frame = atoms()
            frame.info["guard"] = guard
            frame.calc = SinglePointCalculator(
                frame, energy=energy / ELECTRONVOLT, forces=forces * ANGSTROM / ELECTRONVOLT
            )
            ase.io.write(os.fspath(self._file), frame, format="extxyz", append=True)

    def summary(self) -> str | None:
        """Say how often each guard has found something; None if never."""
        found = [f"{name} {count}" for name, count in self.counts.items() if count > 0]
        return f"guards: {', '.join(found)}" if found else None


def _not_finite(
    energy: float, forces: np.ndarray, virial: np.ndarray | None, extras: Mapping[str, np.ndarray]
) -> str | None:
    """Say which result is not finite; None if all are."""
    if not all_finite(forces):
        finite = np.isfinite(forces)
        return f"finite forces from the model, got nan or infinity on atom {np.argwhere(~finite)[0][0]}"
    if not math.isfinite(energy):
        return "finite energies from the model, got nan or infinity"
    for name, values in (("virials", virial), *((f"'{name}'", values) for name, values in extras.items())):
        if values is not None and not all_finite(values):
            return f"finite {name} from the model, got nan or infinity"
    return None


def _silent(_: str) -> None:
    """Say nothing."""
