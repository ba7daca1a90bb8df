"""What can not be computed is refused, with a message that names it."""

import dataclasses

import numpy as np

from metatomic_core.testing.bench import Bench
from metatomic_core.testing.contract import standard_test
from metatomic_core.testing.parameters import TOO_CLOSE


@standard_test("errors")
def check_unknown_species(bench: Bench) -> None:
    """Species that the model does not know are computed as others, or the message does not say which they are."""
    structures = bench.structures("box")
    # argon
    structures["box"].types[3] = 18
    bench.refuses("two lists", structures, "18", "Ar")


@standard_test("errors")
def check_positions_that_are_not_numbers(bench: Bench) -> None:
    """Positions that are not finite give an energy: pairs with such atoms were dropped."""
    structures = bench.structures("box")
    structures["box"].positions[2, 1] = np.nan
    bench.refuses("two lists", structures, "finite", "nan", "position", "lost")


@standard_test("errors")
def check_results_that_are_not_numbers(bench: Bench) -> None:
    """A model that gave no number was believed: a run goes on with atoms that are nowhere, or with zeros."""
    structures = bench.structures("box")
    structure = structures["box"]
    direction = structure.positions[4] - structure.positions[0]
    structure.positions[4] = structure.positions[0] + 0.8 * TOO_CLOSE * direction / np.linalg.norm(direction)
    bench.refuses("not finite", structures, "finite", "nan")


@standard_test("errors", "inputs")
def check_missing_inputs(bench: Bench) -> None:
    """An input that the model requests and nobody gave is taken for zero, or the message does not name it."""
    structures = bench.structures("box")
    structures["box"] = dataclasses.replace(structures["box"], inputs={})
    bench.refuses("atom inputs", structures, "charge")


@standard_test("errors")
def check_missing_file(bench: Bench) -> None:
    """A model file that does not exist gives another error, or one that does not name the file."""
    bench.refuses(bench.folder / "not-there.pt", bench.structures("box"), "not-there.pt")
