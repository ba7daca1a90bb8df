"""Types of models that have names of their own: which elements they are."""

import pytest

from metatomic_importers.species import numbers_of_types


@pytest.mark.parametrize(
    ("names", "species", "expected"),
    [
        (["O", "H"], [], [8, 1]),
        (["O", "H"], ["H"], [None, 1]),
        (["O", "H"], ["H", "O"], [8, 1]),
        (["H", "Ow"], ["H", "O"], [1, 8]),
        (["Ow", "Hw"], ["Hw=H", "Ow=O"], [8, 1]),
        (["Ow", "Hw"], ["Hw=H"], [None, 1]),
        (["C1", "C2", "H"], ["C2=C", "H"], [None, 6, 1]),
        (["C", "D"], ["C", "D=H"], [6, 1]),
    ],
)
def test_types_are_what_is_said_or_what_they_are_called(names, species, expected):
    assert numbers_of_types(names, species) == expected


@pytest.mark.parametrize(
    ("names", "species", "message"),
    [
        (["O", "H"], ["C"], "expected `species` among O H, got C"),
        (["Ow", "H"], [], "expected what the types Ow H of the model are as `species`, got none; say it like Ow=Si"),
        (
            ["Ow", "Hw"],
            ["O"],
            "got O; say it like Ow=Si for each that the file is for, or give chemical symbols for all",
        ),
        # in another order than that of the types
        (["Ow", "H"], ["H", "O"], "expected what the types Ow H of the model are as `species`, got H O"),
        (["Ow", "Hw"], ["O=Ow"], "expected the types Ow Hw of the model in `species`, got 'O=Ow'"),
        (["Ow", "Hw"], ["Ow=O", "Ow"], "expected chemical symbols like Si as `species`, got 'Ow'"),
        (["Ow", "Hw"], ["Ow=Q"], "expected chemical symbols like Si as `species`, got 'Q'"),
        (["C1", "C2"], ["C1=C", "C2=C"], "expected one type for each element in `species`, got another one in 'C2=C'"),
        (
            ["C1", "C2"],
            ["C1=C", "C1=Si"],
            "expected one type for each element in `species`, got another one in 'C1=Si'",
        ),
    ],
)
def test_what_does_not_say_it_is_refused(names, species, message):
    with pytest.raises(ValueError, match=message):
        numbers_of_types(names, species)
