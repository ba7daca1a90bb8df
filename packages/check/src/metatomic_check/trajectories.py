"""Models on the bench in ASE, for what ASE does: molecular dynamics and fits."""

import dataclasses
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from metatomic_core.adapters import masses
from metatomic_core.engine import Engine, Structure

# for types that are no elements, in u
_SOME_MASS = 30.0


def as_atoms(structure: Structure, engine: Engine) -> Atoms:
    """Give a structure as ASE has it, with a model to calculate its energy and forces."""
    types = structure.types.tolist()
    atoms = Atoms(
        # types may be no elements: the calculator has its own
        numbers=[number if 0 < number <= 118 else 0 for number in types],
        positions=structure.positions,
        cell=structure.cell,
        pbc=structure.pbc,
        masses=[mass or _SOME_MASS for mass in masses(types)],
    )
    atoms.calc = BenchCalculator(engine, structure)
    return atoms


class BenchCalculator(Calculator):
    """Energy and forces of one structure as it moves.

    Parameters
    ----------
    engine
        The model in eV and angstrom.
    structure
        The structure, for its types and inputs.
    """

    implemented_properties = ["energy", "forces"]  # noqa: RUF012  (as ASE has it)

    def __init__(self, engine: Engine, structure: Structure):
        super().__init__()  # type: ignore[no-untyped-call]
        self._engine = engine
        self._structure = structure

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        """Evaluate the model; arguments as ASE has them."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        current = dataclasses.replace(self._structure, positions=np.array(atoms.positions), cell=np.array(atoms.cell))
        found = self._engine.evaluate([current], ("energy", "forces"))
        self.results = {"energy": float(np.asarray(found.energy)[0]), "forces": found.forces}
