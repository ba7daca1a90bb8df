"""The adapter: a model file as a potential of the engine."""

import numpy as np

from metatomic_core.adapters.options import ENGINE_OPTIONS, checked_options
from metatomic_core.engine import Engine, Structure

# those that all engines have; this one does not look at uncertainties
OPTIONS = dict(ENGINE_OPTIONS)
del OPTIONS["uncertainty_threshold"]


class MetatomicPotential:
    def __init__(self, model, **options):
        given = checked_options("MetatomicPotential", options, OPTIONS)
        given["neighbor_skin"] *= 0.1  # an option in angstrom
        self._engine = Engine(model, length_unit="nm", energy_unit="kJ/mol", **given)

    def __call__(self, system):
        # vectors as rows; copies, as the arrays of the engine change in place
        positions, cell = system.x.T.copy(), system.h.T.copy()
        structure = Structure(system.numbers, positions, cell, np.ones(3, bool))
        found = self._engine.evaluate([structure], ["energy", "forces", "stress"])
        return found.energy[0], found.forces.T, found.stress[0]
