"""The embedded atom method: splines, files in three formats, the functions of Sutton and Chen, refused files."""

import numpy as np
import pytest
import torch
from potential_cases import (
    ALL,
    EAM_CUTOFF,
    EAM_GRIDS,
    NONE,
    alloy_file,
    assert_close,
    close_pair,
    eam_density,
    eam_embedding,
    eam_pair,
    funcfl,
    make_engine,
    setfl,
    structures,
    write_table,
)

from metatomic_core.engine import Structure
from metatomic_core.potentials import _sutton_chen as sutton_chen
from metatomic_core.potentials import embedded_atom
from metatomic_core.potentials._setup import make_model
from metatomic_core.potentials._splines import cubic, interval_of, spline_coefficients
from metatomic_core.potentials.embedded_atom import EmbeddedAtom

NUMBERS = {"Ni": 28, "Al": 13, "Cu": 29}
SYMBOLS = {number: symbol for symbol, number in NUMBERS.items()}
# Pair energies of funcfl files: 27.2 eV times 0.529 angstrom, as the LAMMPS manual says
CHARGE_UNIT = 27.2 * 0.529


def evaluate(values, x):
    """Interpolate values on the grid 0, 1, 2, ... at x."""
    coefficients = spline_coefficients(values)
    position = torch.tensor(x, dtype=torch.float64)
    interval = interval_of(position, len(values))
    return cubic(coefficients[interval], position - interval).numpy()


def test_spline_has_values_at_grid_points():
    values = np.random.default_rng(1).normal(size=9)
    np.testing.assert_allclose(evaluate(values, np.arange(9.0)), values, rtol=0, atol=1e-15)


def test_spline_of_parabola_is_exact_away_from_the_ends():
    x = np.linspace(1, 7, 50)
    np.testing.assert_allclose(evaluate((np.arange(9.0) - 3) ** 2, x), (x - 3) ** 2, rtol=0, atol=1e-13)


def test_spline_of_quartic_has_exact_slopes_inside():
    # differences of five points are exact for polynomials of degree four
    polynomial = np.polynomial.Polynomial([1.0, -2.0, 0.5, 0.3, -0.1])
    slopes = spline_coefficients(polynomial(np.arange(9.0)))[:, 1].numpy()
    np.testing.assert_allclose(slopes[2:-2], polynomial.deriv()(np.arange(2, 7)), rtol=1e-12)


def test_spline_slopes_near_the_ends_are_differences():
    values = np.random.default_rng(1).normal(size=9)
    slopes = spline_coefficients(values)[:, 1].numpy()
    expected = [values[1] - values[0], (values[2] - values[0]) / 2, (values[8] - values[6]) / 2, values[8] - values[7]]
    np.testing.assert_allclose(slopes[[0, 1, 7, 8]], expected, rtol=1e-14)


def test_spline_has_continuous_slope():
    values = np.random.default_rng(1).normal(size=9)
    h = 1e-6
    for knot in range(1, 8):
        below, at, above = evaluate(values, np.array([knot - h, knot, knot + h]))
        assert (at - below) / h == pytest.approx((above - at) / h, abs=1e-4)


def analytic_energy(structure, place=None, embedding=eam_embedding, density=eam_density, pair=eam_pair):
    """Sum the functions that the test files are written from, for a molecule."""
    names = [SYMBOLS[number] for number in structure.types]
    rho, energy = np.zeros(len(names)), 0.0
    for i, first in enumerate(names):
        for j, second in enumerate(names):
            r = np.linalg.norm(structure.positions[j] - structure.positions[i])
            if i != j and r < EAM_CUTOFF:
                rho[i] += density(second, first if place else None, r)
                energy += 0.5 * pair(first, second, r) / r
    return energy + sum(embedding(name, x) for name, x in zip(names, rho, strict=True))


@pytest.mark.parametrize("finnis_sinclair", [False, True])
def test_setfl_energy_is_that_of_its_functions(finnis_sinclair, tmp_path):
    case = structures([13, 28], 2.4)["molecule"]
    model = embedded_atom(alloy_file(tmp_path, finnis_sinclair))
    assert model.atomic_types() == [28, 13]
    got = make_engine(model).evaluate([case]).energy[0]
    # splines on a grid of 0.0025 angstrom
    assert got == pytest.approx(analytic_energy(case, place=finnis_sinclair), rel=1e-9)


def test_finnis_sinclair_is_not_taken_for_alloy(tmp_path):
    # both files have the same functions but for the dependence on the place
    case = structures([13, 28], 2.4)["molecule"]
    energies = [make_engine(embedded_atom(alloy_file(tmp_path, fs))).evaluate([case]).energy[0] for fs in (False, True)]
    assert abs(energies[0] - energies[1]) > 0.1


@pytest.mark.parametrize("finnis_sinclair", [False, True])
@pytest.mark.parametrize("species", [["Al"], ["Al", "Ni"], [13, "Ni"]])
def test_some_species_in_another_order(species, finnis_sinclair, tmp_path):
    path = alloy_file(tmp_path, finnis_sinclair)
    case = structures([13, 28] if len(species) == 2 else [13], 2.4)["triclinic"]
    results = ["energy", "atomic_energies", "forces"]
    got = make_engine(embedded_atom(path, species=species)).evaluate([case], results)
    expected = make_engine(embedded_atom(path)).evaluate([case], results)
    for result in results:
        assert_close(getattr(got, result), getattr(expected, result), 1e-14)


def charge(r):
    return 11.0 * np.exp(-0.8 * r) * np.where(r < EAM_CUTOFF, 1 - r / EAM_CUTOFF, 0.0) ** 2


def funcfl_file(folder, name, grids, strength=1.0):
    path = folder / f"{name}.eam"
    path.write_text(
        funcfl(
            NUMBERS[name],
            grids,
            lambda rho: eam_embedding("Ni", rho),
            lambda r: strength * charge(r),
            lambda r: strength * eam_density("Ni", None, r),
        )
    )
    return path


def funcfl_energy(case, strength):
    return analytic_energy(
        case,
        embedding=lambda element, rho: eam_embedding("Ni", rho),
        density=lambda source, place, r: strength[source] * eam_density("Ni", None, r),
        pair=lambda first, second, r: CHARGE_UNIT * strength[first] * strength[second] * charge(r) ** 2,
    )


def test_funcfl_energy_is_that_of_its_functions(tmp_path):
    case = structures([29], 2.4)["molecule"]
    model = embedded_atom(funcfl_file(tmp_path, "Cu", EAM_GRIDS))
    assert model.atomic_types() == [29]
    assert make_engine(model).evaluate([case]).energy[0] == pytest.approx(funcfl_energy(case, {"Cu": 1.0}), rel=1e-9)


def test_several_funcfl_files_are_mixed_on_common_grids(tmp_path):
    # other grids for the second file: wider in density, and finer in both
    files = [
        funcfl_file(tmp_path, "Cu", EAM_GRIDS),
        funcfl_file(tmp_path, "Ni", (5001, 0.004, 3001, 0.002, EAM_CUTOFF), strength=0.8),
    ]
    case = structures([29, 28], 2.4)["molecule"]
    model = embedded_atom(files)
    expected = funcfl_energy(case, {"Cu": 1.0, "Ni": 0.8})
    assert make_engine(model).evaluate([case]).energy[0] == pytest.approx(expected, rel=1e-8)
    assert embedded_atom(files, species="Ni").atomic_types() == [28]


def dimer_energy(model, distance):
    dimer = Structure(np.array([28, 28]), np.array([[0, 0, 0], [distance, 0, 0]]), np.zeros((3, 3)), NONE)
    return make_engine(model).evaluate([dimer], ["energy", "forces"])


def test_embedding_beyond_the_table_is_linear(tmp_path):
    # the density of two atoms, twice of which is beyond the end of a short table at 0.5
    path = tmp_path / "short.eam.alloy"
    grids = (101, 0.005, *EAM_GRIDS[2:])
    path.write_text(setfl(["Ni"], grids, eam_embedding, eam_density, lambda a, b, r: 0.0 * r))
    r = 2.0
    rho = eam_density("Ni", None, r)
    assert rho > 0.5
    end, before = eam_embedding("Ni", 0.5), eam_embedding("Ni", 0.495)
    expected = 2 * (end + (end - before) / 0.005 * (rho - 0.5))
    result = dimer_energy(embedded_atom(path), r)
    assert result.energy[0] == pytest.approx(expected, rel=1e-10)
    h = 1e-6
    slope = (eam_density("Ni", None, r + h) - eam_density("Ni", None, r - h)) / (2 * h)
    assert result.forces[0, 0] == pytest.approx(2 * (end - before) / 0.005 * slope, rel=1e-6)


def test_embedding_energy_of_a_lone_atom_is_that_of_the_table(tmp_path):
    path = tmp_path / "offset.eam.alloy"
    path.write_text(setfl(["Ni"], EAM_GRIDS, lambda e, rho: eam_embedding(e, rho) - 1.5, eam_density, eam_pair))
    lone = structures([28], 2.4)["isolated atom"]
    assert make_engine(embedded_atom(path)).evaluate([lone]).energy[0] == -1.5


def fcc(lattice):
    return Structure(np.array([29]), np.zeros((1, 3)), 0.5 * lattice * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]), ALL)


def fcc_sum(power, radius=60):
    """Sum (a / r)^power over the fcc lattice: explicitly to a radius, by an integral beyond."""
    n = np.arange(-radius, radius + 1)
    i, j, k = np.meshgrid(n, n, n, indexing="ij")
    r = 0.5 * np.sqrt((i**2 + j**2 + k**2)[(i + j + k) % 2 == 0])
    end = radius / 2
    r = r[(r > 0) & (r < end)]
    # four atoms for each cube of the lattice constant
    return (r**-power).sum() + 16 * np.pi * end ** (3.0 - power) / (power - 3)


def test_sutton_chen_parameters_are_those_of_equilibrium():
    # Sutton and Chen, Phil. Mag. Lett. 61, 139 (1990): c follows from equilibrium at a; the bulk modulus is
    # n m / 18 cohesive energies for each volume of an atom
    n, m = sutton_chen.N, sutton_chen.M
    c = n * fcc_sum(n) / (m * np.sqrt(fcc_sum(m)))
    assert c == pytest.approx(sutton_chen.C, abs=1e-3)
    cohesive = -sutton_chen.EPSILON * (0.5 * fcc_sum(n) - sutton_chen.C * np.sqrt(fcc_sum(m)))
    # copper: 3.49 eV and 137 GPa at room temperature, Kittel, Introduction to Solid State Physics
    assert cohesive == pytest.approx(3.49, abs=0.015)
    assert n * m / 18 * cohesive / (sutton_chen.A**3 / 4) * 160.2176634 == pytest.approx(140, abs=4)


def test_sutton_chen_with_a_long_cutoff_has_the_energy_of_lattice_sums():
    a, cutoff = sutton_chen.A, 30.0
    functions = sutton_chen.SuttonChen(a, sutton_chen.EPSILON, sutton_chen.C, 9, 6, 0.99 * cutoff, cutoff)
    model = make_model(
        EmbeddedAtom([29], cutoff, functions),
        name="", description="", references={}, species=[29], interaction_range=cutoff,
        length_unit="angstrom", energy_unit="eV", dtype="float64",
    )  # fmt: skip
    result = make_engine(model).evaluate([fcc(a)], ["energy", "stress"])
    expected = sutton_chen.EPSILON * (0.5 * fcc_sum(9) - sutton_chen.C * np.sqrt(fcc_sum(6)))
    assert result.energy[0] == pytest.approx(expected, rel=1e-3)
    # in GPa, where the bulk modulus is 143
    assert np.abs(result.stress).max() * 160.2 < 0.2


def test_default_copper_has_the_documented_properties():
    engine = make_engine(embedded_atom())
    result = engine.evaluate([fcc(3.61117)], ["energy", "stress"])
    assert result.energy[0] == pytest.approx(-3.457, abs=5e-4)
    assert np.abs(result.stress).max() * 160.2 < 0.01


def test_copper_pair_at_the_cutoff_gives_zero():
    # the slope of the square root is infinite at the density zero that two such atoms have
    energy, forces = close_pair(embedded_atom(), sutton_chen.CUTOFF * sutton_chen.A * (1 + 1e-15), 1)
    assert np.abs(energy).max() == 0
    assert np.abs(forces).max() == 0


def alloy_text():
    return setfl(["Ni", "Al"], (11, 0.5, 12, 0.5, EAM_CUTOFF), eam_embedding, eam_density, eam_pair)


def funcfl_text():
    return funcfl(29, (11, 0.5, 12, 0.5, EAM_CUTOFF), lambda rho: rho, charge, charge)


def truncated(text, n):
    return "\n".join(text.splitlines()[:-n])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "expected a line with the number of elements and their names in .*, got the end of the file"),
        (lambda text: truncated(text, 1), "expected 12 numbers of the pair energy of Al and Al in .*is it complete"),
        (lambda text: truncated(text, 8), "expected 12 numbers of the density of Al in .*, got the end of the file"),
        (lambda text: text.replace(" 2 Ni Al", " 2 Ni"), "expected the number of elements and as many names in line 4"),
        (lambda text: text.replace(" 2 Ni Al", " 2 Ni Ni"), "expected each element once in line 4 .*, got '2 Ni Ni'"),
        (lambda text: text.replace(" 2 Ni Al", " two Ni Al"), "expected a number for the number of elements in line 4"),
        (lambda text: text.replace(" 2 Ni Al", " 2 Ni Aluminium"), "expected `species` to be element symbols, got 'A"),
        (lambda text: text.replace("11 0.5 12", "11 0.0 12"), "at least five grid points, positive spacings and"),
        (lambda text: text.replace("11 0.5 12", "3 0.5 12"), "at least five grid points, positive spacings and"),
        (
            lambda text: text.replace("12 0.5 5.0", "12 0.5"),
            "expected n_rho, drho, n_r, dr and cutoff in line 5 .* 4 words",
        ),
        (lambda text: text.replace("11 0.5 12", "11 nan 12"), "expected a finite number for the sizes and spacings"),
        (lambda text: text.replace("11 0.5 12", "10 0.5 12"), "expected 10 numbers of the embedding energy .*, got 11"),
        (lambda text: text.replace("e+00", "x+00", 1), "expected a number for the embedding energy of Ni in line 7 of"),
    ],
)
def test_setfl_refused(change, message, tmp_path):
    path = tmp_path / "bad.eam.alloy"
    path.write_text(change(alloy_text()))
    with pytest.raises(ValueError, match=message):
        embedded_atom(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: truncated(text, 1), "expected 12 numbers of the density of Cu in .*, got the end of the file"),
        (lambda text: text.replace(" 29 63", " Cu 63"), "expected a number for the atomic number in line 2 .* 'Cu'"),
        (lambda text: text.replace(" 29 63", f" {10**400} 63"), "expected a number for the atomic number in line 2"),
        (lambda text: text.replace(" 29 63", " 290 63"), "atomic numbers between 1 and 118, got 290"),
    ],
)
def test_funcfl_refused(change, message, tmp_path):
    path = tmp_path / "bad.eam"
    path.write_text(change(funcfl_text()))
    with pytest.raises(ValueError, match=message):
        embedded_atom(path)


def test_files_that_do_not_go_together_refused(tmp_path):
    (tmp_path / "alloy").write_text(alloy_text())
    (tmp_path / "cu").write_text(funcfl_text())
    with pytest.raises(ValueError, match="expected one file, or funcfl files only, for `file`, got 2 files"):
        embedded_atom([tmp_path / "alloy", tmp_path / "cu"])
    with pytest.raises(ValueError, match="expected one file, or funcfl files only, for `file`, got 0 files"):
        embedded_atom([])
    with pytest.raises(ValueError, match="expected one funcfl file for each element in `file`, got \\['Cu', 'Cu'\\]"):
        embedded_atom([tmp_path / "cu", tmp_path / "cu"])


def test_file_that_does_not_exist_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected `file` to be an existing file, got '.*nothing\.eam'"):
        embedded_atom(tmp_path / "nothing.eam")


def test_species_that_the_file_does_not_have_refused(tmp_path):
    with pytest.raises(ValueError, match="expected `species` among those of the file, Ni, Al, got 'Cu'"):
        embedded_atom(alloy_file(tmp_path), species="Cu")
    with pytest.raises(ValueError, match="expected `species` among those of the file, Cu, got 'Ag'"):
        embedded_atom(species="Ag")


def test_numbers_may_be_on_any_number_of_lines(tmp_path):
    text = alloy_text()
    table = write_table(eam_embedding("Ni", np.arange(11) * 0.5))
    assert table in text
    path = tmp_path / "lines.eam.alloy"
    path.write_text(text)
    other = tmp_path / "other.eam.alloy"
    other.write_text(text.replace(table, table.replace("\n", " ").replace(" ", "\n\n")))
    case = structures([13, 28], 2.4)["molecule"]
    energies = [make_engine(embedded_atom(file)).evaluate([case]).energy[0] for file in (path, other)]
    assert energies[0] == energies[1]
