"""What is found out about a compiled model by trying it, once, when it is saved: sizes of outputs, and locality.

Engines read it in the header of the file.
"""

import dataclasses
import math
from typing import Any, Dict, List, Optional, Tuple

import torch
from metatensor.torch import TensorMap

from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import base_quantity, canonical_name
from metatomic_core.files.header import ModelHeader

from ._trial import computed, evaluated, filled_input, in_one_spelling, small_structures
from .locality import cluster_pairs, cluster_types, cluster_vectors, dense_cluster, same

_N_ATOMS = 24
# of the cutoff: dense, sparse, and in between
_RADII = (0.98, 0.49, 0.245)
_MIN_TRIALS = 6


def with_answers(header: ModelHeader, compiled: torch.jit.ScriptModule) -> ModelHeader:
    """Give a header with sizes of outputs and locality, None for what the model does not tell.

    Parameters
    ----------
    header
        What is known of the model otherwise.
    compiled
        The model, on the CPU.
    """
    widths = _n_properties(header, compiled)
    return dataclasses.replace(header, n_properties=widths, is_local=is_local(header, compiled))


def _n_properties(header: ModelHeader, compiled: torch.jit.ScriptModule) -> Dict[str, Optional[int]]:
    """Give the number of values for each sample of each output, under both spellings."""
    outputs = header.capabilities.outputs
    spelled = in_one_spelling(outputs)
    structures = small_structures(header.capabilities, header.neighbor_lists, header.inputs)
    found: Dict[str, Optional[int]] = {}
    for structure in structures.values():
        # one by one only where all at once do not work
        for names in [list(spelled), *([name] for name in spelled)]:
            wanted = {name: spelled[name] for name in names if name not in found}
            if not wanted:
                continue
            try:
                tensors = computed(compiled, structure, header.neighbor_lists, header.capabilities.length_unit, wanted)
            except Exception:  # noqa: BLE001, S112  (whatever a model raises; another structure may do)
                continue
            found.update({name: _n_values(tensors[name]) for name in wanted})
    return {name: found.get(name if name in spelled else canonical_name(name)) for name in outputs}


def _n_values(tensor: TensorMap) -> Optional[int]:
    if len(tensor) != 1:
        return None
    return math.prod(tensor.block(0).values.shape[1:])


def is_local(header: ModelHeader, compiled: Any) -> Optional[bool]:
    """Tell whether energies and outputs of an atom depend on no pairs but its own, found by trying.

    Parameters
    ----------
    header
        What is known of the model otherwise.
    compiled
        The model, with the method ``evaluate``, on the CPU.

    Returns
    -------
    bool or None
        None if the model has neither an energy nor an output of atoms, or fails.
    """
    capabilities = header.capabilities
    cutoff = max((options.cutoff for options in header.neighbor_lists), default=0.0)
    if capabilities.interaction_range > cutoff * (1.0 + 1e-6):
        return False
    if not math.isfinite(cutoff):
        return None
    spelled = in_one_spelling(capabilities.outputs)
    energies = [name for name in spelled if base_quantity(name) == "energy"]
    of_atoms = {name: output for name, output in spelled.items() if output.sample_kind == "atom"}
    # the first energy with all outputs of atoms, and each energy that is not among these
    questions: List[Tuple[Dict[str, str], Dict[str, ModelOutput]]] = [
        ({"energy": name}, {}) for name in energies[1:] if name not in of_atoms
    ]
    if energies:
        of_atoms.pop(energies[0], None)
        questions.insert(0, ({"energy": energies[0]}, of_atoms))
    elif of_atoms:
        questions.append(({}, of_atoms))
    else:
        return None
    n_trials = max(_MIN_TRIALS, len(capabilities.atomic_types))
    try:
        return all(
            _same_without_others(header, compiled, trial, cutoff, request, outputs)
            for request, outputs in questions
            for trial in range(n_trials)
        )
    except Exception:  # noqa: BLE001  (whatever a model raises)
        return None


def _same_without_others(
    header: ModelHeader,
    compiled: Any,
    trial: int,
    cutoff: float,
    request: Dict[str, str],
    outputs: Dict[str, ModelOutput],
) -> bool:
    """Tell whether an atom of a cluster is the same without the pairs of others, and with unknown ones."""
    positions = dense_cluster(_N_ATOMS, _RADII[trial % len(_RADII)] * cutoff, 100 * trial)
    of_all = _first_atom(header, compiled, positions, trial, request, outputs)
    of_first = _first_atom(header, compiled, positions, trial, request, outputs, of_first_only=True)
    unknown = _first_atom(header, compiled, positions, trial, request, outputs, others_unknown=True)
    dtype = header.capabilities.dtype
    return all(
        same(values, of_first[name], dtype) and same(values, unknown[name], dtype) for name, values in of_all.items()
    )


def _first_atom(
    header: ModelHeader,
    compiled: Any,
    positions: torch.Tensor,
    trial: int,
    request: Dict[str, str],
    outputs: Dict[str, ModelOutput],
    of_first_only: bool = False,
    others_unknown: bool = False,
) -> Dict[str, torch.Tensor]:
    """Evaluate the first atom of a cluster, in the units of the model: values of one sample, by name."""
    capabilities = header.capabilities
    n_atoms = len(positions)
    structure = {
        "types": cluster_types(n_atoms, capabilities.atomic_types, trial),
        "positions": positions,
        "cell": torch.zeros(3, 3, dtype=torch.float64),
        "pbc": torch.zeros(3, dtype=torch.bool),
    }
    for name, requested in header.inputs.items():
        structure[name] = filled_input(name, requested, n_atoms, 1.0)
    pairs = [
        cluster_pairs(positions, options.cutoff, options.full_list, of_first_only) for options in header.neighbor_lists
    ]
    vectors = [cluster_vectors(positions, listed) for listed in pairs] if others_unknown else None
    units = {"length": capabilities.length_unit, "energy": ""}
    if "energy" in request:
        units["energy"] = capabilities.outputs[request["energy"]].unit
    selected = torch.zeros(1, 2, dtype=torch.int64)
    results, _ = evaluated(compiled, structure, pairs, vectors, selected, request, outputs, units)
    return {name: values[:1] for name, values in results.items()}
