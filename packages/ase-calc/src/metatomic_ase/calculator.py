"""`MetatomicCalculator`: the ASE calculator.

What is asked of the model and how results are named in ASE is decided here; the evaluation is in
`metatomic_core.engine`, the conversion of atoms in ``_convert``.
"""

import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import ase
import numpy as np
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from metatensor.torch import Labels, TensorMap

from metatomic_core import ModelCapabilities, ModelMetadata, ModelOutput
from metatomic_core._validation import check_type
from metatomic_core.engine import Engine, Evaluation, Model
from metatomic_core.quantities import base_quantity, canonical_name, unit_dimension_for_quantity
from metatomic_core.units import check_unit

from ._convert import has_stress, input_units, structure_from_atoms, voigt

# ASE property -> result of the engine
_FROM_ENERGY = {
    "energy": "energy",
    "free_energy": "energy",
    "energies": "atomic_energies",
    "forces": "forces",
    "stress": "stress",
    "stresses": "atomic_virials",
}
# ASE property -> (output of the model, kind of samples, unit)
_FROM_OUTPUT = {
    "dipole": ("dipole", "system", "e*angstrom"),
    "charges": ("charge", "atom", "e"),
}
_NEEDS_CELL = ("stress", "stresses")
# What an energy comes with at little more cost than that of the forces.
_WITH_ENERGY = ("energy", "forces", "stress")
# eV, of an atom
_DEFAULT_THRESHOLD = 0.1
# Neighbor lists of batches; number 0 belongs to `calculate`.
_FIRST_BATCH_SLOT = 1


class _Requested(NamedTuple):
    """An additional output: its name in the model, and what the user wants."""

    name: str
    output: ModelOutput


class MetatomicCalculator(Calculator):
    """ASE calculator for any metatomic model.

    Properties: energy, free_energy, forces; energies for models with energies per atom; stress for periodic cells with
    a volume (dE/dstrain per volume of the whole cell; tension is positive); stresses per atom where the model sees
    geometry only through neighbor vectors; dipole and charges of models that have them.  Units are those of ASE.

    Parameters
    ----------
    model
        Path of a model file, also of one of metatomic-torch if that is installed, or a model.
    additional_outputs
        Other outputs to compute with each calculation, by name; they are in the attribute `additional_outputs`
        afterwards, as TensorMaps.
    extensions_directory
        Directory with the TorchScript extensions of the model.
    check_consistency
        Check everything that goes into the model and comes out of it, at some cost.
    device
        "cpu", "cuda", "cuda:1", ...; None for the best one that model and machine have.
    variants
        Variant of each output: ``{"energy": "pbe"}``.
    non_conservative
        Take forces and stress (True), or one of them ("forces", "stress"), from direct predictions of the model
        instead of derivatives.  The mean is removed from direct forces.
    do_gradients_with_energy
        Compute forces and stress along with the energy, for algorithms that ask for both one after the other.
    uncertainty_threshold
        Warn about atoms whose energy uncertainty is above this value in eV; None for never.  By default 0.1 eV, where
        the model has one uncertainty, or a default one.
    neighbor_skin
        Skin of the neighbor lists in angstrom.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If the model can not be loaded, does not have what is asked of it, or requests inputs that ASE does not have.

    Examples
    --------
    >>> import ase.build
    >>> from metatomic_core.potentials import lennard_jones
    >>> atoms = ase.build.bulk("Ar", cubic=True)
    >>> atoms.calc = MetatomicCalculator(lennard_jones())
    >>> atoms.get_forces().shape
    (4, 3)
    """

    additional_outputs: Dict[str, TensorMap]

    def __init__(
        self,
        model: Model,
        *,
        additional_outputs: Optional[Dict[str, ModelOutput]] = None,
        extensions_directory: Optional[str] = None,
        check_consistency: bool = False,
        device: Optional[str] = None,
        variants: Optional[Mapping[str, Optional[str]]] = None,
        non_conservative: Union[bool, str] = False,
        do_gradients_with_energy: bool = True,
        uncertainty_threshold: Union[float, str, None] = "default",
        neighbor_skin: float = 1.0,
    ):
        super().__init__()
        check_type("do_gradients_with_energy", do_gradients_with_energy, bool, "True or False")
        by_default = uncertainty_threshold == "default"
        self._engine = Engine(
            model,
            length_unit="angstrom",
            energy_unit="eV",
            device=device,
            extensions_directory=extensions_directory,
            variants=variants,
            non_conservative=non_conservative,
            check_consistency=check_consistency,
            neighbor_skin=neighbor_skin,
            uncertainty_threshold=None if by_default else uncertainty_threshold,  # type: ignore[arg-type]
        )
        # of several variants only who asks for warnings has to choose one
        if by_default and self._engine.offers("energy_uncertainty"):
            self._engine.watch_uncertainty(_DEFAULT_THRESHOLD)
        self._model_inputs = self._engine.model.requested_inputs()
        self._units = input_units(self._model_inputs)
        self._last_inputs: Dict[str, np.ndarray] = {}
        self._requested = self._checked_outputs(additional_outputs)
        self.additional_outputs = {}
        self._with_energy = do_gradients_with_energy
        self._direct_forces = non_conservative in (True, "on", "forces")
        self._direct_stress = non_conservative in (True, "on", "stress")
        self.implemented_properties = self._implemented()
        self._arguments = {
            "model": os.fspath(model) if isinstance(model, (str, os.PathLike)) else None,
            "extensions_directory": extensions_directory,
            "check_consistency": check_consistency,
            "device": device,
            "variants": dict(variants) if variants else None,
            "non_conservative": non_conservative,
            "do_gradients_with_energy": do_gradients_with_energy,
            "uncertainty_threshold": uncertainty_threshold,
            "neighbor_skin": neighbor_skin,
        }

    def _checked_outputs(self, outputs: Optional[Dict[str, ModelOutput]]) -> Dict[str, _Requested]:
        """Give the additional outputs by the names of the user, with their names in the model."""
        check_type("additional_outputs", {} if outputs is None else outputs, dict, "a dictionary")
        requested: Dict[str, _Requested] = {}
        for name, output in (outputs or {}).items():
            if not isinstance(output, ModelOutput):
                raise TypeError(
                    f"expected `additional_outputs` to be ModelOutput, got {type(output).__name__} for '{name}'"
                )
            resolved = self._engine.output(name)
            dimension = unit_dimension_for_quantity(resolved)
            check_unit(f"unit of additional output '{name}'", output.unit, "" if dimension == "none" else dimension)
            requested[name] = _Requested(resolved, output)
        return requested

    def _needed(self, results: Sequence[str], wanted: Sequence[str]) -> Dict[str, Tuple[str, str]]:
        """Give what results, properties and the warning are made of.

        Returns
        -------
        dict of (str, str)
            Kind of samples of each output, by canonical name, and its unit; an empty one where the engine converts.
        """
        energy_kind = "atom" if "atomic_energies" in results else "system"
        kinds = {"energy": energy_kind, "non_conservative_force": "atom", "non_conservative_stress": "system"}
        sources = [self._engine.source(result) for result in results]
        needed = {canonical_name(name): (kinds[base_quantity(name)], "") for name in sources}
        if self._engine.watched is not None:
            needed[canonical_name(self._engine.watched)] = ("atom", "")
        for name in set(wanted) & set(_FROM_OUTPUT):
            output, kind, unit = _FROM_OUTPUT[name]
            needed[canonical_name(self._engine.output(output))] = (kind, unit)
        return needed

    def _goes_along(self, requested: _Requested, needed: Dict[str, Tuple[str, str]]) -> bool:
        """Tell whether an additional output comes with the results, or wants a call of the model of its own."""
        output = requested.output
        if output.explicit_gradients:
            return False
        name = canonical_name(requested.name)
        if name not in needed:
            return True
        kind, unit = needed[name]
        # energies per system are also made from those per atom; without a unit, the model's own is wanted
        fits = kind == output.sample_kind or (base_quantity(name) == "energy" and output.sample_kind == "atom")
        return fits and output.unit != "" and unit in ("", output.unit)

    def _implemented(self) -> List[str]:
        properties = [name for name, result in _FROM_ENERGY.items() if self._engine.can_give(result)]
        for name, (output, kind, _) in _FROM_OUTPUT.items():
            if self._engine.offers(output):
                declared = self._engine.capabilities.outputs[self._engine.output(output)].sample_kind
                if kind in ("system", declared):
                    properties.append(name)
        return properties

    def model(self) -> Any:
        """Give the model."""
        return self._engine.model

    def metadata(self) -> ModelMetadata:
        """Give the metadata of the model."""
        return self._engine.model.metadata()

    def capabilities(self) -> ModelCapabilities:
        """Give the capabilities of the model."""
        return self._engine.capabilities

    def forget_neighbors(self) -> None:
        """Drop the neighbor lists that are kept between calls, so that the next one depends on nothing before it."""
        self._engine.forget_neighbors()

    def todict(self, skip_default: bool = False) -> Dict[str, Any]:
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
    def fromdict(cls, arguments: Dict[str, Any]) -> "MetatomicCalculator":
        """Make a calculator from what `todict` gave."""
        return cls(**arguments)

    def check_state(self, atoms: ase.Atoms, tol: float = 1e-15) -> List[str]:
        """List what changed since the last calculation, inputs of the model such as momenta or ``info`` included."""
        changes = super().check_state(atoms, tol)
        if not changes and self._model_inputs:
            inputs = structure_from_atoms(atoms, self._model_inputs).inputs
            last = self._last_inputs
            changes = [k for k, values in inputs.items() if k not in last or not np.array_equal(values, last[k])]
        return changes

    def get_property(self, name: str, atoms: Optional[ase.Atoms] = None, allow_calculation: bool = True) -> Any:
        """Give a property of atoms, computed or kept; from several threads, each gets that of its own atoms."""
        # looking for changes, computing and reading the results are one step
        with self._engine.lock:
            return super().get_property(name, atoms, allow_calculation)

    def calculate(
        self,
        atoms: Optional[ase.Atoms] = None,
        properties: Optional[List[str]] = None,
        system_changes: List[str] = all_changes,
    ) -> None:
        """Compute properties of atoms and keep them in ``results``.

        Raises
        ------
        PropertyNotImplementedError
            If the model, or the cell of the atoms, does not allow a property.
        ValueError
            If the model does not know an atomic type, or gives values that are not finite.
        """
        properties = properties or ["energy"]
        if atoms is None:
            atoms = self.atoms
        if atoms is None:
            raise ValueError("expected `atoms` to calculate, got None")
        with self._engine.lock:
            self._calculate(atoms, properties, system_changes)

    def _calculate(self, atoms: ase.Atoms, properties: List[str], system_changes: List[str]) -> None:
        wanted = self._wanted(atoms, properties)
        super().calculate(atoms, properties, system_changes)
        self.results = {}  # nothing of the last structure may be left if this one fails
        structure = structure_from_atoms(atoms, self._model_inputs)
        self.additional_outputs = {}
        results = sorted({_FROM_ENERGY[name] for name in wanted if name in _FROM_ENERGY})
        needed = self._needed(results, wanted)
        together = [one for one in self._requested.values() if self._goes_along(one, needed)]
        separate = {one.name: one.output for one in self._requested.values() if not self._goes_along(one, needed)}
        outputs = {one.name: one.output.sample_kind for one in together}
        units = {one.name: one.output.unit for one in together if one.output.unit}
        for name in wanted:
            if name in _FROM_OUTPUT:
                output, kind, unit = _FROM_OUTPUT[name]
                outputs.setdefault(self._engine.output(output), kind)
                units.setdefault(self._engine.output(output), unit)
        evaluation = self._engine.evaluate([structure], results, outputs=outputs, units=self._units, output_units=units)
        tensors = dict(evaluation.tensors)
        if separate:
            tensors.update(self._engine.run([structure], separate, units=self._units))
        self.additional_outputs = {name: tensors[one.name] for name, one in self._requested.items()}
        # copies: the arrays may be those of the atoms, which may change in place
        self._last_inputs = {name: values.copy() for name, values in structure.inputs.items()}
        self.results = self._results(evaluation, wanted, atoms.cell.volume)

    def _wanted(self, atoms: ase.Atoms, properties: Sequence[str]) -> List[str]:
        """Give the properties to compute, after checking that all that were asked for are possible."""
        for name in properties:
            if name not in self.implemented_properties:
                raise PropertyNotImplementedError(
                    f"expected a property that this model has, {self.implemented_properties}, got '{name}'"
                )
            if name in _NEEDS_CELL and not has_stress(atoms):
                raise PropertyNotImplementedError(
                    f"expected a periodic structure with three cell vectors for '{name}', got pbc {atoms.pbc.tolist()} "
                    f"and a cell of rank {atoms.cell.rank}"
                )
        wanted = set(properties)
        if "free_energy" in wanted or "energy" in wanted:
            wanted |= {"energy", "free_energy"}
        if self._with_energy or wanted - {"energy", "free_energy", "energies"}:
            wanted |= {name for name in _WITH_ENERGY if name in self.implemented_properties}
        if not has_stress(atoms):
            wanted -= set(_NEEDS_CELL)
        return sorted(wanted)

    def _results(self, evaluation: Evaluation, wanted: Sequence[str], volume: float) -> Dict[str, Any]:
        results: Dict[str, Any] = {}
        if evaluation.energy is not None:
            results["energy"] = results["free_energy"] = float(evaluation.energy[0])
        if evaluation.atomic_energies is not None:
            results["energies"] = evaluation.atomic_energies
        if evaluation.forces is not None:
            results["forces"] = self._forces(evaluation, 0)
        if evaluation.stress is not None:
            results["stress"] = voigt(evaluation.stress[0])
        if evaluation.atomic_virials is not None:
            results["stresses"] = voigt(-evaluation.atomic_virials / volume)
        for name in set(wanted) & set(_FROM_OUTPUT):
            values = evaluation.outputs[self._engine.output(_FROM_OUTPUT[name][0])]
            results[name] = values.reshape(3) if name == "dipole" else values.reshape(-1)
        return results

    def _forces(self, evaluation: Evaluation, index: int) -> np.ndarray:
        forces = evaluation.forces[evaluation.atoms(index)]  # type: ignore[index]
        if self._direct_forces and len(forces) > 0:
            # direct forces do not add up to zero by themselves, and would make the centre of mass drift
            forces = forces - forces.mean(axis=0)
        return forces

    def run_model(
        self,
        atoms: Union[ase.Atoms, Sequence[ase.Atoms]],
        outputs: Dict[str, ModelOutput],
        selected_atoms: Optional[Labels] = None,
    ) -> Dict[str, TensorMap]:
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
        structures = [structure_from_atoms(one, self._model_inputs) for one in _as_list(atoms)]
        return self._engine.run(structures, outputs, selected_atoms, self._units)

    def compute_energy(
        self,
        atoms: Union[ase.Atoms, Sequence[ase.Atoms]],
        compute_forces_and_stresses: bool = False,
        *,
        per_atom: bool = False,
    ) -> Dict[str, Any]:
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
            (3, 3) in eV/angstrom^3.  Lists with one entry for each structure if several were given; the stress is
            None for a structure without one, and not there if no structure has one.
        """
        all_atoms = _as_list(atoms)
        results = ["energy"]
        if per_atom:
            if not self._engine.can_give("atomic_energies"):
                raise PropertyNotImplementedError(
                    "expected a model with energies per atom for `per_atom`, got another one"
                )
            results.append("atomic_energies")
        if compute_forces_and_stresses:
            results += ["forces"] if self._direct_stress else ["forces", "virial"]
        evaluation = self._engine.evaluate(
            [structure_from_atoms(one, self._model_inputs) for one in all_atoms],
            results,
            outputs=self._direct_outputs() if compute_forces_and_stresses else None,
            units=self._units,
            slots=range(_FIRST_BATCH_SLOT, _FIRST_BATCH_SLOT + len(all_atoms)),
        )
        computed = self._batch_results(evaluation, all_atoms)
        if isinstance(atoms, ase.Atoms):
            return {name: values[0] for name, values in computed.items()}
        return computed

    def _direct_outputs(self) -> Dict[str, str]:
        """Give the direct stress as an output: as a result it is refused for batches with a molecule."""
        return {self._engine.source("stress"): "system"} if self._direct_stress else {}

    def _batch_results(self, evaluation: Evaluation, all_atoms: Sequence[ase.Atoms]) -> Dict[str, List[Any]]:
        n_structures = range(len(all_atoms))
        computed: Dict[str, List[Any]] = {"energy": evaluation.energy.tolist()}  # type: ignore[union-attr]
        if evaluation.atomic_energies is not None:
            computed["energies"] = [evaluation.atomic_energies[evaluation.atoms(i)] for i in n_structures]
        if evaluation.forces is not None:
            computed["forces"] = [self._forces(evaluation, i) for i in n_structures]
        if evaluation.forces is not None and any(has_stress(one) for one in all_atoms):
            computed["stress"] = [
                self._batch_stress(evaluation, i, one.cell.volume) if has_stress(one) else None
                for i, one in enumerate(all_atoms)
            ]
        return computed

    def _batch_stress(self, evaluation: Evaluation, index: int, volume: float) -> np.ndarray:
        if self._direct_stress:
            return evaluation.outputs[self._engine.source("stress")][index, :, :, 0]
        return -evaluation.virial[index] / volume  # type: ignore[index]


def _as_list(atoms: Union[ase.Atoms, Sequence[ase.Atoms]]) -> List[ase.Atoms]:
    if isinstance(atoms, ase.Atoms):
        return [atoms]
    if isinstance(atoms, (list, tuple)) and len(atoms) == 0:
        raise ValueError("expected at least one structure in `atoms`, got an empty list")
    if not isinstance(atoms, (list, tuple)):
        raise TypeError(f"expected `atoms` to be ase.Atoms or a list of them, got {type(atoms).__name__}")
    return list(atoms)
