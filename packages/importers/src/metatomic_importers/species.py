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
