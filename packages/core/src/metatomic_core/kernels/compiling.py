"""``metatomic compile``: all packages of a model, each compared with the model before it is kept."""

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from metatomic_core.loading import load_atomistic_model
from metatomic_core.model.comparison import Comparison, largest_differences, trial_structures
from metatomic_core.model.exported import ExportedModel
from metatomic_core.model.loaded import LoadedModel
from metatomic_core.neighbor_lists import build_library
from metatomic_core.tracing.program import loaded

from .building import MadeFor, Task, build, check_compiler
from .cache import About, fitting, store
from .flavors import FLAVORS
from .machine import checked_march, lacks_for
from .running import compiled


class Outcome(NamedTuple):
    """What became of it: the folder, what is said of it, and whether it was there already."""

    folder: Path
    about: About
    was_there: bool


def tasks(model: LoadedModel | ExportedModel, flavors: Sequence[str] | None, *, all_of_them: bool) -> list[Task]:
    """List the packages of a model.

    Parameters
    ----------
    model
        The model.
    flavors
        Which flavors; None for those that molecular dynamics takes: "forces" and "lammps", and "everything" for models
        with more outputs than an energy.
    all_of_them
        Whether to take all flavors, of all programs.

    Raises
    ------
    ValueError
        If the file has no programs, or there is nothing to compile.
    """
    if not model.header.programs:
        raise ValueError(
            f"expected a model with an exported program, got '{model.path}', which has none: {model.header.untraced}"
        )
    found = []
    for record in model.header.programs:
        for flavor, row in FLAVORS.items():
            asked = row.is_usual(record) if flavors is None else flavor in flavors
            if row.makes_sense(record) and (asked or all_of_them):
                found.append(Task(record, flavor))
    if not found:
        raise ValueError(f"expected flavors that '{model.path}' has, got {list(flavors or ())}")
    return found


def compile_model(
    file: str,
    *,
    device: str = "cpu",
    march: str = "native",
    flavors: Sequence[str] | None = None,
    all_of_them: bool = False,
    again: bool = False,
    extensions_directory: str | None = None,
    progress: Callable[[Task, int, int], None] = lambda *_: None,
) -> list[Outcome]:
    """Compile the exported programs of a model file into the cache of the user.

    Parameters
    ----------
    file
        The model file; its code is loaded, and run for a comparison.
    device
        Device to compile for.
    march
        Instruction set: "native" or one of `metatomic_core.kernels.machine.MARCHES`.
    flavors, all_of_them
        As for `tasks`.
    again
        Compile what is in the cache already, too.
    extensions_directory
        Directory with the TorchScript extensions of the model.
    progress
        Called before each package that is compiled: what is made, its number, and of how many there are.

    Returns
    -------
    list of Outcome
        What is in the cache now.

    Raises
    ------
    RuntimeError
        If there is no compiler, or a package gives other results than the model; nothing of it is kept.
    ValueError
        If the file is no model file of metatomic-core, or has no programs.
    """
    march = checked_march(march)
    kind = torch.device(device).type
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"expected a device that is here, got '{device}'; compile on the machine that has it")
    check_compiler()
    # of use to light models, which take less time than their lists
    build_library()
    model = load_atomistic_model(file, extensions_directory)
    if not isinstance(model, (LoadedModel, ExportedModel)):
        raise ValueError(f"expected a model file of metatomic-core, got '{file}'; see `metatomic convert`")
    todo = tasks(model, flavors, all_of_them=all_of_them)
    done = []
    made_for = MadeFor(kind, march)
    for number, task in enumerate(todo):
        there = fitting(task.record.sha256, task.flavor, kind, model.header.capabilities.dtype)
        if there is not None and there[1].march == march and not again:
            done.append(Outcome(*there, was_there=True))
        else:
            progress(task, number, len(todo))
            done.append(_compiled(model, task, made_for))
    return done


def _compiled(model: LoadedModel | ExportedModel, task: Task, made_for: MadeFor) -> Outcome:
    from metatomic_core.tracing.graph import precision

    program = loaded(model.programs[task.record.entry])
    precise = precision(program, model.header.capabilities.dtype)
    with tempfile.TemporaryDirectory(prefix="metatomic-") as folder:
        made = Path(folder)
        about = build(task, program, model, made_for, made)
        # what is for another machine can not be run here
        checked = {} if lacks_for(made_for.march) else _checked(model, task, precise, made, about)
        about = dataclasses.replace(about, checked=checked)
        return Outcome(store(about, made), about, was_there=False)


def _checked(
    model: LoadedModel | ExportedModel, task: Task, precise: str, made: Path, about: About
) -> dict[str, float]:
    """Compare a package with the scripted way; give the largest differences, or raise a RuntimeError."""
    row = FLAVORS[task.flavor]
    runnable = row.adapted(compiled(made, about), task.record)
    comparison = Comparison(model.header, model, task.record, runnable, precise)
    structures = trial_structures(model.header)
    record = task.record if row.joins else dataclasses.replace(task.record, joins=False)
    found = largest_differences(comparison, record, structures)
    for name, value in found.items():
        if not value <= comparison.tolerance:
            raise RuntimeError(
                f"expected compiled code that gives what the model does, got '{name}' that differs by {value:.1e} of "
                "the largest number; nothing was kept"
            )
    return found
