"""Dispersion after Grimme: `d3_dispersion`, a correction that is added to other models."""

from typing import Dict, List, Mapping, Optional, Sequence, Union

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core.authors import (
    energy_output_from_terms,
    pairs,
    species_index,
    species_table,
    sum_at_atoms,
)
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.system import System
from metatomic_core.foundation.checks import check_type
from metatomic_core.model.atomistic_model import AtomisticModel
from metatomic_core.units import unit_conversion_factor

from ._common import pair_kinds, select, switch
from ._d3_tables import Tables, damping, tables
from ._setup import Species, check_number, make_model, species_list, symbol

_REFERENCES = [
    "S. Grimme, J. Antony, S. Ehrlich and H. Krieg, J. Chem. Phys. 132, 154104 (2010), https://doi.org/10.1063/1.3382344",
    "S. Grimme, S. Ehrlich and L. Goerigk, J. Comput. Chem. 32, 1456 (2011), https://doi.org/10.1002/jcc.21759",
]
# steepness of the counting function, and of the weights of references: k1 and k3 of the paper of 2010
COUNTING, WEIGHTING = 16.0, 4.0
# in bohr: far shorter than the 60 and 40 of the paper, and switched off smoothly, for dynamics
CUTOFF, COORDINATION_CUTOFF, WIDTH = 30.0, 20.0, 2.0
PARAMETERS = ("s6", "s8", "a1", "a2")


class Dispersion(torch.nn.Module):
    """Module of `d3_dispersion`; tables and parameters are in the units of the model."""

    species_of_type: torch.Tensor
    radii: torch.Tensor
    c6: torch.Tensor
    c8_by_c6: torch.Tensor
    damping6: torch.Tensor
    damping8: torch.Tensor
    coordination: torch.Tensor
    unknown: torch.Tensor

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
        self.n_references = known.coordination.shape[1]
        self.s6, self.s8 = parameters["s6"], parameters["s8"]
        self.counting, self.weighting = COUNTING, WEIGHTING
        self.register_buffer("species_of_type", species_table(species))
        self.register_buffer("radii", (known.radii[:, None] + known.radii[None, :]).flatten())
        # rows: species of one atom, then of the other; both are needed, as it is contracted with one atom at a time
        self.register_buffer("c6", known.c6.clone())
        ratio = 3.0 * known.ratios[:, None] * known.ratios[None, :]
        radius = parameters["a1"] * ratio.sqrt() + parameters["a2"]
        self.register_buffer("c8_by_c6", ratio.flatten())
        self.register_buffer("damping6", radius.pow(6).flatten())
        self.register_buffer("damping8", radius.pow(8).flatten())
        self.register_buffer("coordination", known.coordination.clone())
        # far below the exponents of all references there are
        self.register_buffer("unknown", torch.where(known.coordination < 0, -1e6, 0.0))

    def switched(self, r2: torch.Tensor, cutoff: float) -> torch.Tensor:
        """Give a factor that goes smoothly to zero at a cutoff."""
        if self.width == 0.0:
            return torch.ones_like(r2)
        return switch(r2, cutoff - self.width, cutoff)

    def weights(self, systems: List[System], species: torch.Tensor) -> torch.Tensor:
        """Give the weight of each reference for each atom, by its coordination: shape (n_atoms, n_references)."""
        first, second, vectors = pairs(
            systems, NeighborListOptions(self.coordination_cutoff, full_list=False, strict=True)
        )
        radii = select(self.radii, pair_kinds(species, self.n_species, first, second))
        r2 = vectors.square().sum(1)
        counts = torch.sigmoid(self.counting * (radii / r2.sqrt() - 1.0)) * self.switched(r2, self.coordination_cutoff)
        number = sum_at_atoms(systems, counts, first) + sum_at_atoms(systems, counts, second)
        references = select(self.coordination, species)
        exponents = select(self.unknown, species) - self.weighting * (number.unsqueeze(1) - references).square()
        # quotients of exponentials, none of which is too small for a number
        return torch.softmax(exponents, dim=1)

    def coefficients(
        self, weights: torch.Tensor, species: torch.Tensor, first: torch.Tensor, second: torch.Tensor
    ) -> torch.Tensor:
        """Give C6 of pairs, shape (n_pairs,)."""
        # of each atom with each reference of each species first: atoms are fewer than pairs
        rows = self.c6.index_select(0, species).transpose(2, 3)
        of_atoms = torch.matmul(rows, weights.unsqueeze(1).unsqueeze(3)).reshape(-1, self.n_references)
        index = first * self.n_species + species.index_select(0, second)
        return (of_atoms.index_select(0, index) * weights.index_select(0, second)).sum(1)

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        """Compute the energy; see `ModelInterface`."""
        results: Dict[str, TensorMap] = {}
        if "energy" not in outputs:
            return results
        species = species_index(systems, self.species_of_type)
        weights = self.weights(systems, species)
        first, second, vectors = pairs(systems, NeighborListOptions(self.cutoff, full_list=False, strict=True))
        kind = pair_kinds(species, self.n_species, first, second)
        r2 = vectors.square().sum(1)
        r6 = r2 * r2 * r2
        shape = self.s6 / (r6 + select(self.damping6, kind)) + self.s8 * select(self.c8_by_c6, kind) / (
            r6 * r2 + select(self.damping8, kind)
        )
        energy = -self.coefficients(weights, species, first, second) * shape * self.switched(r2, self.cutoff)
        terms = [(energy, [first, second])]
        results["energy"] = energy_output_from_terms(systems, terms, outputs["energy"], selected_atoms)
        return results

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """List the half lists of pairs and of those that count as neighbors."""
        return [
            NeighborListOptions(cutoff, full_list=False, strict=True)
            for cutoff in sorted({self.cutoff, self.coordination_cutoff})
        ]


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
    """Make a model of dispersion: D3 with the damping of Becke and Johnson, for pairs of atoms.

    The energy is the sum over pairs closer than the cutoff of ::

        -s6 C6 / (r^6 + f^6) - s8 C8 / (r^8 + f^8),     f = a1 sqrt(C8 / C6) + a2

    half of it given to each of the two atoms.  C6 follows from the coordination numbers of both; C8 is C6 times a
    number for each pair of elements.  The term of three atoms is left out, as it is by default in the paper.

    Parameters
    ----------
    species
        Elements up to plutonium, by symbol or atomic number.
    functional
        What the energy that it is added to was computed with, such as "pbe"; or "s6", "s8", "a1", and "a2" in bohr.
    cutoff
        Cutoff radius of pairs in ``length_unit``; None for 30 bohr.  The energy beyond it is missing, as a rule less
        than a meV per atom.
    coordination_cutoff
        Cutoff radius of the atoms that are counted as neighbors, in ``length_unit``; None for 20 bohr.
    width
        How long before both cutoffs the smooth step to zero begins, in ``length_unit``; None for 2 bohr, and 0 for
        energies that jump there, as in other programs.
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
        If the package ``tad-dftd3``, which has the tables, is missing.
    TypeError, ValueError
        If the functional or an element is unknown, or a number has no sense.

    References
    ----------
    S. Grimme, J. Antony, S. Ehrlich and H. Krieg, J. Chem. Phys. 132, 154104 (2010); S. Grimme, S. Ehrlich and
    L. Goerigk, J. Comput. Chem. 32, 1456 (2011).  Tables and parameters: ``tad-dftd3``, by those of the method.
    """
    numbers = species_list(species)
    bohr = unit_conversion_factor("bohr", length_unit)
    given, name, references = _parameters(functional)
    cutoffs = {"cutoff": (cutoff, CUTOFF), "coordination_cutoff": (coordination_cutoff, COORDINATION_CUTOFF)}
    radius, counted = (
        bohr * default if value is None else check_number(argument, value, 0)
        for argument, (value, default) in cutoffs.items()
    )
    step = bohr * WIDTH if width is None else check_number("width", width, 0, strict=False)
    if step >= min(radius, counted):
        raise ValueError(f"expected `width` below both cutoffs, {radius:g} and {counted:g}, got {step:g}")
    known, scaled = _in_units(tables(numbers), given, bohr, unit_conversion_factor("Hartree", energy_unit))
    names = ", ".join(symbol(number) for number in numbers)
    return make_model(
        Dispersion(numbers, known, scaled, radius, counted, step),
        name=f"D3(BJ) {name}",
        description=f"dispersion for {names} with {name}, cut off at {radius:g} {length_unit}",
        references={"architecture": [*_REFERENCES, *references]},
        species=numbers,
        # an atom feels what its neighbors have as neighbors
        interaction_range=radius + counted,
        length_unit=length_unit,
        energy_unit=energy_unit,
        dtype=dtype,
    )


def _parameters(functional: Union[str, Mapping[str, float]]) -> tuple[Dict[str, float], str, List[str]]:
    """Give the parameters of damping in atomic units, a name for them, and where they are from."""
    if isinstance(functional, str):
        found, doi = damping(functional)
        return found, f"parameters of {functional.lower()}", [f"parameters of damping: https://doi.org/{doi}"]
    check_type("functional", functional, Mapping, "the name of a functional, or a dictionary with its parameters")
    if set(functional) != set(PARAMETERS):
        given = ", ".join(map(str, functional))
        raise ValueError(f"expected `functional` to have {', '.join(PARAMETERS)}, got {given}")
    found = {name: check_number(name, functional[name], 0, strict=False) for name in PARAMETERS}
    return found, ", ".join(f"{name} {value:g}" for name, value in found.items()), []


def _in_units(
    known: Tables, parameters: Mapping[str, float], bohr: float, hartree: float
) -> tuple[Tables, Dict[str, float]]:
    """Convert tables and parameters from atomic units, given what these are."""
    return (
        Tables(known.c6 * hartree * bohr**6, known.coordination, known.radii * bohr, known.ratios * bohr),
        {**parameters, "a2": parameters["a2"] * bohr},
    )
