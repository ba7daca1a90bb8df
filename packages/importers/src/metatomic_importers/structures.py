"""The structures on which an imported model is compared with the calculator of its family."""

from collections.abc import Sequence

import ase

from metatomic_core.testing.trial_structures import trial_structures as structures_of_types


def trial_structures(types: Sequence[int], periodic_only: bool = False) -> dict[str, ase.Atoms]:
    """Give structures of the species of a model, by name; see `metatomic_core.testing.trial_structures`."""
    return {
        name: ase.Atoms(each.types, positions=each.positions, cell=each.cell, pbc=each.pbc)
        for name, each in structures_of_types(types, periodic_only).items()
    }
