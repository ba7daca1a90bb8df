"""Chemical species as users write them, and as models know them."""

from collections.abc import Iterable, Sequence

from metatomic_core.adapters import symbols


def atomic_numbers(names: Iterable[str]) -> list[int]:
    """Give the atomic numbers of chemical symbols.

    Raises
    ------
    ValueError
        If there is no such element.
    """
    known = {symbol: number for number, symbol in enumerate(symbols(range(1, 119)), start=1)}
    found: list[int] = []
    for name in names:
        if name not in known:
            raise ValueError(f"expected chemical symbols like Si as `species`, got '{name}'")
        found.append(known[name])
    return found


def chosen_types(known: Sequence[int], species: Sequence[str]) -> list[int]:
    """Give the atomic types that a file is for: those asked for, or all that the model knows, in its order.

    Parameters
    ----------
    known
        Atomic numbers that the model knows.
    species
        Chemical symbols that were asked for; none for all.

    Raises
    ------
    ValueError
        If the model does not know one.
    """
    asked = atomic_numbers(species)
    for number, name in zip(asked, species, strict=True):
        if number not in known:
            raise ValueError(f"expected `species` among {' '.join(symbols(known))}, got {name}")
    return [number for number in known if number in asked] if asked else list(known)


def numbers_of_types(names: Sequence[str], species: Sequence[str]) -> list[int | None]:
    """Give the atomic number of each type of a model that has names for them; None for types that are left out.

    Parameters
    ----------
    names
        Names of the types, in the order of the model.
    species
        What was asked for. Chemical symbols choose among names that are symbols; ``TYPE=SYMBOL`` says what a type is,
        and types that are not in such a list are left out. Symbols for all types, in their order, do as well where some
        names are none. Nothing if all names are symbols and all types are wanted.

    Raises
    ------
    ValueError
        If it does not say what the types are, or that two of them are the same element.
    """
    known = {*symbols(range(1, 119))}
    if not any("=" in text for text in species):
        if all(name in known for name in names):
            chosen = chosen_types(atomic_numbers(names), species)
            return [number if number in chosen else None for number in atomic_numbers(names)]
        # a symbol that is the name of another type as well is a mistake in the order
        in_order = list(zip(names, species, strict=False))
        moved = any(symbol in names and name != symbol for name, symbol in in_order)
        if len(species) != len(names) or moved:
            raise ValueError(
                f"expected what the types {' '.join(names)} of the model are as `species`, got "
                f"{' '.join(species) or 'none'}; say it like {names[0]}=Si for each that the file is for, or give "
                "chemical symbols for all in this order"
            )
        species = [f"{name}={symbol}" for name, symbol in in_order]
    given: dict[str, int] = {}
    for text in species:
        name, _, symbol = text.partition("=")
        if name not in names:
            raise ValueError(f"expected the types {' '.join(names)} of the model in `species`, got '{text}'")
        (number,) = atomic_numbers([symbol or name])
        if name in given or number in given.values():
            raise ValueError(f"expected one type for each element in `species`, got another one in '{text}'")
        given[name] = number
    return [given.get(name) for name in names]
