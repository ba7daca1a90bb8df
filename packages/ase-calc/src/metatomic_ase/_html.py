"""What notebooks show of a calculator."""

from collections.abc import Mapping, Sequence
from typing import Any

from metatomic_core.adapters import html_table, symbols
from metatomic_core.engine import Engine


def html_of(
    name: str, engine: Engine, parameters: Mapping[str, Any], properties: Sequence[str], inputs: Sequence[str]
) -> str:
    """Give a table of what a calculator is; texts are those of people, and are escaped.

    Parameters
    ----------
    name
        Name of the model.
    engine
        What evaluates it.
    parameters
        Arguments of the calculator.
    properties
        What it gives.
    inputs
        What the model requests besides the geometry.
    """
    options = (f"{key}={value!r}" for key, value in parameters.items() if key != "model" and value is not None)
    rows = {
        "model": name,
        "file": parameters["model"] or "none, a model in memory",
        "runs": f"on {engine.device}, kernel {engine.kernel}",
        "elements": " ".join(symbols(engine.capabilities.atomic_types)),
        "properties": ", ".join(properties),
        "inputs": ", ".join(inputs) or "none besides the geometry",
        "options": ", ".join(options),
    }
    return html_table("MetatomicCalculator", rows)
