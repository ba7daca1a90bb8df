"""Who made a model and what to cite for it: `ModelMetadata`."""

import textwrap
from typing import Dict, List, Optional

import torch

from ._torchscript import script_class
from ._validation import check_choice, check_type

REFERENCE_KINDS = ("implementation", "architecture", "model")
_WIDTH = 80


class ModelMetadata:
    """Name, description, authors and references of a model.

    Parameters
    ----------
    name
        Name of the model.
    description
        What it is, what it was trained on, when to use it.
    authors
        One string for each author.
    references
        Lists of references (DOI, URL, text) under "implementation", "architecture" and "model".
    extra
        Anything else, as strings.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If an author or reference is empty, or references have another key.
    """

    def __init__(
        self,
        name: str = "",
        description: str = "",
        authors: Optional[List[str]] = None,
        references: Optional[Dict[str, List[str]]] = None,
        extra: Optional[Dict[str, str]] = None,
    ):
        self.name = name
        self.description = description
        self.authors: List[str] = []
        self.references: Dict[str, List[str]] = {}
        self.extra: Dict[str, str] = {}
        if authors is not None:
            self.authors = authors
        if references is not None:
            self.references = references
        if extra is not None:
            self.extra = extra
        if not torch.jit.is_scripting():
            check_metadata(self)

    @torch.jit.unused
    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelMetadata) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    @torch.jit.unused
    def __repr__(self) -> str:
        return metadata_card(self)


def check_metadata(metadata: ModelMetadata) -> None:
    """Check the types and values in a `ModelMetadata`; raise TypeError or ValueError."""
    check_type("name", metadata.name, str, "a string")
    check_type("description", metadata.description, str, "a string")
    _check_texts("authors", metadata.authors)
    check_type("references", metadata.references, dict, "a dictionary")
    for kind, references in metadata.references.items():
        check_choice("references", kind, REFERENCE_KINDS)
        _check_texts(f"references['{kind}']", references)
    check_type("extra", metadata.extra, dict, "a dictionary")
    for key, value in metadata.extra.items():
        check_type("extra", key, str, "a dictionary of strings")
        check_type("extra", value, str, "a dictionary of strings")


def _check_texts(argument: str, texts: List[str]) -> None:
    if not isinstance(texts, (list, tuple)):
        raise TypeError(f"expected `{argument}` to be a list of strings, got {type(texts).__name__}")
    for text in texts:
        check_type(argument, text, str, "a list of strings")
        if not text.strip():
            raise ValueError(f"expected `{argument}` to have no empty entries, got '{text}'")


def metadata_card(metadata: ModelMetadata) -> str:
    """Format the metadata as a card of 80 columns; longer words (URLs) stay whole on lines of their own.

    Parameters
    ----------
    metadata
        What to show.

    Returns
    -------
    str
        Text of several lines, without a final newline.
    """
    title = f"This is the {metadata.name} model" if metadata.name else "This is an unnamed model"
    lines = [title, "=" * min(len(title), _WIDTH)]
    if metadata.description:
        lines += ["", *_wrapped(metadata.description)]
    if metadata.authors:
        lines += ["", "Model authors", "-" * 13, ""]
        for author in metadata.authors:
            lines += _wrapped(author, bullet="- ")
    given = [kind for kind in REFERENCE_KINDS if metadata.references.get(kind)]
    if given:
        lines += [
            "",
            "Model references",
            "-" * 16,
            "",
            *_wrapped("Please cite the following when using it:"),
        ]
        for kind in given:
            lines.append(f"- about the {kind} of this model:")
            for reference in metadata.references[kind]:
                lines += _wrapped(reference, bullet="  * ")
    return "\n".join(lines)


def _wrapped(text: str, bullet: str = "") -> List[str]:
    lines: List[str] = []
    for paragraph in text.splitlines() or [""]:
        lines += textwrap.wrap(
            paragraph,
            width=_WIDTH,
            initial_indent=bullet,
            subsequent_indent=" " * len(bullet),
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
    return lines


script_class(ModelMetadata)
