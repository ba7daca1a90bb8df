"""Who made a model and what to cite for it: `ModelMetadata`."""

import json
from typing import Any, Dict, List, Optional

import torch

from metatomic_core.foundation.checks import check_choice, check_type
from metatomic_core.foundation.torchscript import script_class

REFERENCE_KINDS = ("implementation", "architecture", "model")


def _card(name: str, description: str, authors: List[str], references: Dict[str, List[str]]) -> str:
    title = f"This is the {name} model" if name != "" else "This is an unnamed model"
    lines = [title, "".ljust(min(len(title), 80), "=")]
    if description != "":
        lines += [""] + _wrapped(description, "")
    if len(authors) > 0:
        lines += ["", "Model authors", "-------------", ""]
        for author in authors:
            lines += _wrapped(author, "- ")
    about: List[str] = []
    for kind in ["implementation", "architecture", "model"]:
        if kind in references and len(references[kind]) > 0:
            about.append(f"- about the {kind} of this model:")
            for reference in references[kind]:
                about += _wrapped(reference, "  * ")
    if len(about) > 0:
        heading = ["", "Model references", "----------------", "", "Please cite the following when using it:"]
        lines += heading + about
    return "\n".join(lines)


def _wrapped(text: str, bullet: str) -> List[str]:
    """Break lines at spaces so that they have at most 80 columns, which TorchScript counts in bytes (scripted)."""
    lines: List[str] = []
    start = bullet
    # `splitlines` of TorchScript cuts letters beyond ASCII in two
    for paragraph in text.rstrip("\n").split("\n"):
        words = paragraph.lstrip()
        line = start + paragraph[: len(paragraph) - len(words)]
        is_empty = True
        for word in words.rstrip().split(" "):
            if word == "":
                continue
            if not is_empty and len(line) + 1 + len(word) > 80:
                lines.append(line)
                line = "".ljust(len(bullet))
                is_empty = True
            line = line + word if is_empty else line + " " + word
            is_empty = False
        lines.append("" if is_empty else line)
        start = "".ljust(len(bullet))
    return lines


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

    def __str__(self) -> str:
        return _card(self.name, self.description, self.authors, self.references)

    @torch.jit.unused
    def __repr__(self) -> str:
        return str(self)

    @torch.jit.unused
    def _get_method(self, name: str) -> Any:
        """Give a method as classes of TorchScript do, among them the one that metatrain reads metadata with."""
        if name == "__getstate__":
            return lambda: json.dumps({"class": "ModelMetadata", **self.__dict__})
        return getattr(self, name)


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


script_class(ModelMetadata)


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
    return str(metadata)
