"""The screened repulsion of nuclei: `zbl`, for atoms that come closer than a model knows."""

from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core.authors import energy_output_from_terms, pairs, species_index, species_table
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.system import System
from metatomic_core.model.atomistic_model import AtomisticModel
from metatomic_core.units import unit_conversion_factor

from ._common import pair_kinds, select
from ._setup import Species, check_number, make_model, species_list, symbol

_REFERENCE = "J. F. Ziegler, J. P. Biersack and U. Littmark, The Stopping and Range of Ions in Matter, Pergamon (1985)"
# of the universal screening function: sum of factors times exp(-exponent x), with x = r (Zi^0.23 + Zj^0.23) in units
# of 0.4685 angstrom
_FACTORS = (0.18175, 0.50986, 0.28022, 0.02817)
_EXPONENTS = (3.19980, 0.94229, 0.40290, 0.20162)
_POWER, _LENGTH = 0.23, 0.46850
# in angstrom: where covalent bonds begin to matter, so that a model decides there
INNER, OUTER = 0.8, 1.2


class ScreenedRepulsion(torch.nn.Module):
    """Module of `zbl`; tables have a row for each kind of pair."""

    species_of_type: torch.Tensor
    charges: torch.Tensor
    decays: torch.Tensor
    factors: torch.Tensor
    third: torch.Tensor
    fourth: torch.Tensor
    constant: torch.Tensor

    def __init__(self, species: List[int], charge2: float, angstrom: float, inner: float, outer: float):
        super().__init__()
        self.inner, self.outer = inner, outer
        self.n_species = len(species)
        z = torch.tensor(species, dtype=torch.float64)
        powers = z**_POWER
        screening = (powers[:, None] + powers[None, :]).flatten() / (_LENGTH * angstrom)
        charges = charge2 * (z[:, None] * z[None, :]).flatten()
        decays = screening[:, None] * torch.tensor(_EXPONENTS, dtype=torch.float64)
        factors = torch.tensor(_FACTORS, dtype=torch.float64)
        self.register_buffer("species_of_type", species_table(species))
        self.register_buffer("charges", charges)
        self.register_buffer("decays", decays)
        self.register_buffer("factors", factors)
        third, fourth, constant = _to_zero(charges, decays, factors, inner, outer)
        self.register_buffer("third", third)
        self.register_buffer("fourth", fourth)
        self.register_buffer("constant", constant)

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        """Compute the energy; see `ModelInterface`."""
        results: Dict[str, TensorMap] = {}
        if "energy" not in outputs:
            return results
        first, second, vectors = pairs(systems, NeighborListOptions(self.outer, full_list=False, strict=True))
        kind = pair_kinds(species_index(systems, self.species_of_type), self.n_species, first, second)
        r = vectors.square().sum(1).sqrt()
        screening = torch.mv(torch.exp(-select(self.decays, kind) * r.unsqueeze(1)), self.factors)
        beyond = (r - self.inner).clamp(min=0.0)
        step = beyond * beyond * beyond * (select(self.third, kind) + select(self.fourth, kind) * beyond)
        energy = select(self.charges, kind) * screening / r + step + select(self.constant, kind)
        terms = [(energy, [first, second])]
        results["energy"] = energy_output_from_terms(systems, terms, outputs["energy"], selected_atoms)
        return results

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """List the one half list."""
        return [NeighborListOptions(self.outer, full_list=False, strict=True)]


def _to_zero(
    charges: torch.Tensor, decays: torch.Tensor, factors: torch.Tensor, inner: float, outer: float
) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Give what takes energy, force and curvature to zero at the outer cutoff: a cubic, a quartic and a constant."""
    waves = torch.exp(-decays * outer) * factors
    value, slope, bend = waves.sum(1), -(decays * waves).sum(1), (decays.square() * waves).sum(1)
    energy = charges * value / outer
    first = charges * (slope / outer - value / outer**2)
    second = charges * (bend / outer - 2.0 * slope / outer**2 + 2.0 * value / outer**3)
    width = outer - inner
    third = (second * width - 3.0 * first) / (3.0 * width**2)
    fourth = (2.0 * first - second * width) / (4.0 * width**3)
    return third, fourth, 0.5 * width * first - width**2 * second / 12.0 - energy


def zbl(
    species: Union[Species, Sequence[Species]],
    inner: Optional[float] = None,
    outer: Optional[float] = None,
    *,
    length_unit: str = "angstrom",
    energy_unit: str = "eV",
    dtype: str = "float64",
) -> AtomisticModel:
    """Make a model of the screened repulsion of nuclei, which is added to models that do not know short distances.

    The energy is the sum over pairs of ``Zi Zj e^2 phi(r / a) / (4 pi eps0 r)`` with the universal screening function,
    half of it given to each of the two atoms.  From the inner to the outer cutoff energy, force and curvature go to
    zero, by the polynomial of LAMMPS' ``pair_style zbl``, which also lowers all energies within by a constant.

    Parameters
    ----------
    species
        Elements, by symbol or atomic number.
    inner
        Where the polynomial begins, in ``length_unit``; None for 0.8 angstrom.
    outer
        Cutoff radius in ``length_unit``; None for 1.2 angstrom.
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
    TypeError, ValueError
        If an element is unknown, or a cutoff has no sense.

    References
    ----------
    J. F. Ziegler, J. P. Biersack and U. Littmark, The Stopping and Range of Ions in Matter, Pergamon (1985).
    """
    numbers = species_list(species)
    angstrom = unit_conversion_factor("angstrom", length_unit)
    near = INNER * angstrom if inner is None else check_number("inner", inner, 0, strict=False)
    far = OUTER * angstrom if outer is None else check_number("outer", outer, 0)
    if near >= far:
        raise ValueError(f"expected `inner` below `outer`, {far:g}, got {near:g}")
    # e^2 / (4 pi eps0) is one Hartree times one bohr
    charge2 = unit_conversion_factor("Hartree", energy_unit) * unit_conversion_factor("bohr", length_unit)
    names = ", ".join(symbol(number) for number in numbers)
    return make_model(
        ScreenedRepulsion(numbers, charge2, angstrom, near, far),
        name=f"ZBL {names}",
        description=f"repulsion of the nuclei of {names}, taken to zero from {near:g} to {far:g} {length_unit}",
        references={"architecture": [_REFERENCE]},
        species=numbers,
        interaction_range=far,
        length_unit=length_unit,
        energy_unit=energy_unit,
        dtype=dtype,
    )
