"""Tables of the embedded atom method, and the files of LAMMPS (DYNAMO formats) that they are read from.

Three formats, told apart by their contents: funcfl (one element, an effective charge for pairs), setfl (several
elements, ``pair_style eam/alloy``), and the setfl of Finnis and Sinclair with a density for each pair of elements
(``pair_style eam/fs``).  Formulas and conventions are those of the LAMMPS manual, page "pair_style eam".
"""

import itertools
import math
from dataclasses import dataclass
from typing import List, Optional, Sequence, Union

import numpy as np

from ._setup import Species, atomic_number, chosen_species, symbol
from ._text_files import LineReader, PathLike, read_lines

# Pair energies of funcfl files are Z_i Z_j / r in hartree bohr; LAMMPS takes 27.2 eV and 0.529 angstrom for them.
_HARTREE_BOHR = 27.2 * 0.529
_N_COMMENTS_SETFL = 3


@dataclass
class EAMTables:
    """Tabulated functions of the embedded atom method, on grids that start at zero.

    Attributes
    ----------
    species
        Atomic numbers.
    dr, drho, cutoff
        Spacings of the grids of distance and density, and the cutoff.
    rho_max
        Density beyond which the embedding energy is extrapolated.
    embedding
        Shape (n_species, n_rho): embedding energies.
    density
        Shape (n_species, n_species, n_r): density at an atom of the first species from one of the second.
    pair
        Shape (n_species, n_species, n_r): distance times pair energy; symmetric.
    comment
        First line of the file.
    """

    species: List[int]
    dr: float
    drho: float
    cutoff: float
    rho_max: float
    embedding: np.ndarray
    density: np.ndarray
    pair: np.ndarray
    comment: str = ""

    def only(self, species: Optional[Union[Species, Sequence[Species]]]) -> "EAMTables":
        """Give the tables for some of the species, in the given order."""
        numbers = chosen_species(species, self.species)
        rows = [self.species.index(number) for number in numbers]
        return EAMTables(
            numbers,
            self.dr,
            self.drho,
            self.cutoff,
            self.rho_max,
            self.embedding[rows],
            self.density[np.ix_(rows, rows)],
            self.pair[np.ix_(rows, rows)],
            self.comment,
        )


@dataclass
class Funcfl:
    """Contents of a funcfl file: embedding energy, effective charge and density of one element."""

    number: int
    drho: float
    dr: float
    cutoff: float
    embedding: np.ndarray
    charge: np.ndarray
    density: np.ndarray
    comment: str


def read_eam(files: Sequence[PathLike]) -> EAMTables:
    """Read one file of any of the formats, or several funcfl files that are to be used together.

    Raises
    ------
    ValueError
        If a file does not exist, is not complete, or is in none of the formats; if several files are not all funcfl,
        or two are of the same element.
    """
    contents = [(file, read_lines(file)) for file in files]
    kinds = {_is_funcfl(lines) for _, lines in contents}
    if kinds == {True}:
        return funcfl_tables([_read_funcfl(file, lines) for file, lines in contents])
    if len(contents) != 1:
        raise ValueError(f"expected one file, or funcfl files only, for `file`, got {len(contents)} files")
    return _read_setfl(*contents[0])


def _is_funcfl(lines: List[str]) -> bool:
    """Tell whether the third line has n_rho, drho, n_r, dr and cutoff, as in funcfl; it is a comment in setfl."""
    words = lines[2].split() if len(lines) > 2 else []
    if len(words) < 5 or not (words[0].isdigit() and words[2].isdigit()):
        return False
    try:
        return all(float(word) > 0 for word in words[:5])
    except ValueError:
        return False


def _read_funcfl(file: PathLike, lines: List[str]) -> Funcfl:
    reader = LineReader(file, lines, 1)
    header = reader.words("a line with atomic number, mass, lattice constant and lattice")
    number = atomic_number(reader.number(header[0], "the atomic number", int))
    n_rho, drho, n_r, dr, cutoff = _read_grids(reader)
    embedding = reader.numbers(n_rho, f"the embedding energy of {symbol(number)}")
    charge = reader.numbers(n_r, f"the effective charge of {symbol(number)}")
    density = reader.numbers(n_r, f"the density of {symbol(number)}")
    return Funcfl(number, drho, dr, cutoff, embedding, charge, density, lines[0].strip())


def _read_grids(reader: LineReader) -> tuple[int, float, int, float, float]:
    """Read the line with n_rho, drho, n_r, dr and cutoff."""
    what = "the sizes and spacings of grids"
    words = reader.words("n_rho, drho, n_r, dr and cutoff")
    if len(words) < 5:
        raise reader.error("n_rho, drho, n_r, dr and cutoff", f"{len(words)} words")
    n_rho, n_r = (reader.number(words[i], what, int) for i in (0, 2))
    drho, dr, cutoff = (reader.number(words[i], what) for i in (1, 3, 4))
    # five points are needed for the derivatives of the splines
    if min(n_rho, n_r) < 5 or min(drho, dr, cutoff) <= 0:
        raise reader.error("at least five grid points, positive spacings and a positive cutoff", f"'{' '.join(words)}'")
    return n_rho, drho, n_r, dr, cutoff


def funcfl_tables(files: Sequence[Funcfl]) -> EAMTables:
    """Put the functions of funcfl files on common grids, the widest and coarsest ones, as LAMMPS does.

    The number of points comes from the largest argument divided by the spacing, one less than in a single file.
    """
    species = [one.number for one in files]
    if len(set(species)) != len(species):
        raise ValueError(f"expected one funcfl file for each element in `file`, got {[symbol(s) for s in species]}")
    dr, drho = max(one.dr for one in files), max(one.drho for one in files)
    r_max = max((len(one.density) - 1) * one.dr for one in files)
    rho_max = max((len(one.embedding) - 1) * one.drho for one in files)
    if not (math.isfinite(r_max / dr) and math.isfinite(rho_max / drho)):
        raise ValueError("expected grids within the range of numbers in `file`, got spacings that are too large")
    r = np.arange(int(r_max / dr + 0.5)) * dr
    rho = np.arange(int(rho_max / drho + 0.5)) * drho
    n = len(files)
    charges = np.array([_lagrange(one.charge, one.dr, r) for one in files])
    densities = np.array([_lagrange(one.density, one.dr, r) for one in files])
    return EAMTables(
        species,
        dr,
        drho,
        max(one.cutoff for one in files),
        rho_max,
        np.array([_lagrange(one.embedding, one.drho, rho) for one in files]),
        np.broadcast_to(densities, (n, n, len(r))),
        _HARTREE_BOHR * charges[:, None] * charges[None, :],
        files[0].comment,
    )


def _lagrange(values: np.ndarray, spacing: float, x: np.ndarray) -> np.ndarray:
    """Interpolate by the cubic through four neighboring points; the outermost cubics also hold in the last intervals.

    The fraction is not let above 2, as in LAMMPS, where points beyond the table get a constant.
    """
    position = x / spacing
    # index of the second of the four points
    second = np.clip(position.astype(int), 1, len(values) - 3)
    p = np.minimum(position - second, 2.0)
    weights = (
        -p * (p - 1.0) * (p - 2.0) / 6.0,
        0.5 * (p * p - 1.0) * (p - 2.0),
        -0.5 * p * (p + 1.0) * (p - 2.0),
        p * (p * p - 1.0) / 6.0,
    )
    return sum(weight * values[second + offset] for offset, weight in zip((-1, 0, 1, 2), weights, strict=True))


def _read_setfl(file: PathLike, lines: List[str]) -> EAMTables:
    reader = LineReader(file, lines, _N_COMMENTS_SETFL)
    words = reader.words("a line with the number of elements and their names")
    n = reader.number(words[0], "the number of elements", int)
    if n < 1 or len(words) != n + 1:
        raise reader.error("the number of elements and as many names", f"'{' '.join(words)}'")
    species = [atomic_number(name) for name in words[1:]]
    if len(set(species)) != n:
        raise reader.error("each element once", f"'{' '.join(words)}'")
    n_rho, drho, n_r, dr, cutoff = _read_grids(reader)
    n_densities = n if _is_finnis_sinclair(lines, n, n_rho, n_r) else 1
    embedding = np.empty((n, n_rho))
    # by source and place: a section has the density of its element, at an atom of each element for Finnis-Sinclair
    density = np.empty((n, n, n_r))
    for i, number in enumerate(species):
        reader.words(f"the line with atomic number and lattice of {symbol(number)}")
        embedding[i] = reader.numbers(n_rho, f"the embedding energy of {symbol(number)}")
        for j in range(n_densities):
            density[i, j] = reader.numbers(n_r, f"the density of {symbol(number)}")
        if n_densities == 1:
            density[i, 1:] = density[i, 0]
    pair = np.empty((n, n, n_r))
    for i, j in itertools.product(range(n), repeat=2):
        if j <= i:
            what = f"the pair energy of {symbol(species[i])} and {symbol(species[j])}"
            pair[i, j] = pair[j, i] = reader.numbers(n_r, what)
    at_from = density.transpose(1, 0, 2)
    return EAMTables(
        species, dr, drho, cutoff, (n_rho - 1) * drho, embedding, at_from, pair, " ".join(lines[:_N_COMMENTS_SETFL])
    )


def _is_finnis_sinclair(lines: List[str], n: int, n_rho: int, n_r: int) -> bool:
    """Tell by the number of words whether there are densities for each pair of elements."""
    n_words = sum(len(line.partition("#")[0].split()) for line in lines[_N_COMMENTS_SETFL:])
    with_one_density = n * (n_rho + n_r) + n * (n + 1) // 2 * n_r
    # between the two sizes: lines of names and lattices count less than one more table
    return n > 1 and n_words >= with_one_density + n * (n - 1) * n_r
