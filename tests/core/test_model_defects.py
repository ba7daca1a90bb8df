"""One test for each defect that other implementations of this interface had; none of them may be here."""

import gc
import warnings
import weakref
from typing import Dict, List, Optional

import numpy as np
import pytest
import torch
from metatensor.torch import Labels, TensorBlock, TensorMap
from models import (
    Direct,
    NoLists,
    Pairs,
    TwoLists,
    WithInputs,
    as_map,
    atom_samples,
    structures,
    system_samples,
    through_file,
    wrap,
)

from metatomic_core import (
    AtomisticModel,
    ModelEvaluationOptions,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
    load_atomistic_model,
    pick_device,
    register_autograd_neighbors,
)
from metatomic_core.engine import Engine
from metatomic_core.potentials import lennard_jones

ENERGY = ModelOutput(unit="eV", sample_kind="atom")
STRUCTURES = structures()


class WrongSamples(torch.nn.Module):
    """Adds an offset to the labels of its samples."""

    def __init__(self, offset: int):
        super().__init__()
        self.offset = offset

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        samples = atom_samples(systems)
        if outputs["energy"].sample_kind == "system":
            samples = system_samples(systems)
        values = samples.values.clone()
        column = values.size(1) - 1
        values[:, column] = values[:, column] + self.offset
        energies = torch.ones([values.size(0), 1], dtype=systems[0].positions.dtype)
        return {"energy": as_map(energies, Labels(samples.names, values), [], "energy")}


class ReturnsBuffer(torch.nn.Module):
    """Returns one of its own buffers."""

    def __init__(self):
        super().__init__()
        self.register_buffer("energy", torch.tensor([[1.0]], dtype=torch.float64))

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        return {"energy": as_map(self.energy, system_samples(systems), [], "energy")}


class AddsData(torch.nn.Module):
    """Stores something in the systems that it is given, and asks for masses by the older name."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        for system in systems:
            system.add_data("tests::scratch", system.get_data("masses"))
        energies = torch.zeros([len(systems), 1], dtype=systems[0].positions.dtype)
        return {"energy": as_map(energies, system_samples(systems), [], "energy")}

    def requested_inputs(self) -> Dict[str, ModelOutput]:
        return {"masses": ModelOutput(unit="u", sample_kind="atom")}


@pytest.fixture(params=["eager", "loaded"])
def both(request):
    """Give a function that passes a model on, or saves and loads it."""
    return through_file if request.param == "loaded" else lambda model: model


def system_of(n_atoms=2, dtype=torch.float64):
    positions = torch.tensor([[0.0, 0.0, 0.0], [1.5, 0.0, 0.0], [0.0, 1.2, 0.3]], dtype=dtype)[:n_atoms]
    cell, pbc = torch.zeros(3, 3, dtype=dtype), torch.zeros(3, dtype=torch.bool)
    return System(torch.tensor([14, 8, 6])[:n_atoms], positions, cell, pbc)


def with_masses(name, values=(1.0, 2.0), unit=None):
    system = system_of()
    samples = Labels(["system", "atom"], torch.tensor([[0, 0], [0, 1]]))
    properties = Labels([name], torch.tensor([[0]]))
    block = TensorBlock(torch.tensor(values, dtype=torch.float64).reshape(2, 1), samples, [], properties)
    tensor = TensorMap(Labels(["_"], torch.tensor([[0]])), [block])
    if unit is not None:
        tensor.set_info("unit", unit)
    system.add_data(name, tensor)
    return system


def options(kind="system", unit="eV", length_unit="angstrom", name="energy", gradients=None, selected=None):
    output = ModelOutput(unit=unit, sample_kind=kind, explicit_gradients=gradients)
    return ModelEvaluationOptions(length_unit, {name: output}, selected)


@pytest.mark.parametrize("kind", ["system", "atom"])
@pytest.mark.parametrize("offset", [5, 1, -1])
def test_defect_sample_values_are_checked(offset, kind, both):
    """1.7.1: samples [[0, 5], [0, 6]] of two atoms, or [[7]] of one system, passed."""
    model = both(wrap(WrongSamples(offset)))
    with pytest.raises(ValueError, match=r"expected (values of 'system' in|atoms that exist in) output 'energy'"):
        model([system_of()], options(kind), True)


def test_defect_right_sample_values_pass(both):
    model = both(wrap(WrongSamples(0)))
    assert len(model([system_of(), system_of(3)], options("atom"), True)["energy"].block().samples) == 5


def test_defect_atom_pair_outputs_can_be_requested(both):
    """1.7.2: refused with checks on."""
    output = ModelOutput(unit="angstrom", sample_kind="atom_pair")
    engine = Engine(
        both(wrap(Pairs(), {"tests::pairs": output})), length_unit="nm", energy_unit="eV", check_consistency=True
    )
    structure = STRUCTURES["molecule"]
    structure = type(structure)(structure.types, structure.positions / 10, structure.cell, structure.pbc)
    result = engine.run([structure], {"tests::pairs": ModelOutput(unit="nm", sample_kind="atom_pair")})
    block = result["tests::pairs"].block()
    first, second = block.samples.values[:, 1].numpy(), block.samples.values[:, 2].numpy()
    distances = np.linalg.norm(structure.positions[second] - structure.positions[first], axis=1)
    np.testing.assert_allclose(block.values[:, 0], distances, rtol=1e-12)


def test_defect_conversion_keeps_buffers(both):
    """1.7.3: 1000, 1e6, 1e9 meV in three successive calls."""
    model = both(wrap(ReturnsBuffer(), {"energy": ModelOutput(unit="eV")}))
    for _ in range(3):
        assert float(model([system_of()], options(unit="meV"), False)["energy"].block().values) == 1000.0
    assert float(model.module.energy) == 1.0


@pytest.mark.parametrize("gradients", [["positions"], ["strain"], ["positions", "strain"]])
def test_defect_explicit_gradients_use_length_unit(gradients, both):
    """1.7.4: gradients with respect to positions were in eV/angstrom for an engine in nm."""
    declared = ModelOutput(unit="eV", sample_kind="atom", explicit_gradients=["positions", "strain"])
    model = both(wrap(NoLists(), {"energy": declared}))
    systems = []
    for n_atoms in (2, 3):
        system = system_of(n_atoms)
        system.positions = ((system.positions + 0.4) * 0.1).requires_grad_()
        systems.append(system)
    asked = options(unit="meV", length_unit="nm", gradients=gradients)
    block = model(systems, asked, True)["energy"].block()
    automatic = torch.autograd.grad(block.values.sum(), [system.positions for system in systems])
    if "positions" in gradients:
        explicit = block.gradient("positions")
        torch.testing.assert_close(explicit.values[..., 0], torch.cat(automatic), rtol=1e-12, atol=0)
    if "strain" in gradients:
        expected = torch.stack([s.positions.T @ g for s, g in zip(systems, automatic, strict=True)])
        torch.testing.assert_close(block.gradient("strain").values[..., 0], expected, rtol=1e-12, atol=0)


def test_defect_unknown_explicit_gradients_are_refused(both):
    with pytest.raises(ValueError, match="explicit gradients that this model has for 'energy', got 'strain'"):
        both(wrap(TwoLists()))([system_of()], options(gradients=["strain"]), False)


def test_defect_empty_list_of_systems(both):
    """1.7.5: an IndexError somewhere inside the model."""
    with pytest.raises(ValueError, match="expected at least one system in `systems`, got an empty list"):
        both(wrap(NoLists()))([], options(), False)


def test_defect_dtype_checked(both):
    """1.7.6: a float32 system ran silently in a float64 model when checks were off."""
    with pytest.raises(ValueError, match="expected systems of dtype float64, that of the model, got another one"):
        both(wrap(NoLists()))([system_of(dtype=torch.float32)], options(), False)


def test_defect_device_checked(both):
    """1.7.6: the device was never compared with those that the model supports."""
    model = both(wrap(NoLists(), supported_devices=["cuda"]))
    with pytest.raises(ValueError, match=r"expected a device that this model supports, .*cuda.*, got 'cpu'"):
        model([system_of()], options(), False)


def test_defect_missing_input_refused(both):
    """1.7.6: silently absent when checks were off."""
    with pytest.raises(ValueError, match="expected the input 'masses', which this model requests, in system 0"):
        both(wrap(WithInputs()))([system_of()], options(), False)


@pytest.mark.parametrize("name", ["mass", "masses"])
@pytest.mark.parametrize("length_unit", ["angstrom", "nm"])
def test_defect_caller_systems_unchanged(name, length_unit, both):
    """1.7.7: data was added to the systems of the caller when older and newer names were mixed."""
    system = with_masses(name)
    positions = system.positions.clone()
    model = both(wrap(AddsData(), {"energy": ModelOutput(unit="eV")}))
    for _ in range(2):
        model([system], options(length_unit=length_unit), True)
    assert system.known_data() == [name]
    assert torch.equal(system.positions, positions)
    assert torch.equal(system.get_data(name).block().values.flatten(), torch.tensor([1.0, 2.0], dtype=torch.float64))


def test_defect_cutoff_above_interaction_range():
    """1.7: not refused."""
    with pytest.raises(ValueError, match=r"at least the largest cutoff, got 3.5 and a neighbor list with cutoff 4.0"):
        wrap(TwoLists(), interaction_range=3.5)


def test_defect_input_is_converted_whatever_its_spelling(both):
    """Data under one name with a unit, requested under the other; the info tells the unit of the values."""

    class Recorder(AddsData):
        pass

    system = with_masses("mass", (1e-27, 3e-27), unit="kg")
    module = AddsData()
    model = wrap(module, {"energy": ModelOutput(unit="eV")})
    converted = []
    module.register_forward_pre_hook(lambda _, arguments: converted.append(arguments[0][0]))
    model([system], options(), True)
    for name in ("mass", "masses"):
        tensor = converted[0].get_data(name)
        np.testing.assert_allclose(tensor.block().values.flatten(), [0.602214, 1.806642], rtol=1e-6)
        assert tensor.get_info("unit") == "u"
    assert system.get_data("mass").get_info("unit") == "kg"


def test_defect_variant_with_both_spellings_warns_once_at_most():
    """A single variant of a quantity with two spellings needs no description."""
    outputs = {"non_conservative_force/a": ModelOutput(unit="eV/angstrom", sample_kind="atom")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = wrap(Direct(), outputs)
    assert "non_conservative_forces/a" in model.capabilities().outputs


def test_defect_register_neighbors_checks_are_complete():
    """1.8: wrong vectors and atoms that do not exist."""
    system = system_of()
    system.positions = system.positions.requires_grad_()
    names = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]
    xyz, distance = Labels(["xyz"], torch.arange(3).reshape(3, 1)), Labels(["distance"], torch.tensor([[0]]))
    for second, vector, message in ((1, 1.4, "to be .*1.5, 0.0, 0.0"), (2, 1.5, "expected atoms between 0 and 1")):
        samples = Labels(names, torch.tensor([[0, second, 0, 0, 0]]))
        values = torch.tensor([vector, 0.0, 0.0], dtype=torch.float64).reshape(1, 3, 1)
        block = TensorBlock(values, samples, [xyz], distance)
        with pytest.raises(ValueError, match=message):
            register_autograd_neighbors(system, block, check_consistency=True)


def test_defect_devices_that_do_not_exist_are_not_chosen():
    """1.10: "xpu" on a machine with CPUs only, and "CPU:0" refused."""
    assert pick_device(["xpu", "cpu"]) == "cpu" or torch.xpu.is_available()
    assert pick_device(["cpu"], "CPU:0") == "cpu"


def test_defect_neighbor_list_of_older_positions_refused(both):
    """A list that was computed for other positions gives wrong energies silently."""
    system = system_of()
    names = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]
    xyz, distance = Labels(["xyz"], torch.arange(3).reshape(3, 1)), Labels(["distance"], torch.tensor([[0]]))
    for cutoff, full in ((2.5, False), (4.0, True)):
        samples = Labels(names, torch.tensor([[0, 1, 0, 0, 0], [1, 0, 0, 0, 0]][: 1 + full]))
        vectors = torch.tensor([[1.5, 0.0, 0.0], [-1.5, 0.0, 0.0]], dtype=torch.float64)[: 1 + full]
        block = TensorBlock(vectors.reshape(-1, 3, 1), samples, [xyz], distance)
        system.add_neighbor_list(NeighborListOptions(cutoff, full, True), block)
    model = both(wrap(TwoLists()))
    model([system], options(), True)
    system.positions = system.positions + torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0]])
    with pytest.raises(ValueError, match="was the list computed for older positions"):
        model([system], options(), True)


def test_defect_wrapped_model_is_unwrapped(tmp_path):
    """1.7: a model may be wrapped again, from Python or from a file."""
    model = wrap(NoLists())
    again = AtomisticModel(model, model.metadata(), model.capabilities())
    assert again.module is model.module
    from_file = AtomisticModel(through_file(model), model.metadata(), model.capabilities())
    expected = model([system_of()], options(), True)["energy"].block().values
    for other in (again, from_file):
        assert torch.equal(other([system_of()], options(), True)["energy"].block().values, expected)
    loaded = through_file(model)
    of_module = AtomisticModel(loaded.module, model.metadata(), model.capabilities())
    for other in (from_file, of_module, loaded):
        other.save(tmp_path / "again.pt")
        copy = load_atomistic_model(tmp_path / "again.pt")
        assert torch.equal(copy([system_of()], options(), True)["energy"].block().values, expected)


def test_module_of_a_file_has_the_requests_of_the_file(tmp_path):
    """They may not be in its code, and are in the header."""
    lennard_jones().save(tmp_path / "argon.pt")
    model = load_atomistic_model(tmp_path / "argon.pt")
    again = AtomisticModel(model.module, ModelMetadata("another name"), lennard_jones().capabilities())
    assert again.requested_neighbor_lists() == model.requested_neighbor_lists()
    again.save(tmp_path / "again.pt")
    assert load_atomistic_model(tmp_path / "again.pt").metadata().name == "another name"
    # and none of them keeps the others alive
    module = weakref.ref(model.module)
    del model, again
    gc.collect()
    assert module() is None
