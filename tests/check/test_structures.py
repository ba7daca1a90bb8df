"""Structures have the lengths at which a model has the least energy."""

import dataclasses

import numpy as np
import pytest
from models import NoLists, wrap
from physics_cases import bench_of, twin

from metatomic_check import structures as calibration
from metatomic_check.default_structures import default_structures
from metatomic_check.geometry import LATTICES, boxed, crystal, dimer, repeated, rotation, taken, together, wrapped
from metatomic_core.engine import Structure
from metatomic_core.potentials import lennard_jones, stillinger_weber
from metatomic_core.testing.trial_structures import trial_structures

SIGMA = 3.405


def test_structures_of_argon_fit_to_argon():
    bench = bench_of(lennard_jones())
    bulk = bench.structures["bulk"]
    # 32 atoms, shaken: 37 angstrom^3 each
    assert abs(np.linalg.det(bulk.cell)) / 32 == pytest.approx(37, rel=0.06)
    for name, structure in bench.structures.items():
        if name != "atom":
            up, down = (bench.energy(calibration.scaled(structure, factor)) for factor in (1.03, 0.97))
            assert bench.energy(structure) < min(up, down)


def test_structures_keep_their_lengths_without_a_minimum():
    trials = trial_structures([1, 6, 8, 14])
    found = bench_of(wrap(NoLists())).structures
    assert all(np.array_equal(found[name].positions, each.positions) for name, each in trials.items())


def test_default_structures_without_a_model_are_those_of_core():
    found = default_structures([14])
    assert all(np.array_equal(found[name].cell, each.cell) for name, each in trial_structures([14]).items())


def test_crystal_of_silicon_is_diamond():
    found = calibration.best_crystal(bench_of(stillinger_weber()), 14)
    assert (found.lattice, found.bound) == ("diamond", True)
    assert found.spacing == pytest.approx(5.431 * np.sqrt(3) / 4, rel=1e-3)


def test_distance_of_pairs_is_that_of_the_formula():
    assert calibration.pair_distance(bench_of(lennard_jones()), 18, 18) == pytest.approx(2 ** (1 / 6) * SIGMA, rel=1e-3)
    r = np.linspace(1.5, 3, 10001)
    morse = np.exp(-1.5 * (r - 2.2)) * (np.exp(-1.5 * (r - 2.2)) - 2) * (1 - (r / 5) ** 2) ** 3
    assert calibration.pair_distance(bench_of(twin()), 14, 14) == pytest.approx(r[morse.argmin()], rel=1e-3)


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (lambda x: (x - 2.3) ** 2, 2.3),
        # the bond, of more energy, behind higher barriers than the shallow one farther out
        (lambda x: np.where(x < 3, (x - 2) ** 2, np.where(x < 4, 1 - 1.1 * (x - 3), 0.05 * (x - 4) - 0.1)), 2.0),
        (lambda x: -x, None),
        (lambda x: np.where(x < 2, np.nan, (x - 3) ** 2), 3.0),
    ],
    ids=["parabola", "two", "none", "no numbers"],
)
def test_minimum_is_that_behind_the_highest_barriers(y, expected):
    x = np.linspace(1, 5, 81)
    found = calibration.minimum_of(x, y(x))
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-2))


@pytest.mark.parametrize(("lattice", "neighbors"), [("fcc", 12), ("bcc", 8), ("simple cubic", 6), ("diamond", 4)])
def test_lattices_have_their_neighbors(lattice, neighbors):
    cells = repeated(crystal(lattice, 14, 2.5), (5, 5, 5))
    middle = cells.positions - cells.positions.mean(axis=0)
    atom = int(np.argmin(np.linalg.norm(middle, axis=1)))
    r = np.linalg.norm(cells.positions - cells.positions[atom], axis=1)
    assert (np.abs(r - 2.5) < 1e-9).sum() == neighbors
    assert np.sort(r)[1] == pytest.approx(2.5)
    assert len(LATTICES) == 4


def test_geometry_takes_inputs_along():
    pair = dataclasses.replace(dimer(8, 14, 2.0), inputs={"charge": np.array([1.0, -1.0]), "spin": np.array(3.0)})
    turned = taken(pair, np.array([1, 0]))
    assert turned.inputs["charge"].tolist() == [-1, 1]
    assert float(turned.inputs["spin"]) == 3
    box = repeated(boxed(pair, 3.0), (2, 1, 1))
    assert box.inputs["charge"].tolist() == [1, -1, 1, -1]
    assert box.positions[2] - box.positions[0] == pytest.approx(box.cell[0] / 2)


def test_geometry_of_several_molecules():
    both = together(dimer(8, 14, 2.0), dimer(14, 14, 1.0))
    assert both.types.tolist() == [8, 14, 14, 14]
    cell = np.array([[3.0, 0, 0], [1, 3, 0], [0, 1, 3]])
    inside = wrapped(Structure(both.types, both.positions + 7 * cell[1], cell, np.ones(3, bool)))
    fractions = inside.positions @ np.linalg.inv(cell)
    assert ((fractions >= 0) & (fractions < 1)).all()


def test_rotations_are_proper():
    rng = np.random.default_rng(0)
    for _ in range(10):
        matrix = rotation(rng)
        assert matrix @ matrix.T == pytest.approx(np.eye(3), abs=1e-12)
        assert np.linalg.det(matrix) == pytest.approx(1)
