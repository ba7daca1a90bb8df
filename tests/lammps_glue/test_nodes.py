"""Ghosts to nodes and pairs (`Nodes` of the plugin), against all pairs of the crystal; without a LAMMPS run."""

import itertools

import numpy as np
import pytest
from lammps_tools import compile_alone, run_program

# in the long cells some atoms are near the own box by copies on its left, others by copies on its right
CUTOFF, SKIN, SHELL = 3.2, 0.4, 5.0
MODES = {"half": 0, "half of several ranks": 1, "full": 2, "full with ghosts": 3}
CELLS = {
    "orthogonal": (np.diag([14.0, 5.8, 6.1]), (1, 1, 1)),
    "triclinic": (np.array([[14.0, 0, 0], [6.9, 5.8, 0], [-6.5, 1.7, 6.1]]), (1, 1, 1)),
    "slab": (np.diag([14.0, 5.8, 9.0]), (1, 1, 0)),
    # atoms are neighbors of their own images
    "thin": (np.diag([14.0, 2.9, 3.0]), (1, 1, 1)),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nodes")
    for name in ("atom", "domain", "neigh_list", "pointers"):
        (folder / f"{name}.h").write_text('#include "lammps_stubs.h"\n')
    includes = [folder, __file__.rpartition("/")[0]]
    return compile_alone(folder / "nodes", "nodes_driver.cpp", ["metatomic_nodes.cpp", "metatomic_pairs.cpp"], includes)


class Rank:
    """What one rank of LAMMPS has: its atoms, copies of those around, and which of them are near."""

    def __init__(self, shape, n_ranks):
        self.cell, self.pbc = CELLS[shape]
        random = np.random.default_rng(3)
        fractions = random.uniform(0, 1, (int(np.linalg.det(self.cell) / 16.0), 3))
        if not self.pbc[2]:
            fractions[:, 2] = 0.2 + 0.6 * fractions[:, 2]
        self.low, self.high = np.zeros(3), np.array([1.0 / n_ranks, 1.0, 1.0])
        self.crystal = fractions @ self.cell
        images = [range(-3 * periodic, 3 * periodic + 1) for periodic in self.pbc]
        # no shift first
        self.shifts = np.array(sorted(itertools.product(*images), key=lambda shift: shift != (0, 0, 0)))
        # distances of planes, one for each face of the box
        self.widths = 1.0 / np.linalg.norm(np.linalg.inv(self.cell), axis=0)
        own = np.all((fractions >= self.low) & (fractions < self.high), axis=1)
        places = fractions + self.shifts[:, None, :]
        depths = self.depth(places)
        near = depths <= SHELL
        near[0, own] = False
        ghosts = np.argwhere(near)
        self.n_local = int(own.sum())
        self.tags = np.concatenate([np.flatnonzero(own), ghosts[:, 1]]) + 1
        self.positions = np.concatenate([fractions[own], places[ghosts[:, 0], ghosts[:, 1]]]) @ self.cell
        self.depths = np.concatenate([np.zeros(self.n_local), depths[ghosts[:, 0], ghosts[:, 1]]])

    def depth(self, fractions):
        """Largest distance from the planes of the faces of the own box, zero inside."""
        outside = np.maximum(self.low - fractions, fractions - self.high) * self.widths
        return np.maximum(outside.max(axis=-1), 0.0)

    def neighbors(self, mode):
        """The lists that LAMMPS makes, by its rules for half lists."""
        x = self.positions
        rows = []
        for i in range(len(x)):
            distances = np.linalg.norm(x - x[i], axis=1)
            near = np.flatnonzero((distances < CUTOFF + SKIN) & (np.arange(len(x)) != i))
            if mode.startswith("half"):
                above = [tuple(x[j][::-1]) > tuple(x[i][::-1]) for j in near]
                listed_once = [j > i if j < self.n_local else mode != "half" or up for j, up in zip(near, above)]
                near = near[np.array(listed_once, dtype=bool)]
            rows.append(near)
        return rows

    def text(self, mode, full_list):
        inverse = np.linalg.inv(self.cell)
        triclinic = int(np.any(self.cell != np.diag(np.diag(self.cell))))
        h_inv = [inverse[0, 0], inverse[1, 1], inverse[2, 2], inverse[2, 1], inverse[2, 0], inverse[1, 0]]
        scale = 1.0 if triclinic else np.diag(self.cell)
        numbers = [MODES[mode], int(full_list), CUTOFF, self.n_local, len(self.tags) - self.n_local, triclinic]
        numbers += [*self.pbc, *h_inv, *(self.low * scale), *(self.high * scale), *self.tags, *self.positions.ravel()]
        for row in self.neighbors(mode):
            numbers += [len(row), *row]
        return " ".join(str(number) for number in numbers)

    def true_pairs(self):
        """Every pair in the crystal, (tag, tag, vector), in both directions."""
        x = self.crystal
        vectors = x - x[:, None] + (self.shifts @ self.cell)[:, None, None]
        distances = np.linalg.norm(vectors, axis=-1)
        _, first, second = found = np.nonzero((distances > 0) & (distances < CUTOFF))
        return {rounded(i + 1, j + 1, vector) for i, j, vector in zip(first, second, vectors[found])}


def rounded(first, second, vector):
    return (int(first), int(second), *np.round(vector, 6) + 0.0)


def reverse(pair):
    return (pair[1], pair[0], *(-np.array(pair[2:]) + 0.0))


# LAMMPS is asked for full lists if the model wants one
@pytest.mark.parametrize(
    ("mode", "full_list"), [*((mode, False) for mode in MODES), ("full", True), ("full with ghosts", True)]
)
@pytest.mark.parametrize("shape", CELLS)
def test_pairs_are_those_of_the_crystal(shape, mode, full_list, program):
    rank = Rank(shape, 1 if mode == "half" else 2)
    lines = run_program(program, text=rank.text(mode, full_list)).splitlines()
    n_local, atoms = int(lines[0]), np.array(lines[1].split(), dtype=int)
    table = np.array([line.split() for line in lines[2:]], dtype=float)
    values, vectors = table[:, :5].astype(int), table[:, 5:]
    tags = rank.tags[atoms]
    assert n_local == rank.n_local
    assert sorted(tags) == sorted(set(rank.tags))
    for tag, depth in zip(tags, rank.depths[atoms]):
        assert depth == pytest.approx(rank.depths[rank.tags == tag].min())
    # vector and shift say the same
    x = rank.positions[atoms]
    np.testing.assert_allclose(x[values[:, 1]] - x[values[:, 0]] + values[:, 2:] @ rank.cell, vectors, atol=1e-12)

    pairs = [rounded(tags[i], tags[j], vector) for (i, j), vector in zip(values[:, :2], vectors)]
    assert len(set(pairs)) == len(pairs)
    both = {*pairs, *map(reverse, pairs)}
    true = rank.true_pairs()
    assert both <= true
    own = set(tags[:n_local])
    of_own = {pair for pair in true if pair[0] in own}
    if mode == "full with ghosts":
        # a ghost that is not deep has all its neighbors
        whole = set(tags[rank.depths[atoms] < SHELL - CUTOFF - SKIN])
        assert len(whole) > len(own)
        assert {pair for pair in true if pair[0] in whole} <= both
        # each pair has its reverse, also where copies on two sides of the box stand for two atoms
        assert len(pairs) == len(both) * (1 if full_list else 0.5)
    elif full_list:
        assert set(pairs) == of_own
    else:
        assert {pair for pair in both if pair[0] in own} == of_own
        among_own = [pair for pair in pairs if pair[0] in own and pair[1] in own]
        assert len(among_own) == len([pair for pair in of_own if pair[1] in own]) / 2
