"""`WeightedSum`: a model with one more output, a sum of others of its own, each times a weight."""

import math
from collections.abc import Mapping
from typing import Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from metatomic_core.data.capabilities import ModelCapabilities
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import base_quantity, canonical_name
from metatomic_core.data.system import System
from metatomic_core.foundation.checks import check_choice, check_type
from metatomic_core.model.atomistic_model import AtomisticModel
from metatomic_core.tracing.stand_ins import are_installed

from .inner import Inner
from .inside import inside_of
from .traced import traced_core


class WeightedSum(torch.nn.Module):
    """The outputs of a module, and one more: a weighted sum of some of them.

    Parameters
    ----------
    model
        Module with the signature of `ModelInterface`; `wrap` takes a whole model.
    output_name
        Name of the new output, such as "energy/mix".
    weights
        Weight of each output in the sum, by its name: of one quantity, with the same samples, components and
        properties, in the same order.
    """

    # TorchScript needs the types of attributes that can not be inferred from their values
    _weights: Dict[str, float]

    def __init__(self, model: torch.nn.Module, output_name: str, weights: Dict[str, float]):
        super().__init__()
        self.model = model
        self.output_name = output_name
        self._weights = dict(weights)

    @staticmethod
    def wrap(
        model: AtomisticModel, output_name: str, weights: Mapping[str, float], normalize_coefficients: bool = False
    ) -> AtomisticModel:
        """Give a model that has all outputs of another, and a weighted sum of some of them.

        Parameters
        ----------
        model
            The model, from a file or not; it stays as it is.
        output_name
            Name of the new output, such as "energy/mix", which the model does not have yet.
        weights
            Weight of each output in the sum, by its name.
        normalize_coefficients
            Divide weights by their sum.

        Returns
        -------
        AtomisticModel
            The new model, with metadata, units, species, neighbor lists and inputs of the other one.

        Raises
        ------
        TypeError
            If an argument has the wrong type.
        ValueError
            If there are no weights, one is not finite, or their sum is zero where they shall be divided by it; if the
            model has the new output already, or lacks one of the others; or these are not of one quantity and unit.
        """
        inside = inside_of(model)
        check_type("output_name", output_name, str, "a string")
        check_type("weights", weights, Mapping, "a dictionary, output: weight")
        capabilities, known = inside.capabilities, inside.outputs
        name = canonical_name(output_name)
        if name in {canonical_name(each) for each in known}:
            raise ValueError(f"expected a new name for `output_name`, got '{output_name}', which the model has already")
        terms = _checked(weights, list(known), name)
        if normalize_coefficients:
            total = sum(terms.values())
            if total == 0.0:
                raise ValueError("expected `weights` with a sum that is not zero, to divide by it, got 0")
            terms = {each: weight / total for each, weight in terms.items()}
        new = ModelCapabilities(
            outputs={**known, output_name: _made_of([known[each] for each in terms], name, terms)},
            atomic_types=capabilities.atomic_types,
            interaction_range=capabilities.interaction_range,
            length_unit=capabilities.length_unit,
            supported_devices=capabilities.supported_devices,
            dtype=capabilities.dtype,
        )
        module = WeightedSum(Inner(inside, traced_core(model, inside.differentiates)), output_name, terms).eval()
        return AtomisticModel(module, inside.metadata, new)

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        """Give what the module gives, and the sum.

        Parameters
        ----------
        systems, outputs, selected_atoms
            See `ModelInterface`.

        Returns
        -------
        dict of TensorMap
            What was asked for.

        Raises
        ------
        ValueError
            If the sum and one of its terms are asked for with other samples; or terms differ in keys, samples or shape.
        """
        asked: Dict[str, ModelOutput] = {}
        for name, output in outputs.items():
            if name != self.output_name:
                asked[name] = output  # noqa: PERF403 (a comprehension with `if` does not script)
        if self.output_name in outputs:
            kind = outputs[self.output_name].sample_kind
            for name in self._weights.keys():
                if name not in asked:
                    asked[name] = ModelOutput(sample_kind=kind)
                elif asked[name].sample_kind != kind:
                    raise ValueError(
                        f"expected '{name}' and '{self.output_name}' to be asked for the same samples, got "
                        f"'{asked[name].sample_kind}' and '{kind}'"
                    )
        given = self.model(systems, asked, selected_atoms)
        results: Dict[str, TensorMap] = {}
        for name in outputs.keys():
            results[name] = self._added(given) if name == self.output_name else given[name]
        return results

    def _added(self, given: Dict[str, TensorMap]) -> TensorMap:
        """Give the weighted sum, of the blocks of each key."""
        names = list(self._weights.keys())
        first = given[names[0]]
        blocks: List[TensorBlock] = []
        for index in range(len(first)):
            block = first.block_by_id(index)
            values = self._weights[names[0]] * block.values
            for name in names[1:]:
                self._check_alike(given, name, names[0], index)
                values = values + self._weights[name] * given[name].block_by_id(index).values
            blocks.append(TensorBlock(values, block.samples, block.components, block.properties))
        return TensorMap(first.keys, blocks)

    def _check_alike(self, given: Dict[str, TensorMap], name: str, first: str, index: int) -> None:
        """Refuse a term with other labels than the first one."""
        # two conditions, as the compiler leaves out what is below the first
        if not torch.jit.is_scripting():  # noqa: SIM102
            if are_installed():
                # labels have no values in a trace: energies of one model, which have the same
                return
        if given[name].keys != given[first].keys:
            raise ValueError(f"expected the keys of '{first}' in '{name}', got others")
        term, block = given[name].block_by_id(index), given[first].block_by_id(index)
        if term.samples != block.samples or term.values.shape != block.values.shape:
            raise ValueError(f"expected the samples and shape of '{first}' in '{name}', got others")


def _checked(weights: Mapping[str, float], known: List[str], output_name: str) -> Dict[str, float]:
    """Give weights by the names that the model has for its outputs."""
    if not weights:
        raise ValueError("expected `weights` of at least one output, got none")
    names = {canonical_name(each): each for each in known}
    terms: Dict[str, float] = {}
    for given, weight in weights.items():
        check_type("weights", given, str, "a dictionary with names of outputs")
        canonical = canonical_name(given)
        check_choice("weights", canonical, list(names))
        if not math.isfinite(float(weight)):
            raise ValueError(f"expected finite numbers in `weights`, got {weight} for '{given}'")
        if base_quantity(canonical) != base_quantity(output_name):
            raise ValueError(
                f"expected `weights` of outputs of one quantity, as '{output_name}', got '{given}'; name the new "
                f"output '{base_quantity(canonical)}/...'"
            )
        if names[canonical] in terms:
            raise ValueError(f"expected each output once in `weights`, got '{canonical}' by two names")
        terms[names[canonical]] = float(weight)
    return terms


def _made_of(parts: List[ModelOutput], name: str, weights: Mapping[str, float]) -> ModelOutput:
    """Describe the new output."""
    units = {part.unit for part in parts}
    if len(units) > 1:
        raise ValueError(f"expected outputs in one unit for '{name}', got {', '.join(sorted(units))}")
    kinds = [part.sample_kind for part in parts]
    kind = "system" if "system" in kinds else kinds[0]
    text = " + ".join(f"{weight:g} {each}" for each, weight in weights.items())
    return ModelOutput(unit=parts[0].unit, sample_kind=kind, description=text)
