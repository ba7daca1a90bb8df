"""What `AtomisticModel` checks and prepares once, when it is made."""

import math
import warnings
from typing import Any, Dict, Iterable, List

from metatomic_core.data.capabilities import ModelCapabilities, check_capabilities
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import canonical_name, check_quantity_name, other_spelling


def check_model_capabilities(
    capabilities: Any, neighbor_lists: List[NeighborListOptions], inputs: Dict[str, ModelOutput]
) -> None:
    """Check that capabilities are complete, and agree with what the module requests.

    Raises
    ------
    TypeError
        If the capabilities are of another type.
    ValueError
        If something is missing or contradicts the requests.

    Warns
    -----
    UserWarning
        If there is no length unit.
    DeprecationWarning
        If an output or input has an older, plural name.
    """
    if not isinstance(capabilities, ModelCapabilities):
        raise TypeError(f"expected `capabilities` to be ModelCapabilities, got {type(capabilities).__name__}")
    check_capabilities(capabilities)
    interaction_range = capabilities.interaction_range
    if interaction_range < 0 or math.isnan(interaction_range):
        raise ValueError(f"expected `interaction_range` to be set to zero or more, got {interaction_range}")
    for field in ("dtype", "supported_devices"):
        if not getattr(capabilities, field):
            raise ValueError(f"expected `{field}` of the capabilities to be set, got nothing")
    for options in neighbor_lists:
        if options.cutoff > interaction_range * (1 + 1e-12):
            raise ValueError(
                f"expected an `interaction_range` of at least the largest cutoff, got {interaction_range} and a "
                f"neighbor list with cutoff {options.cutoff} from {', '.join(options.requestors())}"
            )
    if capabilities.length_unit == "":
        warnings.warn(
            "expected a `length_unit` of the capabilities, got none; lengths will not be converted", stacklevel=3
        )
    _check_inputs(inputs)
    names = [*capabilities.outputs, *inputs]
    for name in names:
        # capabilities of a model list both
        if canonical_name(name) not in [name, *names]:
            warnings.warn(
                f"the name '{name}' is deprecated, use '{canonical_name(name)}'; engines find both",
                DeprecationWarning,
                stacklevel=3,
            )


def _check_inputs(inputs: Dict[str, ModelOutput]) -> None:
    for name, output in inputs.items():
        check_quantity_name(name, "input")
        # types, cell and pbc are no quantities; `System` refuses all of them as data
        if canonical_name(name) == "position":
            raise ValueError(f"expected inputs other than the geometry, which every model gets, got '{name}'")
        other = other_spelling(name)
        if other in inputs:
            raise ValueError(f"expected one spelling of the input '{canonical_name(name)}', got '{name}' and '{other}'")
        if output.sample_kind == "atom_pair":
            raise ValueError(f"expected input '{name}' per system or atom, got atom_pair")


def offered_outputs(outputs: Dict[str, ModelOutput]) -> Dict[str, ModelOutput]:
    """Give the outputs under both spellings of their names."""
    offered = dict(outputs)
    for name, output in outputs.items():
        other = other_spelling(name)
        if other:
            offered.setdefault(other, output)
    return offered


def with_outputs(capabilities: ModelCapabilities, outputs: Dict[str, ModelOutput]) -> ModelCapabilities:
    """Copy capabilities that were checked already, with other outputs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ModelCapabilities(
            outputs=outputs,
            atomic_types=list(capabilities.atomic_types),
            interaction_range=capabilities.interaction_range,
            length_unit=capabilities.length_unit,
            supported_devices=list(capabilities.supported_devices),
            dtype=capabilities.dtype,
        )


def inner_names(offered: Iterable[str], known: Iterable[str]) -> Dict[str, str]:
    """Give, for each offered name, the name under which the module knows the output.

    Parameters
    ----------
    offered
        Names under both spellings.
    known
        Names that the module was declared with.
    """
    declared = set(known)
    names = {}
    for name in offered:
        other = other_spelling(name)
        names[name] = other if name not in declared and other in declared else name
    return names
