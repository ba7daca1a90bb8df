"""The table of flavors: which programs they are made of, how they are wrapped, and how they are compared."""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch.export import ExportedProgram

from metatomic_core.files.programs import ProgramRecord
from metatomic_core.tracing.flavors import PYTHON_FLAVORS, Flavor
from metatomic_core.tracing.runner import Runnable

from .lammps_flavor import LammpsFlavor, as_python


def _as_it_is(runnable: Runnable, record: ProgramRecord) -> Runnable:
    del record
    return runnable


class FlavorRow(NamedTuple):
    """One flavor.

    Attributes
    ----------
    wrap
        Gives the module that is compiled, with its ``inputs`` and ``outputs``.
    makes_sense
        Whether there is anything in it for a program.
    is_usual
        Whether it is compiled where nobody says which.
    adapted
        Gives something with inputs and outputs of a flavor for Python, to be compared with the model.
    joins
        Whether it takes several structures joined to one.
    """

    wrap: Callable[[ExportedProgram, ProgramRecord], Any]
    makes_sense: Callable[[ProgramRecord], bool]
    is_usual: Callable[[ProgramRecord], bool]
    adapted: Callable[[Runnable, ProgramRecord], Runnable] = _as_it_is
    joins: bool = True


def _python(name: str) -> Callable[[ExportedProgram, ProgramRecord], Flavor]:
    return lambda program, record: Flavor(program, record, PYTHON_FLAVORS[name])


def _has_energy(record: ProgramRecord) -> bool:
    return record.energy != ""


FLAVORS: dict[str, FlavorRow] = {
    "forces": FlavorRow(_python("forces"), _has_energy, lambda record: not record.selects),
    "everything": FlavorRow(
        _python("everything"), _has_energy, lambda record: not record.selects and len(record.values) > 0
    ),
    "lammps": FlavorRow(LammpsFlavor, _has_energy, _has_energy, as_python),
    "values": FlavorRow(_python("values"), lambda record: len(record.values) > 0, lambda record: record.energy == ""),
}
