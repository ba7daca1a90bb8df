"""Which way a model is run: the word that engines are given, and the kernel that it stands for."""

from collections.abc import Mapping
from typing import Any

import torch

from metatomic_core.files.header import ModelHeader
from metatomic_core.files.programs import ProgramRecord
from metatomic_core.foundation import torchscript
from metatomic_core.foundation.checks import check_choice, check_type
from metatomic_core.model.atomistic_model import AtomisticModel
from metatomic_core.model.exported import ExportedModel
from metatomic_core.pipeline.batch import Answer, Batch
from metatomic_core.pipeline.results import Needs
from metatomic_core.tracing.eager import eager
from metatomic_core.tracing.runner import Question, Runnable, derive, flavor_for, lacks

from .cache import fitting, misfit, packages
from .running import compiled

# The words, and what they mean.
KERNELS = {
    "auto": "compiled code where there is some that fits, else the model itself",
    "script": "the model itself: TorchScript from a file, Python otherwise",
    "compiled": "code that `metatomic compile` has made, or an error",
    "eager": "the exported program in the file, by torch, operation by operation",
}


class Kernel:
    """Runs the exported programs of a model, compiled or not, in place of the model.

    Parameters
    ----------
    name
        "compiled" or "eager".
    header, programs
        Of the model: what is said of the programs, and their content.
    device
        Where the model is.
    """

    def __init__(self, name: str, header: ModelHeader, programs: Mapping[str, bytes], device: str):
        self.name = name
        self._records, self._programs = header.programs, programs
        self._device, self._dtype = device, header.capabilities.dtype
        self._loaded: dict[tuple[str, str], Runnable | None] = {}

    def lacks(self, question: Question, *, selects: bool) -> str:
        """Say what of a question there is no answer to; empty if there is one.

        Parameters
        ----------
        question
            What is asked.
        selects
            Whether atoms are selected.
        """
        needs = question.needs
        record = self._record(needs, selects)
        if record is None:
            what = f"'{needs.energy}'" if needs.energy else "outputs"
            return f"a program for {what}{' of selected atoms' if selects else ''}"
        missing = lacks(record, question)
        if missing:
            return missing
        flavor = flavor_for(question)
        if self._runnable(record, flavor) is None:
            return f"a package of the flavor '{flavor}'{' for selected atoms' if selects else ''}"
        return ""

    def derive(self, batch: Batch, question: Question) -> tuple[Answer, ProgramRecord]:
        """Give what the model says of a batch, of which `lacks` has said that there is an answer; and who says it."""
        runnable, record = self.program(question, selects=batch.selected_atoms is not None)
        return derive(runnable, record, batch, question), record

    def program(self, question: Question, *, selects: bool) -> tuple[Runnable, ProgramRecord]:
        """Give what answers a question of which `lacks` has said that there is an answer, and what is known of it."""
        record = self._record(question.needs, selects)
        runnable = None if record is None else self._runnable(record, flavor_for(question))
        if record is None or runnable is None:
            raise ValueError("expected a question that the kernel can answer, got another; see `lacks`")
        return runnable, record

    def _record(self, needs: Needs, selects: bool) -> ProgramRecord | None:
        for record in self._records:
            if record.selects == selects and needs.energy in ("", record.energy):
                return record
        return None

    def _runnable(self, record: ProgramRecord, flavor: str) -> Runnable | None:
        key = (record.entry, flavor)
        if key not in self._loaded:
            self._loaded[key] = self._load(record, flavor)
        return self._loaded[key]

    def _load(self, record: ProgramRecord, flavor: str) -> Runnable | None:
        if self.name == "eager":
            return eager(self._programs[record.entry], record, flavor, self._device)
        found = fitting(record.sha256, flavor, self._device, self._dtype)
        if found is None and flavor != "everything" and record.energy:
            # has all that the others have
            found = fitting(record.sha256, "everything", self._device, self._dtype)
        return None if found is None else compiled(*found)

    def ready(self) -> str:
        """Say why there is nothing to run; empty if there is something, of any flavor.

        Of compiled packages that do not fit, the reason of the last one.
        """
        if not self._records:
            return "expected a model with an exported program, got one without"
        if self.name == "eager":
            return ""
        found = [(record, about) for record in self._records for _, about in packages(record.sha256)]
        reasons = [misfit(about, record.sha256, self._device, self._dtype) for record, about in found]
        if "" in reasons:
            return ""
        none = "expected a compiled package of this model, got none; run `metatomic compile` with its file"
        return reasons[-1] if reasons else none


def chosen_kernel(word: Any, model: AtomisticModel, device: torch.device | str) -> Kernel | None:
    """Give what runs a model; None for the model itself.

    Parameters
    ----------
    word
        One of `KERNELS`.
    model
        The model.
    device
        Where it is.

    Raises
    ------
    TypeError, ValueError
        If the word is none of these; if it is asked for by name and there is none that fits.
    """
    check_type("kernel", word, str, "a string")
    check_choice("kernel", word, KERNELS)
    way = getattr(model, "way", "")
    if way:
        if word not in ("auto", way):
            raise ValueError(
                f"expected `kernel` 'auto' or '{way}' for a model that runs in this way alone, got '{word}'"
            )
        return None
    header, programs = getattr(model, "header", None), getattr(model, "programs", None)
    if word == "script" and isinstance(model, ExportedModel):
        torchscript.check_is_there("for `kernel` 'script'")
        raise ValueError("expected a model with its code for `kernel` 'script', got one of exported programs alone")
    if word == "script" or not isinstance(header, ModelHeader):
        if word == "compiled":
            raise ValueError("expected a model from a file for `kernel` 'compiled', got one in Python; save it first")
        return None
    if word == "auto":
        kernel = Kernel("compiled", header, programs or {}, str(torch.device(device)))
        if not kernel.ready():
            return kernel
        if not isinstance(model, ExportedModel):
            return None
        word = "eager"
    kernel = Kernel(word, header, programs or {}, str(torch.device(device)))
    problem = kernel.ready()
    if problem:
        why = f"; {header.untraced}" if header.untraced and not header.programs else ""
        raise ValueError(f"{problem}{why}")
    return kernel
