"""What is tested: one way to evaluate structures with a model file."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metatomic_core.engine import Structure
from metatomic_core.foundation.plugins import load_plugin, plugins

GROUP = "metatomic.subjects"
WHAT = "subject of the contract suite"

# what a subject may lack, and what that means; each standard test says which of them it needs
ABILITIES = {
    "forces": "forces on atoms",
    "virial": "the virial or the stress of a structure",
    "asymmetric virials": "virials of structures that need not be symmetric, as of models that learn rotations",
    "atomic energies": "the energy of each atom",
    "atomic virials": "the virial of each atom",
    "free boundaries": "structures that are periodic in no direction",
    "mixed periodicity": "structures that are periodic in one or two directions",
    "oblique free boundaries": "mixed periodicity with cell vectors at any angle to each other",
    "triclinic": "cells with any angles",
    "small cells": "cells smaller than the cutoff",
    "atoms outside": "atoms that lie outside of the cell",
    "one atom": "structures of one atom",
    "batch": "several structures in one call of the model",
    "continued": "structures that follow each other in one run, as the atoms move",
    "changing cell": "continued runs whose cell changes",
    "selected atoms": "energies of some atoms only",
    "inputs": "inputs that a model requests, besides the geometry",
    "outputs": "outputs besides the energy",
    "variants": "the choice of a variant of an output",
    "direct predictions": "forces and stress that the model predicts itself",
    "float32": "models in single precision",
    "other units": "models whose units are not those of the engine",
    "errors": "errors that say what is wrong, before anything is computed",
    "kernels": "the choice of the kernel that runs the model",
    "devices": "the choice of a device",
}


@dataclasses.dataclass(frozen=True)
class Tolerances:
    """How far the results of a subject may be from what is expected, for models in double precision.

    They are in what engines print or pass on: an engine that rounds says so here.  Models in single precision may
    differ by ``float32`` times the largest number in the comparison on top.

    Attributes
    ----------
    energy
        Per atom, in eV.
    forces
        In eV/angstrom.
    virial
        In eV, per atom; also of the virials of atoms.
    outputs
        Of other outputs, relative to the largest value.
    relative
        Added for each of them: relative to the largest number in the comparison, as for constants that an engine
        has in another edition.
    float32
        Relative, for models in single precision.
    """

    energy: float = 1e-9
    forces: float = 1e-9
    virial: float = 1e-9
    outputs: float = 1e-9
    relative: float = 1e-10
    float32: float = 2e-5


@dataclasses.dataclass(frozen=True)
class Request:
    """What a subject is asked to compute.

    Attributes
    ----------
    model
        The model file.
    structures
        The structures, positions and cells in angstrom; inputs in the units that the model declares.
    results
        What is wanted: fields of `Answer`.
    batch
        Whether all of them go through the model in one call, in this order.
    continued
        Whether they follow each other in one run: the same atoms, moved.  What an engine keeps between steps (neighbor
        lists, skins, cached results) must be kept.
    selected_atoms
        Shape (n_selected, 2): structure and atom, of which energies are wanted; None for all.
    outputs
        Other outputs that are wanted, with the kind of their samples: "system" or "atom".
    options
        Options of the engine, by the names of `metatomic_core.adapters.options.ENGINE_OPTIONS`: "variants",
        "non_conservative", "kernel", "device", "check_consistency", ...
    """

    model: Path
    structures: Sequence[Structure]
    results: tuple[str, ...] = ("energy", "forces", "virial")
    batch: bool = False
    continued: bool = False
    selected_atoms: np.ndarray | None = None
    outputs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a subject says about one structure, in eV and angstrom, whatever its own units are; None for what it lacks.

    Atoms are in the order of the structure that was given, vectors and tensors in its directions: a subject that sorts,
    wraps or turns structures undoes it.

    Attributes
    ----------
    energy
        In eV.
    forces
        Shape (n_atoms, 3), -dE/dr in eV/angstrom.
    virial
        Shape (3, 3), -dE/dstrain in eV.  A subject that gives stress multiplies it with minus the volume.
    atomic_energies
        Shape (n_atoms,), in eV.
    atomic_virials
        Shape (n_atoms, 3, 3), in eV.
    outputs
        Other outputs, shape (n_samples, ...), in the units that the model declares.
    """

    energy: float | None = None
    forces: np.ndarray | None = None
    virial: np.ndarray | None = None
    atomic_energies: np.ndarray | None = None
    atomic_virials: np.ndarray | None = None
    outputs: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


class Subject(abc.ABC):
    """One way to evaluate structures with a model file.

    Attributes
    ----------
    name
        A short name, as users know it: ``"lammps, 2 ranks"``.
    lacks
        What it can not do, with the reason: names in `ABILITIES`.  Standard tests that need one of these do not apply.
    left_out
        Standard tests that it does not take for another reason: names of tests, each with the reason.
    tolerances
        How close its results are.
    programs
        Whether it runs the exported programs in model files, which takes seconds to make.
    """

    name: str = ""
    lacks: Mapping[str, str] = {}
    left_out: Mapping[str, str] = {}
    tolerances = Tolerances()
    programs: bool = False

    @abc.abstractmethod
    def evaluate(self, request: Request) -> list[Answer]:
        """Evaluate structures.

        Parameters
        ----------
        request
            What is asked; nothing that the subject `lacks`.

        Returns
        -------
        list of Answer
            One for each structure.

        Raises
        ------
        Exception
            If the engine refuses the request; its message is in the text.
        """

    def absent(self) -> str:
        """Say what is missing on this machine that the subject can not run without.

        Returns
        -------
        str
            What is missing and how to get it; empty if nothing is.
        """
        return ""


def installed_subjects() -> dict[str, Subject]:
    """Give the subjects that installed packages register.

    Returns
    -------
    dict
        Subjects by the names of their entry points.

    Raises
    ------
    ValueError
        If one can not be imported, or is no `Subject`.
    """
    return {name: load_plugin(plugin, Subject, WHAT) for name, plugin in sorted(plugins(GROUP, WHAT).items())}  # type: ignore[type-abstract]
