"""``ase.Atoms`` to the structures of `metatomic_core.engine`, with the inputs that a model may request."""

from collections.abc import Mapping, Sequence

import ase
import numpy as np

from metatomic_core import ModelOutput
from metatomic_core.adapters.inputs import WITH_VELOCITIES, Source, Sources, input_values, source_of
from metatomic_core.engine import Structure

# beside the quantities of all engines; what is not here comes by its name
SOURCES: Sources = {
    **WITH_VELOCITIES,
    ("ase::initial_magmoms", "atom"): Source(
        lambda atoms: atoms.get_initial_magnetic_moments(), "", "atoms.get_initial_magnetic_moments()"
    ),
    ("ase::initial_charges", "atom"): Source(
        lambda atoms: atoms.get_initial_charges(), "e", "atoms.get_initial_charges()"
    ),
    ("ase::tags", "atom"): Source(lambda atoms: atoms.get_tags(), "", "atoms.get_tags()"),
}
_MORE = ", any other name per atom in `atoms.arrays`, and per structure in `atoms.info`"


class Inputs:
    """The inputs that a model requests, and where ASE has them.

    Parameters
    ----------
    requested
        What the model requests, by name.

    Raises
    ------
    ValueError
        If ASE has no such input.
    """

    def __init__(self, requested: Mapping[str, ModelOutput]):
        self._sources = {name: source_of(name, output, SOURCES, "ASE", _MORE) for name, output in requested.items()}
        # by name
        self.units = {name: source.unit for name, source in self._sources.items()}

    def __len__(self) -> int:
        """Give how many there are."""
        return len(self._sources)

    def of(self, atoms: ase.Atoms) -> dict[str, np.ndarray]:
        """Give the values for atoms, by name, as copies."""
        return {name: input_values(atoms, source) for name, source in self._sources.items()}

    def changed(self, last: Mapping[str, np.ndarray], atoms: ase.Atoms) -> list[str]:
        """List the names of those that are not the same as at the last calculation."""
        if not self._sources:
            return []
        try:
            now = self.of(atoms)
        except (TypeError, ValueError):
            # a calculation says what is wrong with them
            return list(self._sources)
        return [name for name, values in now.items() if name not in last or not np.array_equal(values, last[name])]


def structure_from_atoms(atoms: ase.Atoms, inputs: Inputs) -> Structure:
    """Convert atoms to a structure in angstrom and eV.

    Parameters
    ----------
    atoms
        The atoms.
    inputs
        Inputs that the model requests.

    Raises
    ------
    TypeError
        If it is no ``ase.Atoms``, or an input is no number.
    ValueError
        If an input is missing, or can not be used.
    """
    if not isinstance(atoms, ase.Atoms):
        raise TypeError(f"expected `atoms` to be ase.Atoms, got {type(atoms).__name__}")
    return Structure(
        types=atoms.numbers,
        positions=atoms.positions,
        cell=atoms.cell.array,
        pbc=atoms.pbc,
        inputs=inputs.of(atoms),
    )


def structures_from(all_atoms: Sequence[ase.Atoms], inputs: Inputs) -> list[Structure]:
    """Convert several; parameters and errors as for `structure_from_atoms`, which name the structure."""
    found = []
    for index, atoms in enumerate(all_atoms):
        try:
            found.append(structure_from_atoms(atoms, inputs))
        except (TypeError, ValueError) as error:
            if len(all_atoms) == 1 or not isinstance(atoms, ase.Atoms):
                raise
            raise type(error)(f"{error}, in structure {index}") from error
    return found


def has_stress(atoms: ase.Atoms) -> bool:
    """Tell whether a stress is defined: some direction is periodic, and the cell has a volume.

    For slabs it is per volume of the whole cell, as everywhere in ASE, so that cell filters work.
    """
    # as `atoms.cell.rank == 3`
    return bool(atoms.pbc.any()) and bool(atoms.cell.array.any(axis=1).all())


def as_list(atoms: ase.Atoms | Sequence[ase.Atoms]) -> list[ase.Atoms]:
    """Give one structure or several as a list of at least one."""
    if isinstance(atoms, ase.Atoms):
        return [atoms]
    if isinstance(atoms, (list, tuple)) and len(atoms) == 0:
        raise ValueError("expected at least one structure in `atoms`, got an empty list")
    if not isinstance(atoms, (list, tuple)):
        raise TypeError(f"expected `atoms` to be ase.Atoms or a list of them, got {type(atoms).__name__}")
    return list(atoms)
