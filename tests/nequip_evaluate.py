"""Results of nequip's own calculator, from a checkpoint: ``python nequip_evaluate.py CHECKPOINT STRUCTURES RESULTS``.

Structures and results are pickled: a list of `ase.Atoms`, and a list of dictionaries of arrays. In a process of its
own, so that the one of the tests runs compiled packages without nequip.
"""

import pickle
import sys
from pathlib import Path

from nequip.integrations.ase import NequIPCalculator


def results(calculator, atoms):
    """Give energy, energies of atoms, forces, and the stress as a matrix where there is one."""
    atoms.calc = calculator
    found = {
        "energy": atoms.get_potential_energy(),
        "energies": atoms.get_potential_energies(),
        "forces": atoms.get_forces(),
    }
    if atoms.cell.rank == 3 and atoms.pbc.any():
        found["stress"] = atoms.get_stress(voigt=False)
    return found


def main(checkpoint, structures, output):
    """Write the results."""
    calculator = NequIPCalculator._from_saved_model(checkpoint, chemical_species_to_atom_type_map=True)
    found = [results(calculator, atoms) for atoms in pickle.loads(Path(structures).read_bytes())]
    Path(output).write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
