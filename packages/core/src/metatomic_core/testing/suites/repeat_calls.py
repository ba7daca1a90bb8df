"""One call after the other: nothing is kept that should not be, and what is kept is renewed in time."""

import contextlib
import copy

import numpy as np

from metatomic_core.testing.bench import Bench
from metatomic_core.testing.contract import ContractError, standard_test
from metatomic_core.testing.structures import trajectory


def _results(bench: Bench, *more: str) -> list[str]:
    names = {"forces": "forces", "virial": "virial"}
    return ["energy", *(result for result, ability in names.items() if result in more and bench.can(ability))]


@standard_test("continued")
def check_atoms_that_move(bench: Bench) -> None:
    """Results are those of a former step.

    Energies at first right, and then not: a neighbor list is kept for too long; it is to be renewed before an atom has
    moved by half of the skin, whichever atom it is, also across the faces of the cell.  Energies of the step before:
    results are cached, and the key lacks positions.
    """
    bench.check("two lists", trajectory(9), _results(bench, "forces"), continued=True)


@standard_test("continued", "changing cell")
def check_cells_that_change(bench: Bench) -> None:
    """The cell of the first step is kept: in pairs with images, in the volume of the stress, or in a list with a skin.

    A list goes stale by a strain, too, even where no atom has moved relative to the cell.
    """
    frames = trajectory(6, "sheared" if bench.can("triclinic") else "stretched")
    bench.check("two lists", frames, _results(bench, "forces", "virial"), continued=True)


@standard_test()
def check_structures_by_turns(bench: Bench) -> None:
    """A result depends on what was computed before: structures by turns, the same ones again at the end."""
    structures = bench.structures("box", "no pairs", "other box", "small cell")
    again = {f"{name}, again": copy.deepcopy(structure) for name, structure in reversed(structures.items())}
    bench.check("two lists", {**structures, **again}, _results(bench, "forces"))


@standard_test("forces")
def check_forces_of_this_step(bench: Bench) -> None:
    """Forces lag behind the energy: asked twice for the same positions, the second answer is another one."""
    frames = list(trajectory(3).values())
    doubled = {f"frame {k}": copy.deepcopy(frames[k // 2]) for k in range(2 * len(frames))}
    bench.check("messages", doubled, continued=bench.can("continued"))


@standard_test()
def check_structures_are_not_changed(bench: Bench) -> None:
    """What was given was changed: positions were wrapped, types mapped, or cells turned in the arrays of the caller."""
    structures = bench.structures("box", "outside")
    before = copy.deepcopy(structures)
    bench.ask("two lists", structures, ["energy"])
    for name, structure in structures.items():
        for field in ("types", "positions", "cell", "pbc"):
            if not np.array_equal(getattr(structure, field), getattr(before[name], field)):
                raise ContractError(f"expected `{field}` of '{name}' as they were, got other ones; work on a copy")


@standard_test("errors")
def check_call_after_error(bench: Bench) -> None:
    """An engine that has refused a structure does not recover: what is left behind is in the next result."""
    structures = bench.structures("box")
    wrong = copy.deepcopy(structures)
    wrong["box"].positions[:] = np.nan
    # whether it refuses is for another test
    with contextlib.suppress(Exception):
        bench.ask("two lists", wrong, ["energy"])
    bench.check("two lists", structures, _results(bench, "forces"))
