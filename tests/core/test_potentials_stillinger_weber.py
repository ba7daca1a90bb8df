"""The Stillinger-Weber potential: properties of silicon, the sum over triplets, ``.sw`` files, refused parameters."""

import dataclasses
import itertools

import numpy as np
import pytest
import vesin
from models import through_file
from potential_cases import ALL, NONE, SW_ENTRIES, assert_close, close_pair, make_engine, strained, structures

from metatomic_core.engine import Structure
from metatomic_core.potentials import stillinger_weber

EPSILON, SIGMA = 2.1683, 2.0951
EV_PER_CUBIC_ANGSTROM_IN_GPA = 160.2176634
# the potential has its minimum of pairs, and no angular energy, where neighbors are 2^(1/6) sigma apart
LATTICE = 4 / np.sqrt(3) * 2 ** (1 / 6) * SIGMA


def diamond(lattice):
    """Give the cell of two atoms."""
    cell = 0.5 * lattice * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    return Structure(np.array([14, 14]), np.array([[0, 0, 0], [0.25, 0.25, 0.25]]) * lattice, cell, ALL)


def silicon_file(folder, text):
    path = folder / "test.sw"
    path.write_text(text)
    return path


def test_silicon_lattice_constant_and_cohesive_energy():
    # 5.431 angstrom and two epsilon, 4.3366 eV: Stillinger and Weber, Phys. Rev. B 31, 5262 (1985)
    engine = make_engine(stillinger_weber())
    result = engine.evaluate([diamond(LATTICE)], ["energy", "stress"])
    assert round(LATTICE, 3) == 5.431
    assert -result.energy[0] / 2 == pytest.approx(2 * EPSILON, rel=1e-9)
    assert np.abs(result.stress).max() < 1e-8


def test_silicon_elastic_constants():
    # 151.4, 76.4 and 56.4 GPa: E. R. Cowley, Phys. Rev. Lett. 60, 2379 (1988), with epsilon = 2.1683 eV.
    # Balamane et al., Phys. Rev. B 46, 2250 (1992), have 161.6, 81.6 and 60.3 with epsilon = 2.315 eV.
    engine = make_engine(stillinger_weber())
    crystal = diamond(LATTICE)
    volume, step = np.linalg.det(crystal.cell), 1e-4

    def stress_and_force(strain, shift):
        structure = strained(crystal, strain)
        structure = dataclasses.replace(structure, positions=structure.positions + [[0, 0, 0], [shift, 0, 0]])
        result = engine.evaluate([structure], ["stress", "forces"])
        return result.stress[0], result.forces[1, 0]

    def derivative(strain, shift):
        plus, minus = stress_and_force(strain * step, shift * step), stress_and_force(-strain * step, -shift * step)
        return [(p - m) / (2 * step) for p, m in zip(plus, minus, strict=True)]

    tension, shear = np.zeros((3, 3)), np.zeros((3, 3))
    tension[0, 0] = 1
    shear[1, 2] = shear[2, 1] = 0.5
    stress, _ = derivative(tension, 0)
    assert round(stress[0, 0] * EV_PER_CUBIC_ANGSTROM_IN_GPA, 1) == 151.4
    assert round(stress[1, 1] * EV_PER_CUBIC_ANGSTROM_IN_GPA, 1) == 76.4
    # shear moves the two sublattices against each other along x: relax that
    stress, force = derivative(shear, 0)
    _, stiffness = derivative(np.zeros((3, 3)), 1)
    relaxed = stress[1, 2] + force**2 / (stiffness * volume)
    assert round(relaxed * EV_PER_CUBIC_ANGSTROM_IN_GPA, 1) == 56.4


def reference_energies(structure, entries, cutoff, thirds):
    """Sum over pairs and triplets one by one; energies of triplets to three atoms or the central one."""
    nl = vesin.NeighborList(cutoff=cutoff, full_list=True)
    box = structure.cell if structure.pbc.all() else np.zeros((3, 3))
    i, j, vectors = nl.compute(structure.positions, box, bool(structure.pbc.all()), quantities="ijD")
    energies = np.zeros(len(structure.types))
    symbols = {14: "Si", 31: "Ga", 7: "N"}
    names = [symbols[number] for number in structure.types]
    for center in range(len(energies)):
        neighbors = [(j[p], vectors[p], np.linalg.norm(vectors[p])) for p in np.flatnonzero(i == center)]
        radial = []
        for other, _, r in neighbors:
            e = entries[names[center], names[other], names[other]]
            inside = r < e["sigma"] * e["a"]
            damping = 1 / (r - e["a"] * e["sigma"]) if inside else -np.inf
            radial.append(np.exp(e["gamma"] * e["sigma"] * damping))
            pair = e["A"] * e["epsilon"] * (e["B"] * (e["sigma"] / r) ** e["p"] - (e["sigma"] / r) ** e["q"])
            energies[center] += 0.5 * pair * np.exp(e["sigma"] * damping)
        for m, n in itertools.combinations(range(len(neighbors)), 2):
            e = entries[names[center], names[neighbors[m][0]], names[neighbors[n][0]]]
            cosine = neighbors[m][1] @ neighbors[n][1] / (neighbors[m][2] * neighbors[n][2])
            energy = e["lambda"] * e["epsilon"] * radial[m] * radial[n] * (cosine - e["costheta0"]) ** 2
            owners = (center, neighbors[m][0], neighbors[n][0]) if thirds else (center,)
            for atom in owners:
                energies[atom] += energy / len(owners)
    return energies


def entries_of(text):
    names = ("epsilon", "sigma", "a", "lambda", "gamma", "costheta0", "A", "B", "p", "q", "tol")
    words = [word for line in text.splitlines() for word in line.split("#")[0].split()]
    rows = np.array(words).reshape(-1, 14)
    return {tuple(row[:3]): dict(zip(names, row[3:].astype(float), strict=True)) for row in rows}


@pytest.mark.parametrize("sharing", ["central", "thirds"])
@pytest.mark.parametrize("structure", ["triclinic", "molecule", "small cell"])
def test_energies_are_sums_over_pairs_and_triplets(structure, sharing, tmp_path):
    model = stillinger_weber(silicon_file(tmp_path, SW_ENTRIES), energy_sharing=sharing)
    case = structures([7, 31], 2.3)[structure]
    result = make_engine(model).evaluate([case], ["energy", "atomic_energies"])
    expected = reference_energies(case, entries_of(SW_ENTRIES), 4.0, sharing == "thirds")
    assert_close(result.atomic_energies, expected, 1e-12)
    assert result.energy[0] == pytest.approx(expected.sum(), rel=1e-12)
    assert make_engine(model).evaluate([case]).energy[0] == pytest.approx(expected.sum(), rel=1e-12)


def test_sharing_of_energy_changes_energies_of_atoms_only():
    case = structures([14], 2.4)["triclinic"]
    results = ["energy", "forces", "virial", "atomic_energies"]
    central, thirds = (
        make_engine(stillinger_weber(energy_sharing=sharing)).evaluate([case], results)
        for sharing in ("central", "thirds")
    )
    for name in ("energy", "forces", "virial"):
        assert_close(getattr(central, name), getattr(thirds, name), 1e-13)
    assert np.abs(central.atomic_energies - thirds.atomic_energies).max() > 1e-3
    with pytest.raises(ValueError, match="expected `energy_sharing` to be one of 'central', 'thirds', got 'third'"):
        stillinger_weber(energy_sharing="third")


def test_file_with_silicon_equals_default(tmp_path):
    text = f"Si Si Si {EPSILON} {SIGMA} 1.80 21.0 1.20 -0.3333333333333333\n 7.049556277  0.6022245584  4.0  0.0 0.0\n"
    case = structures([14], 2.4)["triclinic"]
    got = make_engine(stillinger_weber(silicon_file(tmp_path, text))).evaluate([case], ["energy", "forces"])
    expected = make_engine(stillinger_weber()).evaluate([case], ["energy", "forces"])
    assert_close(got.energy, expected.energy, 1e-14)
    assert_close(got.forces, expected.forces, 1e-14)


def test_some_species_of_a_file(tmp_path):
    path = silicon_file(tmp_path, SW_ENTRIES)
    case = structures([7], 2.3)["triclinic"]
    model = stillinger_weber(path, species="N")
    assert model.atomic_types() == [7]
    assert_close(
        make_engine(model).evaluate([case]).energy, make_engine(stillinger_weber(path)).evaluate([case]).energy, 1e-13
    )
    assert stillinger_weber(path, species=["N", "Ga"]).atomic_types() == [7, 31]


def test_mapping_replaces_parameters_of_silicon():
    # all energies are proportional to epsilon
    case = structures([14], 2.4)["triclinic"]
    got = make_engine(stillinger_weber({"epsilon": 2.315, "lambda": 21.0})).evaluate([case], ["energy"])
    expected = make_engine(stillinger_weber()).evaluate([case], ["energy"])
    assert got.energy[0] == pytest.approx(expected.energy[0] * 2.315 / EPSILON, rel=1e-13)
    assert stillinger_weber({"epsilon": 2.0}, species="Ge").atomic_types() == [32]


def test_tol_shortens_the_reach():
    # exp(sigma / (r - a sigma)) = tol where terms are left out, tol at most 0.01
    reach = SIGMA * 1.8 + SIGMA / np.log(0.01)
    for tol in (0.01, 0.5):
        assert stillinger_weber({"tol": tol}).capabilities().interaction_range == pytest.approx(reach, rel=1e-14)
    assert stillinger_weber({"tol": 1e-300}).capabilities().interaction_range > reach


@pytest.mark.parametrize("load", [lambda model: model, through_file], ids=["eager", "loaded"])
def test_pair_at_the_cutoff_gives_zero(load):
    # such pairs are left out in files, and masked in Python
    for dtype, scale in (("float64", 1.0), ("float32", 1.0), ("float64", 1 - 1e-16), ("float64", 1 + 1e-15)):
        energy, forces = close_pair(load(stillinger_weber(dtype=dtype)), scale * SIGMA * 1.8, 2)
        assert np.abs(energy).max() == 0
        assert np.abs(forces).max() == 0


def test_energy_and_forces_vanish_smoothly_at_the_cutoff():
    for distance in (SIGMA * 1.8 - 1e-3, SIGMA * 1.8 - 1e-9):
        dimer = Structure(np.array([14, 14]), np.array([[0, 0, 0], [distance, 0, 0]]), np.zeros((3, 3)), NONE)
        result = make_engine(stillinger_weber()).evaluate([dimer], ["energy", "forces"])
        assert np.abs(result.energy).max() < 1e-200
        assert np.abs(result.forces).max() < 1e-200


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (SW_ENTRIES, "", "expected entries of 14 words, three elements and eleven numbers, in .*, got 0 words"),
        (SW_ENTRIES, SW_ENTRIES[:-5], "got 111 words; is it a complete file for `pair_style sw`"),
        ("Ga Ga N ", "Ga Ga X ", "expected `species` to be element symbols, got 'X'"),
        ("N  N  Ga", "N  Ga N ", "expected each entry once in .*, got 'N Ga N' twice"),
        ("30.5", "abc", "expected a number for the entry 'N N N' in line .* of .*test.sw', got 'abc'"),
        ("N  N  N  1.1 1.9", "N  N  N  1.1 1e308", "expected sigma.p and sigma.q within the range of numbers"),
        ("30.5", "inf", "expected a finite number for the entry 'N N N' .*, got 'inf'"),
        ("N  N  N  1.1 1.9", "N  N  N  1.1 0.0", "expected `sigma` of 'N N N' to be positive, got 0"),
        ("N  N  N  1.1 1.9", "N  N  N  -1.1 1.9", "expected `epsilon` of 'N N N' to be positive, got -1.1"),
        ("Ga Ga Ga 1.2 2.1 1.6 32.5", "Ga Ga Ga 1.2 2.1 1.6 -2", "expected `lambda` of 'Ga Ga Ga' not to be negative"),
        ("Ga N  N  2.17", "Ga N  N  2.18", "the same `epsilon` for 'Ga N N' and 'N Ga Ga', .*, got 2.18 and 2.17"),
        ("Ga Ga N  1.6", "Ga Ga N  1.7", r"the same lambda \* epsilon and costheta0 for 'Ga Ga N' and 'Ga N Ga'"),
    ],
)
def test_file_refused(old, new, message, tmp_path):
    assert old in SW_ENTRIES
    with pytest.raises(ValueError, match=message):
        stillinger_weber(silicon_file(tmp_path, SW_ENTRIES.replace(old, new)))


def test_file_without_an_entry_refused(tmp_path):
    text = "".join(line + "\n" for line in SW_ENTRIES.splitlines() if not line.startswith("N  Ga N"))
    with pytest.raises(ValueError, match="expected an entry for 'N Ga N' in the parameters, got none"):
        stillinger_weber(silicon_file(tmp_path, text))


def test_file_that_does_not_exist_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected `file` to be an existing file, got '.*nothing\.sw'"):
        stillinger_weber(tmp_path / "nothing.sw")


def test_binary_file_refused(tmp_path):
    (tmp_path / "binary.sw").write_bytes(b"Si \xff\xfe\x00")
    with pytest.raises(ValueError, match=r"expected `file` to be a text file, got other data in '.*binary\.sw'"):
        stillinger_weber(tmp_path / "binary.sw")


def test_species_that_the_file_does_not_have_refused(tmp_path):
    path = silicon_file(tmp_path, SW_ENTRIES)
    with pytest.raises(ValueError, match="expected `species` among those of the file, Ga, N, got 'Si'"):
        stillinger_weber(path, species=["N", "Si"])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"epsilonn": 2.0}, "expected `parameters` to be one of 'epsilon', .*, got 'epsilonn'; did you mean 'epsilon'"),
        ({"lambda_": 2.0}, "got 'lambda_'; did you mean 'lambda'"),
        ({"sigma": 0.0}, "expected `sigma` of 'Si Si Si' to be positive, got 0"),
        ({"gamma": -1.0}, "expected `gamma` of 'Si Si Si' not to be negative, got -1"),
        ({"epsilon": float("nan")}, "expected `epsilon` to be a finite number, got nan"),
    ],
)
def test_parameters_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        stillinger_weber(parameters)


def test_mapping_for_several_species_refused():
    with pytest.raises(ValueError, match="expected one element for `species`, got 2; use a file for several"):
        stillinger_weber(species=["Si", "Ge"])


def test_parameter_of_another_type_refused():
    with pytest.raises(TypeError, match="expected `sigma` to be a number, got str"):
        stillinger_weber({"sigma": "2.1"})
