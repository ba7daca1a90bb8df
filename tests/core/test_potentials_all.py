"""What holds for every reference potential: derivatives, batches, samples, precision, files, and close atoms."""

import numpy as np
import pytest
import torch
from metatensor.torch import Labels
from potential_cases import (
    NAMES,
    POTENTIALS,
    assert_close,
    close_pair,
    empty,
    make_engine,
    numerical_forces,
    numerical_virial,
    structures,
)

from metatomic_core import System, load_atomistic_model
from metatomic_core.potentials import embedded_atom, lennard_jones, stillinger_weber

RESULTS = ["energy", "atomic_energies", "forces", "virial"]


# A truncated energy jumps when a pair crosses the cutoff: steps are so small that none does.
# Tables are only once differentiable: their grid shows in finite differences.
TOLERANCES = {"eam-alloy": 1e-7, "eam-fs": 1e-7}
CASES = {name: structures(species, spacing) for name, (species, spacing, _) in POTENTIALS.items()}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Give each potential as loaded from a file."""
    folder = tmp_path_factory.mktemp("potentials")
    loaded = {}
    for name, (_, _, make) in POTENTIALS.items():
        make(folder).save(str(folder / f"{name}.pt"))
        loaded[name] = load_atomistic_model(folder / f"{name}.pt")
    return loaded


@pytest.mark.parametrize("structure", NAMES)
@pytest.mark.parametrize("name", POTENTIALS)
def test_forces_and_virial_agree_with_finite_differences(name, structure, models):
    engine = make_engine(models[name], check_consistency=True)
    case = CASES[name][structure]
    result = engine.evaluate([case], ["forces", "virial", "atomic_virials"])
    tolerance = TOLERANCES.get(name, 1e-8)
    assert_close(result.forces, numerical_forces(engine, case), tolerance, floor=0.1)
    assert_close(result.virial[0], numerical_virial(engine, case), tolerance, floor=0.1)
    assert_close(result.atomic_virials.sum(0), result.virial[0], 1e-12, floor=0.1)


@pytest.mark.parametrize("name", POTENTIALS)
def test_eager_model_equals_loaded_model(name, models, tmp_path):
    eager = make_engine(POTENTIALS[name][2](tmp_path), check_consistency=True)
    batch = list(CASES[name].values())
    got = make_engine(models[name]).evaluate(batch, RESULTS)
    expected = eager.evaluate(batch, RESULTS)
    for result in RESULTS:
        assert_close(getattr(got, result), getattr(expected, result), 1e-14)


@pytest.mark.parametrize("name", POTENTIALS)
def test_batch_equals_one_by_one(name, models):
    engine = make_engine(models[name], check_consistency=True)
    cases = list(CASES[name].values())
    batch = [cases[0], empty(), *cases[1:], empty()]
    # with and without energies per atom: the two are computed in different ways
    for results in (RESULTS, ["energy", "forces"]):
        together = engine.evaluate(batch, results)
        assert together.energy[1] == 0
        for index, structure in enumerate(batch):
            alone = engine.evaluate([structure], results)
            assert_close(together.energy[index], alone.energy[0], 1e-13, floor=1.0)
            assert_close(together.forces[together.atoms(index)], alone.forces, 1e-13, floor=1.0)


@pytest.mark.parametrize("name", POTENTIALS)
def test_energy_is_sum_over_atoms(name, models):
    engine = make_engine(models[name])
    batch = list(CASES[name].values())
    total = engine.evaluate(batch, ["energy"])
    atomic = engine.evaluate(batch, ["energy", "atomic_energies"])
    sums = [atomic.atomic_energies[atomic.atoms(index)].sum() for index in range(len(batch))]
    np.testing.assert_allclose(total.energy, sums, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", POTENTIALS)
def test_no_neighbors_give_zero(name, models):
    engine = make_engine(models[name])
    result = engine.evaluate([empty(), CASES[name]["isolated atom"]], RESULTS)
    for values in RESULTS:
        assert np.abs(getattr(result, values)).max(initial=0) < 1e-15


@pytest.mark.parametrize("name", POTENTIALS)
def test_selected_atoms_give_their_energy_and_its_derivatives(name, models):
    engine = make_engine(models[name], check_consistency=True)
    batch = [CASES[name]["triclinic"], CASES[name]["molecule"], CASES[name]["one atom"]]
    selected = np.array([[1, 3], [0, 5], [1, 0], [0, 2]])
    everything = engine.evaluate(batch, ["atomic_energies"])
    atoms = everything.atomic_energies
    result = engine.evaluate(batch, ["energy", "atomic_energies", "forces"], selected_atoms=selected)
    np.testing.assert_allclose(
        result.energy, [atoms[5] + atoms[2], atoms[8 + 3] + atoms[8], 0.0], rtol=1e-13, atol=1e-15
    )
    expected = np.zeros_like(atoms)
    expected[[11, 5, 8, 2]] = atoms[[11, 5, 8, 2]]
    np.testing.assert_allclose(result.atomic_energies, expected, rtol=1e-13)
    alone = engine.evaluate([batch[0]], ["energy", "forces"], selected_atoms=np.array([[0, 5]]))
    forces = numerical_forces(engine, batch[0], selected_atoms=np.array([[0, 5]]))
    assert_close(alone.energy[0], atoms[5], 1e-13)
    assert_close(alone.forces, forces, TOLERANCES.get(name, 1e-8), floor=0.1)


@pytest.mark.parametrize("name", POTENTIALS)
def test_samples_are_the_selected_atoms(name, models):
    case = CASES[name]["molecule"]
    engine = make_engine(models[name], check_consistency=True)
    result = engine.evaluate([case, case], [], outputs={"energy": "atom"}, selected_atoms=np.array([[1, 2], [0, 4]]))
    (block,) = result.tensors["energy"].blocks()
    assert block.samples == Labels(["system", "atom"], torch.tensor([[1, 2], [0, 4]]))
    assert block.properties == Labels(["energy"], torch.tensor([[0]]))
    assert result.tensors["energy"].keys == Labels(["_"], torch.tensor([[0]]))


@pytest.mark.parametrize("name", POTENTIALS)
def test_float32_agrees_with_float64(name, models, tmp_path):
    single = make_engine(POTENTIALS[name][2](tmp_path, dtype="float32"), check_consistency=True)
    batch = list(CASES[name].values())
    expected = make_engine(models[name]).evaluate(batch, RESULTS)
    got = single.evaluate(batch, RESULTS)
    for result in RESULTS:
        # float32 has 24 bits, 6e-8; the steep functions here lose a factor of 50
        assert_close(getattr(got, result), getattr(expected, result), 3e-6)


@pytest.mark.parametrize("name", POTENTIALS)
def test_atoms_at_the_same_place_give_no_number(name, models):
    n_pairs = 2 if name.startswith("sw") else 1
    energy, forces = close_pair(models[name], 0.0, n_pairs)
    assert not np.isfinite(energy).any()
    assert not np.isfinite(forces).any()


@pytest.mark.parametrize("name", POTENTIALS)
def test_requests_one_list_within_the_interaction_range(name, models):
    capabilities = models[name].capabilities()
    (options,) = models[name].requested_neighbor_lists()
    assert options.strict
    assert options.full_list == name.startswith("sw")
    factor = 2 if name == "sw-thirds" else 1
    assert capabilities.interaction_range == factor * options.cutoff
    assert capabilities.outputs["energy"].sample_kind == "atom"
    assert models[name].metadata().references["architecture"] != []


@pytest.mark.parametrize("make", [stillinger_weber, lennard_jones, embedded_atom])
def test_nothing_asked_for_gives_nothing(make):
    model = make()
    system = System(
        torch.tensor(model.atomic_types()),
        torch.zeros(1, 3, dtype=torch.float64),
        torch.zeros(3, 3, dtype=torch.float64),
        torch.zeros(3, dtype=torch.bool),
    )
    assert model.module([system], {}, None) == {}


@pytest.mark.parametrize("make", [stillinger_weber, lennard_jones, embedded_atom])
def test_default_parameters_are_converted_to_other_units(make):
    other = make(length_unit="bohr", energy_unit="kcal/mol")
    assert other.capabilities().length_unit == "bohr"
    case = structures(list(other.atomic_types()), 2.6)["triclinic"]
    expected = make_engine(make()).evaluate([case], ["energy", "forces"])
    got = make_engine(other).evaluate([case], ["energy", "forces"])
    assert_close(got.energy, expected.energy, 1e-12)
    assert_close(got.forces, expected.forces, 1e-12)


@pytest.mark.parametrize("make", [stillinger_weber, lennard_jones, embedded_atom])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float16"}, "expected `dtype` to be one of 'float32', 'float64', got 'float16'"),
        ({"species": "Xx"}, "expected `species` to be element symbols, got 'Xx'"),
        ({"species": "AR"}, "got 'AR'; did you mean 'Ar'"),
        ({"species": 0}, "expected `species` to be atomic numbers between 1 and 118, got 0"),
        ({"species": []}, "expected `species` to be one or more different elements, got "),
        ({"species": ["Si", 14]}, "expected `species` to be one or more different elements, got "),
        ({"length_unit": "eV"}, "length"),
        ({"energy_unit": "angstrom"}, "energy"),
    ],
)
def test_options_refused(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


@pytest.mark.parametrize("make", [stillinger_weber, lennard_jones, embedded_atom])
def test_species_of_another_type_refused(make):
    with pytest.raises(TypeError, match="expected `species` to be element symbols or atomic numbers, got float"):
        make(species=14.0)
