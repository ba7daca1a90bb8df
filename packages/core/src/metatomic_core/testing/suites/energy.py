"""Energies, of structures and of atoms."""

from metatomic_core.testing.bench import Bench
from metatomic_core.testing.contract import standard_test

_PERIODIC = ("box", "other box", "no pairs")


@standard_test()
def check_energy_of_structures(bench: Bench) -> None:
    """The energy is wrong in the simplest of cases, an orthogonal periodic box.

    Too large by the pair term: a half list is taken for a full one, or a full one counted twice.  Too small: pairs are
    missing, so the cutoff that is asked for is not the largest of all lists, or a list is cut at the shorter one.
    Wrong by a constant: the energies of isolated atoms, or an offset that the engine adds.
    """
    bench.check("two lists", bench.structures(*_PERIODIC), ["energy"])


@standard_test()
def check_energy_of_species(bench: Bench) -> None:
    """Species are confused: the engine's type numbers, from one on in the order of its input, and atomic numbers.

    The types of the model are in no particular order; map by atomic number, and not by place after sorting.
    """
    structures = bench.structures("other box", "no pairs")
    # one species less, so that numbers of types are not those of the model
    known = structures["other box"].types
    known[known == known[0]] = known[1]
    bench.check("two lists", structures, ["energy"])


@standard_test()
def check_energy_of_messages(bench: Bench) -> None:
    """Atoms do not feel neighbors of their neighbors.

    The engine cuts environments at the cutoff of the list and not at the interaction range of the model: ghost atoms,
    domains or selected regions are too narrow, or ghosts have no pairs among themselves.
    """
    bench.check("messages", bench.structures("box", "triclinic"), ["energy"])


@standard_test("atomic energies")
def check_energy_of_atoms(bench: Bench) -> None:
    """The sum is right, the parts are not: energies of atoms are in another order, or half of a pair is missing.

    Look for engines that sort or migrate atoms, and for outputs that are matched by row and not by label.
    """
    bench.check("two lists", bench.structures("box", "triclinic"), ["energy", "atomic_energies"])
