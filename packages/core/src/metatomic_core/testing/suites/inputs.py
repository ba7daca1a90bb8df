"""Inputs that models request besides the geometry."""

import numpy as np

from metatomic_core.engine import Structure
from metatomic_core.testing.bench import Bench
from metatomic_core.testing.contract import standard_test
from metatomic_core.testing.oracles import CHARGE_IN_AC
from metatomic_core.testing.structures import with_inputs


def _with_charge_and_spin(structures: dict[str, Structure]) -> dict[str, Structure]:
    for k, structure in enumerate(structures.values()):
        structure.inputs = {"charge": np.array([k - 2.0]), "spin_multiplicity": np.array([k + 1.0])}
    return structures


@standard_test("inputs")
def check_inputs_of_atoms(bench: Bench) -> None:
    """Charges of atoms do not reach the model as they are.

    Wrong by a factor, or its square: units; the model wants them in its own, here aC.  Another number: they are in
    another order than the atoms, or those of images and ghosts are missing.
    """
    structures = with_inputs(bench.structures("box", "triclinic"), 1, CHARGE_IN_AC)
    bench.check("atom inputs", structures, ["energy", "forces"] if bench.can("forces") else ["energy"])


@standard_test("inputs")
def check_inputs_that_change(bench: Bench) -> None:
    """Inputs are those of the first call: charges of the same structure have changed, and the energy has not."""
    structures = {}
    for seed in range(3):
        structures[f"charges {seed}"] = with_inputs(bench.structures("box"), seed, CHARGE_IN_AC)["box"]
    bench.check("atom inputs", structures, ["energy"], continued=bench.can("continued"))


@standard_test("inputs")
def check_inputs_of_structures(bench: Bench) -> None:
    """Charge and spin multiplicity of the structure do not reach the model, or one is taken for the other."""
    bench.check("system inputs", _with_charge_and_spin(bench.structures("box", "other box")), ["energy"])


@standard_test("inputs", "batch")
def check_inputs_of_batch(bench: Bench) -> None:
    """Inputs of structures in a batch are exchanged, or those of the first one are taken for all."""
    structures = _with_charge_and_spin(bench.structures("box", "other box", "triclinic"))
    bench.check("system inputs", structures, ["energy"], batch=True)
