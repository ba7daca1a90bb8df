"""Structures as i-PI sends them to results as i-PI wants them, through `metatomic_core.engine`.

Everything is in i-PI's atomic units here.  Cells have their vectors as columns, as on the wire; virials are symmetric,
-dE/dstrain, not divided by the volume; extras are JSON with the same keys for every structure.
"""

import json
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import ase
import numpy as np

from metatomic_core import unit_dimension_for_quantity
from metatomic_core.adapters import all_finite, base_quantity
from metatomic_core.adapters.options import checked_options, takes_options
from metatomic_core.engine import Engine, Evaluation, Model, Structure

from .guards import Guards
from .options import GUARD_OPTIONS, MODEL_OPTIONS, OPTIONS
from .slots import SlotMatcher
from .template import Template, check_order, make_template
from .units import ANGSTROM, BY_DIMENSION, ELECTRONVOLT, ENERGY, LENGTH

# What extras may be called, besides the names of outputs.
_ALIASES = {"uncertainty": "energy_uncertainty", "ensemble": "energy_ensemble"}
_RESERVED = ("raw", "committee_pot", "committee_force", "committee_virial")
# what i-PI's committee takes of each member, beside its energy
_MEMBERS = ("member_forces", "member_virials")
# Outputs that are given for each atom, where the model can.
_PER_ATOM = ("charge", "energy_uncertainty")


class Result(NamedTuple):
    """The answer for one structure, in the order in which i-PI's own drivers give it.

    Attributes
    ----------
    energy
        In hartree.
    forces
        Shape (n_atoms, 3), hartree/bohr.
    virial
        Shape (3, 3), hartree; NaN if there is none.
    extras
        JSON, or nothing.
    """

    energy: float
    forces: np.ndarray
    virial: np.ndarray
    extras: str


@takes_options(OPTIONS)
class Evaluator:
    """Evaluates the structures that i-PI sends.

    Parameters
    ----------
    model
        Path of a model file, or a model.
    template
        File with the structure in i-PI's order of atoms, or the structure; see `template`.
    say
        Called with the text of each warning.
    {options}

    Raises
    ------
    TypeError
        If an option is unknown or of the wrong type.
    ValueError
        If the model can not be loaded or lacks what is asked, or the template does not fit.

    Notes
    -----
    ``variants`` are a dictionary, ``{"energy": "pbe"}``; ``non_conservative`` may be True and False for "on" and "off",
    and the mean is removed from direct forces.  For ``pbc``, ``charge`` and ``spin_multiplicity`` see
    `template.make_template`, for the last ones `guards.Guards`.
    """

    def __init__(
        self,
        model: Model,
        template: str | os.PathLike[str] | ase.Atoms,
        *,
        say: Callable[[str], None] | None = None,
        **options: Any,
    ):
        given = checked_options("Evaluator", options, OPTIONS)
        self.guards = Guards(say=say, **{name: given[name] for name in GUARD_OPTIONS})
        skin = given["neighbor_skin"] * ANGSTROM
        self.engine = Engine(
            model,
            length_unit=LENGTH,
            energy_unit=ENERGY,
            check_finite=False,
            **{**{name: given[name] for name in MODEL_OPTIONS}, "neighbor_skin": skin},
        )
        inputs = self.engine.model.requested_inputs()
        self.template: Template = make_template(
            template, inputs, given["pbc"], given["charge"], given["spin_multiplicity"]
        )
        self._check_types()
        self._direct_forces = self.engine.is_direct("forces")
        self._results = ["energy", "forces", "virial"] if given["virial"] else ["energy", "forces"]
        for result in self._results:
            self.engine.source(result)
        self._committee = given["committee"]
        self._extras = {key: self._output(key) for key in given["extras"]}
        self._watched = self._watched_output()
        self._outputs, self._units = self._requests()
        self._slots = SlotMatcher(near=skin)
        self._order_checked = False
        self.n_evaluated = 0

    def _check_types(self) -> None:
        known = set(self.engine.capabilities.atomic_types)
        for atom, number in enumerate(self.template.types):
            if int(number) not in known:
                raise ValueError(
                    f"expected atomic types that the model knows, {sorted(known)}, got {number} for atom {atom} of the "
                    "template"
                )

    def _output(self, key: str) -> str:
        if key in _RESERVED:
            raise ValueError(f"expected another name than '{key}' in `extras`, which has a meaning for i-PI")
        return self.engine.output(_ALIASES.get(key, key))

    def _watched_output(self) -> str | None:
        if self.guards.max_uncertainty is None:
            return None
        return self.engine.output("energy_uncertainty")

    def _kind(self, name: str) -> str:
        declared: str = self.engine.capabilities.outputs[name].sample_kind
        return declared if base_quantity(name) in _PER_ATOM else "system"

    def _requests(self) -> "tuple[dict[str, str], dict[str, str]]":
        """Give the kinds of samples of all other outputs, and the units of them and of all inputs."""
        kinds = {name: self._kind(name) for name in self._extras.values()}
        if self._committee != "none":
            kinds[self.engine.output("energy_ensemble")] = "system"
        if self._watched is not None:
            kinds[self._watched] = self._kind(self._watched)
        units = dict(self.template.units)
        for name in kinds:
            dimension = unit_dimension_for_quantity(name)
            if dimension in BY_DIMENSION:
                units[name] = BY_DIMENSION[dimension]
        if self._committee == "full" and self._direct_forces:
            raise ValueError("expected conservative forces for a full `committee`, got `non_conservative` forces")
        return kinds, units

    def __call__(self, cells: Sequence[np.ndarray], positions: Sequence[np.ndarray]) -> list[Result]:
        """Evaluate structures in one call of the model.

        Parameters
        ----------
        cells
            Shape (3, 3) each, vectors as columns, bohr.
        positions
            Shape (n_atoms, 3) each, bohr.

        Raises
        ------
        ValueError
            If the number of atoms is not that of the template, or the model fails.
        GuardError
            If a guard stops the run.
        """
        structures = [self._structure(cell, points) for cell, points in zip(cells, positions, strict=True)]
        # i-PI pads a batch that is not full with copies of the last structure
        n_distinct = len(structures)
        while n_distinct > 1 and _same(structures[n_distinct - 1], structures[n_distinct - 2]):
            n_distinct -= 1
        results = self._evaluate(structures[:n_distinct])
        return results + results[-1:] * (len(structures) - n_distinct)

    def _structure(self, cell: np.ndarray, positions: np.ndarray) -> Structure:
        n_atoms = len(self.template.types)
        if positions.shape != (n_atoms, 3):
            raise ValueError(
                f"expected {n_atoms} atoms as in the template, got {len(positions)} from i-PI; give the structure that "
                "i-PI starts from as template"
            )
        if not (all_finite(positions) and all_finite(cell)):
            raise ValueError(
                "expected finite positions and cell from i-PI, got nan or inf; its run has blown up: look at its "
                "time step, thermostat and barostat"
            )
        # copies: the arrays are buffers that i-PI writes again
        rows = np.array(cell.T, dtype=np.float64, order="C")
        points = np.array(positions, dtype=np.float64, order="C")
        if not self._order_checked:
            check_order(self.template, rows / ANGSTROM, points / ANGSTROM)
            self._order_checked = True
        return Structure(self.template.types, points, rows, self.template.pbc, self.template.inputs)

    def _evaluate(self, structures: list[Structure]) -> list[Result]:
        slots = self._slots.assign([structure.positions for structure in structures])
        members = _MEMBERS if self._committee == "full" else ()
        evaluation = self.engine.evaluate(
            structures, (*self._results, *members), outputs=self._outputs, units=self._units, slots=slots
        )
        self.n_evaluated += len(structures)
        virials = evaluation.virial
        if virials is None:
            symmetric = np.full((len(structures), 3, 3), np.nan)
        else:
            symmetric = 0.5 * (virials + virials.transpose(0, 2, 1))
        results = []
        start = 0
        for index, structure in enumerate(structures):
            rows = slice(start, start + len(structure.types))
            results.append(self._result(index, rows, structure, evaluation, symmetric[index]))
            start = rows.stop
        return results

    def _result(
        self, index: int, rows: slice, structure: Structure, evaluation: Evaluation, symmetric: np.ndarray
    ) -> Result:
        """Give the result of one structure, whose atoms are in these rows, after a look at it."""
        energy = float(evaluation.energy[index])  # type: ignore[index]
        forces = evaluation.forces[rows]  # type: ignore[index]
        virial = evaluation.virial[index] if evaluation.virial is not None else None
        extras = self._extras_of(evaluation, index, rows)
        self.guards.check(
            lambda: _atoms(structure), energy, forces, virial, self._uncertainties(evaluation, index, rows), extras
        )
        text = json.dumps({key: values.tolist() for key, values in extras.items()}) if extras else ""
        return Result(energy, forces, symmetric, text)

    def _uncertainties(self, evaluation: Evaluation, index: int, rows: slice) -> np.ndarray | None:
        if self._watched is None:
            return None
        values = self._values(evaluation, self._watched, index, rows)
        return values.reshape(-1) / ELECTRONVOLT

    def _values(self, evaluation: Evaluation, name: str, index: int, rows: slice) -> np.ndarray:
        if name not in evaluation.outputs:
            raise ValueError(f"expected output '{name}' to have one block for `extras`, got several")
        values = evaluation.outputs[name]
        return values[rows] if self._outputs[name] == "atom" else values[index]

    def _extras_of(self, evaluation: Evaluation, index: int, rows: slice) -> dict[str, np.ndarray]:
        extras: dict[str, np.ndarray] = {}
        for key, name in self._extras.items():
            values = self._values(evaluation, name, index, rows)
            extras[key] = values[..., 0] if values.shape[-1] == 1 else values
        if self._committee != "none":
            extras["committee_pot"] = self._values(evaluation, self.engine.output("energy_ensemble"), index, rows)
        if evaluation.member_forces is not None and evaluation.member_virials is not None:
            # one flat row of numbers for each member: i-PI's FFCommittee waits for ever on anything else
            virials = evaluation.member_virials[:, index]
            extras["committee_force"] = evaluation.member_forces[:, rows].reshape(len(evaluation.member_forces), -1)
            extras["committee_virial"] = (0.5 * (virials + virials.transpose(0, 2, 1))).reshape(len(virials), 9)
        return extras

    def described(self) -> str:
        """Say what is computed with what, in one line."""
        pbc = "".join(letter for letter, periodic in zip("xyz", self.template.pbc, strict=True) if periodic) or "none"
        parts = [
            self.engine.model.metadata().name or "a model without name",
            f"on {self.engine.device} in {self.engine.capabilities.dtype}",
            f"{len(self.template.types)} atoms",
            f"periodic directions: {pbc} ({self.template.pbc_source})",
        ]
        if self._extras or self._committee != "none":
            keys = list(self._extras) + (["committee"] if self._committee != "none" else [])
            parts.append(f"extras: {', '.join(keys)}")
        return ", ".join(parts)


def _same(first: Structure, second: Structure) -> bool:
    return np.array_equal(first.positions, second.positions) and np.array_equal(first.cell, second.cell)


def _atoms(structure: Structure) -> ase.Atoms:
    return ase.Atoms(structure.types, structure.positions / ANGSTROM, cell=structure.cell / ANGSTROM, pbc=structure.pbc)
