"""`combine`: what can be combined, and how."""

import copy
import os
from collections.abc import Sequence
from typing import NamedTuple

import torch

from metatomic_core.data.capabilities import ModelCapabilities
from metatomic_core.data.metadata import ModelMetadata
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.selection import pick_output
from metatomic_core.foundation.checks import check_choice, check_type
from metatomic_core.foundation.elements import symbols
from metatomic_core.loading import load_atomistic_model
from metatomic_core.model.atomistic_model import AtomisticModel
from metatomic_core.units import unit_conversion_factor

from .inside import differentiates
from .modules import Combined, Part
from .traced import traced_core

HOW = ("sum", "committee")
# A committee of one has no spread.
_FEWEST = {"sum": 1, "committee": 2}

Source = str | os.PathLike[str] | AtomisticModel


class _Known(NamedTuple):
    """A model that shall be a part, and its energy."""

    model: AtomisticModel
    output: str
    capabilities: ModelCapabilities

    @property
    def energy(self) -> ModelOutput:
        return self.capabilities.outputs[self.output]


def combine(
    models: Sequence[Source],
    how: str = "sum",
    *,
    weights: Sequence[float] | None = None,
    variants: Sequence[str | None] | None = None,
    name: str = "",
    description: str = "",
) -> AtomisticModel:
    """Combine models.

    The energy is the sum of the energies of all parts, each times its weight; or for a committee their mean, with all
    of them as ``energy_ensemble`` and their standard deviation (divided by one less than members) as
    ``energy_uncertainty``.  Forces and stress follow.  Parts may have different cutoffs, units and precisions; the
    whole has the units of the first one, and float64 if one part has.

    Parameters
    ----------
    models
        Model files, or models; a file may be there several times, with different variants.
    how
        "sum" or "committee".
    weights
        Weight of each model in a sum; by default 1.
    variants
        Variant of the energy to take of each model; None for the default one.
    name, description
        Of the new model.

    Returns
    -------
    AtomisticModel
        The model, with energies per atom if all parts have these.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If there are too few models, weights or variants; models have no species, no device or no unit in common; two of
        them request the same input in different units; or one that differentiates by itself has another unit of length
        or precision than the whole.
    """
    check_type("how", how, str, "a string")
    check_choice("how", how, HOW)
    if isinstance(models, (str, os.PathLike, torch.nn.Module)):
        raise TypeError(f"expected `models` to be a list of models, got {type(models).__name__}")
    if len(models) < _FEWEST[how]:
        raise ValueError(f"expected at least {_FEWEST[how]} models for a {how}, got {len(models)}")
    if len(models) == 1 and weights is None and variants is None:
        raise ValueError("expected several models, or one with a weight or a variant, got one alone")
    parts = _known(models, variants)
    shares = _weights(how, len(parts), weights)
    first = parts[0]
    length = first.capabilities.length_unit
    lists: list[NeighborListOptions] = []
    dtype = "float64" if any(each.capabilities.dtype == "float64" for each in parts) else "float32"
    for known in parts:
        _check_converts(known, length, dtype)
    modules = [_part(known, first, lists) for known in parts]
    module = Combined(modules, shares, lists, _inputs(parts)).eval()
    capabilities = ModelCapabilities(
        outputs=_outputs(how, parts),
        atomic_types=_common_types(parts),
        interaction_range=max(
            each.capabilities.interaction_range * _factor(each.capabilities.length_unit, length, "length")
            for each in parts
        ),
        length_unit=length,
        supported_devices=_common_devices(parts),
        dtype=dtype,
    )
    return AtomisticModel(module, _metadata(how, parts, shares, name, description), capabilities)


def _known(models: Sequence[Source], variants: Sequence[str | None] | None) -> list[_Known]:
    chosen = list(variants) if variants is not None else [None] * len(models)
    if len(chosen) != len(models):
        raise ValueError(f"expected one of `variants` for each of {len(models)} models, got {len(chosen)}")
    found = []
    for number, (source, variant) in enumerate(zip(models, chosen, strict=True)):
        if isinstance(source, AtomisticModel):
            # the parts of a model may be moved to another device; those of the caller stay
            model = copy.deepcopy(source)
        elif isinstance(source, (str, os.PathLike)):
            model = load_atomistic_model(source)
        else:
            raise TypeError(
                f"expected `models` to be files or models, got {type(source).__name__} at number {number}; wrap it in "
                "AtomisticModel"
            )
        capabilities = model.capabilities()
        output = pick_output("energy", capabilities.outputs, variant)
        found.append(_Known(model, output, capabilities))
    return found


def _weights(how: str, n_parts: int, weights: Sequence[float] | None) -> list[float]:
    if weights is None:
        return [1.0 if how == "sum" else 1.0 / n_parts] * n_parts
    if how != "sum":
        raise ValueError(f"expected no `weights` for a {how}, whose energy is the mean, got some")
    if len(weights) != n_parts:
        raise ValueError(f"expected one of `weights` for each of {n_parts} models, got {len(weights)}")
    return [float(weight) for weight in weights]


def _factor(unit: str, target: str, dimension: str) -> float:
    if (unit == "") != (target == ""):
        raise ValueError(
            f"expected models that all have a unit of {dimension}, or none, got '{unit}' and '{target}'; set the unit "
            "of the one that has none"
        )
    return 1.0 if unit == target else unit_conversion_factor(unit, target, dimension=dimension)


def _check_converts(known: _Known, length: str, dtype: str) -> None:
    """Refuse what would differentiate by positions that are not those which pairs are made of."""
    capabilities = known.capabilities
    if (capabilities.length_unit, capabilities.dtype) == (length, dtype):
        return
    if differentiates(known.model):
        raise ValueError(
            f"expected models that differentiate by themselves in '{length}' and {dtype}, as the whole, got one in "
            f"'{capabilities.length_unit}' and {capabilities.dtype}; make it the first one, or combine it with others "
            "like it"
        )


def _part(known: _Known, first: _Known, lists: list[NeighborListOptions]) -> Part:
    """Give a module for a model, and add its neighbor lists to those of the whole."""
    length = _factor(known.capabilities.length_unit, first.capabilities.length_unit, "length")
    own = []
    for options in known.model.requested_neighbor_lists():
        request = NeighborListOptions(options.cutoff * length, options.full_list, options.strict)
        for requestor in options.requestors():
            request.add_requestor(requestor)
        own.append(request)
        if request not in lists:
            lists.append(request)
    return Part(
        known.model.core,
        known.output,
        _factor(known.energy.unit, first.energy.unit, "energy"),
        1.0 / length,
        own,
        list(known.model.requested_inputs()),
        known.capabilities.dtype == "float64",
        traced_core(known.model, differentiates(known.model)),
    )


def _inputs(parts: Sequence[_Known]) -> dict[str, ModelOutput]:
    found: dict[str, ModelOutput] = {}
    for known in parts:
        for name, wanted in known.model.requested_inputs().items():
            before = found.setdefault(name, wanted)
            if (before.unit, before.sample_kind) != (wanted.unit, wanted.sample_kind):
                raise ValueError(
                    f"expected models that request '{name}' in the same unit and for the same samples, got "
                    f"'{before.unit}' per {before.sample_kind} and '{wanted.unit}' per {wanted.sample_kind}"
                )
    return found


def _outputs(how: str, parts: Sequence[_Known]) -> dict[str, ModelOutput]:
    kind = "atom" if all(known.energy.sample_kind == "atom" for known in parts) else "system"
    names = ["energy"] if how == "sum" else ["energy", "energy_ensemble", "energy_uncertainty"]
    return {name: ModelOutput(unit=parts[0].energy.unit, sample_kind=kind) for name in names}


def _common_types(parts: Sequence[_Known]) -> list[int]:
    found = [
        number
        for number in parts[0].capabilities.atomic_types
        if all(number in known.capabilities.atomic_types for known in parts)
    ]
    if not found:
        known = "; ".join(" ".join(symbols(each.capabilities.atomic_types)) for each in parts)
        raise ValueError(f"expected models with species in common, got {known}")
    return found


def _common_devices(parts: Sequence[_Known]) -> list[str]:
    found = [
        device
        for device in parts[0].capabilities.supported_devices
        if all(device in known.capabilities.supported_devices for known in parts)
    ]
    if not found:
        listed = "; ".join(" ".join(each.capabilities.supported_devices) for each in parts)
        raise ValueError(f"expected models that run on one device, got {listed}")
    return found


def _metadata(
    how: str, parts: Sequence[_Known], weights: Sequence[float], name: str, description: str
) -> ModelMetadata:
    """Give authors and references of all parts, and what the whole is made of."""
    all_metadata = [known.model.metadata() for known in parts]
    names = [each.name or "unnamed" for each in all_metadata]
    made_of = [
        f"{weight:g} x {each}, {known.output}" if how == "sum" else f"{each}, {known.output}"
        for weight, each, known in zip(weights, names, parts, strict=True)
    ]
    references: dict[str, list[str]] = {}
    for each in all_metadata:
        for kind, listed in each.references.items():
            mine = references.setdefault(kind, [])
            mine += [reference for reference in listed if reference not in mine]
    authors = list(dict.fromkeys(author for each in all_metadata for author in each.authors))
    return ModelMetadata(
        name or f"{how} of {', '.join(names)}", description, authors, references, {f"{how} of": "; ".join(made_of)}
    )
