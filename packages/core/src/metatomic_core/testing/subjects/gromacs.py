"""GROMACS' calling convention as a subject: a converted file, called with the inputs that GROMACS gives it.

These are float32 numbers of nm, in a triangular box.  There is no GROMACS in it: `gromacs_process` calls the file as
the sources of GROMACS do.
"""

import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from metatomic_core.engine import Structure
from metatomic_core.gromacs.convert import convert
from metatomic_core.neighbor_lists import NeighborLists
from metatomic_core.testing.adapting import loaded_model
from metatomic_core.testing.subject import Answer, Request, Subject, Tolerances
from metatomic_core.testing.turning import Turned, turned

from .gromacs_process import GromacsProcess

NM_PER_ANGSTROM = 0.1
# of an eV, CODATA 2018: e * N_A / 1000
KJ_PER_MOL = 96.48533212331
# of GROMACS' pair list, beyond the cutoff, in angstrom
_BUFFER = 1.0

_NOT_GIVEN = "GROMACS takes an energy and forces from such a file, and nothing else"
_NOT_CHOSEN = "chosen by environment variables of GROMACS, or not at all"


class GromacsSubject(Subject):
    """A file of ``metatomic convert --to gromacs``, called as GROMACS does.

    Parameters
    ----------
    pairs
        Whether GROMACS gives the pairs.
    """

    lacks: Mapping[str, str] = {
        "virial": _NOT_GIVEN,
        "atomic energies": _NOT_GIVEN,
        "atomic virials": _NOT_GIVEN,
        "outputs": _NOT_GIVEN,
        "direct predictions": _NOT_GIVEN,
        "batch": "a step of GROMACS has one structure",
        "selected atoms": "GROMACS gives the atoms of its group, and wants their energy",
        "inputs": "GROMACS gives the total charge at most",
        "kernels": "the file is TorchScript, which GROMACS runs",
        "devices": _NOT_CHOSEN,
    }
    left_out: Mapping[str, str] = {
        "double_precision": "GROMACS gives positions in float32",
        "single_precision_far_away": "GROMACS gives positions in float32",
    }
    # positions are rounded to 6e-8 of themselves, forces and energies afterwards
    tolerances = Tolerances(energy=5e-6, forces=5e-5, relative=2e-6)

    def __init__(self, pairs: bool = False):
        self.pairs = pairs
        self._files: dict[tuple[Path, int, str | None], Path] = {}
        self.name = "gromacs, pairs" if pairs else "gromacs"
        if pairs:
            small = "pairs of GROMACS are those of nearest images"
            self.lacks = {**self.lacks, "small cells": small, "mixed periodicity": small}

    @functools.cached_property
    def _folder(self) -> "tempfile.TemporaryDirectory[str]":
        return tempfile.TemporaryDirectory(prefix="metatomic-gromacs-")

    @functools.cached_property
    def _gromacs(self) -> GromacsProcess:
        # waits for work, and ends with this process
        return GromacsProcess(Path(self._folder.name))

    def evaluate(self, request: Request) -> list[Answer]:
        """Evaluate structures, one call after the other of one file."""
        frames = [turned(structure) for structure in request.structures]
        file = self._converted(Path(request.model), (request.options.get("variants") or {}).get("energy"))
        calls = [self._inputs(frame.structure, request) for frame in frames]
        return [_answer(*pair) for pair in zip(self._gromacs({str(file): calls})[str(file)], frames, strict=True)]

    def _converted(self, model: Path, variant: str | None) -> Path:
        """Give the file for GROMACS, converted once."""
        key = (model, model.stat().st_mtime_ns if model.exists() else 0, variant)
        if key not in self._files:
            file = Path(self._folder.name, f"{len(self._files)}.pt")
            convert(model, file, pairs=self.pairs, variant=variant)
            self._files[key] = file
        return self._files[key]

    def _inputs(self, structure: Structure, request: Request) -> list[torch.Tensor]:
        if not self.pairs:
            return inputs(structure)
        cutoffs = [each.engine_cutoff("angstrom") for each in loaded_model(request).requested_neighbor_lists()]
        return pair_inputs(structure, max(cutoffs) + _BUFFER)


def inputs(structure: Structure) -> list[torch.Tensor]:
    """Give atom-positions, atom-numbers, box, pbc; without the last two for an open structure.

    Parameters
    ----------
    structure
        The structure, in angstrom.

    Returns
    -------
    list of torch.Tensor
        The inputs, in nm.
    """
    found = [
        torch.tensor(structure.positions * NM_PER_ANGSTROM, dtype=torch.float32),
        torch.tensor(structure.types, dtype=torch.int32),
    ]
    if structure.pbc.any():
        box = torch.tensor(structure.cell * NM_PER_ANGSTROM, dtype=torch.float32)
        found += [box, torch.tensor(structure.pbc)]
    return found


def pair_inputs(structure: Structure, cutoff: float, reverse: bool = False) -> list[torch.Tensor]:
    """Give atom-positions, atom-numbers, atom-pairs, pair-shifts, box, pbc.

    GROMACS gives each pair once, and the vector from its second to its first atom is x_i - x_j + shift.

    Parameters
    ----------
    structure
        The structure, in angstrom.
    cutoff
        Of the pairs, in angstrom.
    reverse
        Whether every other pair is given the other way round.

    Returns
    -------
    list of torch.Tensor
        The inputs, in nm.
    """
    positions, cell = torch.tensor(structure.positions), torch.tensor(structure.cell)
    pairs = NeighborLists([(cutoff, False, True)], 0.0).compute(positions, cell, torch.tensor(structure.pbc))[0][0]
    if reverse:
        pairs[::2] = torch.cat([pairs[::2, 1:2], pairs[::2, 0:1], -pairs[::2, 2:]], dim=1)
    shifts = -(pairs[:, 2:].to(torch.float64) @ cell) * NM_PER_ANGSTROM
    first, *rest = inputs(structure)
    return [first, rest[0], pairs[:, :2].contiguous(), shifts.to(torch.float32), *rest[1:]]


def _answer(result: tuple[float, torch.Tensor] | str, frame: Turned) -> Answer:
    if isinstance(result, str):
        raise RuntimeError(result)
    energy, forces = result
    in_ev = np.asarray(forces, dtype=float) / KJ_PER_MOL * NM_PER_ANGSTROM
    return frame.back(Answer(energy=energy / KJ_PER_MOL, forces=in_ev))


SUBJECT = GromacsSubject()
PAIRS = GromacsSubject(pairs=True)
