"""Helpers for authors against loops in numpy, eager and scripted: several systems, some empty, and selected atoms."""

import numpy as np
import pytest
import torch
from metatensor.torch import Labels
from system_cases import PAIRS, SAMPLES, bare_system, neighbor_block

from metatomic_core import ModelOutput, NeighborListOptions, authors

OPTIONS = NeighborListOptions(3.0, True, True)
# atoms and pairs of each system: all, none, some, and an atom without pairs
CASES = [(3, PAIRS), (0, PAIRS[:0]), (2, PAIRS[:1]), (1, PAIRS[:0])]
N_ATOMS = [n for n, _ in CASES]
ATOMS = [(i, atom) for i, n in enumerate(N_ATOMS) for atom in range(n)]
# in no order, and of some systems only
SELECTIONS = {"all": None, "some": [(3, 0), (0, 2), (2, 1), (0, 0)], "none": []}
VALUES = torch.tensor([1.5, -2.0, 0.25, 3.0, 8.0, -1.0], dtype=torch.float64)


def make_systems(cases=CASES, dtype=torch.float64):
    systems = []
    for n, pairs in cases:
        systems.append(bare_system(dtype, n))
        systems[-1].add_neighbor_list(OPTIONS, neighbor_block(systems[-1], pairs))
    return systems


def selected(name):
    if SELECTIONS[name] is None:
        return None
    return Labels(["system", "atom"], torch.tensor(SELECTIONS[name], dtype=torch.int32).reshape(-1, 2))


@pytest.fixture(params=["eager", "scripted"])
def call(request):
    """Call a helper by its name, as it is or compiled."""
    compiled = {}

    def run(name, *arguments):
        helper = getattr(authors, name)
        if request.param == "scripted":
            compiled.setdefault(name, torch.jit.script(helper))
            helper = compiled[name]
        return helper(*arguments)

    return run


def assert_block(tensor, values, samples, components, property_name):
    """Compare a map of one block with arrays and with names of its labels."""
    assert (tensor.keys.names, tensor.keys.values.tolist()) == (["_"], [[0]])
    block = tensor.block()
    assert np.array_equal(block.values.numpy(), np.asarray(values))
    assert block.samples.values.tolist() == [list(sample) for sample in samples]
    assert block.samples.names == ["system", "atom"][: len(samples[0]) if samples else 2]
    assert [(label.names, label.values.flatten().tolist()) for label in block.components] == [
        ([name], [0, 1, 2]) for name in components
    ]
    assert block.properties.names == [property_name]
    assert block.properties.values.flatten().tolist() == list(range(block.values.shape[-1]))


@pytest.mark.parametrize("n_systems", [1, 4])
def test_pairs_of_all_systems(call, n_systems):
    systems = make_systems(CASES[:n_systems])
    first, second, vectors = call("pairs", systems, OPTIONS)
    expected, start = [], 0
    for (n, pairs), system in zip(CASES, systems, strict=False):
        for i, j, *shift in pairs.tolist():
            vector = system.positions[j] - system.positions[i] + torch.tensor(shift, dtype=torch.float64) @ system.cell
            expected.append((start + i, start + j, shift, vector.tolist()))
        start += n
    assert (first.dtype, second.dtype) == (torch.int64, torch.int64)
    assert first.is_contiguous()
    assert second.is_contiguous()
    assert first.tolist() == [pair[0] for pair in expected]
    assert second.tolist() == [pair[1] for pair in expected]
    assert np.allclose(vectors, [pair[3] for pair in expected], rtol=0, atol=1e-12)
    assert call("cell_shifts", systems, OPTIONS).tolist() == [pair[2] for pair in expected]


def test_no_pairs(call):
    first, second, vectors = call("pairs", make_systems([(2, PAIRS[:0])], torch.float32), OPTIONS)
    assert first.shape == second.shape == (0,)
    assert (vectors.shape, vectors.dtype) == ((0, 3), torch.float32)


@pytest.mark.parametrize("cases", [CASES, CASES[:1], CASES[1:2]], ids=["several", "one", "empty"])
def test_atoms_of_all_systems(call, cases):
    systems = make_systems(cases)
    numbers = [(i, atom) for i, (n, _) in enumerate(cases) for atom in range(n)]
    types = [int(systems[i].types[atom]) for i, atom in numbers]
    assert call("atom_count", systems) == len(numbers)
    assert call("all_types", systems).tolist() == types
    positions = [systems[i].positions[atom].tolist() for i, atom in numbers]
    assert np.array_equal(call("all_positions", systems), np.reshape(positions, (-1, 3)))
    index = call("structure_index", systems)
    assert (index.dtype, index.tolist()) == (torch.int64, [i for i, _ in numbers])
    species = call("species_index", systems, authors.species_table([8, 1, 14]))
    assert (species.dtype, species.tolist()) == (torch.int64, [[8, 1, 14].index(t) for t in types])


def test_species_table_has_minus_one_for_types_between():
    assert authors.species_table([3, 1]).tolist() == [-1, 1, -1, 0]


@pytest.mark.parametrize("shape", [(), (2,)])
def test_sum_at_atoms(call, shape):
    values = torch.randn(5, *shape, dtype=torch.float32)
    atoms = [4, 0, 4, 5, 0]
    expected = np.zeros((6, *shape), dtype=np.float32)
    for atom, value in zip(atoms, values.numpy(), strict=True):
        expected[atom] += value
    found = call("sum_at_atoms", make_systems(), values, torch.tensor(atoms))
    assert found.dtype == torch.float32
    assert np.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_selected_index(call, selection):
    wanted = SELECTIONS[selection] if SELECTIONS[selection] is not None else ATOMS
    index = call("selected_index", make_systems(), selected(selection))
    assert (index.dtype, index.tolist()) == (torch.int64, [ATOMS.index(atom) for atom in wanted])


@pytest.mark.parametrize("kind", ["atom", "system"])
@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("members", [0, 3])
@pytest.mark.parametrize("of_selected", [False, True])
def test_energies_of_selected_atoms(call, kind, selection, members, of_selected):
    energies = VALUES if members == 0 else VALUES.unsqueeze(1) * torch.arange(1.0, 1.0 + members)
    wanted = SELECTIONS[selection] if SELECTIONS[selection] is not None else ATOMS
    rows = [ATOMS.index(atom) for atom in wanted]
    given = energies[rows] if of_selected else energies
    output = ModelOutput(unit="eV", sample_kind=kind)
    tensor = call("energy_output", make_systems(), given, output, selected(selection), of_selected)
    chosen = energies.numpy()[rows].reshape(len(rows), max(members, 1))
    if kind == "atom":
        assert_block(tensor, chosen, wanted, [], "energy")
    else:
        sums = np.zeros((4, max(members, 1)))
        for (i, _), value in zip(wanted, chosen, strict=True):
            sums[i] += value
        assert_block(tensor, sums, [(i,) for i in range(4)], [], "energy")


@pytest.mark.parametrize("kind", ["atom", "system"])
@pytest.mark.parametrize("selection", ["all", "some"])
@pytest.mark.parametrize("case", range(3))
def test_energies_of_one_system(call, kind, selection, case):
    n = [3, 0, 1][case]
    chosen = [2, 0][: n - 1] if selection == "some" and n else list(range(n))
    labels = Labels(["system", "atom"], torch.tensor([[0, atom] for atom in chosen], dtype=torch.int32).reshape(-1, 2))
    values = torch.tensor([1.5, -2.0, 0.25], dtype=torch.float32)[:n]
    output = ModelOutput(unit="eV", sample_kind=kind)
    systems = make_systems([(n, PAIRS[:0])], torch.float32)
    tensor = call("energy_output", systems, values, output, labels if selection == "some" else None)
    assert tensor.block().values.dtype == torch.float32
    expected = values.numpy()[chosen][:, None]
    if kind == "atom":
        assert_block(tensor, expected, [(0, atom) for atom in chosen], [], "energy")
    else:
        assert_block(tensor, expected.sum(0, keepdims=True), [(0,)], [], "energy")


@pytest.mark.parametrize("kind", ["atom", "system"])
@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("n_systems", [1, 4])
def test_energy_from_terms_is_that_of_atoms(call, kind, selection, n_systems):
    systems = make_systems(CASES[:n_systems])
    first, second, vectors = authors.pairs(systems, OPTIONS)
    of_pairs, of_atoms = vectors.square().sum(1), VALUES[: sum(N_ATOMS[:n_systems])]
    energies = of_atoms.numpy().copy()
    for i, j, energy in zip(first.tolist(), second.tolist(), of_pairs.tolist(), strict=True):
        energies[i] += 0.5 * energy
        energies[j] += 0.5 * energy
    chosen = selected(selection)
    if chosen is not None and n_systems == 1:
        chosen = Labels(["system", "atom"], chosen.values[chosen.values[:, 0] == 0])
    output = ModelOutput(unit="eV", sample_kind=kind)
    terms = [(of_pairs, [first, second]), (of_atoms, [])]
    found = call("energy_output_from_terms", systems, terms, output, chosen).block()
    expected = call("energy_output", systems, torch.tensor(energies), output, chosen).block()
    assert found.samples == expected.samples
    assert found.properties == expected.properties
    assert np.allclose(found.values, expected.values, rtol=1e-14, atol=1e-12)


def test_gradient_goes_to_selected_atoms_only(call):
    energies = VALUES.clone().requires_grad_(True)
    tensor = call("energy_output", make_systems(), energies, ModelOutput(sample_kind="system"), selected("some"))
    tensor.block().values.sum().backward()
    assert energies.grad.tolist() == [1, 0, 1, 0, 1, 1]


@pytest.mark.parametrize("name", ["non_conservative_force", "non_conservative_forces", "dipole/of ions"])
@pytest.mark.parametrize("with_properties", [False, True])
def test_vectors_of_atoms(call, name, with_properties):
    values = torch.randn(6, 3, dtype=torch.float64)
    given = values.unsqueeze(-1) if with_properties else values
    output = ModelOutput(sample_kind="atom")
    tensor = call("per_atom_output", name, make_systems(), given, output, selected("some"))
    expected = values.numpy()[[5, 2, 4, 0]][:, :, None]
    last = "dipole" if "dipole" in name else "non_conservative_force"
    assert_block(tensor, expected, SELECTIONS["some"], ["xyz"], last)


def test_dipoles_of_systems_are_sums_of_those_of_atoms(call):
    values = torch.randn(6, 3, dtype=torch.float64)
    tensor = call("per_atom_output", "dipole", make_systems(), values, ModelOutput(sample_kind="system"), None)
    expected = np.stack([values[:3].sum(0), np.zeros(3), values[3:5].sum(0), values[5]])[:, :, None]
    assert np.allclose(tensor.block().values, expected, rtol=1e-14)
    assert tensor.block().components[0].names == ["xyz"]


@pytest.mark.parametrize(
    ("name", "property_name", "expected"),
    [("feature", "", "feature"), ("feature", "n", "n"), ("my-project::radial/long", "", "radial"), ("a::b", "c", "c")],
)
def test_properties_that_the_model_names(call, name, property_name, expected):
    values = torch.randn(6, 4, dtype=torch.float64)
    output = ModelOutput(sample_kind="atom")
    tensor = call("per_atom_output", name, make_systems(), values, output, None, None, property_name)
    assert_block(tensor, values, ATOMS, [], expected)


def test_components_of_a_name_of_its_own(call):
    values = torch.randn(6, 3, 3, 2, dtype=torch.float64)
    output = ModelOutput(sample_kind="atom")
    names = ["xyz_1", "xyz_2"]
    tensor = call("per_atom_output", "tests::tensor", make_systems(), values, output, None, names, "channel")
    assert_block(tensor, values, ATOMS, names, "channel")


@pytest.mark.parametrize(
    ("name", "shape", "components", "property_name"),
    [
        ("energy", (), [], "energy"),
        ("energy_ensemble", (5,), [], "energy"),
        ("dipole", (3,), ["xyz"], "dipole"),
        ("non_conservative_stress", (3, 3), ["xyz_1", "xyz_2"], "non_conservative_stress"),
        ("tests::gap", (), [], "gap"),
    ],
)
def test_outputs_of_systems(call, name, shape, components, property_name):
    values = torch.randn(4, *shape, dtype=torch.float64)
    tensor = call("per_system_output", name, make_systems(), values)
    expected = values if name == "energy_ensemble" else values.unsqueeze(-1)
    assert_block(tensor, expected, [(i,) for i in range(4)], components, property_name)


def test_outputs_of_pairs(call):
    systems = make_systems()
    values = torch.arange(4.0)
    block = call("per_pair_output", "tests::distance", systems, OPTIONS, values).block()
    samples = [[i, *pair] for i, (_, pairs) in enumerate(CASES) for pair in pairs.tolist()]
    assert block.samples.names == ["system", *SAMPLES]
    assert block.samples.values.tolist() == samples
    assert (block.values.flatten().tolist(), block.properties.names) == (values.tolist(), ["distance"])


def test_tensors_are_made_where_those_of_the_systems_are():
    systems, chosen, output = make_systems(), selected("some"), ModelOutput(sample_kind="system")
    one = make_systems(CASES[:1])
    table = authors.species_table([1, 8, 14])
    # as on a GPU: what is made without a word about the device lies elsewhere
    with torch.device("meta"):
        first, _, vectors = authors.pairs(systems, OPTIONS)
        found = [
            vectors,
            authors.cell_shifts(systems, OPTIONS),
            authors.species_index(systems, table),
            authors.structure_index(systems),
            authors.sum_at_atoms(systems, vectors, first),
            authors.selected_index(systems, chosen),
            authors.selected_index(systems, None),
        ]
        tensors = [
            authors.energy_output(systems, VALUES, output, chosen),
            authors.energy_output_from_terms(one, [(VALUES[:3], [])], output, None),
            authors.per_atom_output("charge", systems, VALUES, ModelOutput(sample_kind="atom"), None),
            authors.per_system_output("dipole", systems, vectors[:4]),
            authors.per_pair_output("tests::pairs", systems, OPTIONS, vectors),
        ]
    assert {tensor.device.type for tensor in found} == {"cpu"}
    for tensor in tensors:
        assert {tensor.block().values.device.type, tensor.block().samples.device.type} == {"cpu"}


ATOMIC, PER_SYSTEM, PER_PAIR = (ModelOutput(sample_kind=kind) for kind in ("atom", "system", "atom_pair"))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("atom_count", ([],), "expected one or more `systems`, got none"),
        (
            "energy_output",
            (make_systems(), VALUES[:5], ATOMIC, None),
            r"expected values of 'energy' for each atom, of the shape \(6,\) or \(6, n_properties\), got \[5\]",
        ),
        (
            "energy_output",
            (make_systems(), VALUES, ATOMIC, selected("some"), True),
            r"expected values of 'energy' for each atom, of the shape \(4,\) or \(4, n_properties\), got \[6\]",
        ),
        (
            "per_atom_output",
            ("non_conservative_force", make_systems(), VALUES, ATOMIC, None),
            r"for each atom, of the shape \(6, 3\) or \(6, 3, n_properties\), got \[6\]",
        ),
        (
            "per_atom_output",
            ("non_conservative_force", make_systems(), VALUES.reshape(6, 1), ATOMIC, None),
            r"of the shape \(6, 3\) or \(6, 3, n_properties\), got \[6, 1\]",
        ),
        ("per_atom_output", ("charge", make_systems(), VALUES, PER_PAIR, None), "per atom or system, got 'atom_pair'"),
        (
            "per_system_output",
            ("non_conservative_stress", make_systems(), torch.zeros(4, 9)),
            r"for each system, of the shape \(4, 3, 3\) or \(4, 3, 3, n_properties\), got \[4, 9\]",
        ),
        (
            "per_pair_output",
            ("tests::pairs", make_systems(), OPTIONS, torch.zeros(3)),
            r"for each pair, of the shape \(4,\) or \(4, n_properties\), got \[3\]",
        ),
        (
            "one_block",
            (torch.zeros(4, 3), Labels(["system"], torch.arange(4).reshape(-1, 1)), ["xyz"], "dipole"),
            r"expected `values` of 3 dimensions: samples, 1 components and properties, got the shape \[4, 3\]",
        ),
    ],
)
def test_wrong_shapes_refused(call, name, arguments, message):
    with pytest.raises((ValueError, torch.jit.Error), match=message):
        call(name, *arguments)


@pytest.mark.parametrize("types", [[], [1, 8, 1], [-1, 2]])
def test_table_of_these_types_refused(types):
    with pytest.raises(ValueError, match="expected `types` to be one or more different non-negative numbers, got"):
        authors.species_table(types)
