"""Several structures in one call of the model."""

import numpy as np

from metatomic_core.testing.bench import Bench
from metatomic_core.testing.contract import standard_test

_SOME = ("box", "small cell", "slab", "molecule", "other box", "isolated atom", "triclinic", "no pairs")


@standard_test("batch")
def check_batch(bench: Bench) -> None:
    """Structures of a batch get the results of others, or pairs between them.

    Energies exchanged: the order of structures, or of samples that come in another order than they were asked for.
    Forces shifted: offsets of atoms, where structures have different sizes.  Periodicity or cell of the first taken for
    all of them shows where slabs and molecules are among them.
    """
    results = ["energy", "forces"] if bench.can("forces") else ["energy"]
    bench.check("two lists", bench.structures(*_SOME), results, batch=True)


@standard_test("batch", "atomic energies")
def check_atoms_of_batch(bench: Bench) -> None:
    """Values of atoms are in the order of species, or of the model, and not in that of structures and atoms."""
    bench.check(
        "two lists", bench.structures("box", "triclinic", "other box"), ["energy", "atomic_energies"], batch=True
    )


@standard_test("batch", "virial")
def check_virials_of_batch(bench: Bench) -> None:
    """The virial of each structure has parts of others: it is summed over the batch, or over the wrong pairs."""
    results = ["energy", "virial"]
    bench.check("messages", bench.structures("other box", "box", "triclinic", "small cell"), results, batch=True)


@standard_test("batch")
def check_batch_of_equals(bench: Bench) -> None:
    """A structure that is in a batch twice, moved a little, gets one result for both: a cache, or a shared list."""
    structures = bench.structures("box", "other box")
    moved = bench.structures("box")["box"]
    moved.positions = moved.positions + np.linspace(-0.2, 0.3, moved.positions.size).reshape(-1, 3)
    bench.check("two lists", {**structures, "moved box": moved}, ["energy"], batch=True)
