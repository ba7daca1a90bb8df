"""Models on the bench in ASE, for what ASE does: molecular dynamics and fits."""

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from metatomic_core.engine import Engine, Structure
from metatomic_core.foundation.elements import masses

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


class BenchCalculator(Calculator):  # type: ignore[misc]
    """Energy and forces of one structure as it moves.

    Parameters
    ----------
    engine
        The model in eV and angstrom.
    structure
        The structure, for its types and inputs.
    """

    implemented_properties = ("energy", "forces")

    def __init__(self, engine: Engine, structure: Structure):
        super().__init__()
        self._engine = engine
        self._structure = structure

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:  # as ASE has it
        """Evaluate the model."""
        super().calculate(atoms, properties, system_changes)
        current = Structure(
            self._structure.types,
            self.atoms.positions,
            np.asarray(self.atoms.cell),
            self._structure.pbc,
            self._structure.inputs,
        )
        found = self._engine.evaluate([current], ("energy", "forces"))
        self.results = {"energy": float(found.energy[0]), "forces": found.forces}
