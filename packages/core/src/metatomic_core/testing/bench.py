"""What standard tests work with: model files, questions to the subject, and comparisons that say where it differs."""

import atexit
import copy
import functools
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from metatomic_core.engine import Structure

from .errors import ContractError, NothingAskedError
from .models import MODELS
from .oracles import Oracle
from .structures import STRUCTURES
from .subject import Answer, Request, Subject

# What the results that can be asked for are held against, and how the tolerance of each is called.
_TOLERANCES = {
    "energy": "energy",
    "forces": "forces",
    "virial": "virial",
    "atomic_energies": "energy",
    "atomic_virials": "virial",
}
_PER_ATOM = ("forces", "atomic_energies", "atomic_virials")
_AXES = "xyz"


@functools.cache
def _files() -> Path:
    """Give a folder that lives as long as the process."""
    folder = Path(tempfile.mkdtemp(prefix="metatomic-testing-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def model_file(name: str, programs: bool = False, devices: tuple[str, ...] = ("cpu",)) -> Path:
    """Save a trial model, once in a process, and give its file.

    Parameters
    ----------
    name
        One of `models.MODELS`.
    programs
        Whether the file shall have exported programs, which kernels run; they take some seconds.
    devices
        Devices that the model supports.

    Returns
    -------
    Path
        The file.
    """
    folder = Path(tempfile.mkdtemp(dir=_files()))
    path = folder / f"{name.replace(' ', '-')}.pt"
    MODELS[name].make(list(devices)).save(str(path), exported=programs)
    return path


class Bench:
    """A subject, and what standard tests ask it.

    Parameters
    ----------
    subject
        The subject.

    Attributes
    ----------
    subject
        The subject.
    folder
        A temporary folder, while the bench is open.
    """

    def __init__(self, subject: Subject):
        self.subject = subject
        self.folder = Path()
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> "Bench":
        self._temporary = tempfile.TemporaryDirectory(prefix="metatomic-bench-")
        self.folder = Path(self._temporary.name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()

    def can(self, *abilities: str) -> bool:
        """Tell whether the subject can do something.

        Parameters
        ----------
        *abilities
            Names in `ABILITIES`.

        Returns
        -------
        bool
            Whether it lacks none of them.
        """
        return not set(abilities) & set(self.subject.lacks)

    def file(self, name: str, programs: bool | None = None, devices: tuple[str, ...] = ("cpu",)) -> Path:
        """Give the file of a trial model.

        Parameters
        ----------
        name
            One of `models.MODELS`.
        programs
            Whether it shall have exported programs; by default, if the subject needs them.
        devices
            Devices that the model supports.

        Returns
        -------
        Path
            The file.
        """
        return model_file(name, self.subject.programs if programs is None else programs, devices)

    def structures(self, *names: str) -> dict[str, Structure]:
        """Give trial structures, except those that the subject can not do.

        Parameters
        ----------
        *names
            Names in `structures.STRUCTURES`.

        Returns
        -------
        dict
            The structures by name.

        Raises
        ------
        NothingAskedError
            If none is left: a test that asks nothing has not passed.
        """
        found = {name: copy.deepcopy(STRUCTURES[name].structure) for name in names if self.can(*STRUCTURES[name].needs)}
        if not found:
            lacking = sorted({need for name in names for need in STRUCTURES[name].needs if not self.can(need)})
            raise NothingAskedError(
                f"expected a structure that {self.subject.name} can do among {', '.join(names)}, got none, as it lacks "
                f"{', '.join(lacking)}; name the test in `left_out` of the subject, with the reason"
            )
        return found

    def ask(
        self,
        model: str | Path,
        structures: Mapping[str, Structure],
        results: Sequence[str] = ("energy", "forces"),
        **request: Any,
    ) -> list[Answer]:
        """Ask the subject, and check that it has answered all that was asked.

        Parameters
        ----------
        model
            One of `models.MODELS`, or a file.
        structures
            Structures by name.
        results
            What is wanted.
        **request
            Other fields of `Request`.

        Returns
        -------
        list of Answer
            One for each structure.

        Raises
        ------
        ContractError
            If there is another number of answers, or one of them lacks something.
        """
        file = model if isinstance(model, Path) else self.file(model)
        results = tuple(results)
        answers = list(self.subject.evaluate(Request(file, list(structures.values()), results, **request)))
        if len(answers) != len(structures):
            raise ContractError(f"expected an answer for each of {len(structures)} structures, got {len(answers)}")
        for name, answer in zip(structures, answers, strict=True):
            missing = [result for result in results if getattr(answer, result) is None]
            missing += [output for output in request.get("outputs", {}) if output not in answer.outputs]
            if missing:
                raise ContractError(f"expected {', '.join(missing)} of '{name}', got none")
        return answers

    def check(
        self,
        model: str,
        structures: Mapping[str, Structure],
        results: Sequence[str] = ("energy", "forces"),
        file: Path | None = None,
        **request: Any,
    ) -> list[Answer]:
        """Ask the subject, and compare with the formula of the model.

        Parameters
        ----------
        model
            One of `models.MODELS`.
        structures
            Structures by name.
        results
            What is wanted.
        file
            The file of the model, if it is another one.
        **request
            Other fields of `Request`.

        Returns
        -------
        list of Answer
            One for each structure.

        Raises
        ------
        ContractError
            If one of them differs, with the largest difference and where it is.
        """
        answers = self.ask(file or model, structures, results, **request)
        selected = request.get("selected_atoms")
        problems = []
        for index, ((name, structure), answer) in enumerate(zip(structures.items(), answers, strict=True)):
            atoms = None if selected is None else selected[selected[:, 0] == index, 1]
            oracle = self.oracle(model, structure, atoms)
            # single precision loses what cancels, too
            single = (
                float(np.abs(oracle.atomic_energies()).max(initial=0.0)) if MODELS[model].dtype == "float32" else -1
            )
            for result in results:
                size = len(structure.types) if result in ("energy", "virial") else 1
                problem = self.difference(result, getattr(answer, result), getattr(oracle, result)(), size, single)
                problems += [f"{problem}, for '{name}' with the model '{model}'"] if problem else []
        self.fail(problems)
        return answers

    def oracle(self, model: str, structure: Structure, atoms: np.ndarray | None = None) -> Oracle:
        """Give what a trial model says of a structure.

        Parameters
        ----------
        model
            One of `models.MODELS`.
        structure
            The structure.
        atoms
            Atoms whose energies count; None for all.

        Returns
        -------
        Oracle
            Its results, in NumPy.
        """
        return Oracle(MODELS[model].formula, structure, atoms)

    def outputs_of(self, structure: Structure) -> dict[str, np.ndarray]:
        """Give the outputs of the model "many outputs", besides the energy; as `Oracle.outputs`.

        Parameters
        ----------
        structure
            The structure.

        Returns
        -------
        dict
            Values by name.
        """
        return self.oracle("many outputs", structure).outputs()

    def difference(self, what: str, found: Any, expected: Any, size: int = 1, single: float = -1.0) -> str:
        """Say how a result differs from what is expected.

        Parameters
        ----------
        what
            What it is: a field of `Answer`, or the name of another output.
        found, expected
            The values.
        size
            How many atoms they are sums over.
        single
            For models in single precision, the size of what is added up; negative for double precision.

        Returns
        -------
        str
            The largest difference, and where it is; empty if it is within the tolerances of the subject.
        """
        title = what.replace("_", " ")
        found, expected = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
        if found.shape != expected.shape:
            return f"expected {title} of the shape {expected.shape}, got {found.shape}"
        if found.size == 0:
            return ""
        tolerances = self.subject.tolerances
        largest = float(np.abs(expected).max())
        if what in _TOLERANCES:
            limit = getattr(tolerances, _TOLERANCES[what]) * size
        else:
            limit = tolerances.outputs * largest
        limit += tolerances.relative * largest
        if single >= 0.0:
            limit += tolerances.float32 * max(largest, single * size)
        difference = np.abs(found - expected)
        # of what is not a number, too
        if (difference <= limit).all():
            return ""
        index = np.unravel_index(np.argmax(np.where(np.isnan(difference), np.inf, difference)), difference.shape)
        return (
            f"expected {title}{_place(what, index)} {expected[index]:.10g}, got {found[index]:.10g}, which differs by "
            f"{difference[index]:.2g} where {limit:.2g} is allowed"
        )

    def fail(self, problems: Sequence[str]) -> None:
        """Fail if there are problems.

        Parameters
        ----------
        problems
            What is wrong; the first of them are told.

        Raises
        ------
        ContractError
            If there are any.
        """
        problems = [problem for problem in problems if problem]
        if problems:
            more = f" (and {len(problems) - 2} more)" if len(problems) > 2 else ""
            raise ContractError("; ".join(problems[:2]) + more)

    def refuses(
        self,
        model: str | Path,
        structures: Mapping[str, Structure],
        *words: str,
        results: Sequence[str] = ("energy",),
        **request: Any,
    ) -> None:
        """Ask for what can not be given, and check that the subject says so.

        Parameters
        ----------
        model
            One of `models.MODELS`, or a file.
        structures
            Structures by name.
        *words
            What the message must name: one of these at least, in any case.
        results
            What is wanted.
        **request
            Other fields of `Request`.

        Raises
        ------
        ContractError
            If it gives an answer, or the message says something else.
        """
        file = model if isinstance(model, Path) else self.file(model)
        try:
            answers = self.subject.evaluate(Request(file, list(structures.values()), tuple(results), **request))
        except Exception as error:
            text = str(error)
            if not any(word.lower() in text.lower() for word in words):
                raise ContractError(f"expected an error that names {' or '.join(words)}, got '{text[:300]}'") from error
            return
        raise ContractError(f"expected an error, got {_shown(answers)}")


def _place(what: str, index: tuple[Any, ...]) -> str:
    """Give the place of a number in a result, in words."""
    if not index:
        return ""
    atom = f" of atom {index[0]}" if what in _PER_ATOM else ""
    rest = index[1:] if atom else index
    components = "".join(_AXES[i] for i in rest) if rest and what in _TOLERANCES else ",".join(map(str, rest))
    return f"{atom}{', ' if atom and components else ' '}{components}".rstrip() if components else atom


def _shown(answers: Sequence[Answer]) -> str:
    return ", ".join(f"an energy of {answer.energy}" for answer in answers[:3]) or "no answer"
