"""Models in other units than those of the engine."""

from metatomic_core.testing.bench import Bench
from metatomic_core.testing.contract import standard_test


@standard_test("other units")
def check_energy_in_other_units(bench: Bench) -> None:
    """The energy of a model in kcal/mol and nm comes out wrong.

    Off by 23.06: the unit of energy is not converted.  Only the energies of isolated atoms: cutoffs or positions are
    not converted to nm, so there are no pairs.
    """
    bench.check("other units", bench.structures("box"), ["energy"])


@standard_test("other units", "forces")
def check_forces_in_other_units(bench: Bench) -> None:
    """Forces have another factor than energies: energy over length is not converted as such, or converted twice."""
    bench.check("other units", bench.structures("box", "triclinic"))


@standard_test("other units", "virial")
def check_virial_in_other_units(bench: Bench) -> None:
    """The virial has another factor than the energy: it is an energy, and a stress is one over the volume."""
    bench.check("other units", bench.structures("box"), ["energy", "virial"])
