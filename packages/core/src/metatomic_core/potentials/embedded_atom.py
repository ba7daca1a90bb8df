"""The embedded atom method: `embedded_atom`."""

import os
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core.authors import energy_output_from_terms, pairs, species_index, species_table, sum_at_atoms
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.system import System
from metatomic_core.model.atomistic_model import AtomisticModel
from metatomic_core.units import unit_conversion_factor

from . import _sutton_chen as sutton_chen
from ._common import pair_kinds
from ._eam_files import EAMTables, read_eam
from ._setup import Species, atomic_number, chosen_species, make_model, symbol
from ._splines import N_COEFFICIENTS, cubic, interval_of, spline_coefficients
from ._text_files import PathLike

_REFERENCE = "M. S. Daw and M. I. Baskes, Phys. Rev. B 29, 6443 (1984), https://doi.org/10.1103/PhysRevB.29.6443"


class TabulatedFunctions(torch.nn.Module):
    """Functions of the embedded atom method from tables, interpolated as LAMMPS does."""

    density: torch.Tensor
    pair: torch.Tensor
    energy: torch.Tensor

    def __init__(self, tables: EAMTables):
        super().__init__()
        self.n_species = len(tables.species)
        self.n_r = tables.pair.shape[-1]
        self.n_rho = tables.embedding.shape[-1]
        self.dr = tables.dr
        self.drho = tables.drho
        self.rho_max = tables.rho_max
        self.register_buffer("density", spline_coefficients(tables.density).reshape(-1, N_COEFFICIENTS))
        self.register_buffer("pair", spline_coefficients(tables.pair).reshape(-1, N_COEFFICIENTS))
        self.register_buffer("energy", spline_coefficients(tables.embedding).reshape(-1, N_COEFFICIENTS))

    def pair_functions(self, r2: torch.Tensor, kind: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Give density at the first atom, density at the second one, and pair energy, each of the shape (n_pairs,)."""
        r = r2.sqrt()
        position = r / self.dr
        interval = interval_of(position, self.n_r)
        fraction = (position - interval).clamp(max=1.0)
        row = interval
        if self.n_species > 1:
            row = kind * self.n_r + interval
        pair = cubic(self.pair.index_select(0, row), fraction) / r
        at_first = cubic(self.density.index_select(0, row), fraction)
        if self.n_species == 1:
            return at_first, at_first, pair
        first_species = torch.div(kind, self.n_species, rounding_mode="floor")
        reverse_kind = (kind - first_species * self.n_species) * self.n_species + first_species
        at_second = cubic(self.density.index_select(0, reverse_kind * self.n_r + interval), fraction)
        return at_first, at_second, pair

    def embedding(self, density: torch.Tensor, species: torch.Tensor) -> torch.Tensor:
        """Give the embedding energy of each atom, shape (n_atoms,); linear in the density beyond the table."""
        position = density / self.drho
        interval = interval_of(position, self.n_rho)
        fraction = (position - interval).clamp(max=1.0)
        coefficients = self.energy.index_select(0, species * self.n_rho + interval)
        beyond = (density - self.rho_max).clamp(min=0.0) / self.drho
        # slope of the last interval at its end
        slope = coefficients[:, 1] + 2.0 * coefficients[:, 2] + 3.0 * coefficients[:, 3]
        return cubic(coefficients, fraction) + slope * beyond


class EmbeddedAtom(torch.nn.Module):
    """Module of `embedded_atom`; ``functions`` has the methods of `TabulatedFunctions`."""

    species_of_type: torch.Tensor

    def __init__(self, species: List[int], cutoff: float, functions: torch.nn.Module):
        super().__init__()
        self.cutoff = cutoff
        self.n_species = len(species)
        self.functions: Any = functions
        self.register_buffer("species_of_type", species_table(species))

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        """Compute the energy; see `ModelInterface`."""
        results: Dict[str, TensorMap] = {}
        if "energy" not in outputs:
            return results
        first, second, vectors = pairs(systems, NeighborListOptions(self.cutoff, full_list=False, strict=True))
        species = species_index(systems, self.species_of_type)
        kind = pair_kinds(species, self.n_species, first, second)
        at_first, at_second, pair = self.functions.pair_functions(vectors.square().sum(1), kind)
        density = sum_at_atoms(systems, at_first, first).index_add(0, second, at_second)
        terms = [(pair, [first, second]), (self.functions.embedding(density, species), [])]
        results["energy"] = energy_output_from_terms(systems, terms, outputs["energy"], selected_atoms)
        return results

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """List the one half list."""
        return [NeighborListOptions(self.cutoff, full_list=False, strict=True)]


def embedded_atom(
    file: Union[PathLike, Sequence[PathLike], None] = None,
    *,
    species: Optional[Union[Species, Sequence[Species]]] = None,
    length_unit: str = "angstrom",
    energy_unit: str = "eV",
    dtype: str = "float64",
) -> AtomisticModel:
    """Make an embedded atom model from a file; the one of Sutton and Chen for copper by default.

    The energy of an atom i is ::

        F_i(rho_i) + 1/2 sum_j phi_ij(r_ij)    with    rho_i = sum_j rho_ij(r_ij)

    Tables are interpolated as ``pair_style eam``, ``eam/alloy`` and ``eam/fs`` of LAMMPS do.

    Parameters
    ----------
    file
        Path of a LAMMPS file (setfl, setfl of Finnis-Sinclair type, or funcfl, which is found out from the contents),
        or several funcfl files for a model of several elements.  None for copper by Sutton and Chen, the functions of
        which are evaluated analytically: phi = epsilon (a / r)^9, rho = (a / r)^6, F = -c epsilon sqrt(rho), with phi
        and rho smoothly taken to zero between 1.9 a and 2.2 a.  That makes the lattice constant 3.611 angstrom and
        the cohesive energy 3.457 eV, which are 3.610 and 3.500 without a cutoff.
    species
        Elements of the file to keep, by symbol or atomic number; None for all.
    length_unit, energy_unit
        Units of the file and of the model.  The parameters of copper are converted to them.
    dtype
        "float64" or "float32".

    Returns
    -------
    AtomisticModel
        The model, on the CPU, ready to be saved.

    Raises
    ------
    TypeError, ValueError
        If a file can not be read, or does not have one of the species.

    Notes
    -----
    Beyond the last density of a table, the embedding energy goes on linearly.  Where a table of distances ends before
    the cutoff (by one spacing in many files, and in funcfl files, which LAMMPS cuts by one point), the functions are
    constant as in LAMMPS; forces are zero there, where LAMMPS has those of the last slope.

    References
    ----------
    M. S. Daw and M. I. Baskes, Phys. Rev. B 29, 6443 (1984).  A. P. Sutton and J. Chen, Phil. Mag. Lett. 61, 139
    (1990): for copper a = 3.61 angstrom, epsilon = 1.2382e-2 eV, c = 39.432.
    """
    if file is None:
        return _sutton_chen_copper(species, length_unit, energy_unit, dtype)
    tables = read_eam([file] if isinstance(file, (str, os.PathLike)) else list(file))
    tables = tables.only(species)
    names = ", ".join(symbol(number) for number in tables.species)
    return make_model(
        EmbeddedAtom(tables.species, tables.cutoff, TabulatedFunctions(tables)),
        name=f"embedded atom {names}",
        description=f"Embedded atom potential for {names}, from a file that says: {tables.comment}",
        references={"architecture": [_REFERENCE]},
        species=tables.species,
        interaction_range=tables.cutoff,
        length_unit=length_unit,
        energy_unit=energy_unit,
        dtype=dtype,
    )


def _sutton_chen_copper(
    species: Optional[Union[Species, Sequence[Species]]], length_unit: str, energy_unit: str, dtype: str
) -> AtomisticModel:
    numbers = chosen_species(species, [atomic_number("Cu")])
    a = sutton_chen.A * unit_conversion_factor("angstrom", length_unit)
    epsilon = sutton_chen.EPSILON * unit_conversion_factor("eV", energy_unit)
    onset, cutoff = sutton_chen.ONSET * a, sutton_chen.CUTOFF * a
    functions = sutton_chen.SuttonChen(a, epsilon, sutton_chen.C, sutton_chen.N, sutton_chen.M, onset, cutoff)
    return make_model(
        EmbeddedAtom(numbers, cutoff, functions),
        name="Sutton-Chen Cu",
        description=f"Sutton-Chen embedded atom potential for copper, smoothly cut off at {cutoff:g} {length_unit}",
        references={"architecture": [_REFERENCE], "model": [sutton_chen.REFERENCE]},
        species=numbers,
        interaction_range=cutoff,
        length_unit=length_unit,
        energy_unit=energy_unit,
        dtype=dtype,
    )
