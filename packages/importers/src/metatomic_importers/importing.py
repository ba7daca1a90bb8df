"""`import_model`: from a checkpoint to a model file, written when it gives what the family's own calculator gives."""

import dataclasses
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from metatomic_core import AtomisticModel
from metatomic_core.adapters import check_choice, check_type
from metatomic_core.adapters.console import checked_output

from .checkpoints import checked_checkpoint
from .comparison import Row, compared, in_words
from .family import Family, Request
from .provenance import with_provenance
from .quiet import quiet_package
from .registry import family as family_of
from .requirements import check_requirements


@dataclasses.dataclass(frozen=True)
class Report:
    """What was imported.

    Attributes
    ----------
    file
        The model file.
    model
        The model in it, in Python.
    rows
        What the comparison gave, for each structure.
    """

    file: Path
    model: AtomisticModel
    rows: list[Row]


def import_model(
    family: str,
    checkpoint: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    dtype: str | None = None,
    part: str | None = None,
    species: Sequence[str] = (),
    exported: bool | None = None,
    force: bool = False,
) -> Report:
    """Make a model file from a checkpoint.

    The file is compared with the family's own calculator, and written if its results are the same.

    Parameters
    ----------
    family
        Name of an installed family, see `families`.
    checkpoint
        Path, or the name of a checkpoint that comes with the package of the family.
    output
        Model file to write.
    dtype
        "float32" or "float64"; None for the default of the family, which may be that of the checkpoint.
    part
        Head, modal or task, for a model with several.
    species
        Chemical symbols of the species that the file is for, or ``TYPE=SYMBOL`` where the model has other names for
        them; none for all that the model knows.
    exported
        Whether to write exported programs too, see ``AtomisticModel.save``.
    force
        Whether ``output`` may exist.

    Returns
    -------
    Report
        The model, and how far its results are from those of the family's own calculator.

    Raises
    ------
    ValueError
        If there is no such family or checkpoint, its package is not installed, it has not what is asked for, or its
        results are not the same. Nothing is written then.
    TypeError
        If an argument is of another type.
    """
    check_type("family", family, str, "a string")
    _check_types(checkpoint, output, part, species)
    path = checked_output(output, force, "output")
    chosen = family_of(family)
    check_requirements(chosen)
    request = _checked_request(chosen, os.fspath(checkpoint), dtype, part, tuple(species))
    with quiet_package():
        imported = chosen.read(request)
    model = AtomisticModel(imported.module, imported.metadata, imported.capabilities)
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "trial.pt"
        # what is compared is the code in a file; programs are compared with that code when they are written
        model.save(str(trial), exported=False)
        rows = compared(trial, imported)
    metadata = with_provenance(chosen, request, imported, in_words(rows, imported))
    model = AtomisticModel(imported.module, metadata, imported.capabilities)
    model.save(str(path), exported=exported)
    return Report(path, model, rows)


def _check_types(checkpoint: object, output: object, part: object, species: object) -> None:
    for argument, path in (("checkpoint", checkpoint), ("output", output)):
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"expected `{argument}` to be a string or a path, got {type(path).__name__}")
    if part is not None:
        check_type("part", part, str, "a string or None")
    # a string is a sequence of strings too
    if isinstance(species, str) or not isinstance(species, Sequence):
        raise TypeError(f"expected `species` to be a list of chemical symbols, got {species!r}")
    for symbol in species:
        check_type("species", symbol, str, "a list of chemical symbols")


def _checked_request(
    family: Family, checkpoint: str, dtype: str | None, part: str | None, species: tuple[str, ...]
) -> Request:
    if dtype is not None:
        check_choice("dtype", dtype, family.dtypes)
    if part is not None and not family.part:
        raise ValueError(f"expected no head, modal or task for {family.name}, whose models have none, got '{part}'")
    file = checked_checkpoint(family, checkpoint)
    default = "" if family.own_dtype else family.dtypes[0]
    return Request(file, checkpoint, dtype or default, part, species)
