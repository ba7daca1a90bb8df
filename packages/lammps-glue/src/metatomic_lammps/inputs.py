"""Structures as inputs of LAMMPS: data files, and runs in which atoms and box move as they are told."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metatomic_core import ModelOutput, unit_conversion_factor
from metatomic_core.adapters import canonical_name, masses
from metatomic_core.engine import Structure

# Between atoms and the faces of a box that is not periodic, in angstrom.
_MARGIN = 1.0
# lengths and tilts of a box, by the names of `fix deform`, in a lower triangle
_BOX = {"x": (0, 0), "y": (1, 1), "z": (2, 2), "xy": (1, 0), "xz": (2, 0), "yz": (2, 1)}
# inputs of atoms, and the unit of each in the style metal
_UNITS = {"mass": "g/mol", "charge": "e", "velocity": "angstrom/ps", "momentum": "g/mol*angstrom/ps"}


@dataclasses.dataclass(frozen=True)
class Frames:
    """The same atoms at each step of a run, in lower triangular cells, in the units of the style metal.

    Attributes
    ----------
    structures
        The structures.
    charges
        Shape (n_atoms,) for each structure; None if the model requests none.
    velocities
        Shape (n_atoms, 3), of the first structure; None if the model requests none.
    kinds
        Atomic number and mass of each atom type of LAMMPS.
    types
        Shape (n_atoms,), the numbers of the atom types, from 1.
    """

    structures: Sequence[Structure]
    charges: list[np.ndarray] | None
    velocities: np.ndarray | None
    kinds: list[tuple[int, float]]
    types: np.ndarray

    @property
    def boundary(self) -> str:
        """The arguments of the command ``boundary``."""
        return " ".join("p" if periodic else "f" for periodic in self.structures[0].pbc)

    @property
    def moves_box(self) -> bool:
        """Whether the periodic part of the cell changes."""
        periodic = [one.cell * one.pbc[:, None] for one in self.structures]
        return any(not np.array_equal(cell, periodic[0]) for cell in periodic)

    def limits(self) -> list[tuple[float, float]]:
        """Give where the box begins and ends along x, y and z: where it is open, around the atoms of all frames."""
        points = np.concatenate([one.positions for one in self.structures])
        first = self.structures[0]
        return [
            (0.0, float(first.cell[axis, axis]))
            if first.pbc[axis]
            else (float(points[:, axis].min()) - _MARGIN, float(points[:, axis].max()) + _MARGIN)
            for axis in range(3)
        ]


def frames_of(structures: Sequence[Structure], requested: Mapping[str, ModelOutput]) -> Frames:
    """Give frames of LAMMPS from structures of the same atoms; masses and velocities are those of the first.

    Parameters
    ----------
    structures
        The structures.
    requested
        Inputs that the model requests.
    """
    first, given = structures[0], [_inputs(structure, requested) for structure in structures]
    heavy = given[0].get("mass", np.array(masses([int(number) for number in first.types]))).reshape(-1)
    velocities = given[0].get("velocity")
    if "momentum" in given[0]:
        velocities = given[0]["momentum"].reshape(-1, 3) / heavy[:, None]
    charges = [each["charge"].reshape(-1) for each in given] if "charge" in given[0] else None
    # in the order of the atoms, which need not be that of the numbers
    kinds = list(dict.fromkeys(zip(map(int, first.types), map(float, heavy), strict=True)))
    types = [kinds.index((int(number), float(mass))) + 1 for number, mass in zip(first.types, heavy, strict=True)]
    return Frames(structures, charges, velocities, kinds, np.array(types))


def _inputs(structure: Structure, requested: Mapping[str, ModelOutput]) -> dict[str, np.ndarray]:
    """Give the inputs of atoms in the units of the style metal."""
    given = {}
    for name, values in structure.inputs.items():
        key, unit = canonical_name(name), requested[name].unit
        if requested[name].sample_kind == "atom" and key in _UNITS:
            given[key] = np.asarray(values, dtype=float) * (unit_conversion_factor(unit, _UNITS[key]) if unit else 1.0)
    return given


def write_data(path: Path, frames: Frames) -> None:
    """Write the first frame as a data file."""
    first, charges = frames.structures[0], frames.charges
    lines = ["", "", f"{len(first.types)} atoms", f"{len(frames.kinds)} atom types", ""]
    lines += [f"{low!r} {high!r} {axis}lo {axis}hi" for axis, (low, high) in zip("xyz", frames.limits(), strict=True)]
    lines.append(" ".join(repr(float(first.cell[_BOX[name]])) for name in ("xy", "xz", "yz")) + " xy xz yz")
    lines += ["", "Masses", "", *(f"{k + 1} {mass!r}" for k, (_, mass) in enumerate(frames.kinds))]
    lines += ["", f"Atoms # {'atomic' if charges is None else 'charge'}", ""]
    for i, kind in enumerate(frames.types):
        charge = [] if charges is None else [charges[0][i]]
        lines.append(f"{i + 1} {kind} {_numbers([*charge, *first.positions[i]])}")
    if frames.velocities is not None:
        lines += ["", "Velocities", "", *(f"{i + 1} {_numbers(row)}" for i, row in enumerate(frames.velocities))]
    path.write_text("\n".join(lines) + "\n")


def _numbers(values: Any) -> str:
    return " ".join(repr(float(value)) for value in values)


def moving(folder: Path, prefix: str, frames: Frames) -> list[str]:
    """Give commands that let atoms and box follow the frames: frame k comes at step k + 1, and the first at step 0.

    Parameters
    ----------
    folder
        Where to put files, in which LAMMPS runs.
    prefix
        Start of their names, and of those of variables.
    frames
        The frames.
    """
    start = frames.structures[0].positions
    lines = []
    for axis, letter in enumerate("xyz"):
        terms = []
        for k, one in enumerate(frames.structures[1:], 1):
            lines.append(_atom_values(folder, f"{prefix}{letter}{k}", one.positions[:, axis] - start[:, axis]))
            terms.append(f"v_{prefix}{letter}{k}*(step=={k + 1})")
        lines.append(f'variable {prefix}{letter} atom "{"+".join(terms)}"')
    lines.append(f"fix {prefix}move all move variable v_{prefix}x v_{prefix}y v_{prefix}z NULL NULL NULL")
    return lines + (_deforming(prefix, frames) if frames.moves_box else [])


def _atom_values(folder: Path, name: str, values: np.ndarray) -> str:
    """Give the command for a variable with a value for each atom, and write its file."""
    rows = [f"{atom + 1} {float(value)!r}" for atom, value in enumerate(values)]
    (folder / name).write_text("\n".join([str(len(values)), *rows]) + "\n")
    return f"variable {name} atomfile {name}"


def running(folder: Path, prefix: str, frames: Frames) -> list[str]:
    """Give the commands that run all steps: in one go, or step by step where charges change in between.

    Parameters
    ----------
    folder
        Where to put files, in which LAMMPS runs.
    prefix
        Start of their names, and of those of variables.
    frames
        The frames.
    """
    n_frames = len(frames.structures)
    if n_frames == 1:
        return ["run 0"]
    if frames.charges is None or all(np.array_equal(each, frames.charges[0]) for each in frames.charges):
        return [f"run {n_frames}"]
    lines = ["run 1"]
    for k, charges in enumerate(frames.charges[1:], 1):
        name = f"{prefix}charge{k}"
        lines += [_atom_values(folder, name, charges), f"set group all charge v_{name}", "run 1"]
    return lines


def _deforming(prefix: str, frames: Frames) -> list[str]:
    """Give commands for the box; LAMMPS changes it at the end of a step, for the next one."""
    first = frames.structures[0]
    lines, parts = [f"variable {prefix}rate equal 0.0"], []
    for name, (row, column) in _BOX.items():
        if not (first.pbc[row] and first.pbc[column]):
            continue
        terms = [
            f"({float(one.cell[row, column] - first.cell[row, column])!r})*(step=={k})"
            for k, one in enumerate(frames.structures)
        ]
        # what follows the last frame is not looked at
        lines.append(f'variable {prefix}box{name} equal "{"+".join(terms)}"')
        parts.append(f"{name} variable v_{prefix}box{name} v_{prefix}rate")
    return [*lines, f"fix {prefix}box all deform 1 {' '.join(parts)} remap none flip no"]
