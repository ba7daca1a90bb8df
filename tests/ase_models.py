"""Models and atoms that only the tests of the ASE adapter need."""

from typing import Dict, List, Optional

import ase
import ase.build
import models
import numpy as np
import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core import AtomisticModel, ModelOutput, System
from metatomic_core.authors import all_types, energy_output, per_atom_output, per_system_output
from metatomic_core.potentials import lennard_jones


def atoms_from(structure: models.Structure) -> ase.Atoms:
    return ase.Atoms(structure.types, structure.positions, cell=structure.cell, pbc=structure.pbc)


def all_atoms() -> Dict[str, ase.Atoms]:
    """Give the shared structures, and a slab whose cell has a vector along the open direction."""
    atoms = {name: atoms_from(structure) for name, structure in models.structures().items()}
    vacuum = atoms["slab"].copy()
    vacuum.cell[2] = [0.3, -0.2, 15.0]
    atoms["slab in a full cell"] = vacuum
    return atoms


class Electrostatics(torch.nn.Module):
    """Gives a dipole, charges and magnetic moments beside an energy; atoms of the charges in reverse order."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        charges = all_types(systems).to(systems[0].dtype) / 10
        results: Dict[str, TensorMap] = {}
        for name, output in outputs.items():
            if name == "charge":
                charge = per_atom_output(name, systems, charges, ModelOutput(sample_kind="atom"), None)
                results[name] = models.reversed_samples(charge)
            elif name == "magnetic_moment":
                results[name] = per_atom_output(name, systems, -3 * charges, output, None)
            elif name == "dipole":
                dipoles = [s.types.to(s.positions.dtype) / 10 @ s.positions for s in systems]
                results[name] = per_system_output(name, systems, torch.stack(dipoles))
            else:
                results[name] = energy_output(systems, charges**2, output, selected_atoms)
        return results


class FromAtoms(torch.nn.Module):
    """Asks for everything that ASE can provide, and adds it up in a way that tells the parts from each other."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies: List[torch.Tensor] = []
        for system in systems:
            total = torch.zeros(1, dtype=system.positions.dtype)
            for i, name in enumerate(self.requested_inputs()):
                values = system.get_data(name).block_by_id(0).values
                total = total + values.sum() / (i + 2)
            energies.append(total)
        return {"energy": per_system_output("energy", systems, torch.cat(energies))}

    def requested_inputs(self) -> Dict[str, ModelOutput]:
        atom, system = "atom", "system"
        return {
            "mass": ModelOutput(unit="u", sample_kind=atom),
            "momentum": ModelOutput(unit="u*angstrom/fs", sample_kind=atom),
            "velocity": ModelOutput(unit="angstrom/fs", sample_kind=atom),
            "charge": ModelOutput(unit="e", sample_kind=system),
            "spin_multiplicity": ModelOutput(sample_kind=system),
            "ase::initial_charges": ModelOutput(unit="e", sample_kind=atom),
            "ase::initial_magmoms": ModelOutput(sample_kind=atom),
            "ase::tags": ModelOutput(sample_kind=atom),
            "ase::arrays::weight": ModelOutput(sample_kind=atom),
            "ase::info::field": ModelOutput(sample_kind=system),
        }


def atoms_with_everything() -> ase.Atoms:
    atoms = ase.Atoms("HO", [[0.0, 0.0, 0.0], [0.9, 0.3, 0.0]])
    atoms.set_momenta(np.array([[0.1, 0.2, 0.3], [0.0, 0.5, 0.0]]))
    atoms.set_initial_charges([0.25, -0.5])
    atoms.set_initial_magnetic_moments([1.0, 2.5])
    atoms.set_tags([3, 4])
    atoms.set_array("weight", np.array([0.5, 0.75]))
    atoms.info.update({"charge": -1, "spin": 2, "field": [0.1, 0.2, 0.4]})
    return atoms


def argon_model() -> AtomisticModel:
    """Give argon whose energy goes smoothly to zero at the cutoff."""
    return lennard_jones(cutoff=6.0, shift="smooth")


def argon(n_cells: int = 2, amplitude: float = 0.05, seed: int = 1) -> ase.Atoms:
    """Give rattled solid argon, 4 atoms for each cubic cell."""
    atoms = ase.build.bulk("Ar", a=5.3, cubic=True).repeat(n_cells)
    atoms.rattle(amplitude, seed=seed)
    return atoms


class Water(torch.nn.Module):
    """A water molecule: springs between all atoms at their distances in ``ase.build.molecule``, and charges."""

    def __init__(self):
        super().__init__()
        self.lengths = {"OH": 0.9685, "HH": 1.5265}

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies: List[torch.Tensor] = []
        dipoles: List[torch.Tensor] = []
        for system in systems:
            x = system.positions
            light = (system.types == 1).to(x.dtype)
            vectors = x[None, :, :] - x[:, None, :]
            # one on the diagonal: a distance of zero has no slope
            distances = (vectors.square().sum(2) + torch.eye(x.size(0), dtype=x.dtype)).sqrt()
            both = light[:, None] * light[None, :]
            lengths = self.lengths["OH"] * (1 - both) + self.lengths["HH"] * both
            springs = 30.0 * (1 - both) + 5.0 * both
            apart = 1 - torch.eye(x.size(0), dtype=x.dtype)
            energies.append((0.25 * springs * (distances - lengths).square() * apart).sum(1))
            dipoles.append(((1.2 * light - 0.8)[:, None] * x).sum(0))
        results: Dict[str, TensorMap] = {}
        for name, output in outputs.items():
            if name == "dipole":
                results[name] = per_system_output(name, systems, torch.stack(dipoles))
            else:
                results[name] = energy_output(systems, torch.cat(energies), output, selected_atoms)
        return results


def water_model() -> AtomisticModel:
    outputs = {"energy": ModelOutput(unit="eV", sample_kind="atom"), "dipole": ModelOutput(unit="e*angstrom")}
    return models.wrap(Water(), outputs)
