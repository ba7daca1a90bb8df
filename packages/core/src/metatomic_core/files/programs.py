"""What the header of a model file says about the exported programs in it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

# Grows whenever programs get other inputs or outputs: those of another seam are not run.
SEAM_VERSION = 1
# Characters of a name, and a version that nobody will come to.
_LONGEST, _LARGEST = 200, 1_000_000


@dataclasses.dataclass(frozen=True)
class TensorRecord:
    """One input or output of a program.

    Attributes
    ----------
    name
        What it is.
    dtype
        As ``torch.float64`` is called without the dot.
    shape
        Sizes, with names for those that vary.
    used
        Whether anything reads it; outputs are always used.
    """

    name: str
    dtype: str
    shape: tuple[str | int, ...]
    used: bool = True


@dataclasses.dataclass(frozen=True)
class OutputLabels:
    """Labels of an output among the values of a program: of the components and properties, names and entries."""

    kind: str
    components: tuple[tuple[str, int], ...]
    property_names: tuple[str, ...]
    properties: tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True)
class ProgramRecord:
    """An exported program: a model on plain tensors, with the backward pass of one energy.

    Attributes
    ----------
    entry
        Name of the entry in the archive.
    sha256
        Of its content.
    energy
        Output whose gradients are there; empty for none.
    per_atom
        Whether this energy is there for each atom, "atomic_energies", or for the structure, "energy".
    selects
        Whether there is an input with the selected atoms.
    joins
        Whether several structures may be joined into one.
    inputs, outputs
        In order.
    values
        Labels of the other outputs.
    torch
        Version that has written it.
    seam
        Version of the meaning of inputs and outputs.
    """

    entry: str
    sha256: str
    energy: str
    per_atom: bool
    selects: bool
    joins: bool
    inputs: tuple[TensorRecord, ...]
    outputs: tuple[TensorRecord, ...]
    values: Mapping[str, OutputLabels]
    torch: str
    seam: int = SEAM_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> "ProgramRecord":
        """Read it from plain data; a KeyError or TypeError if it is not complete."""
        plain = dict(content)
        for key in ("inputs", "outputs"):
            plain[key] = tuple(TensorRecord(**{**tensor, "shape": tuple(tensor["shape"])}) for tensor in content[key])
        plain["values"] = {
            name: OutputLabels(
                str(labels["kind"]),
                tuple((str(component), int(size)) for component, size in labels["components"]),
                tuple(labels["property_names"]),
                tuple(tuple(entry) for entry in labels["properties"]),
            )
            for name, labels in content["values"].items()
        }
        record = ProgramRecord(**plain)
        for text in (record.entry, record.sha256, record.energy, record.torch):
            if not isinstance(text, str) or not text.isprintable() or len(text) > _LONGEST:
                raise TypeError("expected short texts in what is said of a program, got others")
        if not isinstance(record.seam, int) or abs(record.seam) > _LARGEST:
            raise TypeError("expected a small integer as the version of a program, got another value")
        if not all(isinstance(truth, bool) for truth in (record.per_atom, record.selects, record.joins)):
            raise TypeError("expected true or false for what a program can do, got other values")
        return record
