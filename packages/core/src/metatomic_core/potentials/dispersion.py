"""Dispersion after Grimme: `d3_dispersion`, a correction that is added to other models."""

from collections.abc import Mapping
from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core.authors import energy_output_from_terms, pairs, species_index, species_table, sum_at_atoms
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.system import System
from metatomic_core.foundation.checks import check_type
from metatomic_core.model.atomistic_model import AtomisticModel
from metatomic_core.units import unit_conversion_factor

from ._common import pair_kinds, select, switch
from ._setup import Species, check_number, make_model, species_list, symbol
from .d3_tables import PARAMETERS, Tables, damping, tables

REFERENCES = [
    "S. Grimme, J. Antony, S. Ehrlich and H. Krieg, J. Chem. Phys. 132, 154104 (2010), https://doi.org/10.1063/1.3382344",
    "S. Grimme, S. Ehrlich and L. Goerigk, J. Comput. Chem. 32, 1456 (2011), https://doi.org/10.1002/jcc.21759",
]
# k1 and k3 of the paper of 2010: steepness of the counting function, and of the weights of references
_COUNTING, _WEIGHTING = 16.0, 4.0
# in angstrom; docs/combine.rst says what is lost by them
CUTOFF, COORDINATION_CUTOFF, WIDTH = 15.0, 10.0, 2.0
# a coordination number so far from all others that what has it weighs nothing
_NOWHERE = 1e3


class D3Dispersion(torch.nn.Module):
    """Module of `d3_dispersion`; tables and parameters are in the units of the model."""

    species_of_type: torch.Tensor
    radii: torch.Tensor
    coordination: torch.Tensor
    c6: torch.Tensor
    c8_by_c6: torch.Tensor
    damping6: torch.Tensor
    damping8: torch.Tensor

    def __init__(
        self,
        species: List[int],
        known: Tables,
        parameters: Mapping[str, float],
        cutoff: float,
        coordination_cutoff: float,
        width: float,
    ):
        super().__init__()
        self.cutoff = cutoff
        self.coordination_cutoff = coordination_cutoff
        self.width = width
        self.n_species = len(species)
        self.n_references = int((known.coordination >= 0).sum(1).max())
        self.s6, self.s8 = parameters["s6"], parameters["s8"]
        self.counting, self.weighting = _COUNTING, _WEIGHTING
        self.register_buffer("species_of_type", species_table(species))
        self.register_buffer("radii", (known.radii[:, None] + known.radii[None, :]).flatten())
        there = known.coordination[:, : self.n_references]
        self.register_buffer("coordination", torch.where(there < 0, _NOWHERE, there))
        # a row for each species of an atom: what it gives, for each of its references, to each other species
        c6 = known.c6[:, :, : self.n_references, : self.n_references]
        self.register_buffer("c6", c6.permute(0, 2, 1, 3).reshape(len(species), self.n_references, -1).clone())
        ratio = 3.0 * known.ratios[:, None] * known.ratios[None, :]
        radius = parameters["a1"] * ratio.sqrt() + parameters["a2"]
        self.register_buffer("c8_by_c6", ratio.flatten())
        self.register_buffer("damping6", radius.pow(6).flatten())
        self.register_buffer("damping8", radius.pow(8).flatten())

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        """Compute the energy; see `ModelInterface`."""
        results: Dict[str, TensorMap] = {}
        if "energy" not in outputs:
            return results
        first, second, energy = self.pair_energies(systems)
        terms = [(energy, [first, second])]
        results["energy"] = energy_output_from_terms(systems, terms, outputs["energy"], selected_atoms)
        return results

    def pair_energies(self, systems: List[System]) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Give first and second atoms of all pairs, among those of all systems, and their energies."""
        species = species_index(systems, self.species_of_type)
        weights = self._weights(systems, species)
        first, second, vectors = pairs(systems, NeighborListOptions(self.cutoff, full_list=False, strict=True))
        kind = pair_kinds(species, self.n_species, first, second)
        r2 = vectors.square().sum(1)
        r6 = r2 * r2 * r2
        damped = self.s6 / (r6 + select(self.damping6, kind))
        damped = damped + self.s8 * select(self.c8_by_c6, kind) / (r6 * r2 + select(self.damping8, kind))
        c6 = self._coefficients(weights, species, first, second)
        return first, second, -c6 * damped * self._switched(r2, self.cutoff)

    def _switched(self, r2: torch.Tensor, cutoff: float) -> torch.Tensor:
        if self.width == 0.0:
            return torch.ones_like(r2)
        return switch(r2, cutoff - self.width, cutoff)

    def _weights(self, systems: List[System], species: torch.Tensor) -> torch.Tensor:
        """Give the weight of each reference for each atom, by its coordination number: (n_atoms, n_references)."""
        options = NeighborListOptions(self.coordination_cutoff, full_list=False, strict=True)
        first, second, vectors = pairs(systems, options)
        r2 = vectors.square().sum(1)
        radii = select(self.radii, pair_kinds(species, self.n_species, first, second))
        counted = torch.sigmoid(self.counting * (radii / r2.sqrt() - 1.0))
        counted = counted * self._switched(r2, self.coordination_cutoff)
        numbers = sum_at_atoms(systems, counted, first).index_add(0, second, counted)
        # far from all references the nearest one has it all: quotients of exponentials that are both too small
        away = numbers.unsqueeze(1) - select(self.coordination, species)
        return torch.softmax(-self.weighting * away.square(), dim=1)

    def _coefficients(
        self, weights: torch.Tensor, species: torch.Tensor, first: torch.Tensor, second: torch.Tensor
    ) -> torch.Tensor:
        """Give C6 of pairs, shape (n_pairs,)."""
        # summed over references of the first atom where atoms are, which are fewer than pairs
        rows = (select(self.c6, species) * weights.unsqueeze(2)).sum(1).reshape(-1, self.n_references)
        place = first
        if self.n_species > 1:
            place = first * self.n_species + species.index_select(0, second)
        return (rows.index_select(0, place) * weights.index_select(0, second)).sum(1)

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """List the half lists of the pairs, and of what is counted as coordination."""
        wanted = [NeighborListOptions(self.cutoff, full_list=False, strict=True)]
        if self.coordination_cutoff != self.cutoff:
            wanted.append(NeighborListOptions(self.coordination_cutoff, full_list=False, strict=True))
        return wanted


def d3_dispersion(
    species: Union[Species, Sequence[Species]],
    functional: Union[str, Mapping[str, float]],
    cutoff: Optional[float] = None,
    coordination_cutoff: Optional[float] = None,
    *,
    width: Optional[float] = None,
    length_unit: str = "angstrom",
    energy_unit: str = "eV",
    dtype: str = "float64",
) -> AtomisticModel:
    """Make a model of dispersion, to be added to another one: D3 with the damping of Becke and Johnson.

    The energy is the sum over pairs closer than the cutoff of ::

        -s6 C6 / (r^6 + f^6) - s8 C8 / (r^8 + f^8),    f = a1 sqrt(C8 / C6) + a2

    half of it given to each of the two atoms.  C6 follows from the coordination numbers of both atoms, C8 is C6 times a
    number for each pair of elements.  The energy of three atoms is left out, as in the papers by default; the program
    s-dftd3 adds it unless ``s9`` is 0.

    Parameters
    ----------
    species
        Elements up to lawrencium, by symbol or atomic number.
    functional
        Density functional that the energies of the other model come from, such as "pbe"; or a mapping with its "s6",
        "s8", "a1", and "a2" in bohr.
    cutoff
        Cutoff radius of pairs in ``length_unit``; None for 15 angstrom.  The program s-dftd3 has 60 bohr.
    coordination_cutoff
        Cutoff radius of what is counted as coordination, in ``length_unit``; None for 10 angstrom, or the cutoff if
        that is shorter.  The program s-dftd3 has 40 bohr.
    width
        How long before each of the cutoffs a smooth step to zero begins, in ``length_unit``; None for 2 angstrom, or
        half of the shorter cutoff.  0 for energies that jump there, as in other programs.
    length_unit, energy_unit
        Units of the model, and of the cutoffs.
    dtype
        "float64" or "float32".

    Returns
    -------
    AtomisticModel
        The model, on the CPU, ready to be saved, or to be a part of `metatomic_core.combining.combine`.

    Raises
    ------
    ImportError
        If the package ``tad-dftd3`` is missing, which has the tables.
    TypeError, ValueError
        If the functional or an element is unknown, or a number has no sense.

    References
    ----------
    S. Grimme, J. Antony, S. Ehrlich and H. Krieg, J. Chem. Phys. 132, 154104 (2010); S. Grimme, S. Ehrlich and
    L. Goerigk, J. Comput. Chem. 32, 1456 (2011).  Tables and parameters come from the package ``tad-dftd3``, and with
    them the DOI of the paper that has the parameters of the functional, which is saved in the model.
    """
    numbers = species_list(species)
    parameters, name, references = _parameters(functional)
    reach, counted, step = _cutoffs(cutoff, coordination_cutoff, width, unit_conversion_factor("angstrom", length_unit))
    known, scaled = in_units(tables(numbers), parameters, length_unit, energy_unit)
    elements = ", ".join(symbol(number) for number in numbers)
    return make_model(
        D3Dispersion(numbers, known, scaled, reach, counted, step),
        name=f"D3(BJ) {name}",
        description=f"dispersion of {elements}, {name}, pairs up to {reach:g} {length_unit}",
        references={"architecture": list(REFERENCES), **references},
        species=numbers,
        # the energy of an atom depends on the coordination of those within the cutoff
        interaction_range=reach + counted,
        length_unit=length_unit,
        energy_unit=energy_unit,
        dtype=dtype,
    )


def checked_parameters(argument: str, given: Mapping[str, float]) -> Dict[str, float]:
    """Give the four parameters of a mapping that was given as an argument; s8 is negative for some functionals."""
    if set(given) != set(PARAMETERS):
        names = ", ".join(map(str, given)) or "none"
        raise ValueError(f"expected `{argument}` to have {', '.join(PARAMETERS)}, got {names}")
    return {name: check_number(name, given[name]) for name in PARAMETERS}


def checked_cutoff(argument: str, given: Optional[float], default: float) -> float:
    """Give a cutoff, or the default for None."""
    return default if given is None else check_number(argument, given, 0)


def in_units(
    known: Tables, parameters: Mapping[str, float], length_unit: str, energy_unit: str
) -> Tuple[Tables, Dict[str, float]]:
    """Give tables and parameters in the units of a model, from those in atomic units."""
    bohr, hartree = unit_conversion_factor("bohr", length_unit), unit_conversion_factor("Hartree", energy_unit)
    scaled = Tables(known.c6 * hartree * bohr**6, known.coordination, known.radii * bohr, known.ratios * bohr)
    return scaled, {**parameters, "a2": parameters["a2"] * bohr}


def _parameters(functional: Union[str, Mapping[str, float]]) -> Tuple[Dict[str, float], str, Dict[str, List[str]]]:
    """Give the parameters in atomic units, a name for them, and where they are from."""
    if isinstance(functional, str):
        found, doi = damping(functional)
        return (
            found,
            functional.lower(),
            {"model": [f"parameters of {functional}: https://doi.org/{doi}"]} if doi else {},
        )
    check_type("functional", functional, Mapping, "the name of a functional, or a mapping with its parameters")
    found = checked_parameters("functional", functional)
    return found, " ".join(f"{name}={value:g}" for name, value in found.items()), {}


def _cutoffs(
    cutoff: Optional[float], coordination_cutoff: Optional[float], width: Optional[float], angstrom: float
) -> Tuple[float, float, float]:
    """Give both cutoffs and the width of the steps before them, in the unit of the model."""
    reach = checked_cutoff("cutoff", cutoff, CUTOFF * angstrom)
    counted = checked_cutoff("coordination_cutoff", coordination_cutoff, min(COORDINATION_CUTOFF * angstrom, reach))
    if counted > reach:
        raise ValueError(f"expected `coordination_cutoff` not above the cutoff, {reach:g}, got {counted:g}")
    if width is None:
        return reach, counted, min(WIDTH * angstrom, 0.5 * counted)
    step = check_number("width", width, 0, strict=False)
    if step >= counted:
        raise ValueError(f"expected `width` below both cutoffs, {reach:g} and {counted:g}, got {step:g}")
    return reach, counted, step
