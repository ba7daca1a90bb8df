"""What a file says of where it comes from: packages, licences, the checkpoint with its hash, and what was compared."""

from pathlib import Path

from packaging.requirements import Requirement

from metatomic_core import ModelMetadata
from metatomic_core.adapters import file_sha256

from .family import Family, Imported, Request
from .requirements import installed_version, licence_text


def with_provenance(family: Family, request: Request, imported: Imported, compared: str) -> ModelMetadata:
    """Give the metadata of a model with what is known of where it comes from, in its ``extra``.

    Parameters
    ----------
    family, request, imported
        What was imported.
    compared
        In words, what the comparison with the family's own calculator gave; empty if there was none.
    """
    given = imported.metadata
    versions = [f"{Requirement(text).name} {installed_version(text)}" for text in family.requirements]
    extra = {
        **given.extra,
        "imported from": f"{Path(request.name).name}, with {', '.join(versions)}",
        # of those that the model has by default, the family says which it took
        family.part: request.part or given.extra.get(family.part, ""),
        "sha256 of checkpoint": file_sha256(request.checkpoint),
        "compared": compared,
        "licence of weights": imported.weights_licence,
        "licence of code": "\n\n".join(licence_text(text) for text in family.requirements),
    }
    return ModelMetadata(
        given.name,
        given.description,
        given.authors,
        given.references,
        {name: text for name, text in extra.items() if name and text},
    )
