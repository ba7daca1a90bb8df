"""Models of files by their exported programs, without the code in the files; see `test_without_torchscript`."""

import copy
import dataclasses
import math
import pickle
import tempfile
from typing import Dict, List, Optional

import numpy as np
import pytest
import torch
from eager_cases import CASES, DERIVED, DIRECT, ENERGIES
from metatensor.torch import Labels, TensorMap
from models import Direct, FieldAndVolume, NoLists, SquaredGradient, TwoLists, structures, wrap

from metatomic_core import ModelEvaluationOptions, ModelOutput, System, read_model_metadata
from metatomic_core.authors import all_positions, energy_output
from metatomic_core.engine import Engine
from metatomic_core.loading import load_atomistic_model, read_model_header
from metatomic_core.model.exported import ExportedModel, exported_model
from metatomic_core.pipeline.batch import Answer

UNITS = {"length_unit": "angstrom", "energy_unit": "eV"}
EXPORTED = ["pairs", "variant", "no lists", "positions and cell", "direct"]


class Charged(torch.nn.Module):
    """Atoms with charges in a field that is the spin multiplicity of the structure."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies: List[torch.Tensor] = []
        for system in systems:
            charge = system.get_data("charge").block_by_id(0).values.squeeze(-1)
            spin = system.get_data("spin_multiplicity").block_by_id(0).values.reshape(1)
            energies.append(charge * spin * system.positions[:, 2] + 0.0 * all_positions([system]).sum())
        return {"energy": energy_output(systems, torch.cat(energies), outputs["energy"], selected_atoms)}

    def requested_inputs(self) -> Dict[str, ModelOutput]:
        return {
            "charge": ModelOutput(unit="e", sample_kind="atom"),
            "spin_multiplicity": ModelOutput(sample_kind="system"),
        }


def by_programs(model, derive=None):
    """Give what the file of a model is without its code."""
    return ExportedModel(model.header, model.path, model.programs, derive)


FILES = {}


def loaded(module, declared=None):
    """Give a model with its code and exported programs; saved once, because tracing takes long."""
    if module not in FILES:
        with tempfile.TemporaryDirectory() as folder:
            wrap(module(), declared).save(f"{folder}/model.pt", exported=True)
            FILES[module] = load_atomistic_model(f"{folder}/model.pt")
    return FILES[module]


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        largest = np.abs(values[np.isfinite(values)]).max()
        assert largest > 0, name
        np.testing.assert_allclose(found[name], values, rtol=1e-11, atol=1e-12 * largest, err_msg=name)


@pytest.mark.parametrize("name", EXPORTED)
def test_results_are_those_of_the_code(name):
    case = CASES[name]
    model = loaded(case.module, case.declared)
    assert_same(case.evaluated(by_programs(model)), case.evaluated(model))


def test_structures_are_joined_unless_the_range_is_infinite(tmp_path):
    """All atoms of a structure may count then, however little: a comparison might not see it."""
    assert all(record.joins for record in loaded(TwoLists, ENERGIES).header.programs)
    wrap(TwoLists(), ENERGIES, interaction_range=math.inf).save(str(tmp_path / "model.pt"), exported=True)
    records = read_model_header(tmp_path / "model.pt").programs
    assert len(records) > 0
    assert not any(record.joins for record in records)


@pytest.mark.parametrize("name", structures())
def test_results_of_one_structure_are_those_of_the_code(name):
    """Structures alone: a model that takes them joined has other programs to go through."""
    case = CASES["pairs"]._replace(names=[name])
    model = loaded(case.module, case.declared)
    found, expected = case.evaluated(by_programs(model)), case.evaluated(model)
    for result, values in expected.items():
        np.testing.assert_allclose(found[result], values, rtol=1e-11, atol=1e-11, err_msg=result)


def test_selected_atoms():
    model = loaded(TwoLists, ENERGIES)
    given = [structures()["triclinic"], structures()["slab"]]
    selected = np.array([[1, 3], [0, 2], [0, 1]])
    results, outputs = [*DERIVED], {"energy_ensemble": "atom"}
    found, expected = (
        Engine(each, **UNITS).evaluate(given, results, outputs=outputs, selected_atoms=selected)
        for each in (by_programs(model), model)
    )
    for result in results:
        np.testing.assert_allclose(getattr(found, result), getattr(expected, result), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(
        found.outputs["energy_ensemble"], expected.outputs["energy_ensemble"], rtol=1e-11, atol=1e-12
    )
    assert np.isnan(found.outputs["energy_ensemble"]).any()


def test_inputs():
    model = loaded(Charged)
    given = dataclasses.replace(
        structures()["slab"],
        inputs={"charge": np.array([1.0, -2.0, 0.5, 0.25]), "spin_multiplicity": np.array(3.0)},
    )
    evaluation = Engine(by_programs(model), **UNITS).evaluate([given], ["energy", "forces"])
    charges = np.array([1.0, -2.0, 0.5, 0.25])
    np.testing.assert_allclose(evaluation.energy, [3.0 * charges @ given.positions[:, 2]])
    np.testing.assert_allclose(evaluation.forces[:, 2], -3.0 * charges)


@pytest.mark.parametrize(
    ("module", "declared", "outputs", "names"),
    [
        (TwoLists, ENERGIES, {"energy": "system", "energy_ensemble": "atom"}, ["triclinic", "slab"]),
        # the numbers of this one are those of structures in a batch, of which programs know nothing
        (Direct, DIRECT, {"non_conservative_forces": "atom", "non_conservative_stress": "system"}, ["slab"]),
    ],
)
def test_labels_are_those_of_the_code(module, declared, outputs, names):
    model = loaded(module, declared)
    given = [structures()[name] for name in names]
    found, expected = (
        Engine(each, **UNITS).evaluate(given, ["energy"], outputs=outputs).tensors
        for each in (by_programs(model), model)
    )
    assert list(found) == list(outputs)
    for name, tensor in expected.items():
        block, other = found[name].block(0), tensor.block(0)
        assert block.samples.names == other.samples.names
        assert block.components == other.components
        assert block.properties == other.properties
        # in whatever order the module gives its samples
        order = [other.samples.position(block.samples[i]) for i in range(len(block.samples))]
        assert sorted(order) == list(range(len(other.samples)))
        np.testing.assert_allclose(block.values, other.values[order], rtol=1e-11)


def test_queries_are_answered_from_the_header():
    model = loaded(TwoLists, ENERGIES)
    exported = by_programs(model)
    assert exported.capabilities() == model.capabilities()
    assert exported.metadata() == model.metadata()
    assert exported.requested_neighbor_lists() == model.requested_neighbor_lists()
    assert exported.requested_inputs() == model.requested_inputs() == {}
    assert exported.pair_requests("bohr") == model.script.pair_requests("bohr")
    assert exported.differentiates() is model.differentiates() is False
    assert exported.header is model.header


def test_program_is_asked_under_the_names_that_it_knows():
    """And results come back under those of who asked, whatever runs the programs."""
    asked = []

    def derive(batch, question):
        assert not torch.is_grad_enabled()
        tensors = [batch.positions, batch.cells, *batch.vectors]
        assert not any(tensor.requires_grad for tensor in tensors)
        asked.append((question.needs.gradients, question.request, question.outputs))
        forces = torch.arange(3.0 * len(batch.types), dtype=torch.float64).reshape(-1, 3, 1)
        energies = {"energy": torch.full([1], 0.5, dtype=torch.float64)}
        return Answer(energies, {"non_conservative_force": forces}, {"non_conservative_force": 2.0 * forces})

    model = by_programs(loaded(Direct, DIRECT), derive)
    given = structures()["slab"]
    engine = Engine(model, length_unit="angstrom", energy_unit="eV", non_conservative="forces")
    evaluation = engine.evaluate([given], ["energy", "forces"], outputs={"non_conservative_forces": "atom"})
    request = {"energy": "energy", "forces": "non_conservative_force"}
    assert asked == [(False, request, {"non_conservative_force": "atom"})]
    np.testing.assert_array_equal(evaluation.energy, [0.5])
    forces = np.arange(12.0).reshape(4, 3)
    np.testing.assert_allclose(evaluation.forces, forces - forces.mean(0))
    np.testing.assert_array_equal(evaluation.outputs["non_conservative_forces"][..., 0], 2.0 * forces)


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda model: model.module, "`module`"),
        (lambda model: model.save("model.pt"), "`save`"),
        (lambda model: model.export("model.pt"), "`save`"),
        (lambda model: model([], ModelEvaluationOptions("angstrom", {}), False), "`forward`"),
        (lambda model: model.compute([], [], [], None, {}, {}), "`compute`"),
        (
            lambda model: Engine(model, **UNITS).evaluate([structures()["slab"]], ["hessian"]),
            "results that take several derivatives",
        ),
    ],
)
def test_what_takes_the_code_is_refused(ask, what):
    model = by_programs(loaded(NoLists))
    with pytest.raises(
        NotImplementedError, match=f"expected a model with its code for {what}, got the exported program"
    ):
        ask(model)


def test_engine_says_what_runs():
    model = by_programs(loaded(NoLists))
    assert Engine(model, **UNITS).kernel == "eager"
    with pytest.raises(ValueError, match="expected a model with its code for `kernel` 'script', got one of exported"):
        Engine(model, **UNITS, kernel="script")


def test_what_no_program_has_is_refused():
    model = by_programs(loaded(FieldAndVolume))
    with pytest.raises(NotImplementedError, match=r"expected an exported program with virials of atoms, .*, got"):
        Engine(model, **UNITS).evaluate([structures()["slab"]], ["atomic_virials"])


def test_what_is_not_offered_is_refused_before_anything_is_run():
    model = by_programs(loaded(NoLists), lambda *_: pytest.fail("expected no program to run"))
    with pytest.raises(ValueError, match="got 'dipole'"):
        Engine(model, **UNITS).evaluate([structures()["slab"]], ["energy"], outputs={"dipole": "system"})
    with pytest.raises(ValueError, match="`selected_atoms`"):
        Engine(model, **UNITS).evaluate([structures()["slab"]], ["energy"], selected_atoms=np.array([[0, 1], [0, 1]]))
    with pytest.raises(ValueError, match="type"):
        Engine(model, **UNITS).evaluate(
            [dataclasses.replace(structures()["slab"], types=np.array([1, 1, 99, 1]))], ["energy"]
        )


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "model.pt"
    loaded(NoLists).save(str(path), exported=True)
    return path


def test_file_is_read_without_its_code(file):
    model = exported_model(file, read_model_header(file), "of a test")
    assert model.path == file
    assert model.programs == load_atomistic_model(file).programs
    assert read_model_metadata(file).name == model.metadata().name
    given = [structures()["triclinic"]]
    k = np.array([1.0, 2.0, 3.0])
    found = Engine(model, **UNITS).evaluate(given, ["forces"])
    np.testing.assert_allclose(found.forces, -k * given[0].positions)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_the_same_model(file, again):
    model = exported_model(file, read_model_header(file), "of a test")
    other = again(model)
    assert type(other) is ExportedModel
    assert other.programs == model.programs
    given = [structures()["slab"]]
    found, expected = (Engine(each, **UNITS).evaluate(given, ["energy", "forces"]) for each in (other, model))
    np.testing.assert_array_equal(found.forces, expected.forces)


def test_file_without_a_program_is_refused():
    model = loaded(SquaredGradient)
    with pytest.raises(ValueError, match=r"expected a model file with an exported program, as it is so, got '"):
        exported_model(model.path, model.header, "it is so")


def test_other_programs_are_refused(file):
    header = read_model_header(file)
    programs = {record.entry: b"" for record in header.programs}
    with pytest.raises(ValueError, match="expected the exported program that the header is about, got another one"):
        Engine(ExportedModel(header, file, programs), **UNITS).evaluate([structures()["slab"]], ["energy"])
    later = dataclasses.replace(header, programs=tuple(dataclasses.replace(r, seam=99) for r in header.programs))
    model = exported_model(file, later, "of a test")
    with pytest.raises(ValueError, match=r"expected an exported program of version 1, got .* of version 99"):
        Engine(model, **UNITS).evaluate([structures()["slab"]], ["energy"])
    missing = dataclasses.replace(header, programs=tuple(dataclasses.replace(r, entry="no") for r in header.programs))
    with pytest.raises(ValueError, match=r"expected 'no' once in .*, got it 0 times; export the model again"):
        exported_model(file, missing, "of a test")
