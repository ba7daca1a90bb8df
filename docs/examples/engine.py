"""An adapter in a few lines: arrays of an engine with kcal/mol and angstrom, to forces and back."""

import numpy as np

from metatomic_core.adapters.options import ENGINE_OPTIONS, checked_options
from metatomic_core.engine import Engine, Structure
from metatomic_core.potentials import lennard_jones

# what to do about uncertain energies is left to the engine
OPTIONS = {
    name: option
    for name, option in ENGINE_OPTIONS.items()
    if name != "uncertainty_threshold"
}


class Forces:
    """Gives energy in kcal/mol and forces in kcal/mol/angstrom, with the options that all engines have."""

    def __init__(self, model, **options):
        given = checked_options("Forces", options, OPTIONS)
        self._engine = Engine(
            model, length_unit="angstrom", energy_unit="kcal/mol", **given
        )

    def __call__(self, types, positions, cell):
        """Evaluate one periodic structure; the pairs of the last one are used again while atoms move little."""
        results = self._engine.evaluate(
            [Structure(types, positions, cell, np.ones(3, bool))], ["energy", "forces"]
        )
        return results.energy[0], results.forces


forces = Forces(lennard_jones(["Ar"], 3.405, 0.01032), device="cpu")
energy, f = forces(
    np.array([18, 18]), np.array([[0.0, 0.0, 0.0], [3.8, 0.0, 0.0]]), 20.0 * np.eye(3)
)
np.testing.assert_allclose(f[0], -f[1])
