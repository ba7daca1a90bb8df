"""The table of standard quantities: names, spellings, variants and dimensions."""

import pytest

from metatomic_core import unit_dimension_for_quantity
from metatomic_core.data.quantities import (
    base_quantity,
    canonical_name,
    check_quantity_name,
    other_spelling,
    plural_names,
    split_variant,
    standard_quantities,
)
from metatomic_core.units import check_unit

# name, dimension, sample kinds, components: from the documentation of the interface
TABLE = [
    ("energy", "energy", "system atom", ""),
    ("energy_ensemble", "energy", "system atom", ""),
    ("energy_uncertainty", "energy", "system atom", ""),
    ("feature", "none", "system atom", ""),
    ("non_conservative_force", "force", "atom", "xyz"),
    ("non_conservative_stress", "pressure", "system", "xyz_1 xyz_2"),
    ("position", "length", "atom", "xyz"),
    ("momentum", "momentum", "atom", "xyz"),
    ("velocity", "velocity", "atom", "xyz"),
    ("mass", "mass", "atom", ""),
    ("charge", "charge", "system atom", ""),
    ("dipole", "dipole", "system atom", "xyz"),
    ("magnetic_moment", "magnetic_moment", "atom", ""),
    ("heat_flux", "heat_flux", "system", "xyz"),
    ("spin_multiplicity", "none", "system", ""),
]
UNITS = {
    "energy": "eV",
    "force": "eV/angstrom",
    "pressure": "GPa",
    "length": "nm",
    "momentum": "(eV*u)^(1/2)",
    "velocity": "angstrom/fs",
    "mass": "u",
    "charge": "e",
    "dipole": "debye",
    "magnetic_moment": "mu_B",
    "heat_flux": "eV*angstrom/fs",
}


@pytest.mark.parametrize(("name", "dimension", "kinds", "components"), TABLE)
def test_standard_quantities(name, dimension, kinds, components):
    quantity = standard_quantities()[name]
    assert quantity.dimension == unit_dimension_for_quantity(name) == unit_dimension_for_quantity(name + "/pbe")
    assert quantity.dimension == dimension
    assert quantity.sample_kinds == kinds.split()
    assert quantity.components == components.split()
    if dimension != "none":
        check_unit("unit", UNITS[dimension], dimension)


def test_table_is_complete():
    assert sorted(standard_quantities()) == sorted(row[0] for row in TABLE)


@pytest.mark.parametrize(("plural", "singular"), plural_names().items())
def test_both_spellings(plural, singular):
    assert singular in standard_quantities()
    for suffix in ("", "/a"):
        assert canonical_name(plural + suffix) == canonical_name(singular + suffix) == singular + suffix
        assert other_spelling(plural + suffix) == singular + suffix
        assert other_spelling(singular + suffix) == plural + suffix
        check_quantity_name(plural + suffix, "output")
    assert unit_dimension_for_quantity(plural) == unit_dimension_for_quantity(singular)


@pytest.mark.parametrize("name", ["energy", "my::masses", "my::energy/a", "energy/masses"])
def test_names_with_one_spelling(name):
    assert other_spelling(name) == ""
    assert canonical_name(name) == name


def test_variants_are_split():
    assert split_variant("energy/pbe") == ("energy", "pbe")
    assert split_variant("a::b") == ("a::b", "")
    assert base_quantity("masses/x") == "mass"


@pytest.mark.parametrize("name", ["energy/pbe-d3", "my::thing", "a::b::c/d", "non_conservative_forces/x"])
def test_valid_names(name):
    check_quantity_name(name, "output")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "expected `output` to be a name"),
        ("energy/", "expected `output` to be a name"),
        ("/a", "expected `output` to be a name"),
        ("energy/a/b", "expected `output` to be a name"),
        ("::a", "text on both sides of '::'"),
        ("a::", "text on both sides of '::'"),
        ("a::/b", "text on both sides of '::'"),
        ("energy/a::b", "'::' before the variant"),
        ("enrgy", "did you mean 'energy'; use 'domain::enrgy'"),
        ("Energy", "did you mean 'energy'"),
        ("hessian", "expected a standard quantity, got 'hessian'"),
        ("dom::foo/", "expected `output` to be a name"),
    ],
)
def test_invalid_names_are_refused(name, message):
    with pytest.raises(ValueError, match=message) as caught:
        check_quantity_name(name, "output")
    assert "\n" not in str(caught.value)


def test_dimension_of_custom_and_unknown_names():
    assert unit_dimension_for_quantity("my::energy") == ""
    with pytest.raises(ValueError, match="expected a standard quantity, got 'temperature'"):
        unit_dimension_for_quantity("temperature")
    with pytest.raises(TypeError, match="expected `name` to be a string, got int"):
        unit_dimension_for_quantity(3)
