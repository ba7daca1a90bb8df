"""ASE as a subject of the contract suite: `MetatomicCalculator`, asked as users of ASE ask it."""

from collections.abc import Iterator, Mapping

import ase
import numpy as np
import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core import ModelOutput
from metatomic_core.engine import Structure
from metatomic_core.testing import Answer, Request, Subject, Tolerances
from metatomic_core.testing.adapting import loaded_model, put_inputs

from .calculator import MetatomicCalculator


class Ase(Subject):
    """`MetatomicCalculator` on ``ase.Atoms``."""

    name = "ase"
    lacks: Mapping[str, str] = {"asymmetric virials": "stress has six components in ASE"}
    left_out: Mapping[str, str] = {
        "atomic_virials_of_nine_components": "stresses of atoms have six components in ASE",
        "virial_without_periodicity": "ASE has stress and no virial, and a molecule has no volume",
        "forces_of_selected_atoms": "`run_model` gives outputs of some atoms, and no derivatives",
        "missing_inputs": "atoms of ASE always have charges, zero unless they are set",
    }
    # what is given in eV and angstrom is not converted
    tolerances = Tolerances(energy=1e-12, forces=1e-11, virial=1e-11, outputs=1e-12, relative=1e-13)

    def evaluate(self, request: Request) -> list[Answer]:
        """Evaluate structures with one calculator."""
        model = loaded_model(request)
        declared = model.capabilities().outputs
        outputs = {
            name: ModelOutput(sample_kind=kind, unit=declared[name].unit) for name, kind in request.outputs.items()
        }
        additional = None if request.batch or request.selected_atoms is not None else outputs
        calculator = MetatomicCalculator(model, additional_outputs=additional, **request.options)
        all_atoms = [_atoms(structure, calculator) for structure in request.structures]
        if request.selected_atoms is not None:
            return _of_some_atoms(calculator, all_atoms, request)
        if request.batch:
            return _in_one_call(calculator, all_atoms, request, outputs)
        frames = _moving(all_atoms) if request.continued else all_atoms
        return [_answer(calculator, atoms, request) for atoms in frames]


def _atoms(structure: Structure, calculator: MetatomicCalculator) -> ase.Atoms:
    """Give a structure as atoms, with the inputs that the model requests where ASE has them."""
    atoms = ase.Atoms(structure.types, structure.positions, cell=structure.cell, pbc=structure.pbc)
    put_inputs(atoms, structure, calculator.model().requested_inputs())
    return atoms


def _moving(frames: list[ase.Atoms]) -> Iterator[ase.Atoms]:
    """Give the same atoms at each step of a run, moved in place as dynamics do it."""
    atoms = frames[0].copy()
    for frame in frames:
        atoms.set_cell(frame.cell)
        atoms.positions[:] = frame.positions
        atoms.info.update(frame.info)
        for name in frame.arrays.keys() - {"numbers", "positions"}:
            atoms.set_array(name, frame.arrays[name])
        yield atoms


def _has_stress(atoms: ase.Atoms) -> bool:
    return bool(atoms.pbc.any()) and atoms.cell.rank == 3


def _answer(calculator: MetatomicCalculator, atoms: ase.Atoms, request: Request) -> Answer:
    """Ask for one property after the other; ASE has no stress of structures without a volume."""
    atoms.calc = calculator
    wanted, volume = request.results, abs(float(np.linalg.det(atoms.cell.array)))
    with_stress = _has_stress(atoms)
    return Answer(
        energy=atoms.get_potential_energy() if "energy" in wanted else None,
        forces=atoms.get_forces() if "forces" in wanted else None,
        virial=-volume * atoms.get_stress(voigt=False) if "virial" in wanted and with_stress else None,
        atomic_energies=atoms.get_potential_energies() if "atomic_energies" in wanted else None,
        atomic_virials=_matrices(-volume * atoms.get_stresses())
        if "atomic_virials" in wanted and with_stress
        else None,
        outputs=_values(atoms, calculator, request),
    )


def _matrices(voigt: np.ndarray) -> np.ndarray:
    """Give (n, 3, 3) of ASE's xx yy zz yz xz xy."""
    return voigt[:, [[0, 5, 4], [5, 1, 3], [4, 3, 2]]]


def _values(atoms: ase.Atoms, calculator: MetatomicCalculator, request: Request) -> dict[str, np.ndarray]:
    if not request.outputs:
        return {}
    atoms.get_potential_energy()
    return {name: _of_structure(tensor, 0) for name, tensor in calculator.additional_outputs.items()}


def _of_structure(tensor: TensorMap, index: int) -> np.ndarray:
    """Give the values of one structure in the order of its atoms."""
    block = tensor.block(0)
    samples = block.samples.values.numpy()
    rows = np.flatnonzero(samples[:, 0] == index)
    order = rows[np.argsort(samples[rows, -1], kind="stable")] if samples.shape[1] > 1 else rows
    return block.values.detach().numpy()[order].astype(float)


def _in_one_call(
    calculator: MetatomicCalculator, all_atoms: list[ase.Atoms], request: Request, outputs: dict[str, ModelOutput]
) -> list[Answer]:
    wanted = request.results
    found = calculator.compute_energy(
        all_atoms,
        compute_forces_and_stresses="forces" in wanted or "virial" in wanted,
        per_atom="atomic_energies" in wanted,
    )
    others = calculator.run_model(all_atoms, outputs) if outputs else {}
    stresses = found.get("stress", [None] * len(all_atoms))
    return [
        Answer(
            energy=float(found["energy"][i]),
            forces=found["forces"][i] if "forces" in wanted else None,
            virial=-abs(np.linalg.det(atoms.cell.array)) * stresses[i]
            if "virial" in wanted and stresses[i] is not None
            else None,
            atomic_energies=found["energies"][i] if "atomic_energies" in wanted else None,
            outputs={name: _of_structure(tensor, i) for name, tensor in others.items()},
        )
        for i, atoms in enumerate(all_atoms)
    ]


def _of_some_atoms(calculator: MetatomicCalculator, all_atoms: list[ase.Atoms], request: Request) -> list[Answer]:
    """Give energies of the selected atoms, zero for the others."""
    variant = (request.options.get("variants") or {}).get("energy")
    name = f"energy/{variant}" if variant else "energy"
    selected = Labels(["system", "atom"], torch.as_tensor(request.selected_atoms, dtype=torch.int32))
    wanted = {name: ModelOutput(unit="eV", sample_kind="atom")}
    block = calculator.run_model(all_atoms, wanted, selected)[name].block(0)
    energies = [np.zeros(len(atoms)) for atoms in all_atoms]
    for (system, atom), energy in zip(block.samples.values.tolist(), block.values[:, 0].tolist(), strict=True):
        energies[system][atom] = energy
    return [Answer(energy=each.sum(), atomic_energies=each) for each in energies]


SUBJECT = Ase()
