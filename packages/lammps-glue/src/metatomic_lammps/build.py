"""Compile the plugin into a cache of the user, and find it there.

One plugin fits one torch and one LAMMPS.  The cache has a folder for each combination of both, of MPI headers and of
the sources, so that nothing has to be cleaned or forced.
"""

import hashlib
import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

from ._toolchain import Target, configure_arguments, find_target, find_tool, site_packages

SOURCES = Path(__file__).parent / "plugin"
# LAMMPS loads files whose names end so
FILE_NAME = "metatomicplugin.so"
# what that file loads, after libtorch; first, so that it is in place when LAMMPS finds the other
_FILES = ("metatomic_pair_style.so", FILE_NAME)
_LOG = "build.log"
_CHECKSUMS = "checksums.json"

Report = Callable[[str, int, int], None]


def cache_folder() -> Path:
    """Give the folder of all built plugins: METATOMIC_LAMMPS_CACHE, or the user's cache directory."""
    named = os.environ.get("METATOMIC_LAMMPS_CACHE")
    if named:
        return Path(named)
    home = Path.home() if os.environ.get("HOME", "unset") else Path(pwd.getpwuid(os.getuid()).pw_dir)
    base = os.environ.get("XDG_CACHE_HOME") or home / ".cache"
    return Path(base) / "metatomic-lammps"


def _checksums(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in _FILES}


def is_built(target: Target | None = None) -> bool:
    """Tell whether the plugin is in the cache as the compiler wrote it."""
    folder = plugin_path(target).parent
    try:
        recorded = json.loads((folder / _CHECKSUMS).read_text())
        return bool(recorded == _checksums(folder))
    except (OSError, ValueError):
        return False


def plugin_path(target: Target | None = None) -> Path:
    """Give the path of the plugin for what is installed, or for another target; it need not exist.

    Parameters
    ----------
    target
        What it is compiled for; None for what is installed.

    Returns
    -------
    Path
        Path of the shared library.

    Raises
    ------
    ValueError
        If torch, LAMMPS or MPI headers are not found.
    """
    target = find_target() if target is None else target
    digest = hashlib.sha256(repr((target, site_packages())).encode())
    for source in sorted(SOURCES.iterdir()):
        if source.is_file():
            digest.update(source.name.encode() + source.read_bytes())
    folder = f"lammps-{target.lammps_version}-torch-{target.torch_version}-{digest.hexdigest()[:16]}"
    return cache_folder() / folder / FILE_NAME


def build_plugin(target: Target | None = None, report: Report | None = None, force: bool = False) -> Path:
    """Compile the plugin, unless it is in the cache.

    Parameters
    ----------
    target
        What to compile against; None for what is installed.
    report
        Called with the name of each step, its number and the number of steps.
    force
        Compile even if the plugin is in the cache.

    Returns
    -------
    pathlib.Path
        The plugin.

    Raises
    ------
    ValueError
        If something that is needed is missing.
    RuntimeError
        If the compiler fails; the message has its last lines and names the log.
    """
    target = find_target() if target is None else target
    path = plugin_path(target)
    if is_built(target) and not force:
        return path
    cmake = find_tool("cmake")
    arguments = configure_arguments(target, version("metatomic-lammps"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / _LOG).touch()
    except OSError as error:
        raise ValueError(
            f"expected a folder for plugins that can be written, got '{cache_folder()}' ({error.strerror}); name "
            "another in the environment variable METATOMIC_LAMMPS_CACHE"
        ) from error
    with tempfile.TemporaryDirectory(prefix="metatomic-lammps-") as folder:
        log = path.parent / _LOG
        with open(log, "w") as output:
            _run([cmake, "-G", "Ninja", "-S", str(SOURCES), "-B", folder, *arguments], output, log, None)
            _run([cmake, "--build", folder], output, log, report)
        missing = [name for name in _FILES if not (Path(folder) / name).is_file()]
        if missing:
            raise RuntimeError(
                f"expected the compiler to write '{missing[0]}', got nothing; see {log}, or name another in CXX"
            )
        for name in _FILES:
            _move_into(path.parent, Path(folder) / name)
        (path.parent / _CHECKSUMS).write_text(json.dumps(_checksums(path.parent)))
    return path


def _move_into(folder: Path, file: Path) -> None:
    """Move a file so that LAMMPS never finds half of it: by way of a name that it does not look for."""
    handle, name = tempfile.mkstemp(dir=folder, suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    shutil.copyfile(file, temporary)
    temporary.chmod(0o755)  # what compilers give to libraries
    temporary.replace(folder / file.name)


def _run(command: list[str], output: TextIO, log: Path, report: Report | None) -> None:
    """Run a program, keeping what it writes, and report the steps of ninja, which look like ``[3/9] Building ...``."""
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            lines.append(line)
            output.write(line)
            count, _, what = line.partition("]")
            done, _, total = count[1:].partition("/")
            if report is not None and done.isdigit() and total.isdigit():
                name = Path(what.split()[-1]).name.removesuffix(".o") if what.split() else ""
                report(name, int(done), int(total))
    if process.returncode != 0:
        errors = [line for line in lines if "error" in line.lower()] or lines or ["no output"]
        program, shown = Path(command[0]).name, errors[0].strip()
        raise RuntimeError(f"expected `{program}` to succeed, got an error; see {log}: {shown}")
