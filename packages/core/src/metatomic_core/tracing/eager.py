"""Exported programs run by torch, operation by operation."""

import hashlib
from collections.abc import Sequence

import torch
from torch.export import ExportedProgram

from metatomic_core.files.programs import SEAM_VERSION, ProgramRecord
from metatomic_core.foundation.errors import UnreadableFileError
from metatomic_core.foundation.quoting import in_one_line

from .flavors import PYTHON_FLAVORS, Flavor
from .program import loaded
from .runner import Runnable

# What comes of a header that names inputs and outputs which a program does not have.
_CONTRADICTIONS = (KeyError, IndexError, AttributeError, AssertionError)


def eager(content: bytes, record: ProgramRecord, flavor: str, device: str) -> Runnable:
    """Load a program to be run by torch, operation by operation.

    Parameters
    ----------
    content, record
        The program.
    flavor
        One of `PYTHON_FLAVORS`.
    device
        Where to run it.

    Raises
    ------
    ValueError
        If the content is not what the record is about, or is of other versions.
    """
    program = checked_program(content, record)
    if device != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    try:
        module = Flavor(program, record, PYTHON_FLAVORS[flavor])
    except _CONTRADICTIONS as error:
        raise _contradicted(record, error) from error

    def run(tensors: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        try:
            with torch.no_grad():
                return module(*tensors)
        except _CONTRADICTIONS as error:
            raise _contradicted(record, error) from error

    return Runnable(run, module.inputs, module.outputs)


def _contradicted(record: ProgramRecord, error: Exception) -> UnreadableFileError:
    return UnreadableFileError(
        f"expected the exported program '{record.entry}' to be as the header of its file says, got "
        f"{type(error).__name__}: {in_one_line(error)}; export the model again"
    )


def checked_program(content: bytes, record: ProgramRecord) -> ExportedProgram:
    """Load a program, after checking that it is the one of the record; raise a ValueError if it can not be run here."""
    if record.seam != SEAM_VERSION:
        raise UnreadableFileError(
            f"expected an exported program of version {SEAM_VERSION}, got '{record.entry}' of version {record.seam}; "
            "run `pip install --upgrade metatomic-core`"
        )
    if hashlib.sha256(content).hexdigest() != record.sha256:
        raise UnreadableFileError(
            f"expected the exported program that the header is about, got another one in '{record.entry}'; export the "
            "model again"
        )
    try:
        return loaded(content)
    except Exception as error:
        raise UnreadableFileError(
            f"expected an exported program that torch {torch.__version__} can load, got '{record.entry}' of torch "
            f"{record.torch}: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
