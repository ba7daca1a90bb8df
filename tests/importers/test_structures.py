"""The structures of the comparison have in them what goes wrong."""

import ase.data
import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from metatomic_importers.structures import trial_structures

KNOWN = {
    "one": [3],
    "two": [1, 8],
    "organic": [1, 6, 7, 8, 9, 16, 17],
    "not sorted": [79, 14, 1, 8],
    "most": list(range(1, 90)),
    "all": list(range(1, 119)),
}


@pytest.fixture(params=KNOWN)
def known(request):
    return KNOWN[request.param]


def test_all_kinds_are_there(known):
    found = trial_structures(known)
    assert list(found) == ["bulk", "triclinic", "slab", "molecule", "atom", "small cell", "all species"]
    periodic = {name: atoms.pbc.tolist() for name, atoms in found.items()}
    assert periodic["slab"] == [True, True, False]
    assert periodic["molecule"] == periodic["atom"] == [False] * 3
    assert all(periodic[name] == [True] * 3 for name in ("bulk", "triclinic", "small cell", "all species"))
    assert len(found["atom"]) == 1


def test_species_are_those_of_the_model(known):
    found = trial_structures(known)
    assert all(set(atoms.numbers) <= set(known) for atoms in found.values())
    numbers = found["all species"].numbers
    assert sorted(numbers) == sorted(known)
    for name in ("triclinic", "molecule", "small cell"):
        assert len(set(found[name].numbers)) > 1 or len(known) == 1
    if len(known) > 2:
        assert list(numbers) != sorted(numbers)
        assert list(found["molecule"].numbers) != sorted(found["molecule"].numbers)


def test_cells_and_positions_are_of_the_kinds_that_go_wrong(known):
    found = trial_structures(known)
    outside = found["triclinic"].get_scaled_positions(wrap=False)
    assert outside.min() < -1
    assert outside.max() > 1.5
    assert np.all(np.abs(found["triclinic"].cell.angles() - 90) > 3)
    assert found["small cell"].cell.lengths().max() < 8
    # in a small cell atoms are neighbors of their own images
    first, second = neighbor_list("ij", found["small cell"], 9.0)
    assert np.any(first == second)


def test_atoms_are_at_distances_that_models_know(known):
    for name, atoms in trial_structures(known).items():
        first, second, distances = neighbor_list("ijd", atoms, 6.0)
        radii = ase.data.covalent_radii[atoms.numbers]
        if name == "atom":
            assert len(first) == 0
        elif name != "all species" or len(known) > 1:
            assert len(first) > 0, name
            least = 0.45 if name == "all species" else 0.7
            assert np.min(distances / (radii[first] + radii[second])) > least, name
        assert np.all(np.isfinite(atoms.positions))


def test_no_images_are_at_cutoffs(known):
    # atoms and their images in crystals are at the same distance, whatever the rattling
    for name, atoms in trial_structures(known).items():
        first, second, distances = neighbor_list("ijd", atoms, 9.0)
        steps = distances[first == second] / 0.1
        assert np.all(np.abs(steps - np.round(steps)) > 1e-4), name


def test_structures_are_the_same_each_time(known):
    first, second = trial_structures(known), trial_structures(known)
    for name, atoms in first.items():
        np.testing.assert_array_equal(atoms.numbers, second[name].numbers)
        np.testing.assert_array_equal(atoms.positions, second[name].positions)
        np.testing.assert_array_equal(atoms.cell.array, second[name].cell.array)


@pytest.mark.parametrize("name", ["bulk", "triclinic", "slab"])
def test_no_forces_vanish_by_symmetry(name):
    distances = neighbor_list("d", trial_structures([1, 6, 7, 8])[name], 3.5)
    # each pair is there twice, and no two pairs are alike; in a crystal all are of a few kinds
    assert len(np.unique(np.round(distances, 6))) > 0.45 * len(distances) > 10


def test_calculators_of_periodic_structures_get_vacuum(known):
    free, boxed = trial_structures(known), trial_structures(known, periodic_only=True)
    for name, atoms in boxed.items():
        assert atoms.pbc.all()
        axes = ~free[name].pbc
        assert np.all(atoms.cell.lengths()[axes] > 25)
        if not axes.any():
            np.testing.assert_array_equal(atoms.positions, free[name].positions)
        # no new neighbors
        first = neighbor_list("d", atoms, 8.0)
        second = neighbor_list("d", free[name], 8.0)
        np.testing.assert_allclose(np.sort(first), np.sort(second), atol=1e-9)


@pytest.mark.parametrize("known", [[1], [2], [1, 2], [9], [1, 8]])
def test_crystals_of_small_atoms_have_no_hundreds_of_neighbors(known):
    """Models with angles take the square of them in memory."""
    for name, atoms in trial_structures(known).items():
        neighbors = np.bincount(neighbor_list("i", atoms, 3.0), minlength=1)
        assert neighbors.max() < 80, name
