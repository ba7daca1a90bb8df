"""`AtomisticModel`: what it takes and refuses when it is made, and what it says about itself."""

import copy
import warnings
from typing import Dict, List, Optional

import pytest
import torch
from metatensor.torch import Labels, TensorMap
from models import (
    CUTOFF,
    SHORT_CUTOFF,
    Direct,
    NoLists,
    TwoLists,
    WithInputs,
    as_map,
    density,
    structures,
    system_samples,
    through_file,
    wrap,
)

from metatomic_core import (
    AtomisticModel,
    MetatensorAtomisticModel,
    ModelCapabilities,
    ModelInterface,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
    is_atomistic_model,
)
from metatomic_core.engine import Engine
from metatomic_core.files.header import FORMAT_VERSION

ENERGY = {"energy": ModelOutput(unit="eV", sample_kind="atom")}


def capabilities(**changes):
    arguments = {
        "outputs": ENERGY,
        "atomic_types": [1, 14],
        "interaction_range": 4.0,
        "length_unit": "angstrom",
        "supported_devices": ["cpu"],
        "dtype": "float64",
        **changes,
    }
    return ModelCapabilities(**arguments)


class Requests(NoLists):
    """Requests what it is told to."""

    def __init__(self, lists=(), inputs=None, child=None):
        super().__init__()
        self.lists, self.inputs = list(lists), inputs or {}
        if child is not None:
            self.child = child

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return self.lists

    def requested_inputs(self) -> Dict[str, ModelOutput]:
        return self.inputs


class OldRequests(NoLists):
    def requested_neighbors_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(3.0, True, False, "old")]


class WrongName(torch.nn.Module):
    def forward(self, systems: List[System], outputs: Dict[str, ModelOutput]) -> Dict[str, TensorMap]:
        return {}


class WrongType(torch.nn.Module):
    def forward(
        self, systems: List[System], outputs: List[str], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        return {}


class NoTypes(torch.nn.Module):
    def forward(self, systems, outputs, selected_atoms):
        return {}


class NewSyntax(torch.nn.Module):
    def forward(
        self, systems: list[System], outputs: dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> dict[str, TensorMap]:
        return {}


def make(module, **changes):
    return AtomisticModel(module.eval(), ModelMetadata(), capabilities(**changes))


def length_options(cutoff, unit):
    options = NeighborListOptions(cutoff, True, True)
    options.length_unit = unit
    return options


@pytest.mark.parametrize("module", [WrongName(), WrongType(), NoTypes(), torch.nn.Linear(1, 1), ModelInterface])
def test_wrong_signature_is_refused(module):
    if isinstance(module, type):
        with pytest.raises(TypeError, match=r"expected `module` to be a torch.nn.Module, got type"):
            AtomisticModel(module, ModelMetadata(), capabilities())
        return
    with pytest.raises(
        TypeError, match=r"expected `forward\(self, systems: List\[System\], .*, got `forward\("
    ) as caught:
        make(module)
    assert "\n" not in str(caught.value)


def test_scripted_module_of_wrong_signature_is_refused():
    with pytest.raises(TypeError, match=r"expected `forward\(self, systems: List\[System\]"):
        make(torch.jit.script(torch.nn.ReLU().eval()))


@pytest.mark.parametrize("module", [NewSyntax(), ModelInterface(), NoLists()])
def test_right_signatures_are_taken(module):
    assert make(module).module is module


class Forgetful(torch.nn.Module):
    """Its request is not exported: once scripted, it has none; the call is in a function."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies = [density([system], NeighborListOptions(3.0, True, True)).sum() for system in systems]
        return {"energy": as_map(torch.stack(energies).unsqueeze(1), system_samples(systems), [], "energy")}

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(3.0, True, True)]


class UsesAll(Forgetful):
    """Works with the lists that are there."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies = torch.zeros([len(systems), 1], dtype=torch.float64)
        for i, system in enumerate(systems):
            for options in system.known_neighbor_lists():
                energies[i] += density([system], options).sum()
        return {"energy": as_map(energies, system_samples(systems), [], "energy")}


class HasHeader(NoLists):
    def __init__(self):
        super().__init__()
        self.header = torch.nn.Linear(1, 1)


def test_defect_scripted_module_without_exported_request_is_refused():
    """It was saved without lists, and failed at the first step with advice that the author had followed."""
    energy = {"energy": ModelOutput(unit="eV", sample_kind="system")}
    assert len(wrap(Forgetful(), energy).requested_neighbor_lists()) == 1
    message = r"got Forgetful without a method `requested_neighbor_lists`; add `@torch.jit.export`"
    with pytest.raises(ValueError, match=message):
        wrap(torch.jit.script(Forgetful().eval()), energy)
    assert wrap(torch.jit.script(UsesAll().eval()), energy).requested_neighbor_lists() == []


def test_defect_module_with_a_part_called_header():
    assert wrap(HasHeader()).requested_neighbor_lists() == []


def test_scripted_module_is_taken():
    """Compiled in this process: run and saved like any other."""
    results = ["energy", "forces"]
    structure = structures()["triclinic"]
    scripted = wrap(torch.jit.script(TwoLists().eval()))
    expected = Engine(wrap(TwoLists()), length_unit="angstrom", energy_unit="eV").evaluate([structure], results)
    for model in (scripted, through_file(scripted)):
        got = Engine(model, length_unit="angstrom", energy_unit="eV").evaluate([structure], results)
        assert abs(got.energy - expected.energy).max() < 1e-13
        assert abs(got.forces - expected.forces).max() < 1e-13


def test_training_mode_is_refused():
    with pytest.raises(ValueError, match=r"expected `module` in evaluation mode, got training mode; call `module.eval"):
        AtomisticModel(NoLists(), ModelMetadata(), capabilities())


def test_wrong_arguments_are_refused():
    module = NoLists().eval()
    with pytest.raises(TypeError, match="expected `metadata` to be ModelMetadata, got str"):
        AtomisticModel(module, "name", capabilities())
    with pytest.raises(TypeError, match="expected `capabilities` to be ModelCapabilities, got dict"):
        AtomisticModel(module, ModelMetadata(), {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"interaction_range": -1.0}, "expected `interaction_range` to be set to zero or more, got -1.0"),
        ({"supported_devices": []}, "expected `supported_devices` of the capabilities to be set"),
        ({"dtype": ""}, "expected `dtype` of the capabilities to be set"),
    ],
)
def test_incomplete_capabilities_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make(NoLists(), **changes)


def test_missing_length_unit_warns():
    with pytest.warns(UserWarning, match="expected a `length_unit` of the capabilities, got none"):
        make(NoLists(), length_unit="")


def test_parameters_stop_requiring_gradients():
    module = NoLists()
    module.weight = torch.nn.Parameter(torch.ones(1))
    assert not any(parameter.requires_grad for parameter in make(module).parameters())


def test_neighbor_lists_of_submodules_are_collected_once():
    same = Requests([NeighborListOptions(3.0, True, True, "same"), NeighborListOptions(3.0, False, True)])
    lists = make(Requests([NeighborListOptions(3.0, True, True, "one")], child=same)).requested_neighbor_lists()
    assert [(options.cutoff, options.full_list, options.strict) for options in lists] == [
        (3.0, True, True),
        (3.0, False, True),
    ]
    assert lists[0].requestors() == ["one", "Requests", "same", "Requests.child"]
    assert lists[0].length_unit == "angstrom"
    requested = {(options.cutoff, options.full_list) for options in wrap(TwoLists()).requested_neighbor_lists()}
    assert requested == {(CUTOFF, True), (SHORT_CUTOFF, False)}


def test_older_names_work():
    model = make(OldRequests())
    assert MetatensorAtomisticModel is AtomisticModel
    assert model.requested_neighbors_lists() == model.requested_neighbor_lists() != []


def test_neighbor_lists_in_another_unit_are_refused():
    message = "in the length unit of the model, 'angstrom', got 'nm' from Requests.child"
    with pytest.raises(ValueError, match=message):
        make(Requests(child=Requests([length_options(0.3, "nm")])))


@pytest.mark.parametrize("range_", [0.0, 2.999])
def test_cutoff_above_interaction_range_is_refused(range_):
    with pytest.raises(ValueError, match=r"`interaction_range` of at least the largest cutoff, got .* from Requests"):
        make(Requests([NeighborListOptions(3.0, True, True)]), interaction_range=range_)


@pytest.mark.parametrize(
    ("own", "child", "message"),
    [
        ("mass", "masses", "expected one spelling of the input 'mass', got"),
        ("energies", "mass", "did you mean"),
        ("tests::", "mass", "text on both sides of '::'"),
    ],
)
def test_contradicting_inputs_are_refused(own, child, message):
    request = ModelOutput(sample_kind="atom")
    with pytest.raises(ValueError, match=message):
        make(Requests(inputs={own: request}, child=Requests(inputs={child: request})))


@pytest.mark.parametrize("other", [ModelOutput(unit="kg", sample_kind="atom"), ModelOutput(unit="u")])
def test_inputs_requested_in_two_ways_are_refused(other):
    child = Requests(inputs={"mass": other})
    with pytest.raises(ValueError, match=r"expected all requests of input 'mass' to agree, .*in Requests.child"):
        make(Requests(inputs={"mass": ModelOutput(unit="u", sample_kind="atom")}, child=child))


def test_inputs_under_new_names():
    for model in (wrap(WithInputs()), through_file(wrap(WithInputs()))):
        assert set(model.requested_inputs()) == {"masses", "charge", "spin_multiplicity", "tests::field"}
        assert set(model.requested_inputs(use_new_names=True)) == {
            "mass",
            "charge",
            "spin_multiplicity",
            "tests::field",
        }


def test_both_spellings_are_offered():
    outputs = {"non_conservative_forces/a": ModelOutput(unit="eV/angstrom", sample_kind="atom"), **ENERGY}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        offered = wrap(Direct(), outputs).capabilities().outputs
    # of the older name, and not of two variants without description
    assert [warning.category for warning in caught] == [DeprecationWarning]
    assert set(offered) == {"energy", "non_conservative_forces/a", "non_conservative_force/a"}


def test_capabilities_of_the_caller_are_kept():
    own = capabilities(outputs={"features": ModelOutput(sample_kind="atom")})
    AtomisticModel(NoLists().eval(), ModelMetadata(), own)
    assert set(own.outputs) == {"features"}


def test_model_describes_itself_to_engines_without_our_classes():
    """What C++ programs ask: plain numbers and strings."""

    model = wrap(TwoLists(), {**ENERGY, "features": ModelOutput(sample_kind="system")}, interaction_range=8.0)
    for each in (model, through_file(model).script):
        assert each.atomic_types() == [1, 6, 8, 14]
        assert [(pytest.approx(c), f, s) for c, f, s in each.pair_requests("nm")] == [
            (SHORT_CUTOFF / 10, False, True),
            (CUTOFF / 10, True, True),
        ]
        assert each.format_version() == FORMAT_VERSION
        assert "TwoLists" in each.card()


def test_is_atomistic_model():
    model = wrap(NoLists())
    assert is_atomistic_model(model)
    assert is_atomistic_model(through_file(model).script)
    assert not is_atomistic_model(model.module)
    with pytest.raises(TypeError, match=r"expected `module` to be a torch.nn.Module, got int"):
        is_atomistic_model(3)


def test_models_are_copied():
    structure = structures()["slab"]
    for model in (wrap(TwoLists()), through_file(wrap(TwoLists()))):
        energies = [
            Engine(each, length_unit="angstrom", energy_unit="eV").evaluate([structure]).energy[0]
            for each in (model, copy.deepcopy(model))
        ]
        assert energies[0] == energies[1]


def test_older_names_of_quantities_warn_once_where_the_model_is_made():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        wrap(WithInputs())
        again = wrap(NoLists(), {"features": ModelOutput(), "energy": ModelOutput(unit="eV")}).capabilities()
        before = len(caught)
        # both spellings are there
        wrap(NoLists(), again.outputs)
    messages = [str(warning.message) for warning in caught]
    assert before == len(messages) == 2
    assert messages[0].startswith("the name 'masses' is deprecated, use 'mass'")
    assert messages[1].startswith("the name 'features' is deprecated, use 'feature'")
    assert {warning.filename for warning in caught} == {wrap.__code__.co_filename}
