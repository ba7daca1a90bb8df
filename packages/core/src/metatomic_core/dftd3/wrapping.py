"""`DFTD3`: models with dispersion added to their energies."""

import warnings
from collections.abc import Mapping, Sequence

import torch

from metatomic_core.combining.inner import Inner
from metatomic_core.combining.inside import Inside, inside_of, with_note
from metatomic_core.data.capabilities import ModelCapabilities
from metatomic_core.data.checks import DTYPES
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import base_quantity, canonical_name
from metatomic_core.foundation.checks import check_choice, check_type
from metatomic_core.model.atomistic_model import AtomisticModel
from metatomic_core.potentials.d3_tables import Tables, tables
from metatomic_core.potentials.dispersion import (
    REFERENCES,
    D3Dispersion,
    checked_cutoff,
    checked_parameters,
    in_units,
)
from metatomic_core.units import unit_conversion_factor

from .corrected import Corrected

# in bohr
CUTOFF, COORDINATION_CUTOFF = 50.0, 25.0
_TABLES = ("rcov", "r4r2", "c6", "cn_ref")


# what an energy has beside it that this does not correct
_WITHOUT = ("energy_ensemble", "non_conservative_force", "non_conservative_stress")


class DFTD3:
    """Models with dispersion added to their energies; `wrap` makes them."""

    @staticmethod
    def wrap(
        model: AtomisticModel,
        *,
        damping_params: Mapping[str, Mapping[str, float]],
        d3_params: Mapping[str, torch.Tensor] | None = None,
        cutoff: float | None = None,
        cn_cutoff: float | None = None,
        excluded_atom_types: Sequence[int] | None = None,
    ) -> AtomisticModel:
        """Add dispersion, D3 with the damping of Becke and Johnson for pairs of atoms, to energies of a model.

        Other outputs stay as they are.  Energies jump where a pair crosses a cutoff, by very little at the default
        ones; `metatomic_core.potentials.d3_dispersion` has smooth ones, and `metatomic_core.combining.combine` adds it.

        Parameters
        ----------
        model
            The model, made in Python or loaded; it stays as it is.
        damping_params
            Parameters "a1", "a2" in bohr, "s8" and, if it is not 1, "s6" for each output that is corrected: energies
            and their variants, such as "energy/pbe".
        d3_params
            Tables in atomic units, a row for each atomic number from zero: covalent radii times 4/3 "rcov", roots of
            half of sqrt(Z) <r^4> / <r^2> "r4r2", coefficients "c6" of shape (Z, Z, M, M), and coordination numbers of M
            references "cn_ref" of shape (Z, M), which are negative where there is none.  None for those of Grimme.
        cutoff
            Cutoff radius of pairs in the length unit of the model; None for 50 bohr.
        cn_cutoff
            Cutoff radius of what is counted as coordination; None for 25 bohr.
        excluded_atom_types
            Atoms of these types count as neighbors, but have no dispersion themselves.

        Returns
        -------
        AtomisticModel
            A model with all outputs of this one.

        Raises
        ------
        ImportError
            If the package ``tad-dftd3`` is missing, which has the tables, and none are given.
        TypeError, ValueError
            If an output can not be corrected, or tables or numbers have no sense.

        References
        ----------
        S. Grimme, J. Antony, S. Ehrlich and H. Krieg, J. Chem. Phys. 132, 154104 (2010); S. Grimme, S. Ehrlich and
        L. Goerigk, J. Comput. Chem. 32, 1456 (2011).
        """
        inside = inside_of(model)
        damping = _damping(damping_params, inside)
        known = inside.capabilities
        species = list(known.atomic_types)
        bohr = unit_conversion_factor("bohr", known.length_unit)
        reach = checked_cutoff("cutoff", cutoff, CUTOFF * bohr)
        counted = checked_cutoff("cn_cutoff", cn_cutoff, COORDINATION_CUTOFF * bohr)
        elements = tables(species) if d3_params is None else _given(d3_params, species)
        elements = _without(elements, species, excluded_atom_types or [])
        modules = []
        for name, parameters in damping.items():
            scaled, own = in_units(elements, parameters, known.length_unit, inside.outputs[name].unit)
            modules.append(D3Dispersion(species, scaled, own, reach, counted, 0.0).to(DTYPES[known.dtype]))
        capabilities = ModelCapabilities(
            # gradients that the model gives itself would not be those of the sum
            outputs={name: _copy(each) if name in damping else each for name, each in inside.outputs.items()},
            atomic_types=species,
            interaction_range=max(known.interaction_range, reach + counted),
            length_unit=known.length_unit,
            supported_devices=list(known.supported_devices),
            dtype=known.dtype,
        )
        note = "; ".join(
            f"{name}: {' '.join(f'{key}={value:g}' for key, value in parameters.items())}"
            for name, parameters in damping.items()
        )
        module = Corrected(Inner(inside), list(damping), modules).eval()
        return AtomisticModel(module, with_note(inside.metadata, "D3(BJ) added to", note, REFERENCES), capabilities)


def _damping(given: Mapping[str, Mapping[str, float]], inside: Inside) -> dict[str, dict[str, float]]:
    """Give all four parameters of each output, by the name that the model has for it."""
    check_type("damping_params", given, Mapping, "a dictionary, output: parameters")
    if not given:
        raise ValueError("expected `damping_params` of at least one output, got none")
    if inside.capabilities.length_unit == "":
        raise ValueError("expected a model with a unit of length, got one without")
    names = {canonical_name(name): name for name in inside.outputs}
    found: dict[str, dict[str, float]] = {}
    for asked, parameters in given.items():
        check_type("damping_params", asked, str, "a dictionary with names of outputs")
        name = canonical_name(asked)
        check_choice("damping_params", name, list(names))
        output = inside.outputs[names[name]]
        if base_quantity(name) != "energy":
            raise ValueError(f"expected `damping_params` of energies, got '{asked}'; forces follow from these")
        if output.unit == "" or output.explicit_gradients:
            what = "no unit" if output.unit == "" else "gradients that the model gives itself"
            raise ValueError(f"expected energies with a unit, differentiated by the engine, got '{asked}' with {what}")
        found[names[name]] = _checked(parameters, asked)
    others = [name for name in names if base_quantity(name) in _WITHOUT]
    if others:
        warnings.warn(f"'{', '.join(others)}' stays without dispersion", stacklevel=3)
    return found


def _checked(parameters: Mapping[str, float], output: str) -> dict[str, float]:
    argument = f"damping_params['{output}']"
    check_type(argument, parameters, Mapping, "a dictionary, parameter: value")
    given = {"s6": 1.0, **parameters}
    damping = given.pop("damping", "bj")
    if damping != "bj":
        raise ValueError(f"expected damping 'bj' in `{argument}`, got '{damping}'")
    return checked_parameters(argument, given)


def _given(given: Mapping[str, torch.Tensor], species: list[int]) -> Tables:
    """Give the rows of some elements of given tables."""
    check_type("d3_params", given, Mapping, "a dictionary, table: tensor")
    missing = [name for name in _TABLES if name not in given]
    if missing:
        raise ValueError(f"expected `d3_params` to have {', '.join(_TABLES)}, got none of {', '.join(missing)}")
    found = {name: torch.as_tensor(given[name], dtype=torch.float64).detach().cpu() for name in _TABLES}
    rows, references = found["cn_ref"].shape[0], found["cn_ref"].shape[-1]
    shapes = {"cn_ref": (rows, references), "c6": (rows, rows, references, references), "rcov": (-1,), "r4r2": (-1,)}
    for name, shape in shapes.items():
        if len(found[name].shape) != len(shape) or (shape[0] >= 0 and tuple(found[name].shape) != shape):
            wanted = f"{len(shape)} axes, in agreement with the others"
            raise ValueError(f"expected '{name}' of `d3_params` to have {wanted}, got {tuple(found[name].shape)}")
    last = min(len(values) for values in found.values()) - 1
    if max(species) > last:
        raise ValueError(f"expected `d3_params` for all types of the model, {max(species)}, got tables up to {last}")
    index = torch.tensor(species)
    return Tables(found["c6"][index][:, index], found["cn_ref"][index], found["rcov"][index], found["r4r2"][index])


def _without(elements: Tables, species: list[int], excluded: Sequence[int]) -> Tables:
    """Take away the coefficients of some elements, which count as neighbors all the same."""
    unknown = [number for number in excluded if number not in species]
    if unknown:
        raise ValueError(f"expected `excluded_atom_types` among {species}, the types of the model, got {unknown}")
    kept = torch.tensor([float(number not in excluded) for number in species], dtype=torch.float64)
    return elements._replace(c6=elements.c6 * (kept[:, None] * kept[None, :])[:, :, None, None])


def _copy(output: ModelOutput) -> ModelOutput:
    return ModelOutput(
        unit=output.unit, sample_kind=output.sample_kind, description=f"{output.description} with D3(BJ)".strip()
    )
