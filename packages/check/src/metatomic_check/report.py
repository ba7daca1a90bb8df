"""What `check_model` gives: findings with grades, and all that a reader needs to judge them.

As data it is JSON of a fixed form, whose version is `SCHEMA_VERSION`; what is read back is equal to what was written.
"""

import dataclasses
import enum
import json
import math
import types
import typing
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from metatomic_core.engine import Structure

from .finding import WORST_FIRST, Finding, Grade
from .table import GROUPS

# raised when a key gets another meaning or goes; new keys may come without
SCHEMA_VERSION = 1
# findings of these grades ask for action
BAD = (Grade.FAIL, Grade.WARN)


@dataclasses.dataclass(frozen=True)
class Asked:
    """A check that was run.

    Attributes
    ----------
    name, group, meaning
        As in the table of checks.
    seconds
        Wall-clock time that it took.
    warnings
        Python's warnings while it ran, each once.
    """

    name: str
    group: str
    meaning: str
    seconds: float
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Configuration:
    """A structure that a finding is about, to be looked at.

    Attributes
    ----------
    check, part
        The finding.
    name
        Name of the structure in it.
    structure
        The structure, in angstrom.
    energy
        What the model gives for it, in eV; None where that is no finite number.
    forces
        Shape (n_atoms, 3), in eV/angstrom; None where they are not finite.
    """

    check: str
    part: str
    name: str
    structure: Structure
    energy: float | None = None
    forces: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class ModelFacts:
    """What the model says about itself, and its file.

    Attributes
    ----------
    file, sha256, n_bytes
        The file.
    name, description, authors, references, extra
        Metadata, written by its authors.
    species
        Symbols of the elements that it knows.
    dtype
        Precision.
    interaction_range
        In angstrom.
    outputs
        Names of its outputs.
    """

    file: str
    sha256: str
    n_bytes: int
    name: str
    description: str
    authors: tuple[str, ...]
    references: dict[str, tuple[str, ...]]
    extra: dict[str, str]
    species: tuple[str, ...]
    dtype: str
    interaction_range: float
    outputs: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Provenance:
    """How a report was made.

    Attributes
    ----------
    date
        When, as the caller gave it.
    command
        Command line that makes it again.
    effort
        "quick", "normal" or "full".
    seed
        Seed of all random numbers.
    options
        Options of the engine that differ from the defaults, as text.
    versions
        Versions of Python and of packages.
    machine
        What it ran on.
    """

    date: str
    command: str
    effort: str
    seed: int
    options: dict[str, str]
    versions: dict[str, str]
    machine: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Report:
    """All that was found about a model.

    Attributes
    ----------
    model
        The model.
    provenance
        How the report was made.
    checks
        Checks that were run, in the order of the report.
    findings
        What they found, in the same order.
    structures
        By name the structures that checks started from.
    configurations
        Structures of findings, to be looked at.
    """

    model: ModelFacts
    provenance: Provenance
    checks: tuple[Asked, ...]
    findings: tuple[Finding, ...]
    structures: dict[str, Structure]
    configurations: tuple[Configuration, ...] = ()

    @property
    def grade(self) -> Grade:
        """The worst grade of all findings."""
        return worst(finding.grade for finding in self.findings)

    @property
    def seconds(self) -> float:
        """Time that all checks took."""
        return sum(check.seconds for check in self.checks)

    def counts(self, group: str | None = None) -> dict[Grade, int]:
        """Count findings by grade, the worst first.

        Parameters
        ----------
        group
            Only of this group.

        Returns
        -------
        dict
            Numbers by grade, those without any included.
        """
        names = {check.name for check in self.checks if group in (None, check.group)}
        found = Counter(finding.grade for finding in self.findings if finding.check in names)
        return {grade: found[grade] for grade in WORST_FIRST}

    def groups(self) -> list[str]:
        """List the groups of which checks were run, in the order of reports."""
        ran = {check.group for check in self.checks}
        return [group for group in GROUPS if group in ran]

    def of(self, check: str) -> list[Finding]:
        """List the findings of a check.

        Parameters
        ----------
        check
            Its name.

        Returns
        -------
        list of Finding
            What it found.
        """
        return [finding for finding in self.findings if finding.check == check]

    def to_dict(self) -> dict[str, Any]:
        """Give all of it as data for JSON.

        Returns
        -------
        dict
            Dictionaries, lists, texts and numbers; numbers that JSON does not have are the texts "nan", "inf" and
            "-inf", which ``float`` reads.
        """
        summary = {"grade": self.grade, "counts": {grade.value: n for grade, n in self.counts().items()}}
        return _plain({"schema_version": SCHEMA_VERSION, **summary, **_fields(self)})

    def to_json(self) -> str:
        """Give all of it as JSON.

        Returns
        -------
        str
            Text, which `from_json` reads.
        """
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Report":
        """Read a report.

        Parameters
        ----------
        text
            What `to_json` or ``metatomic check --json`` gave.

        Returns
        -------
        Report
            The report.

        Raises
        ------
        ValueError
            If it is no report, or one of another version.
        """
        data = json.loads(text)
        version = data.get("schema_version") if isinstance(data, dict) else None
        if version != SCHEMA_VERSION:
            raise ValueError(f"expected a report with `schema_version` {SCHEMA_VERSION}, got {version}; check again")
        try:
            return _as(cls, data)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"expected a whole report, got one without {error}; check again") from error


def worst(grades: Iterable[Grade]) -> Grade:
    """Give the worst of some grades; of none "not applicable".

    Parameters
    ----------
    grades
        Grades.

    Returns
    -------
    Grade
        The worst.
    """
    return min(grades, key=WORST_FIRST.index, default=Grade.NOT_APPLICABLE)


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


# what JSON does not have: how it is told, and what it becomes
_CONVERSIONS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Any]], ...] = (
    (dataclasses.is_dataclass, _fields),
    (lambda value: isinstance(value, enum.Enum), lambda value: value.value),
    (lambda value: isinstance(value, (np.ndarray, np.generic)), lambda value: value.tolist()),
    (lambda value: isinstance(value, float) and not math.isfinite(value), str),
)


def _plain(value: Any) -> Any:
    """Give a value as JSON has it."""
    for kind, convert in _CONVERSIONS:
        if kind(value):
            return _plain(convert(value))
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


def _as(kind: Any, value: Any) -> Any:
    """Give what `_plain` gave as an annotation says that it was."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _as(inside[0], value)
    if origin in (tuple, list):
        kinds = inside if inside[-1] is not Ellipsis else inside[:1] * len(value)
        return origin(_as(one, item) for one, item in zip(kinds, value, strict=True))
    if origin is dict:
        return {key: _as(inside[1], item) for key, item in value.items()}
    if kind is np.ndarray:
        array = np.asarray(value)
        # numbers beside texts for what is not finite
        return array.astype(np.float64) if array.dtype.kind == "U" else array
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{field.name: _as(hints[field.name], value[field.name]) for field in dataclasses.fields(kind)})  # type: ignore[operator]
    return kind(value)
