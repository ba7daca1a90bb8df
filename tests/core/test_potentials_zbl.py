"""The screened repulsion of nuclei: the published function, and the way in which it goes to zero."""

import numpy as np
import pytest
from command_line import fail, succeed
from potential_cases import NONE, make_engine

from metatomic_core import load_atomistic_model
from metatomic_core.engine import Structure
from metatomic_core.potentials import zbl

# e^2 / (4 pi eps0) in eV angstrom: CODATA 2018, e = 1.602176634e-19 C, eps0 = 8.8541878128e-12 F/m
CHARGE2 = 1.602176634e-19 / (4 * np.pi * 8.8541878128e-12) * 1e10
INNER, OUTER = 1.0, 2.0


def published(r, first, second):
    x = r * (first**0.23 + second**0.23) / 0.46850
    phi = 0.18175 * np.exp(-3.19980 * x) + 0.50986 * np.exp(-0.94229 * x)
    phi += 0.28022 * np.exp(-0.40290 * x) + 0.02817 * np.exp(-0.20162 * x)
    return CHARGE2 * first * second * phi / r


def energies(model, distances, types=(14, 8)):
    dimers = [
        Structure(np.array(types), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, r]]), np.zeros((3, 3)), NONE)
        for r in np.atleast_1d(distances)
    ]
    return make_engine(model).evaluate(dimers, ["energy"]).energy


@pytest.mark.parametrize("types", [(14, 8), (8, 14), (8, 8), (14, 14)])
def test_energy_is_the_published_one_but_for_a_constant(types):
    model = zbl(["Si", "O"], INNER, OUTER)
    distances = np.array([0.3, 0.5, 0.8, 0.999])
    differences = energies(model, distances, types) - published(distances, *types)
    np.testing.assert_allclose(differences, differences[0], rtol=0, atol=1e-9 * published(0.3, *types))
    # of a few per cent where it matters
    assert abs(differences[0]) < 0.1 * published(0.5, *types)


def test_energy_force_and_curvature_go_to_zero():
    model = zbl(["Si", "O"], INNER, OUTER)
    at = energies(model, OUTER - np.array([0.02, 0.01, 1e-7]))
    # the fourth power of the distance to the cutoff has none of the three; a cubic is left, of the third derivative
    assert at[0] / at[1] == pytest.approx(8.0, rel=0.1)
    assert abs(at[2]) < 1e-9
    step = 1e-4
    for r in (INNER, OUTER):
        values = energies(model, r + step * np.arange(-2.0, 3.0))
        left, right = values[0] - 2 * values[1] + values[2], values[2] - 2 * values[3] + values[4]
        # curvature on both sides
        assert left / step**2 == pytest.approx(right / step**2, rel=2e-3, abs=0.05)


def test_command_writes_the_model(tmp_path):
    path = tmp_path / "zbl.pt"
    succeed("export", "zbl", "-o", path, "--species", "Si", "--species", "O", "--inner", "1.0", "--outer", "2.0")
    np.testing.assert_allclose(
        energies(load_atomistic_model(path), [0.7, 1.6]), energies(zbl(["Si", "O"], 1.0, 2.0), [0.7, 1.6]), rtol=1e-13
    )


def test_units_are_converted():
    other = zbl(["Si", "O"], 0.1, 0.2, length_unit="nm", energy_unit="kJ/mol")
    np.testing.assert_allclose(energies(other, [0.7, 1.6]), energies(zbl(["Si", "O"], 1.0, 2.0), [0.7, 1.6]), rtol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Si", 2.0, 1.0), "expected `inner` below `outer`, 1, got 2"),
        (("Si", -0.1, 1.0), "expected `inner` to be a finite number not below 0"),
        (("Si", 0.5, 0.0), "expected `outer` to be a finite number above 0"),
        (("Sj",), "expected `species` to be element symbols, got 'Sj'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        zbl(*arguments)


def test_command_says_what_is_wrong(tmp_path):
    assert "expected `inner` below `outer`" in fail(
        "export", "zbl", "-o", tmp_path / "zbl.pt", "--species", "Si", "--inner", "3"
    )
    assert "--species" in fail("export", "zbl", "-o", tmp_path / "zbl.pt", status=2)
