"""Results of the engine as ASE names and lays them out."""

from collections.abc import Mapping, Sequence
from typing import Any

import ase
import numpy as np

from metatomic_core.engine import Evaluation

from ._convert import has_stress

# xx, yy, zz, yz, xz, xy
_ROWS, _COLUMNS = np.array([0, 1, 2, 1, 0, 0]), np.array([0, 1, 2, 2, 2, 1])


def voigt(tensors: np.ndarray) -> np.ndarray:
    """Give the mean of the symmetric elements of (..., 3, 3) tensors in ASE's order: xx, yy, zz, yz, xz, xy."""
    return 0.5 * (tensors[..., _ROWS, _COLUMNS] + tensors[..., _COLUMNS, _ROWS])


def properties_of(evaluation: Evaluation, from_outputs: Mapping[str, str]) -> dict[str, Any]:
    """Give the properties of one structure, by ASE's names."""
    results: dict[str, Any] = {}
    if evaluation.energy is not None:
        results["energy"] = results["free_energy"] = float(evaluation.energy[0])
    if evaluation.atomic_energies is not None:
        results["energies"] = evaluation.atomic_energies
    if evaluation.forces is not None:
        results["forces"] = evaluation.forces
    if evaluation.stress is not None:
        results["stress"] = voigt(evaluation.stress[0])
    if evaluation.atomic_stresses is not None:
        results["stresses"] = voigt(evaluation.atomic_stresses)
    if evaluation.dipole_derivatives is not None:
        results["born_effective_charges"] = evaluation.dipole_derivatives
    for name, output in from_outputs.items():
        values = evaluation.outputs[output]
        results[name] = values.reshape(3) if name == "dipole" else values.reshape(-1)
    return results


def batch_of(evaluation: Evaluation, structures: Sequence[ase.Atoms]) -> dict[str, list[Any]]:
    """Give the results of all structures of a batch; the stress is None for those without one."""
    indices = range(len(structures))
    computed: dict[str, list[Any]] = {"energy": evaluation.energy.tolist()}  # type: ignore[union-attr]
    if evaluation.atomic_energies is not None:
        computed["energies"] = [evaluation.atomic_energies[evaluation.atoms(i)] for i in indices]
    if evaluation.forces is not None:
        computed["forces"] = [evaluation.forces[evaluation.atoms(i)] for i in indices]
    if evaluation.stress is not None:
        with_stress = [has_stress(one) for one in structures]
        computed["stress"] = [evaluation.stress[i] if with_stress[i] else None for i in indices]
    return computed
