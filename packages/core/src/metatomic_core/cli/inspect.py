"""``metatomic inspect``: what a model file says about itself.  Nothing in the file is executed."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metatomic_core.adapters.console import columns, json_option, print_json, print_table
from metatomic_core.foundation.elements import symbols
from metatomic_core.foundation.hashes import file_sha256
from metatomic_core.foundation.quoting import printable

if TYPE_CHECKING:
    from metatomic_core.data.outputs import ModelOutput
    from metatomic_core.files.header import ModelHeader

_LOCALITY = {
    True: "yes: an atom needs no pairs but its own",
    False: "no: an atom needs pairs between others",
    None: "not known",
}
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

    Name, authors and references; species, cutoffs, interaction range and locality; inputs and outputs with units,
    numbers of values and variants; floating point type and devices; extensions; versions; sha256 of the file.  Also of
    files in other formats, where the package that reads them tells.
    """
    from metatomic_core.loading import read_model_header, reader_of

    header = read_model_header(file)
    reader = reader_of(file)
    if as_json:
        print_json(_data(header, file, reader))
        return
    table = columns()
    for name, value in _rows(header, file, reader):
        table.add_row(name, value)
    print_table(table)
    for title, listed in (("Outputs", header.capabilities.outputs), ("Inputs", header.inputs)):
        if listed:
            click.echo()
            _print_quantities(title, listed, header.n_properties)


def _data(header: "ModelHeader", file: str, reader: str | None) -> dict[str, Any]:
    """Give the header as data, with what a program would have to work out otherwise."""
    data = header.to_dict()
    queries = data["queries"]
    queries["interaction_range"] = float(queries["interaction_range"])
    more = {"reader": reader, "ways": _ways(header) if reader is None else []}
    return {"file": file, "sha256": file_sha256(Path(file)), **more, **data}


def _rows(header: "ModelHeader", file: str, reader: str | None) -> list[tuple[str, str]]:
    """Give names and values for the table, those without a value left out."""
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
        ("local", _LOCALITY[header.is_local]),
        ("neighbor lists", "\n".join(lists) or "none"),
        ("dtype", capabilities.dtype),
        ("devices", ", ".join(capabilities.supported_devices)),
        ("extensions", "\n".join(extension.name for extension in header.extensions) or "none"),
    ]
    if reader is None:
        rows += [
            ("runs as", ", ".join(_ways(header))),
            ("not exported", header.untraced),
            ("written by", f"metatomic-core {header.core_version}, torch {header.torch_version}"),
            ("format version", str(header.format_version)),
        ]
    else:
        rows.append(("format", reader))
    return [(printable(name), printable(value)) for name, value in rows if value]


def _ways(header: "ModelHeader") -> list[str]:
    """List how the model in a file of ours can be run; compiled if it has been, see ``metatomic compile``."""
    return ["script", *(["eager", "compiled"] if header.programs else [])]


def _requestors(requestors: list[str]) -> str:
    named = [requestor for requestor in requestors if requestor]
    return f" (for {', '.join(named)})" if named else ""


def _size(n_bytes: int) -> str:
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000  # type: ignore[assignment]
    return f"{n_bytes:.1f} GB"


def _print_quantities(title: str, listed: "Mapping[str, ModelOutput]", n_properties: Mapping[str, int | None]) -> None:
    """Print a table of outputs or inputs, each once, whatever spellings the file lists, with the values of a sample."""
    from metatomic_core.data.quantities import canonical_name, split_variant

    quantities = {canonical_name(name): output for name, output in listed.items()}
    table = columns(title, "variant", "unit", "per", "values", "gradients", "description")
    for column in table.columns:
        # in lines of their own, and whole: what is cut looks like its neighbor
        column.overflow = "fold"
    # names stay in one piece while they leave half of a terminal to the rest
    table.columns[0].min_width = min(40, max(len(split_variant(name)[0]) for name in quantities))
    for name, output in quantities.items():
        base, variant = split_variant(name)
        cells = (
            base,
            variant or "-",
            output.unit or "-",
            _SAMPLES[output.sample_kind],
            "-" if n_properties.get(name) is None else str(n_properties[name]),
            ", ".join(output.explicit_gradients) or "-",
            output.description or "-",
        )
        table.add_row(*map(printable, cells))
    print_table(table)
