"""Which output of a model each result is made from: variants, and what is taken without derivatives."""

from collections.abc import Mapping

from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import base_quantity, canonical_name, split_variant
from metatomic_core.data.selection import pick_output
from metatomic_core.foundation.checks import check_choice
from metatomic_core.pipeline.results import result_table

from .jacobians import JACOBIANS

# what users say, and the results that it means
NON_CONSERVATIVE: dict[str, tuple[str, ...]] = {
    "off": (),
    "on": ("forces", "stress"),
    "forces": ("forces",),
    "stress": ("stress",),
}
# All results by name: the rows of the pipeline, and those that take several backward passes.
RESULTS: tuple[str, ...] = (*result_table(), *JACOBIANS)
_DIRECT = {name: row.direct for name, row in result_table().items() if row.direct}


class Choices:
    """What was chosen of a model.

    Parameters
    ----------
    outputs
        Outputs of the model, under both spellings.
    variants
        Variant of each output by canonical name, see `checked_variants`.
    direct
        Which of "forces" and "stress" are taken from direct predictions.
    """

    def __init__(self, outputs: Mapping[str, ModelOutput], variants: Mapping[str, str | None], direct: tuple[str, ...]):
        self.variants = variants
        self._outputs = dict(outputs)
        self._direct = direct
        self._quantities = {base_quantity(name) for name in outputs}
        self._known: dict[tuple[str, ...], dict[str, str]] = {}

    def is_direct(self, result: str) -> bool:
        """Tell whether a result is taken from a direct prediction; a virial is, where the stress is."""
        return result in _DIRECT and ("stress" if result == "virial" else result) in self._direct

    def offers(self, name: str) -> bool:
        """Tell whether the model has an output of this name, in the variant that was chosen."""
        try:
            self.output(name)
        except ValueError:
            return False
        return True

    def output(self, name: str) -> str:
        """Give the name of an output with the variant that was chosen; see `Engine.output`."""
        if split_variant(name)[1]:
            if name not in self._outputs:
                raise ValueError(f"expected an output of the model, one of {sorted(self._outputs)}, got '{name}'")
            return name
        return pick_output(name, self._outputs, self.variants.get(canonical_name(name)))

    def source(self, result: str) -> str:
        """Give the output of the model that a result is made from; see `Engine.source`."""
        check_choice("results", result, RESULTS)
        if result in JACOBIANS:
            return self.output(JACOBIANS[result].output)
        return self.output(_DIRECT[result] if self.is_direct(result) else "energy")

    def request(self, results: tuple[str, ...]) -> dict[str, str]:
        """Give the source of each result of the pipeline; looking names up costs as much as a small neighbor list."""
        if results not in self._known:
            sources = {result: self.source(result) for result in results}
            self._known[results] = {name: source for name, source in sources.items() if name not in JACOBIANS}
        return self._known[results]

    def can_give(self, result: str) -> bool:
        """Tell whether the model can give a result."""
        quantity = JACOBIANS[result].output if result in JACOBIANS else "energy"
        # an energy that has several variants and no default is an error, not something that is missing
        if not self.is_direct(result) and quantity not in self._quantities:
            return False
        name = self.source(result)
        return result != "atomic_energies" or self._outputs[name].sample_kind == "atom"
