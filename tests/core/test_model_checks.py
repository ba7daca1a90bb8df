"""What ``check_consistency`` finds in systems, selections and results."""

from typing import Dict, List, Optional

import pytest
import torch
from metatensor.torch import Labels, TensorBlock, TensorMap
from models import TwoLists, WithInputs, atom_samples, system_samples, through_file, wrap

from metatomic_core import ModelEvaluationOptions, ModelOutput, NeighborListOptions, System

PAIR = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]
LISTS = (NeighborListOptions(4.0, True, True), NeighborListOptions(2.5, False, True))


class Returns(torch.nn.Module):
    """Returns an energy with one thing wrong."""

    def __init__(self, wrong: str):
        super().__init__()
        self.wrong = wrong

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        wrong = self.wrong
        name = "energy"
        for requested in outputs.keys():
            name = requested
        samples = system_samples(systems)
        if outputs[name].sample_kind == "atom":
            samples = atom_samples(systems)
        labels = samples.values
        names = samples.names
        if wrong == "missing sample":
            labels = labels[1:]
        elif wrong == "sample names":
            names = ["structure"] + names[1:]
        values = torch.ones([labels.size(0), 1], dtype=systems[0].positions.dtype)
        components: List[Labels] = []
        properties = Labels(["energy"], torch.tensor([[0]]))
        keys = Labels(["_"], torch.tensor([[0]]))
        if wrong == "dtype":
            values = values.to(torch.float32)
        elif wrong == "components":
            components = [Labels(["xyz"], torch.tensor([[0], [1], [2]]))]
            values = torch.ones([labels.size(0), 3, 1], dtype=values.dtype)
        elif wrong == "property name":
            properties = Labels(["e"], torch.tensor([[0]]))
        elif wrong == "property value":
            properties = Labels(["energy"], torch.tensor([[1]]))
        elif wrong == "properties":
            properties = Labels(["energy"], torch.tensor([[0], [1]]))
            values = torch.ones([labels.size(0), 2], dtype=values.dtype)
        elif wrong == "keys":
            keys = Labels(["_"], torch.tensor([[1]]))
        block = TensorBlock(values, Labels(names, labels), components, properties)
        results = {name: TensorMap(keys, [block])}
        if wrong == "more outputs":
            results["energy/b"] = results[name].copy()
        elif wrong == "no outputs":
            results.pop(name)
        return results


@pytest.fixture(params=["eager", "loaded"])
def both(request):
    """Give a function that passes a model on, or saves and loads it."""
    return through_file if request.param == "loaded" else lambda model: model


def system_of(n_atoms=3):
    positions = torch.tensor([[0.0, 0.0, 0.0], [1.5, 0.0, 0.0], [0.0, 1.2, 0.3]], dtype=torch.float64)[:n_atoms]
    cell = torch.eye(3, dtype=torch.float64) * 9.0
    return System(torch.tensor([14, 8, 6])[:n_atoms], positions, cell, torch.ones(3, dtype=torch.bool))


def with_lists(system, pairs, vectors=None):
    pairs = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 5)
    if vectors is None:
        vectors = system.positions[pairs[:, 1]] - system.positions[pairs[:, 0]] + pairs[:, 2:] * 9.0
    xyz = Labels(["xyz"], torch.arange(3).reshape(3, 1))
    for options in LISTS:
        block = TensorBlock(
            vectors.reshape(-1, 3, 1), Labels(PAIR, pairs), [xyz], Labels(["distance"], torch.tensor([[0]]))
        )
        system.add_neighbor_list(options, block)
    return system


def run(model, systems, kind="system", selected=None, check=True, name="energy"):
    return model(
        systems, ModelEvaluationOptions("angstrom", {name: ModelOutput(unit="eV", sample_kind=kind)}, selected), check
    )


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        ("missing sample", "system", "for all 2 systems, got none for system 0"),
        ("missing sample", "atom", "for 5 atoms, those that were asked for, got 4"),
        ("sample names", "system", "to have the samples .*system.*, got .*structure"),
        ("sample names", "atom", "to have the samples .*system.*, got .*structure"),
        ("dtype", "atom", "to have the dtype float64, got another one"),
        ("components", "system", "to have the components"),
        ("property name", "system", "to have the property 'energy', got"),
        ("property value", "system", "to be numbered from 0"),
        ("properties", "system", "to have 1 property value, got 2"),
        ("keys", "system", "to have one key '_' = 0"),
        ("more outputs", "system", "to return what was requested, got 'energy/b' as well"),
        ("no outputs", "system", "expected the model to return the output 'energy', got none"),
    ],
)
def test_wrong_results_are_refused(wrong, kind, message):
    model = wrap(Returns(wrong))
    with pytest.raises(ValueError, match=message) as caught:
        run(model, [system_of(3), system_of(2)], kind)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["missing sample", "property value", "no outputs"])
def test_wrong_results_are_refused_by_loaded_models(wrong):
    with pytest.raises(ValueError, match=r"expected .*energy") as caught:
        run(through_file(wrap(Returns(wrong))), [system_of(), system_of(2)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["system", "atom"])
def test_right_results_pass(kind, both):
    run(both(wrap(Returns(""))), [system_of(3), system_of(2)], kind)


def test_systems_without_selected_atoms_may_be_left_out(both):
    """Sums over no atoms: a model may give them as zero, or not at all."""
    model = both(wrap(Returns("missing sample")))
    one = Labels(["system", "atom"], torch.tensor([[1, 0]]))
    zero = Labels(["system", "atom"], torch.tensor([[0, 0]]))
    assert run(model, [system_of(), system_of()], selected=one)["energy"].block().samples.values.tolist() == [[1]]
    with pytest.raises(ValueError, match="got none for system 0"):
        run(model, [system_of(), system_of()], selected=zero)
    both(wrap(Returns("")))([system_of()] * 2, ModelEvaluationOptions("angstrom", {"energy": ModelOutput()}, one), True)


def test_results_for_atoms_that_were_not_selected_are_refused(both):
    selected = Labels(["system", "atom"], torch.tensor([[0, 1]]))
    with pytest.raises(ValueError, match="for 1 atoms, those that were asked for, got 3 or others"):
        run(both(wrap(Returns(""))), [system_of()], "atom", selected)


def test_selected_atoms_twice_are_refused(both):
    with pytest.raises(ValueError, match="`selected_atoms`"):
        run(both(wrap(Returns(""))), [system_of()], selected=Labels(["system", "atom"], torch.tensor([[0, 3]])))


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("energy/none", "system", r"got 'energy/none'; it has 'energy'"),
        (
            "energy",
            "atom_pair",
            "expected output 'energy' per atom, which is what this model computes, got 'atom_pair'",
        ),
    ],
)
def test_wrong_requests_are_refused(name, kind, message, both):
    with pytest.raises(ValueError, match=message):
        run(both(wrap(Returns(""))), [system_of()], kind, check=False, name=name)


def test_energy_per_atom_of_model_without_is_refused(both):
    model = both(wrap(Returns(""), {"energy": ModelOutput(unit="eV")}))
    with pytest.raises(ValueError, match="expected output 'energy' per system, which is what this model computes"):
        run(model, [system_of()], "atom", check=False)


def test_unknown_atomic_types_are_refused(both):
    system = system_of()
    system.types = torch.tensor([14, 7, 6])
    with pytest.raises(ValueError, match=r"that this model knows, \[1, 6, 8, 14\], got type 7 for atom 1 of system 1"):
        run(both(wrap(Returns(""))), [system_of(), system], check=False)


def test_missing_neighbor_list_is_refused(both):
    for check in (True, False):
        with pytest.raises(ValueError, match="expected a neighbor list that this system has, got cutoff="):
            run(both(wrap(TwoLists())), [system_of()], check=check)


@pytest.mark.parametrize(
    ("pairs", "vectors", "message"),
    [
        ([[0, 3, 0, 0, 0]], [1.0, 0.0, 0.0], "expected atoms of neighbor lists between 0 and 2"),
        ([[-1, 1, 0, 0, 0]], [1.0, 0.0, 0.0], "expected atoms of neighbor lists between 0 and 2"),
        ([[0, 1, 0, 0, 0]], [1.5, 0.0, 1e-3], "expected neighbor vectors to be positions"),
        ([[0, 1, 0, 0, 0]], [-1.5, 0.0, 0.0], "expected neighbor vectors to be positions"),
        ([[0, 1, 0, 1, 0]], [1.5, 0.0, 0.0], "expected neighbor vectors to be positions"),
    ],
)
def test_wrong_neighbor_lists_are_refused(pairs, vectors, message, both):
    system = with_lists(system_of(), pairs, torch.tensor(vectors, dtype=torch.float64))
    with pytest.raises(ValueError, match=message):
        run(both(wrap(TwoLists())), [system])


@pytest.mark.parametrize("pairs", [[], [[0, 1, 0, 0, 0]], [[0, 1, 0, 0, 0], [1, 2, 0, 0, 0], [0, 0, 1, 0, -1]]])
def test_right_neighbor_lists_pass(pairs, both):
    run(both(wrap(TwoLists())), [with_lists(system_of(), pairs)])


def with_inputs(changes):
    """Give a system with all inputs of `WithInputs`, some of them changed."""
    system = system_of()
    atoms = Labels(["system", "atom"], torch.tensor([[0, 0], [0, 1], [0, 2]]))
    one = Labels(["system"], torch.tensor([[0]]))
    inputs = {"mass": atoms, "charge": atoms, "spin_multiplicity": one, "tests::field": one}
    for name, samples in inputs.items():
        values = torch.ones(len(samples), 3 if "field" in name else 1, dtype=torch.float64)
        samples, values = changes.get(name, lambda s, v: (s, v))(samples, values)
        properties = Labels([name.split("::")[-1]], torch.arange(values.shape[1]).reshape(-1, 1))
        block = TensorBlock(values, samples, [], properties)
        system.add_data(name, TensorMap(Labels(["_"], torch.tensor([[0]])), [block]))
    return system


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("mass", lambda s, v: (s, v * float("nan")), "expected finite values of input 'masses' of system 0"),
        ("mass", lambda s, v: (Labels(s.names, s.values[:2]), v[:2]), "for 3 atoms, those that were asked for, got 2"),
        ("charge", lambda s, v: (Labels(s.names, s.values + torch.tensor([0, 1])), v), "got atom 3 of system 0"),
        ("charge", lambda s, v: (Labels(["a", "b"], s.values), v), "to have the samples .*system.*atom"),
        ("spin_multiplicity", lambda s, v: (Labels(s.names, s.values + 1), v), "between 0 and 0, got 1 to 1"),
        ("spin_multiplicity", lambda s, v: (s, torch.cat([v, v], 1)), "to have 1 property value, got 2"),
    ],
)
def test_wrong_inputs_are_refused(name, change, message, both):
    model = both(wrap(WithInputs()))
    run(model, [with_inputs({})])
    with pytest.raises(ValueError, match=message):
        run(model, [with_inputs({name: change})])


def test_loaded_model_refuses_what_are_no_systems():
    model = through_file(wrap(Returns("")))
    options = ModelEvaluationOptions("angstrom", {"energy": ModelOutput()})
    with pytest.raises(TypeError, match="expected `systems` to be a list of System, got System"):
        model(system_of(), options, True)
    with pytest.raises(TypeError, match="expected `systems` to be a list of System, got an element int"):
        model([3], options, True)
    with pytest.raises(TypeError, match="expected `options` to be ModelEvaluationOptions, got dict"):
        model([system_of()], {}, True)
