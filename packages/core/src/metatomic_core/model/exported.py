"""`ExportedModel`: a model from a file without its code, by the header and the exported programs that are in it.

It is how files run where TorchScript is missing. Everything before and behind the seam is the pipeline in plain Python;
what stands between is a function of plain tensors, that of `FilePrograms` or another one that runs these programs.
"""

from pathlib import Path
from typing import Callable, Dict, List, Mapping, NoReturn, Optional, Tuple, Union

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from metatomic_core.data.outputs import ModelEvaluationOptions, ModelOutput
from metatomic_core.data.system import System
from metatomic_core.files.header import ModelHeader
from metatomic_core.files.programs import ProgramRecord
from metatomic_core.files.reading import extra_content
from metatomic_core.foundation.errors import UnreadableFileError
from metatomic_core.pipeline.batch import NO_LEAVES, Answer, Batch, Leaves
from metatomic_core.pipeline.consistency import check_request, check_selected_atoms
from metatomic_core.pipeline.derive import selected_labels
from metatomic_core.pipeline.results import Needs, kinds_of
from metatomic_core.pipeline.units_of_call import Units
from metatomic_core.tracing.eager import eager
from metatomic_core.tracing.runner import Question, Runnable, derive, flavor_for, labelled, lacks

from .atomistic_model import AtomisticModel

# From a batch, and what is asked of it, to what the model says.
Derive = Callable[[Batch, Question], Answer]

_INSTEAD = "use a Python with TorchScript, such as 3.12"


class _NoCode(torch.nn.Module):
    """Stands where a model has its core: knows the names of outputs, and can not be called."""

    def __init__(self, output_names: List[str]):
        super().__init__()
        self.output_names = output_names


class ExportedModel(AtomisticModel):
    """A model whose code is not used; see `load_atomistic_model`.

    It is evaluated as any other. What takes the code itself is refused: `forward`, which has systems with their labels
    and explicit gradients, results that take several derivatives, and saving.

    Parameters
    ----------
    header
        The header of the file.
    path
        Path of the file.
    programs
        Content of the exported programs that the header names.
    derive
        Runs the programs of the file on a batch, of which nothing requires gradients; outputs have the names that the
        programs have for them. None for torch.
    """

    def __init__(self, header: ModelHeader, path: Path, programs: Mapping[str, bytes], derive: Optional[Derive] = None):
        # what the parent class makes from a module and its capabilities is in the file
        torch.nn.Module.__init__(self)
        self.header = header
        self.path = path
        self.programs = dict(programs)
        # for `pickle`, wherever the process is by then
        self.origin = path.resolve()
        self._derive = FilePrograms(header, self.programs, str(path)).derive if derive is None else derive
        # which program says what the labels of an output are
        self._labels = {name: record for record in header.programs for name in [record.energy, *record.values]}
        self._hold(
            _NoCode(list(self._labels)), header.metadata, header.capabilities, header.neighbor_lists, header.inputs
        )

    def __deepcopy__(self, memo: Dict[int, object]) -> "ExportedModel":
        # programs are not changed, and those of another device are others
        copied = ExportedModel(self.header, self.origin, self.programs, self._derive)
        return copied.to(self._types.device)

    @property
    def module(self) -> torch.nn.Module:
        """Refused: the module is code."""
        self._refuse("`module`")

    def differentiates(self) -> bool:
        """Tell whether the module differentiates with respect to positions itself."""
        return self.header.differentiates

    def forward(
        self, systems: List[System], options: ModelEvaluationOptions, check_consistency: bool
    ) -> Dict[str, TensorMap]:
        """Refused: labels with explicit gradients are made by code."""
        self._refuse("`forward`")

    def compute(
        self,
        structures: List[Dict[str, torch.Tensor]],
        neighbors: List[List[TensorBlock]],
        inputs: List[Dict[str, TensorMap]],
        selected_atoms: Optional[Labels],
        outputs: Dict[str, str],
        explicit_gradients: Dict[str, List[str]],
    ) -> Dict[str, TensorMap]:
        """Refused, as `forward`."""
        self._refuse("`compute`")

    def outputs_of(self, batch: Batch, kinds: Dict[str, str], check_consistency: bool) -> Dict[str, TensorMap]:
        """Refused: programs have no graph to differentiate again."""
        self._refuse("results that take several derivatives")

    def save(self, file: str, collect_extensions: Optional[str] = None, *, exported: Optional[bool] = None) -> None:
        """Refused: the code would be lost; copy the file."""
        self._refuse("`save`", "copy the file, or " + _INSTEAD)

    def _refuse(self, what: str, instead: str = _INSTEAD) -> NoReturn:
        raise NotImplementedError(
            f"expected a model with its code for {what}, got the exported program alone of '{self.path}'; {instead}"
        )

    def batch(
        self,
        structures: List[Dict[str, torch.Tensor]],
        pairs: List[List[torch.Tensor]],
        vectors: Optional[List[List[torch.Tensor]]],
        inputs: Optional[List[Dict[str, torch.Tensor]]],
        selected_atoms: Optional[torch.Tensor],
        units: Units,
        leaves: Leaves,
    ) -> Batch:
        """As `AtomisticModel.batch`, without a graph: derivatives are within the programs."""
        return super().batch(structures, pairs, vectors, inputs, selected_atoms, units, NO_LEAVES)

    def derive(
        self,
        batch: Batch,
        leaves: Leaves,
        needs: Needs,
        request: Dict[str, str],
        outputs: Dict[str, str],
        check_consistency: bool,
    ) -> Tuple[Answer, Dict[str, TensorMap]]:
        """As `AtomisticModel.derive`: run the programs on a batch."""
        kinds = kinds_of(request, outputs, needs, self._results)
        asked = {name: ModelOutput("", self._declared_unit(name), kind) for name, kind in kinds.items()}
        check_request(asked, self._offered)
        check_selected_atoms(selected_labels(batch.selected_atoms), batch.n_atoms)
        known = self._inner_names
        with torch.no_grad(), torch.profiler.record_function("Model::forward"):
            question = Question(
                needs,
                {result: known[source] for result, source in request.items()},
                {known[name]: kind for name, kind in outputs.items()},
            )
            found = self._derive(batch, question)
        # back to the spelling of who asks
        direct = {source: found.direct[known[source]] for source in request.values() if known[source] in found.direct}
        values = {name: found.outputs[known[name]] for name in outputs}
        returned = {
            name: labelled(known[name], values[name], kind, self._labels[known[name]], batch)
            for name, kind in outputs.items()
        }
        return Answer(found.of_energy, direct, values), returned


class FilePrograms:
    """The exported programs of a model file, run by torch as they are; built when they are needed.

    Parameters
    ----------
    header
        Header of the file.
    contents
        Content of each program.
    where
        Where they are from, for messages.
    """

    def __init__(self, header: ModelHeader, contents: Mapping[str, bytes], where: str):
        self._records, self._contents, self._where = header.programs, contents, where
        self._runnables: Dict[Tuple[str, str, str], Runnable] = {}

    def derive(self, batch: Batch, question: Question) -> Answer:
        """Run a program on a batch, see `ExportedModel`.

        Raises
        ------
        NotImplementedError
            If no program has all that is asked for.
        """
        record = self._record_for(question, selects=batch.selected_atoms is not None)
        runnable = self._runnable(record, flavor_for(question), str(batch.types.device))
        return derive(runnable, record, batch, question)

    def _record_for(self, question: Question, *, selects: bool) -> ProgramRecord:
        missing = "selected atoms"
        for record in self._records:
            if selects and not record.selects:
                continue
            missing = lacks(record, question)
            if not missing:
                return record
        raise NotImplementedError(
            f"expected an exported program with {missing} in '{self._where}', got none; {_INSTEAD}"
        )

    def _runnable(self, record: ProgramRecord, flavor: str, device: str) -> Runnable:
        key = (record.entry, flavor, device)
        if key not in self._runnables:
            self._runnables[key] = eager(self._contents[record.entry], record, flavor, device)
        return self._runnables[key]


def exported_model(path: Union[str, Path], header: ModelHeader, reason: str) -> ExportedModel:
    """Give the model of a file by its programs.

    Parameters
    ----------
    path
        Path of the file.
    header
        Its header.
    reason
        Why its code is not used, for messages.

    Raises
    ------
    ValueError
        If there is no program in it.
    """
    path = Path(path)
    if not header.programs:
        why = f": {header.untraced}" if header.untraced else ""
        raise UnreadableFileError(
            f"expected a model file with an exported program, as {reason}, got '{path}' without one{why}; {_INSTEAD}"
        )
    return ExportedModel(header, path, {record.entry: extra_content(path, record.entry) for record in header.programs})
