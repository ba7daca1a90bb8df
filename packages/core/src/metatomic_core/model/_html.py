"""What notebooks show of a model."""

from typing import Dict, List

from metatomic_core.data.capabilities import ModelCapabilities
from metatomic_core.data.metadata import ModelMetadata
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import canonical_name
from metatomic_core.foundation.elements import symbols
from metatomic_core.foundation.html_table import html_table


def model_html(
    title: str,
    file: str,
    metadata: ModelMetadata,
    capabilities: ModelCapabilities,
    neighbor_lists: List[NeighborListOptions],
    inputs: Dict[str, ModelOutput],
) -> str:
    """Give a table of what a model is, gives and takes."""
    unit = capabilities.length_unit
    # once for each of both spellings
    outputs = {canonical_name(name): _described(name, output) for name, output in capabilities.outputs.items()}
    cutoffs = sorted({options.cutoff for options in neighbor_lists})
    rows = {
        "name": metadata.name,
        "description": metadata.description,
        "authors": ", ".join(metadata.authors),
        "file": file,
        "elements": " ".join(symbols(capabilities.atomic_types)),
        "outputs": ", ".join(outputs.values()),
        "inputs": ", ".join(_described(name, output) for name, output in inputs.items()),
        "cutoffs": ", ".join(f"{cutoff:g} {unit}" for cutoff in cutoffs),
        "range": f"{capabilities.interaction_range:g} {unit}",
        "runs": f"in {capabilities.dtype}, on {', '.join(capabilities.supported_devices)}",
    }
    return html_table(title, rows)


def _described(name: str, output: ModelOutput) -> str:
    unit = f" in {output.unit}" if output.unit else ""
    return f"{canonical_name(name)}{unit} per {output.sample_kind}"
