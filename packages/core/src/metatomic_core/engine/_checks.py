"""Checks of what an `Engine` is told to do, and of what a model gave."""

import numbers
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from metatensor.torch import TensorMap

from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import base_quantity, canonical_name, unit_dimension_for_quantity
from metatomic_core.data.selection import outputs_that_follow_energy, pick_output
from metatomic_core.foundation.checks import check_type
from metatomic_core.foundation.finite import all_finite
from metatomic_core.pipeline.results import result_table

from .jacobians import JACOBIANS
from .structures import Evaluation, Structure

# Atoms listed in a warning about uncertainties.
_MAX_LISTED = 10
_RESULTS = result_table()
# results that are given for each structure
_PER_STRUCTURE = tuple(name for name, row in _RESULTS.items() if row.per == "system")


def check_options(
    variants: object,
    check_consistency: object,
    neighbor_skin: object,
    uncertainty_threshold: object,
    max_pairs: object,
) -> None:
    """Check the types and ranges of options of `Engine`."""
    check_type("variants", {} if variants is None else variants, Mapping, "a dictionary from outputs to variants")
    check_type("check_consistency", check_consistency, bool, "True or False")
    check_type("neighbor_skin", neighbor_skin, numbers.Real, "a number")
    if not 0 <= float(neighbor_skin) < float("inf"):  # type: ignore[arg-type]
        raise ValueError(f"expected `neighbor_skin` to be zero or more, got {neighbor_skin}")
    if uncertainty_threshold is not None:
        check_type("uncertainty_threshold", uncertainty_threshold, numbers.Real, "a number or None")
        if not float(uncertainty_threshold) > 0:  # type: ignore[arg-type]
            raise ValueError(f"expected `uncertainty_threshold` to be positive, got {uncertainty_threshold}")
    if max_pairs is not None:
        check_type("max_pairs", max_pairs, numbers.Real, "a number or None")
        if not float(max_pairs) > 0:  # type: ignore[arg-type]
            raise ValueError(f"expected `max_pairs` to be positive, got {max_pairs}")


def checked_variants(
    variants: Mapping[str, str | None] | None, outputs: dict[str, ModelOutput]
) -> dict[str, str | None]:
    """Give the variant of each output by canonical name, with those that follow the energy."""
    checked = {canonical_name(name): variant for name, variant in (variants or {}).items()}
    offered = {base_quantity(name) for name in outputs}
    for name, variant in checked.items():
        unit_dimension_for_quantity(name)
        if name not in offered:
            raise ValueError(f"expected `variants` of outputs that the model has, {sorted(offered)}, got '{name}'")
        pick_output(name, outputs, variant)
    if checked.get("energy") is not None:
        for name in outputs_that_follow_energy():
            # also where the model has no such variant: results of two variants are not to be mixed by accident
            checked.setdefault(name, checked["energy"])
    return checked


def check_finite_outputs(evaluation: Evaluation) -> None:
    """Raise a ValueError that names the first output with a value that is not finite."""
    for name, values in evaluation.outputs.items():
        # what a model gives for some atoms only is NaN for the others, and no number is missing in its own values
        if not np.isfinite(values).all() and not _has_finite_values(evaluation.tensors[name]):
            row = int(np.argwhere(~np.isfinite(values))[0][0])
            raise ValueError(f"expected finite values of '{name}' from the model, got nan or infinity in sample {row}")


def _has_finite_values(tensor: TensorMap) -> bool:
    return all(bool(torch.isfinite(block.values).all()) for block in tensor.blocks())


def check_finite(evaluation: Evaluation, results: Sequence[str], structures: Sequence[Structure]) -> None:
    """Raise a ValueError that names the first structure or atom whose result is not finite."""
    # results per atom first: they tell more about what went wrong
    for result in sorted(results, key=lambda name: name in _PER_STRUCTURE):
        values = getattr(evaluation, result)
        if all_finite(values):
            continue
        finite = np.isfinite(values)
        if result in _RESULTS and _RESULTS[result].over_volume:
            # structures without a volume among others have none
            without = _without_volume(structures, for_each_atom=result not in _PER_STRUCTURE)
            finite |= without.reshape(-1, *[1] * (finite.ndim - 1))
        if finite.all():
            continue
        row = int(np.argwhere(~finite)[0][0])
        if result in JACOBIANS:
            raise ValueError(f"expected finite values of '{result}' from the model, got nan or infinity")
        if result in _PER_STRUCTURE:
            raise ValueError(
                f"expected finite values of '{result}' from the model, got nan or infinity for structure {row}"
            )
        index = int(np.searchsorted(np.cumsum(evaluation.n_atoms), row, side="right"))
        atom = row - sum(evaluation.n_atoms[:index])
        raise ValueError(
            f"expected finite values of '{result}' from the model, got nan or infinity for atom {atom} (type "
            f"{structures[index].types[atom]}) of structure {index}"
        )


def _without_volume(structures: Sequence[Structure], for_each_atom: bool) -> np.ndarray:
    without = [not np.any(one.pbc) or np.linalg.det(one.cell) == 0.0 for one in structures]
    return np.repeat(without, [len(one.types) for one in structures]) if for_each_atom else np.array(without)


def warn_uncertain(values: np.ndarray, threshold: float, energy_unit: str) -> None:
    """Warn about atoms whose energies are more uncertain than a threshold, in the name of who called the `Engine`."""
    values = values.reshape(-1)
    above = np.flatnonzero(values > threshold)
    if len(above) == 0:
        return
    listed = ", ".join(str(atom) for atom in above[:_MAX_LISTED])
    more = ", ..." if len(above) > _MAX_LISTED else ""
    warnings.warn(
        f"expected uncertainties of atomic energies below {threshold:g} {energy_unit}, got up to "
        f"{np.nanmax(values):g} for {len(above)} atoms: {listed}{more}",
        stacklevel=3,
    )
