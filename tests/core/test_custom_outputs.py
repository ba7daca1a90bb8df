"""Quantities of a model's own: any samples and blocks pass the checks, samples that do not exist do not."""

from typing import Dict, List, Optional

import numpy as np
import pytest
import torch
from metatensor.torch import Labels, TensorBlock, TensorMap
from models import through_file, wrap

from metatomic_core import ModelEvaluationOptions, ModelOutput, System
from metatomic_core.engine import Engine, Structure


class Sparse(torch.nn.Module):
    """Gives an output in blocks by atomic type, one for some of the atoms, and one with samples of its own."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        results: Dict[str, TensorMap] = {}
        properties = Labels(["value"], torch.tensor([[0], [1]]))
        for name in outputs.keys():
            keys: List[List[int]] = []
            blocks: List[TensorBlock] = []
            for center in [6, 8, 14]:
                rows: List[List[int]] = []
                for i in range(len(systems)):
                    for atom in range(len(systems[i])):
                        if int(systems[i].types[atom]) == center:
                            rows.append([i, atom])
                # nothing of the type 6, in one of them
                if name == "tests::some" and center == 6:
                    continue
                if name == "tests::absent":
                    rows.append([0, 17])
                labels = torch.tensor(rows, dtype=torch.int32).reshape(-1, 2)
                names = ["system", "atom"]
                if name == "tests::own":
                    names = ["system", "nearest_to"]
                values = torch.ones([labels.size(0), 2], dtype=systems[0].positions.dtype)
                keys.append([center])
                blocks.append(TensorBlock(values, Labels(names, labels), [], properties))
            results[name] = TensorMap(Labels(["center_type"], torch.tensor(keys)), blocks)
        return results


OUTPUTS = {f"tests::{name}": ModelOutput(sample_kind="atom") for name in ("blocks", "some", "own", "absent")}


@pytest.fixture(scope="module", params=["eager", "loaded"])
def model(request):
    model = wrap(Sparse(), outputs=OUTPUTS)
    return through_file(model) if request.param == "loaded" else model


def system_of(types):
    n_atoms = len(types)
    positions = torch.arange(3.0 * n_atoms, dtype=torch.float64).reshape(n_atoms, 3)
    return System(torch.tensor(types), positions, torch.eye(3, dtype=torch.float64) * 50, torch.ones(3, dtype=bool))


def run(model, name, selected=None):
    options = ModelEvaluationOptions("angstrom", {name: OUTPUTS[name]}, selected)
    return model([system_of([8, 14, 6]), system_of([14, 14])], options, check_consistency=True)[name]


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("tests::blocks", [[[0, 2]], [[0, 0]], [[0, 1], [1, 0], [1, 1]]]),
        ("tests::some", [[[0, 0]], [[0, 1], [1, 0], [1, 1]]]),
        ("tests::own", [[[0, 2]], [[0, 0]], [[0, 1], [1, 0], [1, 1]]]),
    ],
)
def test_any_samples_and_blocks_pass_the_checks(model, name, rows):
    assert [block.samples.values.tolist() for block in run(model, name).blocks()] == rows


def test_atoms_that_do_not_exist_are_refused(model):
    with pytest.raises(
        ValueError, match=r"expected atoms that exist in output 'tests::absent'.*got atom 17 of system 0"
    ):
        run(model, "tests::absent")


def test_atoms_that_were_not_asked_for_are_refused(model):
    selected = Labels(["system", "atom"], torch.tensor([[0, 0], [0, 1]]))
    with pytest.raises(ValueError, match="expected output 'tests::some' of the model for atoms that were asked for"):
        run(model, "tests::some", selected)


class InOneBlock(torch.nn.Module):
    """Gives an output for oxygen only, and one with samples of its own."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        rows: List[List[int]] = []
        for i in range(len(systems)):
            for atom in range(len(systems[i])):
                if int(systems[i].types[atom]) == 8:
                    rows.append([i, atom])
        labels = torch.tensor(rows, dtype=torch.int32).reshape(-1, 2)
        results: Dict[str, TensorMap] = {}
        one = torch.tensor([[0]])
        for name in outputs.keys():
            names = ["system", "atom"] if name == "tests::some" else ["system", "nearest_to"]
            values = 2.0 * torch.ones([labels.size(0), 1], dtype=systems[0].positions.dtype)
            block = TensorBlock(values, Labels(names, labels), [], Labels(["value"], one))
            results[name] = TensorMap(Labels(["_"], one), [block])
        return results


def test_engines_get_what_has_a_place_in_an_array():
    outputs = {name: ModelOutput(sample_kind="atom") for name in ("tests::some", "tests::own")}
    engine = Engine(through_file(wrap(InOneBlock(), outputs=outputs)), length_unit="angstrom", energy_unit="eV")
    batch = [
        Structure(np.array(types), np.arange(3.0 * len(types)).reshape(-1, 3), np.zeros((3, 3)), np.zeros(3, bool))
        for types in ([8, 14, 6], [14, 8])
    ]
    found = engine.evaluate(batch, [], outputs=dict.fromkeys(outputs, "atom"))
    np.testing.assert_array_equal(found.outputs["tests::some"].ravel(), [2.0, np.nan, np.nan, np.nan, 2.0])
    assert "tests::own" not in found.outputs
    assert found.tensors["tests::own"].block().samples.values.tolist() == [[0, 0], [1, 1]]
