"""Double and single precision."""

import numpy as np

from metatomic_core.testing.bench import Bench
from metatomic_core.testing.contract import standard_test

# where numbers in single precision are 5e-4 apart
_FAR = 6000.0


@standard_test("float32")
def check_single_precision(bench: Bench) -> None:
    """A model in single precision fails, or is off by more than its rounding: something was made in the wrong type."""
    results = ["energy", "forces"] if bench.can("forces") else ["energy"]
    bench.check("single precision", bench.structures("box", "triclinic"), results)


@standard_test("float32", "free boundaries")
def check_single_precision_far_away(bench: Bench) -> None:
    """Positions were rounded before their differences were taken: far from the origin, nothing is left of bonds.

    Pair vectors are differences of positions in double precision, rounded at last.
    """
    structures = bench.structures("molecule")
    structures["molecule"].positions += _FAR * np.array([1.0, -0.7, 0.4])
    results = ["energy", "forces"] if bench.can("forces") else ["energy"]
    bench.check("single precision", structures, results)


@standard_test()
def check_double_precision(bench: Bench) -> None:
    """Something goes through single precision on the way: moves of 1e-7 angstrom do not change the energy."""
    structures = bench.structures("box")
    near, moved = structures["box"], bench.structures("box")["box"]
    # uphill
    forces = bench.oracle("two lists", near).forces()
    moved.positions = moved.positions - 1e-6 * forces / np.linalg.norm(forces)
    answers = bench.ask("two lists", {"box": near, "moved box": moved}, ["energy"])
    expected = 1e-6 * np.linalg.norm(forces)
    # differences of what the engine rounds
    allowed = 2 * len(near.types) * bench.subject.tolerances.energy + 0.05 * expected
    found = float(answers[1].energy or 0.0) - float(answers[0].energy or 0.0)
    if not abs(found - expected) <= allowed:
        bench.fail([f"expected a difference of {expected:.4g} eV between two structures, got {found:.4g} eV"])
