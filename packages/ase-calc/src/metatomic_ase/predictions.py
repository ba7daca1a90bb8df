"""What a model says of atoms besides the properties of ASE: uncertainties, ensembles, features, second derivatives."""

import dataclasses
from typing import TYPE_CHECKING, Any

import ase
import numpy as np
from ase.calculators.calculator import PropertyNotImplementedError

from metatomic_core.engine import Engine, Evaluation

from ._coincidence import explained
from ._convert import Inputs, as_list, has_stress, structure_from_atoms, structures_from
from ._results import voigt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from metatensor.torch import Labels, TensorMap

    from metatomic_core import ModelOutput, System


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """What each member of an ensemble says about one structure.

    Attributes
    ----------
    energies
        Shape (n_members,), in eV.
    forces
        Shape (n_members, n_atoms, 3), in eV/angstrom; None if not asked for.
    stresses
        Shape (n_members, 6), in eV/angstrom^3, in ASE's order of Voigt; None if not asked for, or if there is none.
    """

    energies: np.ndarray
    forces: np.ndarray | None = None
    stresses: np.ndarray | None = None

    @property
    def mean(self) -> float:
        """Mean of the energies in eV."""
        return float(self.energies.mean())

    @property
    def standard_deviation(self) -> float:
        """Standard deviation of the energies in eV, divided by one less than members as for a sample."""
        return float(self.energies.std(ddof=1))


class Predictions:
    """Methods of the calculator for what ASE has no property for; each one is an evaluation of its own."""

    _engine: Engine
    _inputs: Inputs
    atoms: ase.Atoms | None

    def get_energy_uncertainty(self, atoms: ase.Atoms | None = None, *, per_atom: bool = False) -> float | np.ndarray:
        """Compute the uncertainty of the energy.

        Parameters
        ----------
        atoms
            The structure; None for that of the last calculation.
        per_atom
            Whether to give it for each atom.

        Returns
        -------
        float or numpy.ndarray
            In eV; shape (n_atoms,) with ``per_atom``.

        Raises
        ------
        PropertyNotImplementedError
            If the model has none, or none of this kind.
        """
        values = self._output("energy_uncertainty", atoms, "atom" if per_atom else "system", "eV")
        return values.reshape(-1) if per_atom else float(values.reshape(-1)[0])

    def get_ensemble(self, atoms: ase.Atoms | None = None, *, derivatives: bool = False) -> Ensemble:
        """Compute what each member of an ensemble says.

        Parameters
        ----------
        atoms
            The structure; None for that of the last calculation.
        derivatives
            Whether to compute forces and stress of each member, which takes a backward pass for each.

        Returns
        -------
        Ensemble
            Energies, and forces and stresses if wanted.

        Raises
        ------
        PropertyNotImplementedError
            If the model has no ensemble.
        """
        atoms = self._atoms(atoms)
        self._check_offers("energy_ensemble")
        results = ["member_energies", *(["member_forces", "member_virials"] if derivatives else [])]
        found = self._evaluate(atoms, results)
        if found.member_energies is None:
            raise RuntimeError("expected energies of members, got none")
        energies = found.member_energies[:, 0]
        if found.member_forces is None or found.member_virials is None:
            return Ensemble(energies)
        stresses = voigt(-found.member_virials[:, 0] / atoms.cell.volume) if has_stress(atoms) else None
        return Ensemble(energies, found.member_forces, stresses)

    def get_features(self, atoms: ase.Atoms | None = None, *, per_atom: bool = False) -> np.ndarray:
        """Compute the features of the model, also known as descriptors.

        Parameters
        ----------
        atoms
            The structure; None for that of the last calculation.
        per_atom
            Whether to give them for each atom, rather than for the structure.

        Returns
        -------
        numpy.ndarray
            Shape (n_features,); (n_atoms, n_features) with ``per_atom``.

        Raises
        ------
        PropertyNotImplementedError
            If the model has none, or none of this kind.
        """
        values = self._output("feature", atoms, "atom" if per_atom else "system")
        return values.reshape(len(values), -1) if per_atom else values.reshape(-1)

    def get_hessian(self, atoms: ase.Atoms | None = None) -> np.ndarray:
        """Compute the second derivatives of the energy by differentiating twice.

        Parameters
        ----------
        atoms
            The structure; None for that of the last calculation.

        Returns
        -------
        numpy.ndarray
            Shape (n_atoms, 3, n_atoms, 3), in eV/angstrom^2, as `ase.vibrations.VibrationsData` takes it.

        Raises
        ------
        PropertyNotImplementedError
            If the model has no energy.
        ValueError
            If the energy has no second derivatives.
        """
        self._check_offers("energy")
        found = self._evaluate(self._atoms(atoms), ["hessian"]).hessian
        if found is None:
            raise RuntimeError("expected second derivatives, got none")
        return found

    def get_dipole_derivatives(self, atoms: ase.Atoms | None = None) -> np.ndarray:
        """Compute derivatives of the dipole with respect to positions: Born effective charges of a polarization.

        Parameters
        ----------
        atoms
            The structure; None for that of the last calculation.

        Returns
        -------
        numpy.ndarray
            Shape (n_atoms, 3, 3), in elementary charges: component i of the dipole by coordinate j at [atom, i, j].

        Raises
        ------
        PropertyNotImplementedError
            If the model has no dipole.
        """
        self._check_offers("dipole")
        found = self._evaluate(self._atoms(atoms), ["dipole_derivatives"]).dipole_derivatives
        if found is None:
            raise RuntimeError("expected derivatives of the dipole, got none")
        return found

    def run_model(
        self,
        atoms: "ase.Atoms | Sequence[ase.Atoms]",
        outputs: "dict[str, ModelOutput]",
        selected_atoms: "Labels | None" = None,
    ) -> "dict[str, TensorMap]":
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
        structures = structures_from(as_list(atoms), self._inputs)
        return self._engine.run(structures, outputs, selected_atoms, self._inputs.units)

    def systems(self, atoms: "ase.Atoms | Sequence[ase.Atoms]") -> "list[System]":
        """Make what models take of structures, with neighbor lists and inputs: for training, or a module of one's own.

        Parameters
        ----------
        atoms
            One structure or several.

        Returns
        -------
        list of System
            One for each, in angstrom, in the dtype and on the device of the model.  Gradients reach ``positions`` and
            ``cell``, which are copies: what happens to the atoms later does not matter.
        """
        return self._engine.systems(structures_from(as_list(atoms), self._inputs), self._inputs.units)

    def _atoms(self, atoms: ase.Atoms | None) -> ase.Atoms:
        found = self.atoms if atoms is None else atoms
        if found is None:
            raise ValueError("expected `atoms`, got None; there was no calculation whose structure could be meant")
        return found

    def _check_offers(self, name: str) -> None:
        if not self._engine.offers(name):
            raise PropertyNotImplementedError(
                f"expected a model with the output '{name}', got one with {sorted(self._engine.capabilities.outputs)}"
            )

    def _output(self, name: str, atoms: ase.Atoms | None, kind: str, unit: str = "") -> np.ndarray:
        """Compute an output of the model in a unit, for each sample of a kind."""
        self._check_offers(name)
        output = self._engine.output(name)
        declared = self._engine.capabilities.outputs[output].sample_kind
        if kind == "atom" and declared != "atom":
            raise PropertyNotImplementedError(f"expected a model with '{name}' per atom, got it per {declared}")
        units = {output: unit} if unit else {}
        found: Any = self._evaluate(self._atoms(atoms), [], {output: kind}, units).outputs[output]
        return np.asarray(found)

    def _evaluate(
        self,
        atoms: ase.Atoms,
        results: list[str],
        outputs: "Mapping[str, str] | None" = None,
        output_units: "Mapping[str, str] | None" = None,
    ) -> Evaluation:
        with explained([atoms]), self._engine.lock:
            return self._engine.evaluate(
                [structure_from_atoms(atoms, self._inputs)],
                results,
                outputs=outputs,
                units=self._inputs.units,
                output_units=output_units,
            )
