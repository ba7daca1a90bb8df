"""From an exported program to a compiled package: wrapped in a flavor, compiled by AOTInductor, unpacked."""

import shutil
import time
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.export import ExportedProgram

from metatomic_core.files.programs import ProgramRecord
from metatomic_core.model.exported import ExportedModel
from metatomic_core.model.loaded import LoadedModel
from metatomic_core.tracing.examples import dynamic_shapes, example_tensors
from metatomic_core.tracing.program import quiet_torch

from .cache import PACKAGE, About
from .flavors import FLAVORS
from .machine import MARCHES


class Task(NamedTuple):
    """A package to make."""

    record: ProgramRecord
    flavor: str


class MadeFor(NamedTuple):
    """What a package is for: a kind of device, and a set of instructions as `machine.checked_march` gives it."""

    device: str
    march: str


def check_compiler() -> None:
    """Look for a C++ compiler.

    Raises
    ------
    RuntimeError
        If there is none.
    """
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        compiler = get_cpp_compiler()
    except Exception:  # noqa: BLE001  (torch has errors of its own for this)
        compiler = ""
    if not compiler or shutil.which(compiler) is None:
        raise RuntimeError(
            "expected a C++ compiler, which makes the code of the processor, got none; install one (Debian: `apt "
            "install g++`), or name one in the environment variable CXX"
        )


def wrapped(program: ExportedProgram, record: ProgramRecord, flavor: str) -> tuple[ExportedProgram, Any]:
    """Put a flavor around a program, in one graph; give it, and the module."""
    module = FLAVORS[flavor].wrap(program, record)
    arguments = tuple(example_tensors(module.inputs))
    dynamic = dynamic_shapes([row.shape for row in module.inputs])
    with quiet_torch():
        return torch.export.export(module, arguments, dynamic_shapes=(dynamic,), strict=False), module


def settings(march: str, device: str) -> dict[str, Any]:
    """Give the settings of the compiler: one thread for one program, and instructions that are named."""
    if device != "cpu":
        return {}
    chosen: dict[str, Any] = {"cpp.threads": 1}
    if march in MARCHES:
        chosen.update({"cpp.march": march, "cpp.simdlen": MARCHES[march].width})
    return chosen


def build(
    task: Task, program: ExportedProgram, model: LoadedModel | ExportedModel, made_for: MadeFor, to: Path
) -> About:
    """Compile a program.

    Parameters
    ----------
    task, program
        What to make, and its program.
    model
        The model that it is of.
    made_for
        What for.
    to
        An empty folder, for the package and what is needed on the way to it.

    Returns
    -------
    About
        What is said of the package, which is in the folder.
    """
    # takes seconds to import, and is not needed to run
    from torch._inductor import aoti_compile_and_package

    start = time.perf_counter()
    record, (device, march) = task.record, made_for
    exported, module = wrapped(program, record, task.flavor)
    if device != "cpu":
        from torch.export.passes import move_to_device_pass

        exported = move_to_device_pass(exported, device)
    archive = to / "model.pt2"
    with quiet_torch():
        aoti_compile_and_package(exported, package_path=str(archive), inductor_configs=settings(march, device))
    with zipfile.ZipFile(archive) as contents:
        contents.extractall(to / "unpacked")
    archive.unlink()
    # the archive has one folder around all
    (inside,) = (to / "unpacked").iterdir()
    package = inside.rename(to / PACKAGE)
    return About(
        program=record.sha256,
        flavor=task.flavor,
        torch=torch.__version__,
        device=device,
        dtype=model.header.capabilities.dtype,
        march=march,
        cpu_flags=MARCHES[march].flags if march in MARCHES else (),
        inputs=tuple(module.inputs),
        outputs=tuple(module.outputs),
        per_atom=record.per_atom,
        model=model.path.name,
        seconds=round(time.perf_counter() - start, 1),
        bytes=sum(path.stat().st_size for path in package.rglob("*") if path.is_file()),
        checked={},
    )
