"""Guards: what to do about results that are not finite, forces that are too large, and uncertainties that are too high.

Each has an action: "stop" raises, "warn" prints to standard error (the 1st, 10th, 100th, ... time), "log" writes the
structure with its forces to a file that ASE reads.
"""

import os
from typing import Callable, Dict, Mapping, Optional, Union

import ase
import ase.io
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator

from .options import ACTIONS, GUARD_FILE
from .units import ANGSTROM, ELECTRONVOLT


class GuardError(ValueError):
    """A guard with the action "stop" has found something."""


class Guards:
    """Looks at each result before i-PI gets it.

    Parameters
    ----------
    on_nan
        Action for energies, forces, virials or extras that are not finite.
    max_force
        Largest force on an atom in eV/angstrom; None for any.
    on_max_force
        Action for larger ones.
    max_uncertainty
        Largest uncertainty of an energy, of an atom where the model gives it for atoms, in eV; None for any.
    on_uncertainty
        Action for higher ones.
    guard_file
        File for the action "log".
    say
        Called with the text of a warning.

    Raises
    ------
    ValueError
        If an action is unknown or a limit not positive.
    """

    def __init__(
        self,
        *,
        on_nan: str = "stop",
        max_force: Optional[float] = None,
        on_max_force: str = "stop",
        max_uncertainty: Optional[float] = None,
        on_uncertainty: str = "warn",
        guard_file: Union[str, "os.PathLike[str]"] = GUARD_FILE,
        say: Optional[Callable[[str], None]] = None,
    ):
        self._actions = {"on_nan": on_nan, "on_max_force": on_max_force, "on_uncertainty": on_uncertainty}
        for name, action in self._actions.items():
            if action not in ACTIONS:
                raise ValueError(f"expected `{name}` to be one of {', '.join(ACTIONS)}, got '{action}'")
        for name, limit in (("max_force", max_force), ("max_uncertainty", max_uncertainty)):
            if limit is not None and not limit > 0:
                raise ValueError(f"expected `{name}` to be positive, got {limit}")
        self.max_force = max_force
        self.max_uncertainty = max_uncertainty
        self._file = guard_file
        self._say = say if say is not None else _silent
        self.counts: Dict[str, int] = dict.fromkeys(self._actions, 0)

    def check(
        self,
        atoms: Callable[[], ase.Atoms],
        energy: float,
        forces: np.ndarray,
        virial: Optional[np.ndarray],
        uncertainties: Optional[np.ndarray],
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

    def summary(self) -> Optional[str]:
        """Say how often each guard has found something; None if never."""
        found = [f"{name} {count}" for name, count in self.counts.items() if count > 0]
        return f"guards: {', '.join(found)}" if found else None


def _not_finite(
    energy: float, forces: np.ndarray, virial: Optional[np.ndarray], extras: Mapping[str, np.ndarray]
) -> Optional[str]:
    """Say which result is not finite; None if all are."""
    finite = np.isfinite(forces)
    if not finite.all():
        return f"finite forces from the model, got nan or infinity on atom {np.argwhere(~finite)[0][0]}"
    results = {"energies": np.asarray(energy), "virials": virial, **{f"'{name}'": extras[name] for name in extras}}
    for name, values in results.items():
        if values is not None and not np.isfinite(values).all():
            return f"finite {name} from the model, got nan or infinity"
    return None


def _silent(_: str) -> None:
    """Say nothing."""
