"""Unit conversion of what goes into a model and what comes out of it, without touching the original tensors.

Scripted code, saved in every model file.
"""

from typing import Dict, List, Optional

from metatensor.torch import TensorBlock, TensorMap

from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import base_quantity, standard_quantities
from metatomic_core.units import conversion_factor


def cached_factor(
    from_unit: str,
    to_unit: str,
    dimension: str,
    table: Dict[str, List[float]],
    cache: Dict[str, float],
) -> float:
    """Give the factor between two units, parsing each pair of units once for the life of the model."""
    if from_unit == to_unit:
        return 1.0
    key = dimension + " " + from_unit + " -> " + to_unit
    if key not in cache:
        cache[key] = conversion_factor(from_unit, to_unit, dimension, table)
    return cache[key]


def dimension_of(name: str) -> str:
    """Give the dimension of a standard quantity, or the empty string."""
    base = base_quantity(name)
    if base == "energy":
        # asked for at each step: no table
        return "energy"
    table = standard_quantities()
    if base in table:
        return table[base].dimension
    return ""


def scaled_block(block: TensorBlock, factor: float) -> TensorBlock:
    """Multiply the values of a block, without its gradients."""
    return TensorBlock(block.values * factor, block.samples, block.components, block.properties)


def scaled_tensor(tensor: TensorMap, factor: float, length_factor: float, unit: str) -> TensorMap:
    """Multiply values by a factor, and gradients as the chain rule wants.

    Parameters
    ----------
    tensor
        What to convert; it is left as it is.
    factor
        New values = factor * old values.
    length_factor
        Old lengths = length_factor * new lengths: gradients with respect to positions are multiplied by both.
    unit
        The new unit; replaces the ``unit`` info of tensors that have one.

    Returns
    -------
    TensorMap
        A new tensor, or the same one where nothing changes.
    """
    has_gradients = False
    for block in tensor.blocks():
        has_gradients = has_gradients or len(block.gradients_list()) > 0
    if factor == 1.0 and (length_factor == 1.0 or not has_gradients):
        return tensor
    blocks: List[TensorBlock] = []
    for block in tensor.blocks():
        new_block = scaled_block(block, factor)
        for parameter in block.gradients_list():
            gradient_factor = factor * length_factor if parameter == "positions" else factor
            new_block.add_gradient(parameter, scaled_block(block.gradient(parameter), gradient_factor))
        blocks.append(new_block)
    new_tensor = TensorMap(tensor.keys, blocks)
    for key, value in tensor.info().items():
        new_tensor.set_info(key, unit if key == "unit" else value)
    return new_tensor


def _detached_block(block: TensorBlock) -> TensorBlock:
    return TensorBlock(block.values.detach(), block.samples, block.components, block.properties)


def detached(tensor: TensorMap) -> TensorMap:
    """Give an output, explicit gradients included, without its autograd graph, for engines that keep it."""
    blocks: List[TensorBlock] = []
    for block in tensor.blocks():
        new_block = _detached_block(block)
        for parameter in block.gradients_list():
            new_block.add_gradient(parameter, _detached_block(block.gradient(parameter)))
        blocks.append(new_block)
    new_tensor = TensorMap(tensor.keys, blocks)
    for key, value in tensor.info().items():
        new_tensor.set_info(key, value)
    return new_tensor


def input_factor(
    tensor: TensorMap, requested: ModelOutput, name: str, table: Dict[str, List[float]], cache: Dict[str, float]
) -> float:
    """Give the factor from the unit that data carries to the one that the model wants."""
    unit: Optional[str] = tensor.get_info("unit")
    if unit is None:
        return 1.0
    return cached_factor(unit, requested.unit, dimension_of(name), table, cache)
