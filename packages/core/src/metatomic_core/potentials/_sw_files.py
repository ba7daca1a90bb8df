"""Stillinger-Weber parameters: the entries of LAMMPS ``.sw`` files, and the tables that are made of them."""

import itertools
import math
from dataclasses import dataclass, fields
from typing import Dict, List, Tuple

import torch

from ._setup import atomic_number, symbol
from ._text_files import LineReader, PathLike, read_lines

Triple = Tuple[int, int, int]

_WORDS_PER_ENTRY = 14
# Entries that must agree are given with six digits in some files.
_TOLERANCE = 1e-5
# LAMMPS does not let `tol` be larger.
_MAX_TOL = 0.01


@dataclass(frozen=True)
class Entry:
    """Parameters for a triple of species, the first of which is the center; silicon by default.

    The entry (i, j, j) has the parameters of pairs and the radial ones of three bodies, the entry (i, j, k) gives
    ``epsilon``, ``lambda_`` and ``costheta0`` for three bodies.
    """

    epsilon: float = 2.1683
    sigma: float = 2.0951
    a: float = 1.80
    lambda_: float = 21.0
    gamma: float = 1.20
    costheta0: float = -1.0 / 3.0
    A: float = 7.049556277
    B: float = 0.6022245584
    p: float = 4.0
    q: float = 0.0
    tol: float = 0.0

    @property
    def cut(self) -> float:
        """Distance at which all terms vanish."""
        return self.sigma * self.a

    @property
    def reach(self) -> float:
        """Distance beyond which terms are left out: shorter than ``cut`` where ``tol`` is set, as in LAMMPS."""
        if self.tol == 0:
            return self.cut
        return self.cut + self.sigma * min(self.gamma, 1.0) / math.log(min(self.tol, _MAX_TOL))


def read_sw(file: PathLike) -> Dict[Triple, Entry]:
    """Read a LAMMPS ``.sw`` file: entries of three elements and eleven numbers, on one or several lines.

    Returns
    -------
    dict
        Entries by atomic numbers, in the order of the file.

    Raises
    ------
    ValueError
        If the file does not exist, ends within an entry, or has something else than such entries, each once.
    """
    reader = LineReader(file, read_lines(file), 0)
    words = reader.rest()
    if not words or len(words) % _WORDS_PER_ENTRY != 0:
        raise ValueError(
            f"expected entries of {_WORDS_PER_ENTRY} words, three elements and eleven numbers, in '{file}', got "
            f"{len(words)} words; is it a complete file for `pair_style sw`"
        )
    entries: Dict[Triple, Entry] = {}
    for start in range(0, len(words), _WORDS_PER_ENTRY):
        names, texts = words[start : start + 3], words[start + 3 : start + _WORDS_PER_ENTRY]
        i, j, k = (atomic_number(name) for name in names)
        if (i, j, k) in entries:
            raise ValueError(f"expected each entry once in '{file}', got '{' '.join(names)}' twice")
        what = f"the entry '{' '.join(names)}'"
        entries[(i, j, k)] = Entry(*(reader.number(text, what) for text in texts))
    return entries


def _entry(entries: Dict[Triple, Entry], triple: Triple) -> Entry:
    if triple not in entries:
        raise ValueError(f"expected an entry for '{_names(triple)}' in the parameters, got none")
    return entries[triple]


def _names(triple: Triple) -> str:
    return " ".join(symbol(number) for number in triple)


def _check_pair(entries: Dict[Triple, Entry], i: int, j: int) -> None:
    """Check the parameters of a pair, and that they are the same from both sides."""
    entry, other = _entry(entries, (i, j, j)), _entry(entries, (j, i, i))
    for name in ("sigma", "a", "epsilon"):
        if not getattr(entry, name) > 0:
            raise ValueError(f"expected `{name}` of '{_names((i, j, j))}' to be positive, got {getattr(entry, name):g}")
    for name in ("lambda_", "gamma", "A", "B", "p", "q", "tol"):
        if getattr(entry, name) < 0:
            raise ValueError(
                f"expected `{name.rstrip('_')}` of '{_names((i, j, j))}' not to be negative, got "
                f"{getattr(entry, name):g}"
            )
    for name in ("epsilon", "sigma", "a", "A", "B", "p", "q", "tol"):
        if not math.isclose(getattr(entry, name), getattr(other, name), rel_tol=_TOLERANCE):
            raise ValueError(
                f"expected the same `{name}` for '{_names((i, j, j))}' and '{_names((j, i, i))}', which are one pair, "
                f"got {getattr(entry, name):g} and {getattr(other, name):g}"
            )


def pair_tables(entries: Dict[Triple, Entry], species: List[int]) -> Dict[str, torch.Tensor]:
    """Give parameters of pairs, each of the shape (n_species^2,), float64, by center and neighbor.

    Keys: ``reach`` and ``cut`` as in `Entry`; ``sigma``; ``gamma_sigma`` = gamma sigma; ``p``, ``q``; ``repulsion`` =
    A B epsilon sigma^p and ``attraction`` = A epsilon sigma^q.
    """
    for i, j in itertools.combinations_with_replacement(species, 2):
        _check_pair(entries, i, j)
        _check_pair(entries, j, i)
    pairs = [entries[(i, j, j)] for i in species for j in species]
    for entry in pairs:
        try:
            _ = entry.sigma**entry.p, entry.sigma**entry.q
        except OverflowError:
            raise ValueError(
                f"expected sigma^p and sigma^q within the range of numbers, got sigma {entry.sigma:g}, p {entry.p:g} "
                f"and q {entry.q:g}"
            ) from None
    columns = {
        "reach": [e.reach for e in pairs],
        "cut": [e.cut for e in pairs],
        "sigma": [e.sigma for e in pairs],
        "gamma_sigma": [e.gamma * e.sigma for e in pairs],
        "p": [e.p for e in pairs],
        "q": [e.q for e in pairs],
        "repulsion": [e.A * e.B * e.epsilon * e.sigma**e.p for e in pairs],
        "attraction": [e.A * e.epsilon * e.sigma**e.q for e in pairs],
    }
    return {name: torch.tensor(column, dtype=torch.float64) for name, column in columns.items()}


def triple_tables(entries: Dict[Triple, Entry], species: List[int]) -> Tuple[torch.Tensor, torch.Tensor]:
    """Give lambda epsilon and costheta0, each of the shape (n_species, n_species, n_species), float64.

    Raises
    ------
    ValueError
        If an entry is missing, or the entries for (i, j, k) and (i, k, j), which are one triplet, do not agree.
    """
    n = len(species)
    strengths = torch.zeros(n, n, n, dtype=torch.float64)
    cosines = torch.zeros(n, n, n, dtype=torch.float64)
    for (x, i), (y, j), (z, k) in itertools.product(enumerate(species), repeat=3):
        entry, other = _entry(entries, (i, j, k)), _entry(entries, (i, k, j))
        strength, other_strength = entry.lambda_ * entry.epsilon, other.lambda_ * other.epsilon
        same = math.isclose(strength, other_strength, rel_tol=_TOLERANCE)
        if not same or not math.isclose(entry.costheta0, other.costheta0, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
            raise ValueError(
                f"expected the same lambda * epsilon and costheta0 for '{_names((i, j, k))}' and "
                f"'{_names((i, k, j))}', which are one triplet, got {strength:g}, {entry.costheta0:g} and "
                f"{other_strength:g}, {other.costheta0:g}"
            )
        # the mean of what agrees but for rounding, so that the energy does not depend on the order of neighbors
        strengths[x, y, z] = 0.5 * (strength + other_strength)
        cosines[x, y, z] = 0.5 * (entry.costheta0 + other.costheta0)
    return strengths, cosines


def entry_fields() -> List[str]:
    """List the names of the parameters, without trailing underscores."""
    return [field.name.rstrip("_") for field in fields(Entry)]
