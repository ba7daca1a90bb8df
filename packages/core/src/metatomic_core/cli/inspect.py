"""``metatomic inspect``: what a model file says about itself.  Nothing in the file is executed."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Tuple

import click

from metatomic_core._elements import symbols

from ._common import columns, json_option, print_json, print_table

if TYPE_CHECKING:
    from metatomic_core import ModelOutput
    from metatomic_core._header import ModelHeader

_EPILOG = """\b
Example:
  metatomic inspect silicon.pt
  metatomic inspect silicon.pt --json"""
# "system" and "atom" are what an engine asks for; a model that gives the finer kind also gives their sum
_SAMPLES = {"system": "structure", "atom": "atom", "atom_pair": "pair of atoms"}


@click.command(epilog=_EPILOG)
@click.argument("file")
@json_option
def inspect(file: str, as_json: bool) -> None:
    """Show what a model FILE says about itself, without running anything in it.

    Name, authors and references; species, cutoffs and interaction range; inputs and outputs with units and variants;
    floating point type and devices; extensions; versions; sha256 of the file.
    """
    from metatomic_core.io import read_header

    header = read_header(file)
    if as_json:
        print_json(_data(header, file))
        return
    table = columns()
    for name, value in _rows(header, file):
        table.add_row(name, value)
    print_table(table)
    for title, listed in (("Outputs", header.capabilities.outputs), ("Inputs", header.inputs)):
        if listed:
            click.echo()
            _print_quantities(title, listed)


def _data(header: "ModelHeader", file: str) -> Dict[str, Any]:
    """Give the header as data, with what a program would have to work out otherwise."""
    data = header.to_dict()
    capabilities = data["capabilities"]
    capabilities["interaction_range"] = float(capabilities["interaction_range"])
    capabilities["atomic_symbols"] = symbols(capabilities["atomic_types"])
    from metatomic_core._shared_libraries import file_sha256

    return {"file": file, "sha256": file_sha256(Path(file)), **data}


def _rows(header: "ModelHeader", file: str) -> List[Tuple[str, str]]:
    """Give names and values for the table, those without a value left out."""
    from metatomic_core._shared_libraries import file_sha256

    metadata, capabilities = header.metadata, header.capabilities
    unit = capabilities.length_unit or "(no unit)"
    references = [f"{kind}: {text}" for kind, texts in metadata.references.items() for text in texts]
    lists = [
        f"{options.cutoff:g} {options.length_unit or unit}, {'full' if options.full_list else 'half'}"
        f"{', strict' if options.strict else ''}{_requestors(options.requestors())}"
        for options in header.neighbor_lists
    ]
    rows = [
        ("file", f"{file} ({_size(Path(file).stat().st_size)})"),
        ("sha256", file_sha256(Path(file))),
        ("name", metadata.name or "(unnamed)"),
        ("description", metadata.description),
        ("authors", "\n".join(metadata.authors)),
        ("references", "\n".join(references)),
        *((name, text) for name, text in metadata.extra.items()),
        ("species", " ".join(symbols(capabilities.atomic_types))),
        ("interaction range", f"{capabilities.interaction_range:g} {unit}"),
        ("neighbor lists", "\n".join(lists) or "none"),
        ("dtype", capabilities.dtype),
        ("devices", ", ".join(capabilities.supported_devices)),
        ("extensions", "\n".join(extension.name for extension in header.extensions) or "none"),
        ("written by", f"metatomic-core {header.core_version}, torch {header.torch_version}"),
        ("format version", str(header.format_version)),
    ]
    return [(name, value) for name, value in rows if value]


def _requestors(requestors: List[str]) -> str:
    named = [requestor for requestor in requestors if requestor]
    return f" (for {', '.join(named)})" if named else ""


def _size(n_bytes: int) -> str:
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000  # type: ignore[assignment]
    return f"{n_bytes:.1f} GB"


def _print_quantities(title: str, listed: "Mapping[str, ModelOutput]") -> None:
    """Print a table of outputs or inputs, each once, whatever spellings the file lists."""
    from metatomic_core.quantities import canonical_name, split_variant

    quantities = {canonical_name(name): output for name, output in listed.items()}
    table = columns(title, "variant", "unit", "per", "gradients", "description")
    for column in table.columns:
        # in lines of their own, and whole: what is cut looks like its neighbor
        column.overflow = "fold"
    # names stay in one piece while they leave half of a terminal to the rest
    table.columns[0].min_width = min(40, max(len(split_variant(name)[0]) for name in quantities))
    for name, output in quantities.items():
        base, variant = split_variant(name)
        table.add_row(
            base,
            variant or "-",
            output.unit or "-",
            _SAMPLES[output.sample_kind],
            ", ".join(output.explicit_gradients) or "-",
            output.description or "-",
        )
    print_table(table)
