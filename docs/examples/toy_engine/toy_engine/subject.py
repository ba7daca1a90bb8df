"""How the contract suite asks the engine, and what not."""

import numpy as np

from metatomic_core.testing import Answer, Request, Subject, Tolerances
from toy_engine.adapter import MetatomicPotential
from toy_engine.engine import System

EV, ANGSTROM = 96.48533212331, 0.1  # in kJ/mol and nm
LACKS = {
    "free boundaries": "all directions are periodic in this engine",
    "mixed periodicity": "all directions are periodic in this engine",
    "atomic energies": "the engine has a total energy only",
    "atomic virials": "the engine has a total energy only",
    "selected atoms": "the engine has a total energy only",
    "batch": "the engine moves one structure",
    "inputs": "the engine has no charges",
    "outputs": "the engine has no place for them",
}


class ToyEngine(Subject):
    name = "toy engine"
    lacks = LACKS
    # lengths and energies are converted and back
    tolerances = Tolerances(energy=1e-11, forces=1e-10, virial=1e-10)

    def evaluate(self, request: Request) -> list[Answer]:
        potential = MetatomicPotential(request.model, **request.options)
        answers, system = [], None
        for structure in request.structures:
            x, h = ANGSTROM * structure.positions.T, ANGSTROM * structure.cell.T
            if system is None or not request.continued:
                system = System(structure.types, np.ones(len(structure.types)), x, h)
            # in place, as the engine moves its atoms
            system.x[:], system.h[:] = x, h
            energy, f, stress = potential(system)
            virial = -abs(np.linalg.det(system.h)) * stress
            answers.append(
                Answer(energy=energy / EV, forces=f.T / EV * ANGSTROM, virial=virial / EV)
            )
        return answers


SUBJECT = ToyEngine()
