"""What the modules of the potentials share besides the helpers for authors: tables of pairs, powers and a smooth step.

Scripted code, saved in the model files.  The kind of a pair is ``species[first] * n_species + species[second]``, and
tables of parameters have one row for each kind.
"""

import torch


def pair_kinds(species: torch.Tensor, n_species: int, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Give the kinds of pairs, shape (n_pairs,), int64."""
    if n_species == 1:
        return torch.zeros_like(first)
    return species.index_select(0, first) * n_species + species.index_select(0, second)


def select(table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Give the rows of a table; the one row there is, to be broadcast, if the table has one."""
    if table.size(0) == 1:
        return table
    return table.index_select(0, index)


def shared_whole_number(values: torch.Tensor) -> int:
    """Give the whole number, zero or more, that all values are; -1 if they are no such number."""
    number = float(values.flatten()[0])
    return int(number) if number >= 0 and number.is_integer() and bool((values == number).all()) else -1


def whole_power(x: torch.Tensor, n: int) -> torch.Tensor:
    """Give the power of a whole number, 1 or more, by products."""
    square = x
    while n % 2 == 0:
        square = square * square
        n = n // 2
    result = square
    while n > 1:
        square = square * square
        n = n // 2
        if n % 2 == 1:
            result = result * square
    return result


def switch(r2: torch.Tensor, onset: float, cutoff: float) -> torch.Tensor:
    """Give a factor that goes from 1 at the onset to 0 at the cutoff with zero slope at both.

    It is t^2 (3 - 2 t) with t = (cutoff^2 - r^2) / (cutoff^2 - onset^2), the form that ASE uses.
    """
    t = ((cutoff * cutoff - r2) / (cutoff * cutoff - onset * onset)).clamp(0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)
