"""Units against published constants, against the constants inside LAMMPS, and scripted against eager."""

import io
import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from unit_cases import (
    ASE_NAMES,
    EQUAL,
    GROMACS_NAMES,
    IPI_NAMES,
    LAMMPS_CONSTANTS,
    LAMMPS_DIMENSIONS,
    LAMMPS_MEANING,
    LAMMPS_UNITS,
    PUBLISHED,
    REFUSED,
)

from metatomic_core.units import (
    check_unit,
    conversion_factor,
    parse_unit,
    unit_conversion_factor,
    unit_dimension,
    unit_table,
)

TABLE = unit_table()


class Converter(torch.nn.Module):
    """Holds the table as a model file does."""

    def __init__(self):
        super().__init__()
        self.table = unit_table()

    def forward(self, from_unit: str, to_unit: str, dimension: str) -> float:
        return conversion_factor(from_unit, to_unit, dimension, self.table)

    @torch.jit.export
    def parse(self, unit: str) -> list[float]:
        return parse_unit(unit, self.table)


@pytest.fixture(scope="module")
def saved():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(Converter()), buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


@pytest.mark.parametrize(("from_unit", "to_unit", "factor", "tolerance"), PUBLISHED)
def test_factor_agrees_with_published_value(from_unit, to_unit, factor, tolerance):
    assert unit_conversion_factor(from_unit, to_unit) == pytest.approx(factor, rel=tolerance)


@pytest.mark.parametrize(
    ("unit", "joule", "tolerance"),
    [
        # NIST, energy equivalents, CODATA 2018
        ("cm^-1", 1.986445857e-23, 1e-9),
        ("m^-1", 1.986445857e-25, 1e-9),
        ("invcm", 1.986445857e-23, 1e-9),
        ("K", 1.380649e-23, 1e-15),
        ("mK", 1.380649e-26, 1e-15),
        ("hartree", 4.3597447222071e-18, 1e-15),
    ],
)
def test_wavenumber_and_temperature_are_energies_where_energy_is_asked(unit, joule, tolerance):
    factor = unit_conversion_factor(unit, "J", dimension="energy")
    assert factor == pytest.approx(joule, rel=tolerance)
    assert unit_conversion_factor("J", unit, dimension="energy") == pytest.approx(1 / joule)
    assert unit_conversion_factor(unit, unit, dimension="energy") == 1.0


def test_hartree_in_wavenumbers_and_kelvin():
    # NIST, CODATA 2018: hartree-inverse meter and hartree-kelvin relationships
    in_cm = unit_conversion_factor("Ha", "cm^-1", dimension="energy")
    assert in_cm == pytest.approx(219474.63136320, rel=1e-12)
    in_kelvin = unit_conversion_factor("Ha", "K", dimension="energy")
    assert in_kelvin == pytest.approx(3.1577502480407e5, rel=1e-12)


@pytest.mark.parametrize("unit", ["cm^-1", "K"])
@pytest.mark.parametrize("dimension", ["", "force"])
def test_wavenumber_and_temperature_are_refused_elsewhere(unit, dimension):
    with pytest.raises(ValueError, match=r"expected (a unit|units) of"):
        unit_conversion_factor(unit, "eV/Å" if dimension else "eV", dimension=dimension)


def test_inverse_centimeter_to_energy_without_quantity_says_why():
    with pytest.raises(
        ValueError,
        match=r"got 'cm\^-1' \(wavenumber\) and 'eV' \(energy\); only a quantity of dimension energy takes",
    ):
        unit_conversion_factor("cm^-1", "eV")


@pytest.mark.parametrize(("style", "constant"), [(s, c) for s, values in LAMMPS_CONSTANTS.items() for c in values])
def test_lammps_style_gives_the_constant_of_the_program(style, constant):
    units = LAMMPS_UNITS[style]
    from_unit, to_unit = (text.format(**units) for text in LAMMPS_MEANING[constant])
    expected = LAMMPS_CONSTANTS[style][constant]
    assert unit_conversion_factor(from_unit, to_unit) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("style", "quantity"), [(s, q) for s, units in LAMMPS_UNITS.items() for q in units])
def test_lammps_unit_has_the_dimension_of_its_quantity(style, quantity):
    dimension = LAMMPS_DIMENSIONS.get(quantity, quantity)
    assert unit_dimension(LAMMPS_UNITS[style][quantity]) == dimension


@pytest.mark.parametrize("names", [ASE_NAMES, IPI_NAMES, GROMACS_NAMES], ids=["ase", "ipi", "gromacs"])
def test_names_of_other_codes_are_known(names):
    for si, units in names.items():
        for unit in units.split():
            assert unit_conversion_factor(unit, "C m" if si == "D" else si) > 0


def test_every_name_parses_to_its_row():
    for name, row in TABLE.items():
        assert parse_unit(name, TABLE) == row[:6]
        if row[6] >= 1:
            assert parse_unit(name.upper(), TABLE) == row[:6]
        if row[6] >= 3:
            assert parse_unit(name.capitalize() + "s", TABLE) == row[:6]


def test_unit_table_is_a_copy():
    unit_table()["eV"][0] = 1.0
    assert unit_table()["eV"][0] == 1.602176634e-19


@pytest.mark.parametrize(("unit", "same"), EQUAL)
def test_spellings_of_one_unit_are_equal(unit, same):
    assert parse_unit(unit, TABLE) == pytest.approx(parse_unit(same, TABLE), rel=1e-14)


@pytest.mark.parametrize(("unit", "message"), REFUSED)
def test_unit_is_refused_with_reason(unit, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 (checked next)
        unit_conversion_factor(unit, "eV")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


# Defects of the reference (reference-interface.md, section 1.9)


def test_reference_gap_mpa_is_not_megapascal():
    assert unit_conversion_factor("MPa", "mPa") == pytest.approx(1e9, rel=1e-14)


def test_reference_gap_mev_is_not_millielectronvolt():
    assert unit_conversion_factor("MeV", "meV") == pytest.approx(1e9, rel=1e-14)


def test_reference_gap_implicit_product():
    assert unit_conversion_factor("kJ mol^-1", "kJ/mol") == pytest.approx(1.0, rel=1e-15)
    assert unit_conversion_factor("eV u", "eV*u") == 1.0


@pytest.mark.parametrize(
    "unit",
    ["Å", "μm", "Ha", "N", "V", "Torr", "kbar", "erg", "pg", "ag", "esu", "Ampere", "deg", "aut", "k_B"],
)
def test_reference_gap_missing_unit_is_known(unit):
    assert parse_unit(unit, TABLE)[0] > 0


def test_reference_gap_power_is_right_associative():
    assert parse_unit("2^3^2", TABLE) == [512.0, 0, 0, 0, 0, 0]


def test_reference_gap_wavenumber_to_energy():
    factor = unit_conversion_factor("eV", "cm^-1", dimension="energy")
    assert factor == pytest.approx(8065.543937, rel=1e-9)  # NIST, CODATA 2018


def test_reference_gap_time_and_temperature_are_told_apart():
    with pytest.raises(ValueError, match=r"'K m' \(L\^1 Theta\^1\) and 's m' \(L\^1 T\^1\)"):
        unit_conversion_factor("K m", "s m")


def test_dimension_mismatch_names_both_dimensions():
    with pytest.raises(ValueError, match=r"one dimension, got 'eV' \(energy\) and 'angstrom' \(length\)$"):
        unit_conversion_factor("eV", "angstrom")
    with pytest.raises(ValueError, match=r"\(L\^1 M\^\(1/2\) T\^-1\) and '2' \(no dimension\)"):
        unit_conversion_factor("eV^(1/2)", "2")


def test_dimension_asked_for_is_checked():
    assert unit_conversion_factor("nm", "Å", dimension="length") == 10.0
    with pytest.raises(ValueError, match=r"expected a unit of energy, got 'nm' \(length\)"):
        unit_conversion_factor("nm", "Å", dimension="energy")
    with pytest.raises(ValueError, match="for `dimension`, got 'lenght'; did you mean 'length'"):
        unit_conversion_factor("nm", "Å", dimension="lenght")
    with pytest.raises(ValueError, match="unknown dimension 'lenght', expected one of none, length"):
        conversion_factor("nm", "Å", "lenght", TABLE)


@pytest.mark.parametrize(("from_unit", "to_unit"), [("", "eV"), ("eV", ""), ("", ""), (" ", "eV"), ("eV", "\t")])
def test_no_unit_on_one_side_gives_one(from_unit, to_unit):
    assert unit_conversion_factor(from_unit, to_unit) == 1.0
    assert unit_conversion_factor(from_unit, to_unit, dimension="energy") == 1.0


def test_factors_that_are_powers_of_ten_are_exact():
    assert unit_conversion_factor("Å", "nm") == 0.1
    assert unit_conversion_factor("nm", "Å") == 10.0
    assert unit_conversion_factor("meV", "eV") == 0.001


def test_factor_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"overflow: the factor from '1e200 m' to '1e-200 m'"):
        unit_conversion_factor("1e200 m", "1e-200 m")
    with pytest.raises(ValueError, match="overflow"):
        unit_conversion_factor("1e-200 m", "1e200 m")


@pytest.mark.parametrize("arguments", [(1, "eV"), ("eV", None), (b"eV", "eV")])
def test_unit_that_is_no_string_is_a_type_error(arguments):
    with pytest.raises(TypeError, match=r"expected a string for `(from|to)_unit`, got"):
        unit_conversion_factor(*arguments)
    with pytest.raises(TypeError, match="expected a string for `length_unit`, got int"):
        check_unit("length_unit", 3, "length")
    with pytest.raises(TypeError, match="expected a string for `unit`, got int"):
        unit_dimension(3)


def test_three_arguments_are_deprecated_but_checked():
    with pytest.warns(DeprecationWarning, match=r"use `unit_conversion_factor\(from_unit, to_unit\)`"):
        assert unit_conversion_factor("energy", "kcal/mol", "kJ/mol") == pytest.approx(4.184)
    with (
        pytest.warns(DeprecationWarning, match="deprecated"),
        pytest.raises(ValueError, match=r"expected a unit of energy, got 'nm' \(length\)"),
    ):
        unit_conversion_factor("energy", "nm", "A")


@pytest.mark.parametrize(
    ("unit", "dimension"),
    [
        ("Å", "length"), ("eV", "energy"), ("N m", "energy"), ("eV/Å", "force"), ("eV/Å^3", "pressure"),
        ("(eV u)^(1/2)", "momentum"), ("Å/fs", "velocity"), ("u", "mass"), ("e", "charge"), ("D", "dipole"),
        ("eV Å/fs", "heat_flux"), ("mu_B", "magnetic_moment"), ("mol", "none"), ("", "none"),
        ("K", "temperature"), ("fs", "time"), ("cm^-1", "wavenumber"), ("V/Å", "electric_field"), ("eV^(1/2)", ""),
    ],
)  # fmt: skip
def test_unit_dimension(unit, dimension):
    assert unit_dimension(unit) == dimension
    if dimension:
        check_unit("unit", unit, dimension)


@pytest.mark.parametrize("unit", ["cm^-1", "K", "kJ/mol"])
def test_check_unit_takes_all_energies(unit):
    check_unit("unit", unit, "energy")


def test_check_unit_refuses_with_the_name_of_the_argument():
    with pytest.raises(ValueError, match=r"expected a unit of length for `length_unit`, got 'eV' \(energy\)$"):
        check_unit("length_unit", "eV", "length")
    with pytest.raises(
        ValueError,
        match="expected a unit of length for `length_unit`, got 'mn x': unknown unit 'mn' in",
    ):
        check_unit("length_unit", "mn x", "length")
    with pytest.raises(ValueError, match="expected a unit for `unit`, got 'foo': unknown unit"):
        check_unit("unit", "foo", "")
    with pytest.raises(ValueError, match="for `dimension`, got 'leng'; did you mean 'length'"):
        check_unit("unit", "m", "leng")


NAMES = st.sampled_from(sorted(TABLE))
POWERS = st.sampled_from(["", "^2", "^-1", "^(1/2)", "^-3"])
TERMS = st.builds(lambda name, power: f"({name}){power}", NAMES, POWERS)
UNITS = st.lists(TERMS, min_size=1, max_size=3).map(" ".join)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(UNITS, UNITS)
def test_products_multiply_factors_and_add_exponents(a, b):
    left, right = parse_unit(a, TABLE), parse_unit(b, TABLE)
    # numbers that are out of range are refused, which is another test
    assume(all(1e-300 < abs(value) < 1e300 for value in (left[0] * right[0], left[0] / right[0])))
    product = parse_unit(f"({a})*({b})", TABLE)
    quotient = parse_unit(f"({a})/({b})", TABLE)
    assert product[0] == pytest.approx(left[0] * right[0], rel=1e-12)
    assert quotient[0] == pytest.approx(left[0] / right[0], rel=1e-12)
    for i in range(1, 6):
        assert product[i] == pytest.approx(left[i] + right[i])
        assert quotient[i] == pytest.approx(left[i] - right[i])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(UNITS, st.floats(1e-6, 1e6))
def test_factor_there_and_back_is_one(unit, number):
    other = f"{number!r} * ({unit})"
    there, back = (
        conversion_factor(unit, other, "", TABLE),
        conversion_factor(other, unit, "", TABLE),
    )
    assert there * back == pytest.approx(1.0, rel=1e-14)
    assert back == pytest.approx(number, rel=1e-12)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(alphabet="eVmol Åμ²⁻·*/^().-+12", max_size=12))
def test_any_text_gives_a_value_or_one_line(text):
    try:
        value = parse_unit(text, TABLE)
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017 (either outcome is right)
    else:
        assert math.isfinite(value[0])
        assert value[0] > 0


def test_scripted_parser_agrees_with_eager_after_save_and_load(saved):
    units = [*TABLE, *(u for pair in EQUAL for u in pair)]
    for style in LAMMPS_UNITS.values():
        units.extend(style.values())
    for unit in units:
        assert saved.parse(unit) == parse_unit(unit, TABLE), unit


def test_scripted_factors_agree_with_eager_after_save_and_load(saved):
    for from_unit, to_unit, *_ in PUBLISHED:
        assert saved(from_unit, to_unit, "") == unit_conversion_factor(from_unit, to_unit)
    for unit in ("cm^-1", "K", "kJ/mol"):
        expected = unit_conversion_factor(unit, "eV", dimension="energy")
        assert saved(unit, "eV", "energy") == expected
    assert saved("", "eV", "") == 1.0


@pytest.mark.parametrize(
    ("from_unit", "to_unit", "dimension"),
    [
        *((unit, "eV", "") for unit, _ in REFUSED),
        ("K m", "s m", ""),
        ("eV^(1/2)", "2", ""),
        ("cm^-1", "eV", ""),
        ("nm", "Å", "energy"),
        ("nm", "Å", "lenght"),
        ("1e200 m", "1e-200 m", ""),
    ],
)
def test_scripted_error_has_the_text_of_the_eager_one(saved, from_unit, to_unit, dimension):
    with pytest.raises(ValueError) as eager:  # noqa: PT011 (compared next)
        conversion_factor(from_unit, to_unit, dimension, TABLE)
    with pytest.raises(torch.jit.Error) as scripted:
        saved(from_unit, to_unit, dimension)
    last_line = str(scripted.value).strip().splitlines()[-1]
    assert last_line == f"builtins.ValueError: {eager.value}"


def test_defect_long_unit_is_refused_at_once():
    """Looking for what a name of a million letters may stand for took minutes; units are in model headers."""
    with pytest.raises(ValueError, match="at most 200 characters, got 1000000") as caught:
        check_unit("length_unit", "x" * 1_000_000, "length")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("space", ["\u0085", "\u3000", "\u001c"])
def test_defect_white_space_is_the_same_in_python_and_torchscript(space):
    for unit in (space, f"eV{space}"):
        with pytest.raises(ValueError, match=r"unknown unit|characters that can be printed"):
            unit_conversion_factor(unit, "eV")
    assert unit_conversion_factor(" eV\t\n", "eV") == 1.0
