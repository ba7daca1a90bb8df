"""Properties that ``metatomic eval`` writes beside energy, forces and stress: any output of the model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import ase
import numpy as np
from metatensor.torch import TensorMap

from metatomic_core import ModelOutput, unit_dimension_for_quantity
from metatomic_core.adapters import canonical_name

if TYPE_CHECKING:
    from metatomic_ase import MetatomicCalculator

# energies per atom, which ASE has a place for
ENERGIES = "energies"
# unit of a dimension in ASE; outputs of other dimensions keep the unit of the model
_UNITS = {
    "energy": "eV",
    "length": "angstrom",
    "force": "eV/angstrom",
    "pressure": "eV/angstrom^3",
    "charge": "e",
    "dipole": "e*angstrom",
    "magnetic_moment": "mu_B",
    "mass": "u",
}
# (output, kind of samples) that ASE has a place for among its results -> name there
_RESULTS = {
    ("charge", "atom"): "charges",
    ("magnetic_moment", "atom"): "magmoms",
    ("dipole", "system"): "dipole",
}


class Property(NamedTuple):
    """An output of the model to write.

    Attributes
    ----------
    output
        Name in the model.
    key
        Name in the results of ASE, in ``arrays`` or in ``info``: without the signs that extended XYZ gives a meaning
        to.
    request
        What to ask of the model.
    """

    output: str
    key: str
    request: ModelOutput

    @property
    def per_atom(self) -> bool:
        """Whether it has a value for each atom."""
        return self.request.sample_kind == "atom"

    @property
    def is_result(self) -> bool:
        """Whether it is a result of ASE."""
        return self.key in _RESULTS.values()


def find_properties(calculator: "MetatomicCalculator", names: Sequence[str]) -> list[Property]:
    """Look up outputs of the model.

    Raises
    ------
    ValueError
        If the model does not have one of them, or has it for pairs of atoms.
    """
    outputs = calculator.capabilities().outputs
    found = []
    for name in dict.fromkeys(names):
        if name == ENERGIES:
            continue
        if name not in outputs:
            raise ValueError(
                f"expected `--property` to be {ENERGIES} or an output of the model, {sorted(outputs)}, got '{name}'"
            )
        declared = outputs[name]
        if declared.sample_kind not in ("atom", "system"):
            raise ValueError(
                f"expected `--property` to be an output for atoms or structures, got '{name}' for "
                f"{declared.sample_kind}; use MetatomicCalculator.run_model"
            )
        unit = _UNITS.get(unit_dimension_for_quantity(name), declared.unit)
        key = "".join(letter if letter.isalnum() else "_" for letter in name.replace("::", "_"))
        key = _RESULTS.get((canonical_name(name), declared.sample_kind), key)
        found.append(Property(name, key, ModelOutput(unit=unit, sample_kind=declared.sample_kind)))
    return found


def compute(
    calculator: "MetatomicCalculator", batch: Sequence[ase.Atoms], properties: Sequence[Property]
) -> list[dict[str, np.ndarray]]:
    """Give the values of properties, by key, for each structure: (n_atoms, ...) or (...)."""
    values: list[dict[str, np.ndarray]] = [{} for _ in batch]
    if properties:
        outputs = calculator.run_model(list(batch), {one.output: one.request for one in properties})
        for one in properties:
            for index, value in enumerate(_by_structure(outputs[one.output], batch, one)):
                values[index][one.key] = value
    return values


def _by_structure(tensor: TensorMap, batch: Sequence[ase.Atoms], one: Property) -> list[np.ndarray]:
    """Split values by structure, atoms in order; NaN where the model gives none."""
    if len(tensor.keys) != 1:
        raise ValueError(
            f"expected `--property` to be an output with one block, got '{one.output}' with {len(tensor.keys)}; use "
            "MetatomicCalculator.run_model"
        )
    block = tensor.block()
    values = block.values.detach().cpu().numpy()
    flat = values.reshape(len(values), -1)
    system = block.samples.column("system").cpu().numpy()
    split = []
    for index, atoms in enumerate(batch):
        mine = system == index
        filled = np.full((len(atoms) if one.per_atom else 1, flat.shape[1]), np.nan)
        filled[block.samples.column("atom").cpu().numpy()[mine] if one.per_atom else 0] = flat[mine]
        if filled.shape[1] == 1:
            filled = filled[:, 0]
        split.append(filled if one.per_atom else filled[0])
    return split


def attach(atoms: ase.Atoms, values: dict[str, np.ndarray], properties: Sequence[Property]) -> None:
    """Put the values of properties into the results of ASE, ``arrays`` (per atom) and ``info`` (per structure)."""
    for one in properties:
        value = values[one.key]
        if one.is_result:
            atoms.calc.results[one.key] = value
        elif one.per_atom:
            # in place of one of another shape
            atoms.arrays.pop(one.key, None)
            atoms.set_array(one.key, value)
        else:
            atoms.info[one.key] = float(value) if value.ndim == 0 else value
