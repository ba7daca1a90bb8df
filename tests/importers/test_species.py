"""Chemical symbols, and the species that a file is for."""

import pytest

from metatomic_importers.species import atomic_numbers, chosen_types


def test_all_elements_have_numbers():
    assert atomic_numbers(["H", "Si", "Og"]) == [1, 14, 118]
    assert atomic_numbers([]) == []


@pytest.mark.parametrize("name", ["si", "SI", "", "Xx", "14", "Si O", "Si,O"])
def test_what_is_no_symbol_is_refused(name):
    with pytest.raises(ValueError, match=f"expected chemical symbols like Si as `species`, got '{name}'"):
        atomic_numbers(["H", name])


@pytest.mark.parametrize(
    ("asked", "expected"),
    [([], [8, 1, 6]), (["C"], [6]), (["H", "O"], [8, 1]), (["H", "C", "O", "C"], [8, 1, 6])],
)
def test_types_are_in_the_order_of_the_model(asked, expected):
    assert chosen_types([8, 1, 6], asked) == expected


def test_all_types_are_another_list():
    known = [8, 1]
    assert chosen_types(known, []) is not known


def test_species_that_the_model_does_not_know():
    with pytest.raises(ValueError, match="expected `species` among O H C, got Si"):
        chosen_types([8, 1, 6], ["H", "Si"])
