"""What a package adds to ``metatomic doctor``: a `Diagnosis`, by an entry point of the group ``metatomic.diagnoses``.

Its probes run in a process of their own, which has a limit of time and may die: what they find is kept as it comes.
"""

import dataclasses
import math
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

__all__ = [
    "DIAGNOSES",
    "OK",
    "PROBLEM",
    "STATUSES",
    "WARNING",
    "Diagnosis",
    "Finding",
    "NotTriedError",
    "Output",
    "Trial",
    "output_of",
]

DIAGNOSES = "metatomic.diagnoses"
OK, WARNING, PROBLEM = "ok", "warning", "problem"
# from good to bad
STATUSES = (OK, WARNING, PROBLEM)

# argon: A. Michels, Hub. Wijker and Hk. Wijker, Physica 15, 627 (1949), as `metatomic export lj` has it
_SIGMA, _EPSILON = 3.405, 119.8 * 8.617333262e-5  # angstrom, eV
_CUTOFF = 2.5 * _SIGMA  # where the energy is shifted to zero
_FROM, _TO = (10.0, 10.0, 10.0), (12.3, 8.1, 12.6)  # near the minimum, along no axis
_BOX = 30.0
# engines have constants of their own for units, with six digits and more
_TOLERANCE = 1e-6


class NotTriedError(RuntimeError):
    """Something was not tried, and why: a warning, as what stands in the way is a finding of its own."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of ``metatomic doctor``.

    Attributes
    ----------
    name
        What was looked at, in a word or two.
    value
        What was found, in one line.
    status
        One of `STATUSES`: "ok", "warning" for what works in part, "problem" for what does not.
    advice
        What to do, in one sentence without a full stop; must be there unless all is well.

    Raises
    ------
    ValueError
        If the status is none, or there is no advice where there must be.
    """

    name: str
    value: str
    status: str = OK
    advice: str = ""

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"expected `status` to be one of {', '.join(STATUSES)}, got '{self.status}'")
        if self.status != OK and not self.advice:
            raise ValueError(f"expected `advice` for the {self.status} '{self.name}', got none; say what to do")


def _lennard_jones(distance: float) -> tuple[float, float]:
    """Give energy and its derivative with respect to the distance, in eV and eV/angstrom."""
    s6 = (_SIGMA / distance) ** 6
    return 4.0 * _EPSILON * s6 * (s6 - 1.0), -24.0 * _EPSILON * s6 * (2.0 * s6 - 1.0) / distance


@dataclasses.dataclass(frozen=True)
class Trial:
    """Two atoms of argon in a periodic box, for a tiny run, and what any engine must give for them.

    Attributes
    ----------
    folder
        An empty folder for the files of the run, removed afterwards.
    model
        File with the model; None where it could not be saved.
    build
        Whether to compile what is missing, which takes a minute or so, rather than to say how.
    """

    folder: Path
    model: Path | None = None
    build: bool = False

    types = (18, 18)
    symbols = ("Ar", "Ar")
    positions = (_FROM, _TO)
    cell = ((_BOX, 0.0, 0.0), (0.0, _BOX, 0.0), (0.0, 0.0, _BOX))

    def model_file(self) -> Path:
        """Give the file with the model.

        Raises
        ------
        NotTriedError
            If there is none.
        """
        if self.model is None or not self.model.exists():
            raise NotTriedError("no model could be saved for it, see above")
        return self.model

    @property
    def energy(self) -> float:
        """Energy in eV, from the formula."""
        return _lennard_jones(math.dist(*self.positions))[0] - _lennard_jones(_CUTOFF)[0]

    @property
    def forces(self) -> tuple[tuple[float, ...], ...]:
        """Forces in eV/angstrom, from the formula; shape (2, 3)."""
        first, second = self.positions
        distance = math.dist(first, second)
        slope = _lennard_jones(distance)[1]
        along = [slope * (b - a) / distance for a, b in zip(first, second, strict=True)]
        return tuple(along), tuple(-x for x in along)

    def compared(self, name: str, energy: float, forces: Iterable[Sequence[float]] | None = None) -> Finding:
        """Compare results of a run with the formula.

        Parameters
        ----------
        name
            What gave them.
        energy
            In eV.
        forces
            In eV/angstrom, shape (2, 3); None where they were not looked at.

        Returns
        -------
        Finding
            A problem if they differ by more than constants for units do, or are not finite.
        """
        rows = [("energy", "eV", [energy], [self.energy])]
        if forces is not None:
            expected = [x for atom in self.forces for x in atom]
            rows.append(("forces", "eV/Å", [float(x) for atom in forces for x in atom], expected))
        worst = 0.0
        for what, unit, found, right in rows:
            largest = max(map(abs, right))
            off = max((abs(a - b) for a, b in zip(found, right, strict=True)), default=math.inf) / largest
            # written so that a NaN does not pass
            if not off <= _TOLERANCE:
                text = f"wrong {what}: {_listed(found)} {unit} where the formula gives {_listed(right)} {unit}"
                advice = "do not trust results of this installation; report this with the output of `metatomic doctor`"
                return Finding(name, text, PROBLEM, advice)
            worst = max(worst, off)
        return Finding(name, f"{' and '.join(row[0] for row in rows)} of two atoms right to {worst:.0e}")


def _listed(values: Iterable[float]) -> str:
    return " ".join(f"{value:.6g}" for value in values)


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What ``metatomic doctor`` looks at in a package: a section of its output.

    Attributes
    ----------
    title
        Title of the section: the name of the engine.
    probes
        Functions that are given a `Trial`, in order, and give findings; a generator keeps those before an error.  What
        one of them raises is a finding too, and does not keep the next from running.
    """

    title: str
    probes: tuple[Callable[[Trial], Iterable[Finding]], ...]

    def findings(self, trial: Trial) -> Iterator[Finding]:
        """Run all probes.

        Parameters
        ----------
        trial
            For tiny runs.

        Yields
        ------
        Finding
            What they find, and what they raise.
        """
        for probe in self.probes:
            try:
                yield from probe(trial)
            except NotTriedError as error:
                yield Finding(_name_of(probe), f"not tried: {error}", WARNING, "mend what stands in the way first")
            except Exception as error:  # noqa: BLE001  (a doctor reports whatever is broken)
                reason = " ".join(str(error).split()) or "no message"
                advice = "do what the message says, or report it with the output of `metatomic doctor`"
                yield Finding(_name_of(probe), f"{type(error).__name__}: {reason}", PROBLEM, advice)


@dataclasses.dataclass(frozen=True)
class Output:
    """What a program did.

    Attributes
    ----------
    status
        Its exit status.
    text
        What it printed, errors at the end.
    """

    status: int
    text: str

    @property
    def lines(self) -> list[str]:
        """Lines that are not empty, without blanks at their ends; at least one."""
        return [" ".join(line.split()) for line in self.text.splitlines() if line.strip()] or ["no output"]

    def why(self, word: str = "") -> str:
        """Say in one line what went wrong.

        Parameters
        ----------
        word
            What is in the line that says so, if there is one; otherwise it is the last.

        Returns
        -------
        str
            The status and that line.
        """
        line = next((line for line in self.lines if word and word in line), self.lines[-1])
        return f"ended with status {self.status}: {line}"


def output_of(command: Sequence[str], folder: Path | None = None, seconds: float = 60.0) -> Output:
    """Run a program to its end.

    Parameters
    ----------
    command
        The program and its arguments.
    folder
        Where it is run; None for where this process is.
    seconds
        How long it may take; after that it is stopped, with a `subprocess.TimeoutExpired`.

    Returns
    -------
    Output
        What it did.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=seconds,
    )
    return Output(done.returncode, done.stdout + done.stderr)


def _name_of(probe: Callable[..., object]) -> str:
    return getattr(probe, "__name__", "probe").strip("_").replace("_", " ")
