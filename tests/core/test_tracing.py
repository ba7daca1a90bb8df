"""What can not be traced is saved without a program, and one line says what stops it and what to write instead."""

import os
import re
import signal
import sys
from typing import Dict, List, Optional

import metatensor.torch
import pytest
import torch
from metatensor.torch import Labels, TensorBlock, TensorMap
from models import SquaredGradient, TwoLists, WithInputs, wrap

from metatomic_core import ModelOutput, NeighborListOptions, System, load_atomistic_model
from metatomic_core.authors import energy_output, pairs
from metatomic_core.tracing import stand_ins
from metatomic_core.tracing.apart import ApartError, apart
from metatomic_core.tracing.graph import exported_program


def options() -> NeighborListOptions:
    return NeighborListOptions(3.0, True, True)


def smooth(systems: List[System]) -> torch.Tensor:
    first, _, vectors = pairs(systems, options())
    values = (9.0 - vectors.square().sum(1)).square()
    return summed(systems, first, values)


def summed(systems: List[System], atoms: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    zeros = torch.zeros([systems[0].positions.size(0)], dtype=values.dtype)
    return zeros.index_add(0, atoms, values)


class Base(torch.nn.Module):
    """The square of a smooth function of distances; what it does besides is up to those that inherit from it."""

    def energies(self, systems: List[System]) -> torch.Tensor:
        return smooth(systems)

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        return {"energy": energy_output(systems, self.energies(systems), outputs["energy"], selected_atoms)}

    @torch.jit.export
    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [options()]


class Branches(Base):
    def energies(self, systems: List[System]) -> torch.Tensor:
        first, _, vectors = pairs(systems, options())
        distances = vectors.square().sum(1)
        if bool((distances > 4.0).any()):
            distances = 2.0 * distances
        return summed(systems, first, distances)


class TakesNumber(Base):
    def energies(self, systems: List[System]) -> torch.Tensor:
        first, _, vectors = pairs(systems, options())
        values = vectors.square().sum(1) * float(systems[0].types.max())
        return summed(systems, first, values)


class Filters(Base):
    def energies(self, systems: List[System]) -> torch.Tensor:
        first, _, vectors = pairs(systems, options())
        distances = vectors.square().sum(1)
        near = distances < 4.0
        return summed(systems, first[near], distances[near])


class OneSize(Base):
    def energies(self, systems: List[System]) -> torch.Tensor:
        table = torch.arange(5, dtype=systems[0].dtype)
        energies = smooth(systems)
        return energies + table if len(energies) == 5 else energies


class ByCount(Base):
    """Has another energy for a single pair of atoms: a trace sees nothing of it."""

    def energies(self, systems: List[System]) -> torch.Tensor:
        first, _, vectors = pairs(systems, options())
        values = vectors.square().sum(1)
        if len(first) < 2:
            values = values + 1.0
        energies = summed(systems, first, values)
        return energies + 1.0 if len(first) == 0 else energies


class Detaches(Base):
    def energies(self, systems: List[System]) -> torch.Tensor:
        return smooth(systems).detach()


class SetOperation(Base):
    def energies(self, systems: List[System]) -> torch.Tensor:
        samples = systems[0].get_neighbor_list(options()).samples
        union = samples.union(samples)
        return smooth(systems) * float(len(union) > -1)


class SeveralBlocks(Base):
    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        results: Dict[str, TensorMap] = {}
        for name, output in outputs.items():
            results[name] = energy_output(systems, self.energies(systems), output, selected_atoms)
        if "tests::blocks" in outputs:
            block = results["tests::blocks"].block_by_id(0)
            blocks: List[TensorBlock] = []
            for _ in range(2):
                blocks.append(TensorBlock(block.values, block.samples, block.components, block.properties))
            results["tests::blocks"] = TensorMap(Labels(["key"], torch.tensor([[0], [1]])), blocks)
        return results


REFUSED = {
    Branches: "got a branch on values of tensors at .*test_tracing.py:[0-9]+; use `torch.where`, or a mask and a sum",
    TakesNumber: "got a (number|branch)",
    OneSize: "right only where .*n_atoms.*5",
    ByCount: "'energy' for two atoms|'energy' for one atom without neighbors",
    Detaches: "got one without gradient",
    SetOperation: "uses `Labels.union`, which can not be traced; take the columns of `values` as tensors instead",
}


def test_boolean_masks_are_traced(tmp_path):
    assert len(saved(wrap(Filters(), interaction_range=3.0), tmp_path / "model.pt").programs) == 2


def saved(model, path):
    model.save(str(path), exported=True)
    return load_atomistic_model(path).header


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.__name__)
def test_a_line_says_what_stops_a_trace(kind, tmp_path):
    header = saved(wrap(kind(), interaction_range=3.0), tmp_path / "model.pt")
    assert header.programs == ()
    assert header.untraced.startswith("expected ")
    assert "\n" not in header.untraced
    assert re.search(REFUSED[kind], header.untraced), header.untraced
    # it is a model as any other
    assert load_atomistic_model(tmp_path / "model.pt").capabilities().outputs["energy"].unit == "eV"


def test_models_that_differentiate_themselves_are_not_traced(tmp_path):
    header = saved(wrap(SquaredGradient()), tmp_path / "model.pt")
    assert header.programs == ()
    assert "differentiates itself" in header.untraced


def test_inputs_of_unknown_shape_are_not_traced(tmp_path):
    header = saved(wrap(WithInputs()), tmp_path / "model.pt")
    assert header.programs == ()
    assert "inputs of known shapes" in header.untraced


def test_module_that_is_compiled_is_not_traced(tmp_path):
    module = torch.jit.script(TwoLists().eval())
    header = saved(wrap(module), tmp_path / "model.pt")
    assert header.programs == ()
    assert "make the model from its Python code" in header.untraced


def test_not_exported_where_nobody_wants_it(tmp_path, monkeypatch):
    wrap(TwoLists()).save(str(tmp_path / "model.pt"), exported=False)
    assert "exported=True" in load_atomistic_model(tmp_path / "model.pt").header.untraced
    monkeypatch.setenv("METATOMIC_EXPORTED", "maybe")
    with pytest.raises(ValueError, match="expected METATOMIC_EXPORTED to be 0 or 1, got 'maybe'"):
        wrap(TwoLists()).save(str(tmp_path / "model.pt"))


def test_an_output_that_can_not_be_traced_does_not_take_the_energy_with_it(tmp_path):
    outputs = {
        "energy": ModelOutput(unit="eV", sample_kind="atom"),
        "tests::blocks": ModelOutput(sample_kind="atom"),
    }
    header = saved(wrap(SeveralBlocks(), outputs, interaction_range=3.0), tmp_path / "model.pt")
    assert [(program.energy, dict(program.values)) for program in header.programs] == [("energy", {})] * 2


def test_saved_again_with_the_same_programs(tmp_path):
    saved(wrap(TwoLists()), tmp_path / "model.pt")
    first = load_atomistic_model(tmp_path / "model.pt")
    first.save(str(tmp_path / "again.pt"), exported=True)
    again = load_atomistic_model(tmp_path / "again.pt")
    assert again.header == first.header
    assert again.programs == first.programs
    assert len(first.programs) == 2
    first.save(str(tmp_path / "without.pt"), exported=False)
    assert load_atomistic_model(tmp_path / "without.pt").header.programs == ()


def test_programs_that_no_longer_fit_the_weights_are_dropped(tmp_path):
    saved(wrap(TwoLists()), tmp_path / "model.pt")
    model = load_atomistic_model(tmp_path / "model.pt")
    model.programs = dict.fromkeys(model.programs, b"something else")
    model.save(str(tmp_path / "again.pt"), exported=True)
    again = load_atomistic_model(tmp_path / "again.pt")
    assert again.header.programs == ()
    assert "expected a traced model that runs, got" in again.header.untraced


def test_stand_ins_go_when_the_trace_is_over():
    before = len, System.__init__, Labels
    with stand_ins.installed():
        assert metatensor.torch.Labels is stand_ins.Labels
        assert sys.modules[__name__].Labels is stand_ins.Labels
    with pytest.raises(ZeroDivisionError), stand_ins.installed():
        1 / 0  # noqa: B018
    assert (len, System.__init__, Labels) == before
    assert metatensor.torch.Labels is Labels


def test_graph_of_columns_does_not_join_them():
    labels = stand_ins.Labels.of_columns(["a", "b"], [torch.arange(3), torch.arange(3, 6)])
    assert labels.column("b").tolist() == [3, 4, 5]
    assert labels.values.tolist() == [[0, 3], [1, 4], [2, 5]]
    program = exported_program(
        lambda a, b: (stand_ins.Labels.of_columns(["a", "b"], [a, b]).values[:, 1] * 2,),
        [torch.zeros(4, dtype=torch.int32), torch.zeros(4, dtype=torch.int32)],
        [("n",), ("n",)],
    )
    assert torch.ops.aten.stack.default not in {node.target for node in program.graph.nodes}


def test_errors_come_back_from_the_other_process_and_death_is_noticed():
    with pytest.raises(KeyError, match="inside") as caught:
        apart(lambda: {}["inside"])
    assert any("test_tracing.py" in note for note in caught.value.__notes__)
    with pytest.raises(ApartError, match="expected a result of a process, got none"):
        apart(lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert apart(os.getpid) != os.getpid()
