"""The machine, the Python, and what the environment says; nothing here needs anything but Python."""

import os
import platform
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from metatomic_core.adapters.diagnoses import PROBLEM, WARNING, Finding, Trial

from .privacy import is_secret

_GB = 1e9
# a model, its trial copies and what a compiler leaves fit into this
_ROOM = 0.5 * _GB
# of others, that change what runs or how
_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "LAMMPS_PLUGIN_PATH",
    "LAMMPS_POTENTIALS",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "LD_PRELOAD",
    "MALLOC_CONF",
    "GLIBC_TUNABLES",
    "CXX",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONOPTIMIZE",
    "VIRTUAL_ENV",
    "CONDA_DEFAULT_ENV",
    "CONDA_PREFIX",
    "SLURM_JOB_ID",
)
_PREFIXES = ("METATOMIC_", "PYTORCH_", "TORCH_", "TORCHINDUCTOR_", "AOTI_")
# name, values that do harm, what they do, what to do
_HARMFUL = (
    ("PYTORCH_JIT", ("0",), "switches TorchScript off: models are neither saved nor loaded", "unset PYTORCH_JIT"),
    ("CUDA_VISIBLE_DEVICES", ("", "-1"), "hides all GPUs", "unset CUDA_VISIBLE_DEVICES to use them"),
)


def operating_system(_: Trial) -> Iterator[Finding]:
    """Name the system and its kernel."""
    name = platform.system()
    if name == "Linux":
        name = _linux_name()
    elif name == "Darwin":
        name = f"macOS {platform.mac_ver()[0]}"
    yield Finding("operating system", f"{name}, {platform.system()} {platform.release()}, {platform.machine()}")
    if platform.system() == "Linux":
        yield Finding("C library", " ".join(platform.libc_ver()) or "not known")


def _linux_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


def processor(_: Trial) -> Iterator[Finding]:
    """Name the processor, and how much of it this process may use."""
    name = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass  # not Linux
    n_cores = os.cpu_count() or 0
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else n_cores
    yield Finding("processor", f"{name or platform.machine()}, {n_cores} logical cores, {usable} for this process")


def memory(_: Trial) -> Iterator[Finding]:
    """Tell how much memory there is, and for this process alone."""
    if not hasattr(os, "sysconf"):
        yield Finding("memory", "not known on this system")
        return
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    text = f"{total / _GB:.1f} GB"
    free = _available()
    if free is not None:
        text += f", {free / _GB:.1f} GB available"
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        limit = _text_of(path)
        if limit.isdigit() and int(limit) < total:
            text += f", limited to {int(limit) / _GB:.1f} GB"
    yield Finding("memory", text)


def _available() -> int | None:
    for line in _text_of("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return None


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""


def temporary_folder(_: Trial) -> Iterator[Finding]:
    """Tell whether there is room for files that are needed for a moment."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    text = f"{folder}, {free / _GB:.1f} GB free"
    if free < _ROOM:
        yield Finding("temporary folder", text, PROBLEM, "make room there, or name another folder in TMPDIR")
    else:
        yield Finding("temporary folder", text)


def python(_: Trial) -> Iterator[Finding]:
    """Name the Python and its environment."""
    text = f"{platform.python_implementation()} {platform.python_version()}, {platform.python_compiler()}"
    yield Finding("Python", text)
    yield Finding("executable", sys.executable or "not known")
    yield Finding("environment", f"{_kind_of_environment()} {sys.prefix}")
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        advice = "use the usual build of Python if anything fails"
        yield Finding("build", "without the lock of the interpreter, which was not tried", WARNING, advice)


def _kind_of_environment() -> str:
    if (Path(sys.prefix) / "conda-meta").is_dir():
        return "conda environment"
    return "virtual environment" if sys.prefix != sys.base_prefix else "no environment of its own:"


def environment_variables(_: Trial) -> Iterator[Finding]:
    """List the environment variables that matter here, and no other."""
    names = [name for name in sorted(os.environ) if name in _VARIABLES or name.startswith(_PREFIXES)]
    for name in names:
        value = "(set)" if is_secret(name) else os.environ[name] or "(empty)"
        for harmful, values, what, advice in _HARMFUL:
            if name == harmful and os.environ[name] in values:
                yield Finding(name, f"{value}, which {what}", WARNING, advice)
                break
        else:
            yield Finding(name, value)
    if not names:
        yield Finding("environment variables", "none that matters here is set")
