"""Structures, finite differences and files for the tests of the reference potentials."""

import dataclasses

import numpy as np
import torch

from metatomic_core.engine import Engine, Structure
from metatomic_core.potentials import embedded_atom, lennard_jones, stillinger_weber, zbl

# rows are vectors, in units of the spacing of atoms; no two equal, no right angles
TRICLINIC = np.array([[2.0, 0.1, -0.2], [0.3, 2.1, 0.1], [-0.1, 0.2, 1.9]])
ALL, NONE = np.array([True, True, True]), np.array([False, False, False])
# Central differences of fourth order: offsets in steps, and weights.
STENCIL = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))


def make_engine(model, **options):
    return Engine(model, length_unit="angstrom", energy_unit="eV", neighbor_skin=0.0, **options)


def structures(species, spacing):
    """Give small asymmetric structures of atoms about one spacing apart, the species in no order."""
    rng = np.random.default_rng(11)
    grid = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(-1, 3) / 2
    crystal = grid @ TRICLINIC + rng.uniform(-0.1, 0.1, size=(8, 3))
    # the same atoms in other cells: positions need not lie inside
    crystal += np.array([[0, 0, 0], [2, -1, 0], [0, 0, -3], [1, 0, 0], [0, 0, 0], [0, 1, 1], [0, 0, 0], [-1, 0, 0]]) @ (
        TRICLINIC
    )
    types = np.array([species[i % len(species)] for i in (0, 1, 1, 0, 2, 1, 0, 2)])
    molecule = np.array([[0, 0, 0], [1.0, 0.1, 0.0], [-0.3, 0.9, 0.3], [0.5, -0.6, 0.8], [0.4, 0.6, -0.8]]) - 0.3
    slab, wire = np.array([True, True, False]), np.array([False, True, False])
    found = {
        "triclinic": Structure(types, crystal, TRICLINIC, ALL),
        "slab": Structure(types[:5], molecule, TRICLINIC * [[1], [1], [0]], slab),
        "wire": Structure(types[:5], molecule, TRICLINIC * [[0], [1], [0]], wire),
        "molecule": Structure(types[:5], molecule, np.zeros((3, 3)), NONE),
        "small cell": Structure(types[:2], np.array([[0.1, 0.2, 0.3], [0.7, 0.6, 1.3]]), 0.6 * TRICLINIC, ALL),
        "one atom": Structure(types[:1], np.array([[0.4, 7.0, -1.0]]), 0.55 * TRICLINIC, ALL),
        "isolated atom": Structure(types[:1], np.array([[0.4, 0.0, -1.0]]), np.zeros((3, 3)), NONE),
    }
    return {name: scaled(structure, spacing) for name, structure in found.items()}


NAMES = ("triclinic", "slab", "wire", "molecule", "small cell", "one atom", "isolated atom")


def perfect_crystal(lattice, number, constant, repeats):
    """Give a crystal of one element, "fcc" or "diamond", of conventional cells."""
    sites = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    if lattice == "diamond":
        sites = np.concatenate([sites, sites + 0.25])
    cells = np.stack(np.meshgrid(*map(np.arange, repeats), indexing="ij"), -1).reshape(-1, 1, 3)
    positions = constant * (cells + sites).reshape(-1, 3)
    return Structure(np.full(len(positions), number), positions, constant * np.diag(repeats), np.ones(3, dtype=bool))


def empty():
    return Structure(np.zeros(0, dtype=int), np.zeros((0, 3)), np.zeros((3, 3)), NONE)


def scaled(structure, factor):
    return dataclasses.replace(structure, positions=structure.positions * factor, cell=structure.cell * factor)


def strained(structure, strain):
    deformation = np.eye(3) + strain
    return dataclasses.replace(
        structure, positions=structure.positions @ deformation, cell=structure.cell @ deformation
    )


def derivatives(engine, make, shape, step, **request):
    """Differentiate the energy of ``make(displacement)`` with respect to a displacement of the given shape."""
    result = np.zeros(shape)
    for index in np.ndindex(shape):
        for offset, weight in STENCIL:
            displacement = np.zeros(shape)
            displacement[index] = offset * step
            result[index] += weight / step * engine.evaluate([make(displacement)], ["energy"], **request).energy[0]
    return result


def numerical_forces(engine, structure, step=5e-5, **request):
    def make(displacement):
        return dataclasses.replace(structure, positions=structure.positions + displacement)

    return -derivatives(engine, make, structure.positions.shape, step, **request)


def numerical_virial(engine, structure, step=1e-5):
    return -derivatives(engine, lambda strain: strained(structure, strain), (3, 3), step)


def assert_close(got, expected, tolerance, floor=0.0):
    """Compare arrays relative to their largest element, or to the floor if that is larger."""
    scale = max(np.abs(expected).max(initial=0.0), floor)
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * scale)


def close_pair(model, distance, n_pairs):
    """Evaluate two atoms at a distance on plain tensors: the guard of the engine does not look at these."""
    types = model.capabilities().atomic_types
    structure = {
        "types": torch.tensor([types[0], types[-1]]),
        "positions": torch.tensor([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3 + distance]], dtype=torch.float64),
        "cell": torch.zeros(3, 3, dtype=torch.float64),
        "pbc": torch.zeros(3, dtype=torch.bool),
    }
    pairs = torch.tensor([[0, 1, 0, 0, 0], [1, 0, 0, 0, 0]])[:n_pairs]
    request = {"energy": "energy", "forces": "energy"}
    results = model.evaluate(
        [structure], [[pairs]], None, request, {}, {"engine": {"length": "angstrom", "energy": "eV"}}
    )[0]
    return results["energy"].numpy(), results["forces"].numpy()


# --- files of the embedded atom method, from analytic functions


def write_table(values):
    return "\n".join(
        " ".join(f"{value:.17e}" for value in row) for row in np.array_split(values, max(len(values) // 5, 1))
    )


def setfl(elements, grids, embedding, density, pair, finnis_sinclair=False):
    """Write a setfl file: functions by element; density by source (and place for Finnis-Sinclair); pair times r."""
    n_rho, drho, n_r, dr, cutoff = grids
    rho, r = np.arange(n_rho) * drho, np.arange(n_r) * dr
    lines = ["made up for a test", "", "# functions are analytic", f" {len(elements)} {' '.join(elements)}"]
    lines.append(f"{n_rho} {drho!r} {n_r} {dr!r} {cutoff!r}")
    for element in elements:
        lines += [" 13 26.98 4.05 fcc", write_table(embedding(element, rho))]
        places = elements if finnis_sinclair else [None]
        lines += [write_table(density(element, place, r)) for place in places]
    for i, first in enumerate(elements):
        lines += [write_table(pair(first, second, r)) for second in elements[: i + 1]]
    return "\n".join(lines) + "\n"


def funcfl(number, grids, embedding, charge, density):
    n_rho, drho, n_r, dr, cutoff = grids
    rho, r = np.arange(n_rho) * drho, np.arange(n_r) * dr
    lines = ["made up for a test", f" {number} 63.55 3.615 FCC", f"{n_rho} {drho!r} {n_r} {dr!r} {cutoff!r}"]
    lines += [write_table(embedding(rho)), write_table(charge(r)), write_table(density(r))]
    return "\n".join(lines) + "\n"


# Functions for two elements, zero with their first derivatives at the cutoff; in eV and angstrom.
EAM_CUTOFF = 5.0
STRENGTH = {"Ni": 1.0, "Al": 0.7}


def eam_tail(r):
    return np.where(r < EAM_CUTOFF, (1 - r / EAM_CUTOFF), 0.0) ** 4


def eam_embedding(element, rho):
    return -STRENGTH[element] * np.sqrt(1.0 + 4.0 * rho) + STRENGTH[element]


def eam_density(source, place, r):
    """Give a density; one that depends on where it is, if a place is given."""
    factor = 1.0 if place is None else 1.0 + 0.3 * STRENGTH[place]
    return 6.0 * STRENGTH[source] * factor * eam_tail(r) * np.exp(-0.1 * r)


def eam_pair(first, second, r):
    """Give r times a pair energy."""
    return (5.0 * STRENGTH[first] * STRENGTH[second] + 1.0) * np.exp(-0.3 * r) * eam_tail(r) * 4.0


EAM_GRIDS = (2001, 0.005, 2001, 0.0025, EAM_CUTOFF)


def alloy_file(folder, finnis_sinclair=False):
    path = folder / ("NiAl.eam.fs" if finnis_sinclair else "NiAl.eam.alloy")
    path.write_text(setfl(["Ni", "Al"], EAM_GRIDS, eam_embedding, eam_density, eam_pair, finnis_sinclair))
    return path


# --- Stillinger-Weber for two elements: not those of a real material
SW_ENTRIES = """\
# comment
Ga Ga Ga 1.2 2.1 1.6 32.5 1.2 -0.333333333333 7.917 0.72 4.0 0.0 0.0
N  N  N  1.1 1.9 1.8 30.5 1.1 -0.3            7.9   0.71 5.0 1.0 0.0  # on one line
Ga Ga N  1.6 0.0 0.0 31.5 0.0 -0.25 0.0 0.0 0.0 0.0 0.0
Ga N  Ga 1.6 0.0 0.0 31.5 0.0 -0.25 0.0 0.0 0.0 0.0 0.0
Ga N  N  2.17 2.0 1.8 32.5 1.2 -0.333333333333
         7.917 0.72 4.0 0.0 0.0
N  Ga Ga 2.17 2.0 1.8 22.5 1.3 -0.4 7.917 0.72 4.0 0.0 0.0
N  N  Ga 1.5 0.0 0.0 32.0 0.0 -0.35 0.0 0.0 0.0 0.0 0.0
N  Ga N  1.5 0.0 0.0 32.0 0.0 -0.35 0.0 0.0 0.0 0.0 0.0
"""


# --- all potentials


def make_lj_pair(folder, shift, **options):
    sigma, epsilon = {"Ar": 3.4, "Kr": 3.65}, {"Ar": 0.0103, "Kr": 0.014, ("Kr", "Ar"): 0.013}
    return lennard_jones(["Ar", "Kr"], sigma, epsilon, shift=shift, **options)


def make_sw(folder, **options):
    path = folder / "GaN.sw"
    path.write_text(SW_ENTRIES)
    return stillinger_weber(path, **options)


# species, spacing of atoms, and how to make the model in a folder
POTENTIALS = {
    "lj": ([18], 3.6, lambda folder, **options: lennard_jones(**options)),
    "lj-shifted": ([36, 18], 3.6, lambda folder, **options: make_lj_pair(folder, "energy", **options)),
    "lj-smooth": ([36, 18], 3.6, lambda folder, **options: make_lj_pair(folder, "smooth", **options)),
    "sw": ([14], 2.5, lambda folder, **options: stillinger_weber(**options)),
    "sw-two": ([7, 31], 2.3, make_sw),
    "sw-thirds": ([7, 31], 2.3, lambda folder, **options: make_sw(folder, energy_sharing="thirds", **options)),
    "sutton-chen": ([29], 2.5, lambda folder, **options: embedded_atom(**options)),
    "eam-alloy": ([28, 13], 2.5, lambda folder, **options: embedded_atom(alloy_file(folder), **options)),
    "eam-fs": ([28, 13], 2.5, lambda folder, **options: embedded_atom(alloy_file(folder, True), **options)),
    "zbl": ([14, 8], 1.6, lambda folder, **options: zbl([14, 8], 1.3, 2.4, **options)),
}  # fmt: skip
