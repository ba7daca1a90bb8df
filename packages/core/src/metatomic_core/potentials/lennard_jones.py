"""The Lennard-Jones potential: `lennard_jones`."""

import math
from collections.abc import Mapping
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core.authors import energy_output_from_terms, pairs, species_index, species_table
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.system import System
from metatomic_core.foundation.checks import check_choice
from metatomic_core.model.atomistic_model import AtomisticModel
from metatomic_core.units import unit_conversion_factor

from ._common import pair_kinds, select, switch
from ._setup import Species, atomic_number, check_number, make_model, species_list, symbol

# argon, Michels, Wijker and Wijker, Physica 15, 627 (1949); used by Verlet, Phys. Rev. 159, 98 (1967)
ARGON_SIGMA = 3.405  # angstrom
ARGON_EPSILON = 119.8 * 8.617333262e-5  # eV: 119.8 K times k_B (CODATA 2018)
_ARGON_REFERENCE = "A. Michels, Hub. Wijker and Hk. Wijker, Physica 15, 627 (1949): argon"
_REFERENCE = "J. E. Jones, Proc. R. Soc. Lond. A 106, 463 (1924), https://doi.org/10.1098/rspa.1924.0082"
_CUTOFF_IN_SIGMA = 2.5
_ONSET_IN_CUTOFF = 0.66

SHIFTS = ("energy", "smooth", "none")
MIXINGS = {
    "lorentz-berthelot": {"sigma": lambda a, b: 0.5 * (a + b), "epsilon": lambda a, b: math.sqrt(a * b)},
    "geometric": {"sigma": lambda a, b: math.sqrt(a * b), "epsilon": lambda a, b: math.sqrt(a * b)},
}

Pair = Tuple[Species, Species]
Parameter = Union[float, Mapping[Union[Species, Pair], float]]


class LennardJones(torch.nn.Module):
    """Module of `lennard_jones`; ``sigma``, ``epsilon`` have the shape (n_species, n_species)."""

    species_of_type: torch.Tensor
    sigma2: torch.Tensor
    epsilon4: torch.Tensor
    at_cutoff: torch.Tensor

    def __init__(
        self, species: List[int], sigma: torch.Tensor, epsilon: torch.Tensor, cutoff: float, shift: str, onset: float
    ):
        super().__init__()
        self.cutoff = cutoff
        self.onset = onset
        self.smooth = shift == "smooth"
        self.n_species = len(species)
        self.register_buffer("species_of_type", species_table(species))
        self.register_buffer("sigma2", sigma.square().flatten())
        self.register_buffer("epsilon4", 4.0 * epsilon.flatten())
        s3 = (self.sigma2 / cutoff**2) ** 3
        at_cutoff = self.epsilon4 * s3 * (s3 - 1.0)
        self.register_buffer("at_cutoff", at_cutoff if shift == "energy" else torch.zeros_like(at_cutoff))

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        """Compute the energy; see `ModelInterface`."""
        results: Dict[str, TensorMap] = {}
        if "energy" not in outputs:
            return results
        first, second, vectors = pairs(systems, NeighborListOptions(self.cutoff, full_list=False, strict=True))
        kind = pair_kinds(species_index(systems, self.species_of_type), self.n_species, first, second)
        r2 = vectors.square().sum(1)
        s = select(self.sigma2, kind) / r2
        s3 = s * s * s
        energy = select(self.epsilon4, kind) * (s3 * (s3 - 1.0)) - select(self.at_cutoff, kind)
        if self.smooth:
            energy = energy * switch(r2, self.onset, self.cutoff)
        terms = [(energy, [first, second])]
        results["energy"] = energy_output_from_terms(systems, terms, outputs["energy"], selected_atoms)
        return results

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """List the one half list."""
        return [NeighborListOptions(self.cutoff, full_list=False, strict=True)]


def lennard_jones(
    species: Union[Species, Sequence[Species]] = "Ar",
    sigma: Optional[Parameter] = None,
    epsilon: Optional[Parameter] = None,
    cutoff: Optional[float] = None,
    *,
    shift: str = "energy",
    onset: Optional[float] = None,
    mixing: str = "lorentz-berthelot",
    length_unit: str = "angstrom",
    energy_unit: str = "eV",
    dtype: str = "float64",
) -> AtomisticModel:
    """Make a Lennard-Jones model; of argon by default.

    The energy is the sum over pairs closer than the cutoff of ::

        4 epsilon [(sigma / r)^12 - (sigma / r)^6]

    half of it given to each of the two atoms.

    Parameters
    ----------
    species
        Elements, by symbol or atomic number.
    sigma, epsilon
        Distance in ``length_unit`` and depth in ``energy_unit``.  One number for all pairs, or a mapping from species,
        and from pairs of species for which ``mixing`` is not wanted: ``{"Ar": 3.4, "Kr": 3.6, ("Ar", "Kr"): 3.5}``.
        None for those of argon.
    cutoff
        Cutoff radius in ``length_unit``; None for 2.5 times the largest sigma.
    shift
        "energy": each pair energy is shifted to be zero at the cutoff, as LAMMPS does with ``pair_modify shift yes``
        and ASE by default.  "smooth": each pair energy is multiplied by a smooth step from 1 at the onset to 0 at the
        cutoff, as ASE does with ``smooth=True``.  "none": truncated, as ``pair_style lj/cut`` of LAMMPS; the energy
        jumps where a pair crosses the cutoff, so that it is not conserved by molecular dynamics.
    onset
        Where the smooth step begins, in ``length_unit``; None for 0.66 times the cutoff, as in ASE.
    mixing
        Parameters of pairs of different species: "lorentz-berthelot" (arithmetic mean of sigma, geometric mean of
        epsilon) or "geometric" (of both).
    length_unit, energy_unit
        Units of the parameters and of the model.
    dtype
        "float64" or "float32".

    Returns
    -------
    AtomisticModel
        The model, on the CPU, ready to be saved.

    Raises
    ------
    TypeError, ValueError
        If a parameter is missing or has no sense.

    References
    ----------
    J. E. Jones, Proc. R. Soc. Lond. A 106, 463 (1924).  Argon, epsilon = 119.8 K k_B and sigma = 3.405 angstrom:
    A. Michels, Hub. Wijker and Hk. Wijker, Physica 15, 627 (1949), as used by L. Verlet, Phys. Rev. 159, 98 (1967).
    """
    numbers = species_list(species)
    check_choice("shift", shift, SHIFTS)
    check_choice("mixing", mixing, MIXINGS)
    references = {"architecture": [_REFERENCE]}
    if sigma is None or epsilon is None:
        sigma, epsilon = _argon(numbers, sigma, epsilon, length_unit, energy_unit)
        references["model"] = [_ARGON_REFERENCE]
    sigmas = _pair_table("sigma", sigma, numbers, MIXINGS[mixing]["sigma"])
    epsilons = _pair_table("epsilon", epsilon, numbers, MIXINGS[mixing]["epsilon"])
    cutoff = _CUTOFF_IN_SIGMA * float(sigmas.max()) if cutoff is None else check_number("cutoff", cutoff, 0)
    names = ", ".join(symbol(number) for number in numbers)
    return make_model(
        LennardJones(numbers, sigmas, epsilons, cutoff, shift, _onset(onset, shift, cutoff)),
        name=f"Lennard-Jones {names}",
        description=f"Lennard-Jones potential for {names}, cut off at {cutoff:g} {length_unit} (shift: {shift})",
        references=references,
        species=numbers,
        interaction_range=cutoff,
        length_unit=length_unit,
        energy_unit=energy_unit,
        dtype=dtype,
    )


def _argon(
    numbers: List[int], sigma: Any, epsilon: Any, length_unit: str, energy_unit: str
) -> Tuple[Parameter, Parameter]:
    """Give the parameters of argon in other units, in place of those that are None."""
    if numbers != [atomic_number("Ar")]:
        missing = "sigma" if sigma is None else "epsilon"
        raise ValueError(
            f"expected `{missing}` for {', '.join(map(symbol, numbers))}, got None; only argon has defaults"
        )
    if sigma is None:
        sigma = ARGON_SIGMA * unit_conversion_factor("angstrom", length_unit)
    if epsilon is None:
        epsilon = ARGON_EPSILON * unit_conversion_factor("eV", energy_unit)
    return sigma, epsilon


def _onset(onset: Optional[float], shift: str, cutoff: float) -> float:
    if onset is None:
        return _ONSET_IN_CUTOFF * cutoff
    if shift != "smooth":
        raise ValueError(f"expected no `onset` with shift '{shift}', got {onset}; use shift 'smooth'")
    if check_number("onset", onset, 0) >= cutoff:
        raise ValueError(f"expected `onset` to be below the cutoff, {cutoff:g}, got {onset:g}")
    return float(onset)


def _pair_table(name: str, values: Any, species: List[int], mix: Any) -> torch.Tensor:
    """Give a parameter for all pairs, shape (n_species, n_species), float64."""
    given = _given_pairs(name, values, species)
    table = torch.zeros(len(species), len(species), dtype=torch.float64)
    for i, a in enumerate(species):
        if (a, a) not in given:
            raise ValueError(f"expected `{name}` of '{symbol(a)}', got none")
        for j, b in enumerate(species[:i]):
            pair = (min(a, b), max(a, b))
            value = given[pair] if pair in given else mix(given[(a, a)], given[(b, b)])
            table[i, j] = table[j, i] = value
        table[i, i] = given[(a, a)]
    return table


def _given_pairs(name: str, values: Any, species: List[int]) -> Dict[Tuple[int, int], float]:
    """Give what was stated for each pair of atomic numbers, the smaller one first."""
    # epsilon may be zero: atoms that do not see each other
    strict = name == "sigma"
    if not isinstance(values, Mapping):
        return {(a, b): check_number(name, values, 0, strict=strict) for a in species for b in species if a <= b}
    given: Dict[Tuple[int, int], float] = {}
    for key, value in values.items():
        members = key if isinstance(key, tuple) else (key, key)
        pair = tuple(sorted(atomic_number(member) for member in members))
        if len(pair) != 2 or not set(pair) <= set(species):
            raise ValueError(f"expected `{name}` of species of this model, or pairs of them, got one of {key!r}")
        if pair in given:
            raise ValueError(f"expected `{name}` of each pair once, got that of {key!r} twice")
        given[(pair[0], pair[1])] = check_number(name, value, 0, strict=strict)
    return given
