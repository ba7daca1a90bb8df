"""`SymmetrizedCalculator`: results averaged over rotations, inversion and the space group, of any of our calculators.

What symmetry a model has learned only nearly, it then has but for what the grid of rotations leaves.  A model that
carries this with it, into all engines, is `metatomic_core.o3.SymmetrizedModel`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import ase
import numpy as np
from ase.calculators.calculator import PropertyNotImplementedError, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from metatomic_ase._changes import Watching
from metatomic_ase._convert import Inputs, has_stress
from metatomic_ase.calculator import MetatomicCalculator
from metatomic_core.adapters import check_type
from metatomic_core.o3 import is_axial, rotation_grid

# axes of each result that turn with the structure
_AXES = {"energy": 0, "energies": 0, "forces": 1, "stress": 2}
# arrays of atoms whose rows are vectors, which models may take
_VECTORS = ("momenta", "initial_magmoms")


class SymmetrizedCalculator(Watching):
    """Averages what a calculator gives over rotations of the structure.

    Parameters
    ----------
    base_calculator
        The calculator.
    l_max
        Highest degree of spherical harmonics which results no longer depend on, 0 to 64: of energies as functions of
        the orientation; of forces and stress, in the frame of the structure, the same.  0 leaves orientations alone.
    batch_size
        Largest number of structures in one call of the model; None for all of them.
    include_inversion
        Average over the inverted structures too, which takes twice as long.
    apply_space_group_symmetry
        Average results over the space group of each structure, by spglib: atoms that are equal by symmetry get
        the same energies, and forces to match.
    store_rotational_std
        Give standard deviations over the orientations as well, in ``results``: "energy_rot_std", "energies_rot_std",
        "forces_rot_std" and "stress_rot_std", of the shapes of results; before the average over the space group.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or value than it may have.
    ImportError
        If spglib is wanted and missing.
    """

    def __init__(
        self,
        base_calculator: MetatomicCalculator,
        *,
        l_max: int = 3,
        batch_size: int | None = None,
        include_inversion: bool = True,
        apply_space_group_symmetry: bool = False,
        store_rotational_std: bool = False,
    ):
        super().__init__()
        check_type("base_calculator", base_calculator, MetatomicCalculator, "a MetatomicCalculator")
        check_type("l_max", l_max, int, "an integer")
        if batch_size is not None:
            check_type("batch_size", batch_size, int, "an integer or None")
            if batch_size < 1:
                raise ValueError(f"expected `batch_size` of at least 1, got {batch_size}")
        if apply_space_group_symmetry:
            _check_spglib()
        matrices, weights = (tensor.numpy() for tensor in rotation_grid(l_max))
        if include_inversion:
            matrices, weights = np.concatenate([matrices, -matrices]), np.concatenate([weights, weights]) / 2
        self.base_calculator = base_calculator
        self._inputs = Inputs(base_calculator.model().requested_inputs())
        self._matrices, self._weights = matrices, weights
        self._batch_size = batch_size or len(matrices)
        self._with_space_group, self._with_std = apply_space_group_symmetry, store_rotational_std
        per_atom = "energies" in base_calculator.implemented_properties
        self.implemented_properties = [
            name for name in ("energy", "free_energy", "energies", "forces", "stress") if per_atom or name != "energies"
        ]

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute what is asked for, at once.

        Parameters
        ----------
        atoms
            The structure.
        properties
            What is asked for, of `implemented_properties`.
        system_changes
            What is different from the last call.

        Raises
        ------
        PropertyNotImplementedError
            If stress is asked for and the structure is periodic in no direction, or has no volume.
        ValueError
            If the space group is wanted and the structure is not periodic in all directions.
        """
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        # a copy of the structure, or the last one
        taken = cast("ase.Atoms", self.atoms)
        self._last_inputs = self._inputs.of(taken)
        if "stress" in properties and not has_stress(taken):
            raise PropertyNotImplementedError(
                "expected a periodic structure with a volume for its stress, got another one"
            )
        means, spreads = self._averages(taken, properties)
        if self._with_space_group:
            means = _over_space_group(taken, means)
        found = {name: _in_ase(name, value) for name, value in means.items()}
        found["free_energy"] = found["energy"]
        if self._with_std:
            found.update({f"{name}_rot_std": _in_ase(name, value) for name, value in spreads.items()})
        self.results = found

    def _averages(self, atoms: ase.Atoms, properties: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Give weighted means and standard deviations, in the frame of the structure."""
        sums: dict[str, Any] = {}
        squares: dict[str, Any] = {}
        first: dict[str, Any] = {}
        for weight, matrix, given in self._evaluated(atoms, properties):
            for name, value in given.items():
                # as the structure was before it was turned; from the first one, so that no digits cancel
                turned = _turned(value, matrix.T, _AXES[name])
                difference = turned - first.setdefault(name, turned)
                sums[name] = sums.get(name, 0.0) + weight * difference
                squares[name] = squares.get(name, 0.0) + weight * difference**2
        means = {name: first[name] + total for name, total in sums.items()}
        spreads = {name: np.sqrt(np.maximum(squares[name] - total**2, 0.0)) for name, total in sums.items()}
        return means, spreads

    def _evaluated(
        self, atoms: ase.Atoms, properties: Sequence[str]
    ) -> Iterator[tuple[float, np.ndarray, dict[str, Any]]]:
        """Give weight, rotation and results of each orientation."""
        with_energy: bool = self.base_calculator.parameters["do_gradients_with_energy"]
        # as the calculator does by itself, for algorithms that ask for energy and forces one after the other
        derivatives = bool({"forces", "stress"} & set(properties)) or with_energy
        _check_turn(atoms, self.base_calculator.engine.model.requested_inputs())
        for start in range(0, len(self._matrices), self._batch_size):
            part = slice(start, start + self._batch_size)
            found = self.base_calculator.compute_energy(
                [_orientation(atoms, matrix) for matrix in self._matrices[part]],
                compute_forces_and_stresses=derivatives,
                per_atom="energies" in properties,
            )
            for index, (weight, matrix) in enumerate(zip(self._weights[part], self._matrices[part], strict=True)):
                given = {name: found[name][index] for name in _AXES if name in found}
                yield weight, matrix, {name: np.asarray(value) for name, value in given.items() if value is not None}


def _check_turn(atoms: ase.Atoms, inputs: Iterable[str]) -> None:
    """Refuse inputs of atoms that may be vectors, of which nobody says whether they turn with the structure."""
    for name in inputs:
        key = name.rpartition("::")[2]
        if key in atoms.arrays and key not in _VECTORS and atoms.arrays[key].shape[1:] == (3,):
            raise ValueError(f"expected inputs that do not turn with the structure, got '{name}' with three components")


def _orientation(atoms: ase.Atoms, matrix: np.ndarray) -> ase.Atoms:
    """Give a structure turned about the origin."""
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ matrix.T)
    turned.positions = atoms.positions @ matrix.T
    for name in _VECTORS:
        values = turned.arrays.get(name)
        if values is not None and values.ndim == 2:
            sign = np.linalg.det(matrix) if is_axial(f"ase::{name}") else 1.0
            turned.arrays[name] = sign * values @ matrix.T
    return turned


def _turned(value: np.ndarray, matrix: np.ndarray, axes: int) -> np.ndarray:
    """Turn the last axes of an array."""
    if axes == 0:
        return value
    return value @ matrix.T if axes == 1 else matrix @ value @ matrix.T


def _in_ase(name: str, value: Any) -> Any:
    """Give a result as ASE has it."""
    if name == "energy":
        return float(value)
    return full_3x3_to_voigt_6_stress(value) if name == "stress" else value


def _check_spglib() -> None:
    try:
        import spglib  # noqa: F401 (only who asks for it needs it)
    except ImportError as error:
        raise ImportError("expected spglib for `apply_space_group_symmetry`, got none; `pip install spglib`") from error


def _over_space_group(atoms: ase.Atoms, results: dict[str, Any]) -> dict[str, Any]:
    """Average results over the operations of the space group: atoms change places, vectors and tensors turn."""
    from ase.spacegroup.symmetrize import prep_symmetry

    if not atoms.pbc.all():
        raise ValueError(
            "expected a structure that is periodic in all directions for `apply_space_group_symmetry`, got another one"
        )
    rotations, _, maps = prep_symmetry(atoms)
    cell = atoms.cell.array.T
    averages = {name: np.zeros_like(value) for name, value in results.items()}
    for fractional, places in zip(rotations, maps, strict=True):
        matrix = cell @ fractional @ np.linalg.inv(cell)
        for name, value in results.items():
            turned = _turned(value, matrix, _AXES[name]) / len(rotations)
            if name in ("energies", "forces"):
                # what belongs to an atom goes with it to its place
                averages[name][places] += turned
            else:
                averages[name] += turned
    return averages
