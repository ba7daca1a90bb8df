"""Names, kinds, variants, inputs, gradients, ensembles, units and metadata survive in both directions."""

import metatomic.torch as reference
import numpy as np
import pytest
import torch
from metatensor.torch import Labels, TensorBlock
from models import SquaredGradient, as_map, wrap
from reference_cases import convert
from reference_models import CUTOFF, METADATA, everything

import metatomic_core as core
from metatomic_core.data.quantities import canonical_name, other_spelling

# the reference prints that it will not know old names for ever
pytestmark = pytest.mark.prints
TYPES = torch.tensor([79, 29, 29, 79, 29], dtype=torch.int32)
POSITIONS = np.array([[0, 0, 0], [2.4, 0.3, 0.1], [-0.5, 2.5, 0.4], [1.1, -1.2, 5.3], [0.6, 1.1, 2.3]])
CELL = np.array([[4.1, 0.2, 0.0], [-0.3, 4.4, 0.5], [0.1, 0.4, 5.0]])


def neighbor_block(cutoff, full_list=True):
    """Give all pairs within a cutoff (angstrom) by trying every shift up to three cells away."""
    shifts = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    samples, vectors = [], []
    for i, j in np.ndindex(len(TYPES), len(TYPES)):
        found = POSITIONS[j] - POSITIONS[i] + shifts @ CELL
        if not full_list:
            # one of each pair and its opposite
            shifts_ahead = [tuple(shift) > (0, 0, 0) if i == j else i < j for shift in shifts]
            found = np.where(np.array(shifts_ahead)[:, None], found, np.inf)
        close = (np.linalg.norm(found, axis=1) < cutoff) & ((i != j) | shifts.any(1))
        samples += [[i, j, *shift] for shift in shifts[close]]
        vectors += list(found[close])
    names = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]
    return TensorBlock(
        torch.tensor(np.array(vectors)).unsqueeze(-1),
        Labels(names, torch.tensor(np.array(samples), dtype=torch.int32)),
        [Labels(["xyz"], torch.arange(3).reshape(-1, 1))],
        Labels(["distance"], torch.tensor([[0]])),
    )


def system_in(module, spelling, mass_unit):
    """Give the system, in angstrom, with inputs under one spelling, in the classes of one of the two packages."""
    system = module.System(TYPES, torch.tensor(POSITIONS), torch.tensor(CELL), torch.tensor([True, True, True]))
    options = module.NeighborListOptions(CUTOFF, True, True)
    system.add_neighbor_list(options, neighbor_block(10 * CUTOFF))
    atoms = Labels(["system", "atom"], torch.tensor([[0, i] for i in range(len(TYPES))], dtype=torch.int32))
    mass = as_map(torch.tensor([[3.0], [1.0], [4.0], [1.0], [5.0]], dtype=torch.float64), atoms, [], spelling)
    mass.set_info("unit", mass_unit)
    field = as_map(torch.tensor([[2.5]], dtype=torch.float64), Labels(["system"], torch.tensor([[0]])), [], "field")
    system.add_data(spelling, mass)
    system.add_data("tests::field", field)
    return system


def run(module, model, name, kind, gradients=(), selected=None, spelling="mass", unit="", mass_unit="u"):
    output = module.ModelOutput(unit=unit, sample_kind=kind, explicit_gradients=list(gradients))
    options = module.ModelEvaluationOptions("angstrom", {name: output}, selected)
    # metatomic-torch refuses all outputs for pairs of atoms where it checks
    return model([system_in(module, spelling, mass_unit)], options, kind != "atom_pair")[name]


def assert_equal(found, expected):
    assert found.keys == expected.keys
    for block, other in zip(found.blocks(), expected.blocks(), strict=True):
        torch.testing.assert_close(block.values, other.values, rtol=1e-11, atol=1e-11)
        assert (block.samples, block.components, block.properties) == (
            other.samples,
            other.components,
            other.properties,
        )
        assert block.gradients_list() == other.gradients_list()
        for parameter, gradient in block.gradients():
            torch.testing.assert_close(gradient.values, other.gradient(parameter).values, rtol=1e-11, atol=1e-11)
            assert gradient.samples == other.gradient(parameter).samples


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("everything")


@pytest.fixture(scope="module")
def original(folder):
    """The model of the reference; it announces that old names are deprecated."""
    with pytest.warns(UserWarning, match="deprecated"):
        everything().save(folder / "reference.pt")
    return torch.jit.load(folder / "reference.pt")


@pytest.fixture(scope="module")
def imported(original, folder):
    return core.load_atomistic_model(folder / "reference.pt")


@pytest.fixture(scope="module")
def there_and_back(imported, folder):
    """The model of the reference as ours, and that as one of the reference again."""
    convert(folder / "reference.pt", folder / "core.pt")
    convert(folder / "core.pt", folder / "back.pt", "metatomic-torch")
    return reference.load_atomistic_model(folder / "back.pt")


CASES = [
    ("energy", "atom"), ("energy", "system"), ("energy/shifted", "system"), ("energy_ensemble", "atom"),
    ("energy_uncertainty", "atom"), ("feature", "atom"), ("features", "system"), ("non_conservative_force", "atom"),
    ("non_conservative_forces", "atom"), ("non_conservative_stress", "system"), ("tests::pairs", "atom_pair"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*deprecated:UserWarning")
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_every_output(name, kind, original, imported, there_and_back):
    expected = run(reference, original, name, kind)
    assert_equal(run(core, imported, name, kind), expected)
    assert_equal(run(core, imported, name, kind, spelling="masses"), expected)
    assert_equal(run(reference, there_and_back, name, kind), expected)


def test_selected_atoms_and_units(original, imported, there_and_back):
    selected = Labels(["system", "atom"], torch.tensor([[0, 3], [0, 1]]))
    units = {"unit": "eV", "mass_unit": "kg"}
    expected = run(reference, original, "energy", "system", selected=selected, **units)
    found = run(core, imported, "energy", "system", selected=selected, **units)
    # the two have constants of different years
    torch.testing.assert_close(found.block().values, expected.block().values, rtol=1e-8, atol=0)
    assert_equal(run(reference, there_and_back, "energy", "system", selected=selected, **units), expected)


def test_explicit_gradients(original, imported, there_and_back):
    expected = run(reference, original, "energy", "atom", ["strain"])
    assert expected.block().gradients_list() == ["strain"]
    assert_equal(run(core, imported, "energy", "atom", ["strain"]), expected)
    assert_equal(run(reference, there_and_back, "energy", "atom", ["strain"]), expected)


def test_capabilities_and_metadata(original, imported, there_and_back):
    expected = original.capabilities()
    for found in (imported.capabilities(), there_and_back.capabilities()):
        for field in ("atomic_types", "interaction_range", "length_unit", "supported_devices", "dtype"):
            assert getattr(found, field) == getattr(expected, field)
        names = {canonical_name(name) for name in expected.outputs}
        # each name in both spellings, where there are two
        assert set(found.outputs) == names | {other_spelling(name) for name in names} - {""}
        for name, output in expected.outputs.items():
            for field in ("unit", "sample_kind", "explicit_gradients", "description"):
                assert getattr(found.outputs[name], field) == getattr(output, field), (name, field)
    for metadata in (imported.metadata(), there_and_back.metadata()):
        assert {field: getattr(metadata, field) for field in METADATA} == METADATA


def test_requests(original, imported, there_and_back):
    for model in (original, imported, there_and_back):
        (options,) = model.requested_neighbor_lists()
        assert (options.cutoff, options.full_list, options.strict) == (CUTOFF, True, True)
        assert options.length_unit == "nm"
        assert "the tests" in options.requestors()
        inputs = model.requested_inputs(use_new_names=True)
        found = {name: (request.unit, request.sample_kind) for name, request in inputs.items()}
        assert found == {"mass": ("u", "atom"), "tests::field": ("", "system")}


def test_model_that_differentiates_itself_has_a_graph_where_the_engine_has_none(folder):
    wrap(SquaredGradient()).save(folder / "squared.pt")
    convert(folder / "squared.pt", folder / "squared-reference.pt", "metatomic-torch")
    ours = core.load_atomistic_model(folder / "squared.pt")
    theirs = reference.load_atomistic_model(folder / "squared-reference.pt")
    found = []
    for module, model in ((core, ours), (reference, theirs)):
        positions = torch.tensor(POSITIONS, requires_grad=module is core)
        system = module.System(TYPES.new_full((5,), 8), positions, torch.tensor(CELL), torch.tensor([True] * 3))
        for options in ours.requested_neighbor_lists():
            block = neighbor_block(options.cutoff, options.full_list)
            if module is core:
                core.register_autograd_neighbors(system, block)
            system.add_neighbor_list(module.NeighborListOptions(options.cutoff, options.full_list, True), block)
        outputs = {"energy": module.ModelOutput(unit="eV")}
        options = module.ModelEvaluationOptions("angstrom", outputs)
        found.append(model([system], options, False)["energy"].block().values)
    assert not bool(torch.isnan(found[0]).any())
    torch.testing.assert_close(found[0].detach(), found[1].detach(), rtol=1e-11, atol=0)
