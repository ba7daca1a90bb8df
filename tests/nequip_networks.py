"""Networks that nequip makes for the tests, and structures for them."""

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc111

# each network by what is changed of train.yaml, with the targets that it is compiled for
NETWORKS = {
    "float64": ([], ["ase", "batch"]),
    "float32": (
        [
            "training_module.model.model_dtype=float32",
            "+training_module.model.per_edge_type_cutoff={Au: 3.6, Cu: {Au: 3.6, Cu: 4.0}}",
        ],
        ["pair_nequip"],
    ),
}
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}


def alloy(atoms, seed):
    """Give atoms as gold and copper without order, shaken, some of them outside the cell."""
    rng = np.random.default_rng(seed)
    atoms.numbers = rng.choice([29, 79], len(atoms))
    atoms.positions += rng.uniform(-0.15, 0.15, (len(atoms), 3))
    atoms.positions[::3] += atoms.cell.array[0] - 2 * atoms.cell.array[1]
    return atoms


def structures():
    """Give structures by name; sizes change from one to the next."""
    triclinic = alloy(bulk("Cu", a=3.9) * (2, 2, 2), 1)
    triclinic.set_cell(
        triclinic.cell.array @ (np.eye(3) + [[0, 0.1, 0], [0.05, 0, -0.1], [0, 0.02, 0]]), scale_atoms=True
    )
    far = Atoms("Cu2Au", [[0, 0, 0], [2.3, 0.2, 0], [30, 0, 0]], cell=[60, 60, 60], pbc=True)
    return {
        "triclinic": triclinic,
        "primitive cell": bulk("Au", a=4.1),
        "slab": alloy(fcc111("Cu", (2, 2, 3), a=3.8, vacuum=6.0), 2),
        "atom without neighbors": far,
        "large": alloy(bulk("Cu", cubic=True, a=3.9) * (3, 3, 3), 3),
        "pair": Atoms("AuCu", [[0, 0, 0], [0, 1.9, 1.2]], cell=[20, 20, 20], pbc=True),
    }
