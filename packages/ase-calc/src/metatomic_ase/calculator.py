"""`MetatomicCalculator`: the ASE calculator.

What is asked of the engine is in ``_requests``, how results are named and laid out in ``_results``, the conversion of
atoms in ``_convert``; the evaluation is that of `metatomic_core.engine`.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ase
import numpy as np
from ase.calculators.calculator import Parameters, PropertyNotImplementedError, all_changes
from metatensor.torch import TensorMap

from metatomic_core import ModelCapabilities, ModelMetadata, ModelOutput
from metatomic_core.adapters import check_type
from metatomic_core.adapters.options import ENGINE_OPTIONS, checked_options, takes_options
from metatomic_core.engine import Engine, Model

from ._changes import Watching
from ._coincidence import explained
from ._convert import Inputs, as_list, has_stress, structure_from_atoms, structures_from
from ._html import html_of
from ._requests import Request, Requests, checked_additional
from ._results import batch_of, properties_of
from .predictions import Predictions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from metatomic_core.adapters.options import EngineOptions

# eV, of an atom
_DEFAULT_THRESHOLD = 0.1
# Neighbor lists of batches; number 0 belongs to `calculate`.
_FIRST_BATCH_SLOT = 1


@takes_options(ENGINE_OPTIONS)
class MetatomicCalculator(Predictions, Watching):
    """ASE calculator for any metatomic model.

    Properties: energy, free_energy, forces; energies for models with energies per atom; stress for periodic cells with
    a volume (dE/dstrain per volume of the whole cell; tension is positive); stresses per atom where the model sees
    geometry only through neighbor vectors; dipole, born_effective_charges, charges and magmoms of models that have
    them.  Units are those of ASE.

    Parameters
    ----------
    model
        Path of a model file, also of one of metatomic-torch if that is installed, or a model.
    additional_outputs
        Other outputs to compute with each calculation, by name; they are in the attribute `additional_outputs`
        afterwards, as TensorMaps.
    do_gradients_with_energy
        Compute forces and stress along with the energy, for algorithms that ask for both one after the other, and
        anything else that was asked of the structure before.
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
        arguments = {"model": model, "do_gradients_with_energy": do_gradients_with_energy, **options}
        self._set_up(arguments, additional_outputs)

    def _set_up(self, arguments: dict[str, Any], additional: dict[str, ModelOutput] | None) -> None:
        """Do what the constructor does; nothing has changed if it fails."""
        options = dict(arguments)
        model, with_energy = options.pop("model"), options.pop("do_gradients_with_energy")
        check_type("do_gradients_with_energy", with_energy, bool, "True or False")
        given = checked_options("MetatomicCalculator", options, ENGINE_OPTIONS)
        engine = _make_engine(model, given)
        inputs = Inputs(engine.model.requested_inputs())
        wanted = checked_additional(engine, additional)
        self._requests = Requests(engine, wanted, with_energy)
        self._engine, self._inputs, self._additional, self._given_outputs = engine, inputs, wanted, additional
        # of a model that was loaded by its user, the file is known as well
        path = model if isinstance(model, (str, os.PathLike)) else getattr(model, "path", None)
        self.parameters = Parameters(
            model=None if path is None else os.fspath(path),
            do_gradients_with_energy=with_energy,
            **{**given, "variants": dict(given["variants"]) if given["variants"] else None},
        )
        self.implemented_properties = self._requests.implemented
        self.reset()

    def __repr__(self) -> str:
        """Say which model this is, and how it is run."""
        name = self.metadata().name or type(self._engine.model).__name__
        where = f", file {self.parameters['model']}" if self.parameters["model"] else ""
        return f"<{type(self).__name__} of {name}{where}, on {self._engine.device}, kernel {self.kernel}>"

    def _repr_html_(self) -> str:
        """Give a table of what this is, for notebooks."""
        name = self.metadata().name or type(self._engine.model).__name__
        return html_of(name, self._engine, self.parameters, self.implemented_properties, list(self._inputs.units))

    def _get_name(self) -> str:
        """Give the name that databases and trajectories know the calculator by."""
        return "metatomic"

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
        """Give the arguments of this calculator as plain data, as databases and trajectories keep them.

        Parameters
        ----------
        skip_default
            Taken for the sake of ASE; all arguments are always given.

        Returns
        -------
        dict
            The arguments; "model" is None for a model in memory, which can not be loaded again.
        """
        return dict(self.parameters)

    @classmethod
    def fromdict(cls, arguments: dict[str, Any]) -> "MetatomicCalculator":
        """Make a calculator from what `todict` gave.

        Parameters
        ----------
        arguments
            Arguments of the calculator, as `todict` gives them.

        Raises
        ------
        ValueError
            If the calculator had a model in memory.
        """
        if arguments.get("model") is None:
            raise ValueError(
                "expected the path of a model in `arguments`, got those of a calculator with a model in memory; "
                "save the model, and make the calculator from the file"
            )
        return cls(**arguments)

    def set(self, **arguments: Any) -> dict[str, Any]:
        """Change arguments: as if the calculator were made anew, with what it has for the others.

        Parameters
        ----------
        arguments
            Any arguments of the constructor.

        Returns
        -------
        dict
            Those that were not the same before.

        Raises
        ------
        TypeError, ValueError
            As for the constructor; the calculator is as before then.
        """
        if not arguments:
            return {}
        with self._engine.lock:
            additional = arguments.pop("additional_outputs", self._given_outputs)
            changed = {
                name: value
                for name, value in arguments.items()
                if name not in self.parameters or value != self.parameters[name]
            }
            if additional is not self._given_outputs:
                changed["additional_outputs"] = additional
            if changed:
                # what is loaded is taken as it is, unless it would be loaded in another way
                loaded = not {"model", "extensions_directory"} & changed.keys()
                path = self.parameters["model"]
                self._set_up(
                    {**self.parameters, "model": self._engine.model if loaded or not path else path, **arguments},
                    additional,
                )
                if loaded:
                    self.parameters["model"] = path
        return changed

    def reset(self) -> None:
        """Forget all results."""
        super().reset()
        self.additional_outputs = {}
        # properties asked of the atoms as they are now, and of those before, which come along
        self._asked: set[str] = set()
        self._along: set[str] = set()

    def get_property(self, name: str, atoms: ase.Atoms | None = None, allow_calculation: bool = True) -> Any:
        """Give a property of atoms, computed or kept; from several threads, each gets that of its own atoms."""
        # looking for changes, computing and reading the results are one step
        with self._engine.lock:
            found = super().get_property(name, atoms, allow_calculation)
            if found is not None:
                self._asked.add(name)
            return found

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
        wanted = properties or ["energy"]
        with self._engine.lock:
            known = [] if system_changes or self.check_state(atoms) else list(self.results)
            if not known:
                self._asked, self._along = set(), self._requests.learned(self._asked)
            request = self._requests.of(atoms, wanted, self._along, known)
            super().calculate(atoms, properties, system_changes)
            try:
                self._calculate(atoms, request, known)
            except ValueError:
                if not self._along:
                    raise
                # what nobody has asked of these atoms may be to blame
                self._along = set()
                self._calculate(atoms, self._requests.of(atoms, wanted, (), known), known)
            self._asked.update(wanted)

    def _calculate(self, atoms: ase.Atoms, request: Request, known: Sequence[str]) -> None:
        # nothing of another structure may be left if this one fails
        kept = {name: self.results[name] for name in known}
        self.results, self.additional_outputs = {}, {}
        structure = structure_from_atoms(atoms, self._inputs)
        units = self._inputs.units
        with explained([atoms]):
            evaluation = self._engine.evaluate(
                [structure], request.results, outputs=request.outputs, units=units, output_units=request.units
            )
        tensors = evaluation.tensors
        if request.separate:
            tensors = {**tensors, **self._engine.run([structure], request.separate, units=units)}
        self.additional_outputs = {name: tensors[one.name] for name, one in self._additional.items()}
        self._last_inputs = structure.inputs
        self.results = {**properties_of(evaluation, request.from_outputs), **kept}

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
                structures_from(all_atoms, self._inputs),
                results,
                units=self._inputs.units,
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
