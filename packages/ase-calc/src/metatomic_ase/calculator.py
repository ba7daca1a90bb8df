"""`MetatomicCalculator`: the ASE calculator.

What is asked of the engine is in ``_requests``, how results are named and laid out in ``_results``, the conversion of
atoms in ``_convert``; the evaluation is that of `metatomic_core.engine`.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ase
import numpy as np
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from metatensor.torch import Labels, TensorMap

from metatomic_core import ModelCapabilities, ModelMetadata, ModelOutput
from metatomic_core.adapters import check_type
from metatomic_core.adapters.options import ENGINE_OPTIONS, checked_options, takes_options
from metatomic_core.engine import Engine, Model

from ._changes import changed_atoms, changed_inputs
from ._coincidence import explained
from ._convert import as_list, has_stress, input_units, structure_from_atoms
from ._requests import NEEDS_CELL, Request, checked_additional, implemented, make_request, with_companions
from ._results import batch_of, properties_of
from .predictions import Predictions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from metatomic_core.adapters.options import EngineOptions

# eV, of an atom
_DEFAULT_THRESHOLD = 0.1
# Neighbor lists of batches; number 0 belongs to `calculate`.
_FIRST_BATCH_SLOT = 1
# of ASE, within which atoms count as the same
_TOLERANCE = 1e-15


@takes_options(ENGINE_OPTIONS)
class MetatomicCalculator(Predictions, Calculator):
    """ASE calculator for any metatomic model.

    Properties: energy, free_energy, forces; energies for models with energies per atom; stress for periodic cells with
    a volume (dE/dstrain per volume of the whole cell; tension is positive); stresses per atom where the model sees
    geometry only through neighbor vectors; dipole, charges and magmoms of models that have them.  Units are those of
    ASE.

    Parameters
    ----------
    model
        Path of a model file, also of one of metatomic-torch if that is installed, or a model.
    additional_outputs
        Other outputs to compute with each calculation, by name; they are in the attribute `additional_outputs`
        afterwards, as TensorMaps.
    do_gradients_with_energy
        Compute forces and stress along with the energy, for algorithms that ask for both one after the other.
    {options}

    Raises
    ------
    TypeError
        If an argument has the wrong type, or there is no such option.
    ValueError
        If the model can not be loaded, does not have what is asked of it, or requests inputs that ASE does not have.

    Notes
    -----
    ``variants`` are a dictionary, ``{"energy": "pbe"}``; ``non_conservative`` may be True and False for "on" and "off",
    and the mean is removed from direct forces; ``uncertainty_threshold`` is None for never, and by default 0.1 eV where
    the model has one uncertainty, or a default one.

    Examples
    --------
    >>> import ase.build
    >>> from metatomic_core.potentials import lennard_jones
    >>> atoms = ase.build.bulk("Ar", cubic=True)
    >>> atoms.calc = MetatomicCalculator(lennard_jones())
    >>> atoms.get_forces().shape
    (4, 3)
    """

    additional_outputs: dict[str, TensorMap]

    def __init__(
        self,
        model: Model,
        *,
        additional_outputs: dict[str, ModelOutput] | None = None,
        do_gradients_with_energy: bool = True,
        **options: "Unpack[EngineOptions]",
    ):
        super().__init__()
        check_type("do_gradients_with_energy", do_gradients_with_energy, bool, "True or False")
        given = checked_options("MetatomicCalculator", options, ENGINE_OPTIONS)
        self._engine = _make_engine(model, given)
        self._arguments = {
            "model": os.fspath(model) if isinstance(model, (str, os.PathLike)) else None,
            "do_gradients_with_energy": do_gradients_with_energy,
            **given,
            "variants": dict(given["variants"]) if given["variants"] else None,
        }
        self._model_inputs = self._engine.model.requested_inputs()
        self._units = input_units(self._model_inputs)
        self._last_inputs: dict[str, np.ndarray] = {}
        self._additional = checked_additional(self._engine, additional_outputs)
        self.additional_outputs = {}
        self._with_energy = do_gradients_with_energy
        self.implemented_properties = implemented(self._engine)
        # by properties, and whether there is a stress: names are looked up once
        self._requests: dict[tuple[tuple[str, ...], bool], Request] = {}

    def __repr__(self) -> str:
        """Say which model this is, and how it is run."""
        name = self.metadata().name or type(self._engine.model).__name__
        where = f", file {self._arguments['model']}" if self._arguments["model"] else ""
        return f"<{type(self).__name__} of {name}{where}, on {self._engine.device}, kernel {self.kernel}>"

    def model(self) -> Any:
        """Give the model."""
        return self._engine.model

    def metadata(self) -> ModelMetadata:
        """Give the metadata of the model."""
        return self._engine.model.metadata()

    def capabilities(self) -> ModelCapabilities:
        """Give the capabilities of the model."""
        return self._engine.capabilities

    @property
    def engine(self) -> Engine:
        """The engine that evaluates the model, for code that has arrays rather than ``ase.Atoms``."""
        return self._engine

    @property
    def kernel(self) -> str:
        """The way in which the model is run, "compiled", "eager", or "script" for the model itself."""
        return self._engine.kernel

    def forget_neighbors(self) -> None:
        """Drop the neighbor lists that are kept between calls, so that the next one depends on nothing before it."""
        self._engine.forget_neighbors()

    def todict(self, skip_default: bool = False) -> dict[str, Any]:
        """Give the arguments of this calculator as plain data, for models from files.

        Parameters
        ----------
        skip_default
            Taken for the sake of ASE; all arguments are always given.

        Raises
        ------
        RuntimeError
            If the model is not from a file.
        """
        if self._arguments["model"] is None:
            raise RuntimeError("expected a calculator with the path of a model, got one with a model; save it first")
        return dict(self._arguments)

    @classmethod
    def fromdict(cls, arguments: dict[str, Any]) -> "MetatomicCalculator":
        """Make a calculator from what `todict` gave.

        Parameters
        ----------
        arguments
            Arguments of the calculator, as `todict` gives them.
        """
        return cls(**arguments)

    def check_state(self, atoms: ase.Atoms, tol: float = _TOLERANCE) -> list[str]:
        """List what changed since the last calculation, inputs of the model such as momenta or ``info`` included."""
        changes = changed_atoms(self.atoms, atoms) if tol == _TOLERANCE else super().check_state(atoms, tol)
        if not changes and self._model_inputs:
            return changed_inputs(self._last_inputs, structure_from_atoms(atoms, self._model_inputs).inputs)
        return changes

    def get_property(self, name: str, atoms: ase.Atoms | None = None, allow_calculation: bool = True) -> Any:
        """Give a property of atoms, computed or kept; from several threads, each gets that of its own atoms."""
        # looking for changes, computing and reading the results are one step
        with self._engine.lock:
            return super().get_property(name, atoms, allow_calculation)

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute properties of atoms and keep them in ``results``.

        Raises
        ------
        PropertyNotImplementedError
            If the model, or the cell of the atoms, does not allow a property.
        ValueError
            If the model does not know an atomic type, or gives values that are not finite.
        """
        if atoms is None:
            atoms = self.atoms
        if atoms is None:
            raise ValueError("expected `atoms` to calculate, got None")
        with self._engine.lock:
            request = self._request(atoms, properties or ["energy"])
            super().calculate(atoms, properties, system_changes)
            self._calculate(atoms, request)

    def _request(self, atoms: ase.Atoms, properties: Sequence[str]) -> Request:
        """Give what to ask of the engine, after checking that all properties are possible."""
        key = (tuple(properties), has_stress(atoms))
        if key not in self._requests:
            for name in properties:
                if name not in self.implemented_properties:
                    raise PropertyNotImplementedError(
                        f"expected a property that this model has, {self.implemented_properties}, got '{name}'"
                    )
                if name in NEEDS_CELL and not key[1]:
                    raise PropertyNotImplementedError(
                        f"expected a periodic structure with three cell vectors for '{name}', got pbc "
                        f"{atoms.pbc.tolist()} and a cell of rank {atoms.cell.rank}"
                    )
            wanted = with_companions(properties, self.implemented_properties, key[1], self._with_energy)
            self._requests[key] = make_request(self._engine, wanted, self._additional)
        return self._requests[key]

    def _calculate(self, atoms: ase.Atoms, request: Request) -> None:
        # nothing of the last structure may be left if this one fails
        self.results, self.additional_outputs = {}, {}
        structure = structure_from_atoms(atoms, self._model_inputs)
        with explained([atoms]):
            evaluation = self._engine.evaluate(
                [structure], request.results, outputs=request.outputs, units=self._units, output_units=request.units
            )
        tensors = evaluation.tensors
        if request.separate:
            tensors = {**tensors, **self._engine.run([structure], request.separate, units=self._units)}
        self.additional_outputs = {name: tensors[one.name] for name, one in self._additional.items()}
        # copies: the arrays may be those of the atoms, which may change in place
        self._last_inputs = {name: values.copy() for name, values in structure.inputs.items()}
        self.results = properties_of(evaluation, request.from_outputs)

    def run_model(
        self,
        atoms: ase.Atoms | Sequence[ase.Atoms],
        outputs: dict[str, ModelOutput],
        selected_atoms: "Labels | None" = None,
    ) -> dict[str, TensorMap]:
        """Compute any outputs of the model, in angstrom and in the units that the outputs state.

        Parameters
        ----------
        atoms
            One structure or several.
        outputs
            What to compute, by name.
        selected_atoms
            Labels ``system`` and ``atom``: compute the outputs for these atoms only; None for all.

        Returns
        -------
        dict of TensorMap
            The outputs, with the structures numbered in the dimension ``system`` of the samples.
        """
        structures = [structure_from_atoms(one, self._model_inputs) for one in as_list(atoms)]
        return self._engine.run(structures, outputs, selected_atoms, self._units)

    def compute_energy(
        self,
        atoms: ase.Atoms | Sequence[ase.Atoms],
        compute_forces_and_stresses: bool = False,
        *,
        per_atom: bool = False,
    ) -> dict[str, Any]:
        """Compute energies, and forces and stresses if wanted, of one structure or several in one call of the model.

        Parameters
        ----------
        atoms
            One structure or several.
        compute_forces_and_stresses
            Also compute forces, and stresses of periodic structures.
        per_atom
            Also compute energies per atom.

        Returns
        -------
        dict
            "energy" in eV; "energies" (n_atoms,) with ``per_atom``; "forces" (n_atoms, 3) in eV/angstrom and "stress"
            (3, 3) in eV/angstrom^3.  If several structures were given, "energy" has the shape (n_structures,), and the
            others are lists with one entry for each; the stress is None for a structure without one, and not there if
            no structure has one.

        Raises
        ------
        PropertyNotImplementedError
            If the model does not have what is asked for.
        """
        all_atoms = as_list(atoms)
        if per_atom and not self._engine.can_give("atomic_energies"):
            raise PropertyNotImplementedError("expected a model with energies per atom for `per_atom`, got another one")
        results = ["energy", "atomic_energies"] if per_atom else ["energy"]
        if compute_forces_and_stresses:
            results += ["forces", "stress"] if any(map(has_stress, all_atoms)) else ["forces"]
        with explained(all_atoms):
            evaluation = self._engine.evaluate(
                [structure_from_atoms(one, self._model_inputs) for one in all_atoms],
                results,
                units=self._units,
                slots=range(_FIRST_BATCH_SLOT, _FIRST_BATCH_SLOT + len(all_atoms)),
            )
        computed = batch_of(evaluation, all_atoms)
        if isinstance(atoms, ase.Atoms):
            return {name: values[0] for name, values in computed.items()}
        return {**computed, "energy": np.array(computed["energy"])}


def _make_engine(model: Model, given: dict[str, Any]) -> Engine:
    by_default = given["uncertainty_threshold"] == "default"
    threshold = None if by_default else given["uncertainty_threshold"]
    options = {**given, "uncertainty_threshold": threshold}
    engine = Engine(model, length_unit="angstrom", energy_unit="eV", **options)
    # of several variants only who asks for warnings has to choose one
    if by_default and engine.offers("energy_uncertainty"):
        engine.watch_uncertainty(_DEFAULT_THRESHOLD)
    return engine
