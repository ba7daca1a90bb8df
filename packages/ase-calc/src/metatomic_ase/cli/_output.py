"""The log and the trajectory of molecular dynamics: files that grow, and that a restarted run cuts back and goes on."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ase
import ase.io
import numpy as np
from ase import units
from ase.io.trajectory import Trajectory

from metatomic_ase._convert import has_stress
from metatomic_core.adapters import replaced_when_done

from ._provenance import as_info, header, without_info

TRAJECTORY_SUFFIXES = (".traj", ".extxyz", ".xyz")


class Sample(NamedTuple):
    """One line of the log: energies in eV, temperature in K, pressure in GPa, volume in angstrom^3.

    The pressure includes the kinetic part.  Pressure and volume are NaN for structures without a volume.
    """

    step: int
    time: float
    potential: float
    kinetic: float
    total: float
    temperature: float
    pressure: float
    volume: float


# name and format of each column
_COLUMNS = (
    ("step", "%12d"),
    ("time[ps]", "%14.6f"),
    ("potential[eV]", "%20.9f"),
    ("kinetic[eV]", "%18.9f"),
    ("total[eV]", "%20.9f"),
    ("temperature[K]", "%15.4f"),
    ("pressure[GPa]", "%15.6f"),
    ("volume[A^3]", "%16.4f"),
)
# bytes at the start of log and trajectory in which they say what has written them
_SAYS_WHOSE = 10000


def sample(atoms: ase.Atoms, step: int, timestep: float) -> Sample:
    """Measure atoms.

    Parameters
    ----------
    atoms
        The atoms, with calculator.
    step
        Number of the step.
    timestep
        Time step in fs.
    """
    potential, kinetic = float(atoms.get_potential_energy()), float(atoms.get_kinetic_energy())
    pressure = volume = float("nan")
    if has_stress(atoms):
        volume = float(atoms.get_volume())
        pressure = -float(np.trace(atoms.get_stress(voigt=False, include_ideal_gas=True))) / 3 / units.GPa
    time = step * timestep / 1000
    return Sample(step, time, potential, kinetic, potential + kinetic, atoms.get_temperature(), pressure, volume)


class Log:
    """Text file of samples, readable by ``numpy.loadtxt``.

    Parameters
    ----------
    path
        The file.
    origin
        What `_provenance.provenance` gave; its lines are comments above the names of the columns.
    continued
        What `state` gave when the file was last in order; None for a new file.
    """

    def __init__(self, path: Path, origin: Mapping[str, Any], continued: dict[str, Any] | None = None):
        self.path = path
        if continued is not None:
            _cut(path, continued["bytes"])
        self._file = open(path, "w" if continued is None else "a", encoding="utf-8")  # noqa: SIM115  (kept open)
        if continued is None:
            widths = [int(form[1:].split(".")[0].rstrip("d")) for _, form in _COLUMNS]
            self._file.writelines(f"# {line}\n" for line in header(origin))
            names = " ".join(name.rjust(width) for (name, _), width in zip(_COLUMNS, widths, strict=True))
            self._file.write(f"#{names[1:]}\n")
        self._file.flush()

    def write(self, line: Sample) -> None:
        """Add a line."""
        self._file.write(" ".join(form % value for (_, form), value in zip(_COLUMNS, line, strict=True)) + "\n")
        # a person may be watching
        self._file.flush()

    def state(self) -> dict[str, Any]:
        """Give what is needed to go on."""
        return {"path": str(self.path), "bytes": self.path.stat().st_size}

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_log(path: Path) -> list[Sample]:
    """Read the lines of a log."""
    numbers = np.loadtxt(path, ndmin=2)
    if not numbers.size:
        return []
    return [Sample(int(line[0]), *map(float, line[1:])) for line in numbers]


class Frames:
    """Trajectory of frames with velocities, energies, forces and stresses: ASE's ``.traj``, or extended XYZ.

    Parameters
    ----------
    path
        The file; its suffix gives the format.
    origin
        What `_provenance.provenance` gave; the description of a ``.traj`` file, and in ``info`` of text.
    continued
        What `state` gave when the file was last in order; None for a new file.
    """

    def __init__(self, path: Path, origin: Mapping[str, Any], continued: dict[str, Any] | None = None):
        self.path = path
        self.n_frames = 0
        self._origin = origin
        self._is_text = path.suffix != ".traj"
        if continued is not None:
            self.n_frames = continued["frames"]
            if self._is_text:
                _cut(path, continued["bytes"])
            else:
                _cut_trajectory(path, self.n_frames)
        elif self._is_text:
            path.write_text("", encoding="utf-8")
        self._trajectory = None if self._is_text else Trajectory(path, "w" if continued is None else "a")
        if self._trajectory is not None and continued is None:
            self._trajectory.set_description(dict(origin))

    def write(self, atoms: ase.Atoms, line: Sample) -> None:
        """Add a frame; step and time go to its ``info``."""
        atoms.info = {**without_info(atoms.info), "step": line.step, "time_ps": line.time}
        if self._trajectory is None:
            atoms.info.update(as_info(self._origin))
            ase.io.write(self.path, atoms, format="extxyz", append=True)
        else:
            self._trajectory.write(atoms)
        self.n_frames += 1

    def state(self) -> dict[str, Any]:
        """Give what is needed to go on."""
        return {"path": str(self.path), "bytes": self.path.stat().st_size, "frames": self.n_frames}

    def close(self) -> None:
        """Close the file."""
        if self._trajectory is not None:
            self._trajectory.close()


def _cut(path: Path, size: int) -> None:
    """Drop what was written after a restart file.

    Raises
    ------
    ValueError
        If the file is gone, or shorter than it was.
    """
    _check_there(path)
    if path.stat().st_size < size:
        raise ValueError(
            f"expected at least {size} bytes in '{path}', got {path.stat().st_size}: it is not the file that the "
            "restart belongs to; name new files with -o"
        )
    check_own(path)
    os.truncate(path, size)


def check_own(path: Path) -> None:
    """Refuse to change a file that no run has written: which ones are its files is said in a file of somebody.

    Raises
    ------
    ValueError
        If it has something else.
    """
    with open(path, "rb") as file:
        start = file.read(_SAYS_WHOSE)
    if start and b"metatomic" not in start:
        raise ValueError(
            f"expected '{path}' to be a file of the run to continue, got another one; name new files with -o"
        )


def _check_there(path: Path) -> None:
    if not path.exists():
        raise FileNotFoundError(f"expected the file '{path}' of the run to continue, got none; name new files with -o")


def _cut_trajectory(path: Path, n_frames: int) -> None:
    """Drop frames that were written after a restart file, as `_cut`."""
    _check_there(path)
    with Trajectory(path) as frames:
        found = len(frames)
        if found < n_frames:
            raise ValueError(
                f"expected at least {n_frames} frames in '{path}', got {found}: it is not the file that the restart "
                "belongs to; name new files with -o"
            )
        if found == n_frames:
            return
        with replaced_when_done(path) as temporary, Trajectory(temporary, "w") as kept:
            kept.set_description(frames.description)
            for index in range(n_frames):
                kept.write(frames[index])


def drift(samples: list[Sample], n_atoms: int) -> float:
    """Give the slope of a straight line through the total energies, in eV per atom and ps; NaN for fewer than two."""
    if len(samples) < 2:
        return float("nan")
    slope = np.polyfit([line.time for line in samples], [line.total for line in samples], 1)[0]
    return float(slope) / n_atoms
