"""The Lennard-Jones potential: analytic energies, cutoffs, mixing, and refused parameters."""

import numpy as np
import pytest
from potential_cases import NONE, close_pair, make_engine

from metatomic_core.engine import Structure
from metatomic_core.potentials import lennard_jones

SIGMA, EPSILON, CUTOFF = 3.0, 0.5, 6.0


def pair_energy(model, distance, types=(18, 18)):
    dimer = Structure(np.array(types), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, distance]]), np.zeros((3, 3)), NONE)
    return make_engine(model).evaluate([dimer]).energy[0]


def analytic(distance, sigma=SIGMA, epsilon=EPSILON):
    return 4 * epsilon * ((sigma / distance) ** 12 - (sigma / distance) ** 6)


def smooth_step(distance, onset, cutoff):
    """Give the cubic of r^2 with the values 1 and 0 and slopes 0, by solving for its coefficients."""
    x, y = onset**2, cutoff**2
    rows = [[1, x, x**2, x**3], [1, y, y**2, y**3], [0, 1, 2 * x, 3 * x**2], [0, 1, 2 * y, 3 * y**2]]
    coefficients = np.linalg.solve(np.array(rows, dtype=float), [1, 0, 0, 0])
    return np.polynomial.Polynomial(coefficients)(distance**2)


@pytest.mark.parametrize("distance", [2.5, SIGMA, 2 ** (1 / 6) * SIGMA, 4.5, 5.9])
@pytest.mark.parametrize("shift", ["none", "energy", "smooth"])
def test_energy_of_two_atoms(shift, distance):
    expected = analytic(distance)
    if shift == "energy":
        expected -= analytic(CUTOFF)
    if shift == "smooth" and distance > 0.66 * CUTOFF:
        expected *= smooth_step(distance, 0.66 * CUTOFF, CUTOFF)
    model = lennard_jones("Ar", SIGMA, EPSILON, CUTOFF, shift=shift)
    assert pair_energy(model, distance) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_default_does_not_jump_at_the_cutoff():
    # molecular dynamics conserves the energy only then: test_argon_example_conserves_energy, in LAMMPS
    assert abs(pair_energy(lennard_jones("Ar", SIGMA, EPSILON, CUTOFF), CUTOFF - 1e-9)) < 1e-9 * EPSILON


@pytest.mark.parametrize("shift", ["none", "energy", "smooth"])
def test_energy_beyond_cutoff_is_zero(shift):
    assert pair_energy(lennard_jones("Ar", SIGMA, EPSILON, CUTOFF, shift=shift), 1.0001 * CUTOFF) == 0


def test_argon_has_published_depth_at_published_distance():
    # epsilon / k_B = 119.8 K, sigma = 3.405 angstrom; k_B = 1.380649e-23 J/K, e = 1.602176634e-19 C
    expected = -119.8 * 1.380649e-23 / 1.602176634e-19
    assert pair_energy(lennard_jones(shift="none"), 2 ** (1 / 6) * 3.405) == pytest.approx(expected, rel=1e-9)
    assert lennard_jones().capabilities().interaction_range == pytest.approx(2.5 * 3.405, rel=1e-15)


@pytest.mark.parametrize(
    ("mixing", "sigma", "epsilon"),
    [("lorentz-berthelot", 3.5, 0.6), ("geometric", np.sqrt(3.0 * 4.0), 0.6)],
)
def test_mixed_parameters(mixing, sigma, epsilon):
    model = lennard_jones(["Kr", "Ar"], {"Ar": 3.0, "Kr": 4.0}, {36: 0.9, 18: 0.4}, 9.0, shift="none", mixing=mixing)
    assert pair_energy(model, 3.7, (18, 18)) == pytest.approx(analytic(3.7, 3.0, 0.4), rel=1e-12)
    assert pair_energy(model, 3.7, (36, 36)) == pytest.approx(analytic(3.7, 4.0, 0.9), rel=1e-12)
    assert pair_energy(model, 3.7, (18, 36)) == pytest.approx(analytic(3.7, sigma, epsilon), rel=1e-12)
    assert pair_energy(model, 3.7, (36, 18)) == pytest.approx(analytic(3.7, sigma, epsilon), rel=1e-12)


def test_parameters_of_a_pair_replace_mixed_ones():
    sigma = {"Ar": 3.0, "Kr": 4.0, ("Kr", "Ar"): 3.2}
    model = lennard_jones(["Ar", "Kr"], sigma, {"Ar": 0.4, "Kr": 0.9, ("Ar", "Kr"): 0.0}, 9.0)
    assert pair_energy(model, 3.7, (18, 36)) == 0
    model = lennard_jones(["Ar", "Kr"], sigma, 0.5, 9.0, shift="none")
    assert pair_energy(model, 3.7, (18, 36)) == pytest.approx(analytic(3.7, 3.2, 0.5), rel=1e-12)


def test_tiny_distance_overflows():
    energy, forces = close_pair(lennard_jones(), 1e-30, 1)
    assert not np.isfinite(energy).any()
    assert not np.isfinite(forces).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Ar", 0.0, 1.0), "expected `sigma` to be a finite number above 0, got 0"),
        (("Ar", -3.4, 1.0), "expected `sigma` to be a finite number above 0, got -3.4"),
        (("Ar", float("nan"), 1.0), "expected `sigma` to be a finite number above 0, got nan"),
        (("Ar", 3.4, -1.0), "expected `epsilon` to be a finite number not below 0, got -1"),
        (("Ar", 3.4, 1.0, 0.0), "expected `cutoff` to be a finite number above 0, got 0"),
        (("Ar", 3.4, 1.0, float("inf")), "expected `cutoff` to be a finite number above 0, got inf"),
        (("Kr", None, 1.0), "expected `sigma` for Kr, got None; only argon has defaults"),
        (("Kr", 3.6), "expected `epsilon` for Kr, got None"),
        ((["Ar", "Kr"], {"Ar": 3.4}, 1.0), "expected `sigma` of 'Kr', got none"),
        (
            ("Ar", {"Ar": 3.4, "Kr": 3.6}, 1.0),
            "expected `sigma` of species of this model, or pairs of them, got .*'Kr'",
        ),
        (("Ar", {"Ar": 3.4, 18: 3.6}, 1.0), "expected `sigma` of each pair once, got that of 18 twice"),
        (("Ar", {("Ar", "Ar", "Ar"): 3.4}, 1.0), "expected `sigma` of species of this model, or pairs"),
    ],
)
def test_parameters_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        lennard_jones(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shift": "smoth"}, "expected `shift` to be one of .*, got 'smoth'; did you mean 'smooth'"),
        ({"mixing": "geometrical"}, "expected `mixing` to be one of .*; did you mean 'geometric'"),
        ({"onset": 5.0}, "expected no `onset` with shift 'energy', got 5.0; use shift 'smooth'"),
        ({"onset": 9.0, "shift": "smooth"}, "expected `onset` to be below the cutoff, 8.5125, got 9"),
        ({"onset": 0.0, "shift": "smooth"}, "expected `onset` to be a finite number above 0, got 0"),
    ],
)
def test_options_of_lennard_jones_refused(options, message):
    with pytest.raises(ValueError, match=message):
        lennard_jones(**options)


def test_parameter_of_another_type_refused():
    with pytest.raises(TypeError, match="expected `sigma` to be a number, got str"):
        lennard_jones("Ar", "3.4", 1.0)
