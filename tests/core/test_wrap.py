"""Models in models: averages over rotations against a loop of NumPy, heat flux against finite differences."""

import json
from typing import Dict, List, Optional

import numpy as np
import pytest
import torch
from command_line import fail, succeed
from lammps_models import CUTOFF, Layers
from metatensor.torch import Labels, TensorMap
from models import (
    FieldAndVolume,
    NoLists,
    Pairs,
    SquaredGradient,
    TwoLists,
    WithInputs,
    reversed_samples,
    structures,
    through_file,
    wrap,
)
from scipy import constants
from scipy.spatial.transform import Rotation

from metatomic_core import (
    AtomisticModel,
    ModelCapabilities,
    ModelMetadata,
    ModelOutput,
    System,
    load_atomistic_model,
)
from metatomic_core.authors import all_positions, energy_output, per_atom_output, per_system_output
from metatomic_core.combining import combine
from metatomic_core.engine import Engine, Structure
from metatomic_core.heat_flux import HeatFlux
from metatomic_core.o3 import SymmetrizedModel
from metatomic_core.potentials import lennard_jones

RESULTS = ("energy", "atomic_energies", "forces", "virial")
VARIANCE = "o3::variance::"
ATOM = ModelOutput(unit="eV", sample_kind="atom")
DIRECT = {
    "energy": ATOM,
    "non_conservative_force": ModelOutput(unit="eV/angstrom", sample_kind="atom"),
    "non_conservative_stress": ModelOutput(unit="eV/angstrom^3", sample_kind="system"),
}
# eV/u, as a square of angstrom/fs
ACCELERATION = constants.e / constants.atomic_mass * 1e-10


class Anisotropic(torch.nn.Module):
    """Predicts forces and stress that know the axes."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        results: Dict[str, TensorMap] = {}
        positions = all_positions(systems)
        for name, output in outputs.items():
            if name.startswith("energy"):
                results[name] = energy_output(systems, positions.square().sum(1), output, selected_atoms)
            elif name.startswith("non_conservative_force"):
                forces = torch.stack([positions[:, 0] + 1.0, 2.0 * positions[:, 1], 0.0 * positions[:, 2]], dim=1)
                results[name] = reversed_samples(per_atom_output(name, systems, forces, output, selected_atoms))
            else:
                rows = torch.arange(3, device=positions.device).unsqueeze(1)
                stress = torch.stack([rows * (system.cell.t() @ system.cell) for system in systems])
                results[name] = reversed_samples(per_system_output(name, systems, stress))
        return results


def engine(model):
    return Engine(model, length_unit="angstrom", energy_unit="eV", kernel="script")


def turned(structure, matrix):
    """Give a structure in which everything is turned, and its inputs, too."""
    inputs = {
        name: values @ matrix.T if values.shape[-1:] == (3,) else values for name, values in structure.inputs.items()
    }
    made = Structure(structure.types, structure.positions @ matrix.T, structure.cell @ matrix.T, structure.pbc)
    made.inputs.update(inputs)
    return made


def by_rotation(model, structure, outputs=None, group="I", inversion=True):
    """Give results for turned copies, turned back; the 60 rotations of SciPy's icosahedron are exact to degree 5."""
    matrices = Rotation.create_group(group).as_matrix()
    matrices = np.concatenate([matrices, -matrices]) if inversion else matrices
    made = engine(model)
    found = {}
    for matrix in matrices:
        result = made.evaluate([turned(structure, matrix)], RESULTS, outputs=outputs)
        values = {name: getattr(result, name) for name in RESULTS} | dict(result.outputs)
        for name, value in values.items():
            array = np.asarray(value)
            if name in ("forces", "non_conservative_force"):
                array = array.reshape(-1, 3) @ matrix
            elif name in ("virial", "non_conservative_stress"):
                array = matrix.T @ array.reshape(3, 3) @ matrix
            found.setdefault(name, []).append(array)
    return {name: np.stack(values) for name, values in found.items()}


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """Give the path of a model with a field and a volume, saved; it has no symmetry at all."""
    path = tmp_path_factory.mktemp("models") / "field.pt"
    wrap(FieldAndVolume()).save(path, exported=False)
    return path


@pytest.fixture(scope="module")
def symmetric(field):
    """Give the average over rotations of this model, through files twice."""
    path = field.with_name("symmetric.pt")
    SymmetrizedModel.wrap(load_atomistic_model(field), batch_size=5).save(path, exported=False)
    return path


@pytest.mark.parametrize("name", ["triclinic", "molecule"])
def test_average_is_that_of_a_loop_over_rotations(field, symmetric, name):
    structure = structures()[name]
    found = engine(symmetric).evaluate([structure], RESULTS, outputs={VARIANCE + "energy": "system"})
    copies = by_rotation(field, structure)
    for result in RESULTS:
        expected = copies[result].mean(0).reshape(np.shape(getattr(found, result)))
        np.testing.assert_allclose(getattr(found, result), expected, rtol=0, atol=1e-10, err_msg=result)
    assert np.var(copies["energy"]) > 0.1
    np.testing.assert_allclose(found.outputs[VARIANCE + "energy"], np.var(copies["energy"]).reshape(1, 1), rtol=1e-10)
    # of atoms in the same call as that of the structure
    asked = {VARIANCE + "energy": "atom"}
    of_atoms = engine(symmetric).evaluate([structure], ("energy",), outputs=asked)
    expected = np.var(copies["atomic_energies"], axis=0).reshape(-1, 1)
    np.testing.assert_allclose(of_atoms.outputs[VARIANCE + "energy"], expected, rtol=1e-9)


def test_many_structures_are_averaged_each_by_itself(symmetric):
    many = list(structures().values())
    found = engine(symmetric).evaluate(many, RESULTS, outputs={VARIANCE + "energy": "system"})
    base = engine(wrap(TwoLists())).evaluate(many, RESULTS)
    # the average of the field is zero, and so is that of a volume that inversion makes negative
    for name in RESULTS:
        np.testing.assert_allclose(getattr(found, name), getattr(base, name), rtol=0, atol=1e-12, err_msg=name)
    one = engine(symmetric).evaluate(many[3:4], outputs={VARIANCE + "energy": "system"})
    np.testing.assert_allclose(one.outputs[VARIANCE + "energy"][0], found.outputs[VARIANCE + "energy"][3], rtol=1e-12)


def test_selected_atoms_are_those_of_the_model(field, symmetric):
    selected = np.array([[0, 1], [0, 4], [1, 0]])
    # two copies of each in one call
    many = list(structures().values())[:2]
    found = engine(symmetric).evaluate(many, RESULTS, selected_atoms=selected)
    expected = engine(wrap(TwoLists())).evaluate(many, RESULTS, selected_atoms=selected)
    for name in RESULTS:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=0, atol=1e-12, err_msg=name)


def test_model_with_the_symmetry_stays_what_it_is():
    model = SymmetrizedModel.wrap(wrap(TwoLists()), max_angular_momentum_grid=1, include_inversion=False)
    structure = structures()["triclinic"]
    found = engine(model).evaluate([structure], RESULTS, outputs={VARIANCE + "energy": "system"})
    expected = engine(wrap(TwoLists())).evaluate([structure], RESULTS)
    for name in RESULTS:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=0, atol=1e-12, err_msg=name)
    assert abs(found.outputs[VARIANCE + "energy"][0, 0]) < 1e-25


def test_direct_forces_and_stress_are_turned_back():
    base = wrap(Anisotropic(), DIRECT)
    kinds = {"non_conservative_force": "atom", "non_conservative_stress": "system"}
    model = through_file(SymmetrizedModel.wrap(base, max_angular_momentum_grid=4, batch_size=7))
    asked = kinds | {VARIANCE + "non_conservative_force": "atom"}
    structure = structures()["triclinic"]
    found = engine(model).evaluate([structure, structure], outputs=asked).outputs
    copies = by_rotation(base, structure, kinds)
    n_atoms = len(structure.types)
    forces = copies["non_conservative_force"]
    assert np.var(forces, axis=0).min() > 1e-3
    np.testing.assert_allclose(
        found["non_conservative_force"].reshape(2, n_atoms, 3)[1], forces.mean(0), rtol=0, atol=1e-12
    )
    variances = np.var(forces, axis=0).mean(1)
    np.testing.assert_allclose(found[VARIANCE + "non_conservative_force"][n_atoms:, 0], variances, rtol=1e-10)
    stress = copies["non_conservative_stress"].mean(0)
    assert np.abs(stress).max() > 1.0
    np.testing.assert_allclose(found["non_conservative_stress"].reshape(2, 3, 3)[0], stress, rtol=0, atol=1e-12)


def test_what_differentiates_by_itself_is_averaged():
    structure = structures()["triclinic"]
    model = through_file(
        SymmetrizedModel.wrap(wrap(SquaredGradient()), max_angular_momentum_grid=1, include_inversion=False)
    )
    found = engine(model).evaluate([structure], RESULTS)
    expected = engine(wrap(SquaredGradient())).evaluate([structure], RESULTS)
    for name in RESULTS:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-10, atol=1e-10, err_msg=name)


def test_pairs_are_averaged_as_they_are():
    outputs = {"tests::pairs": ModelOutput(unit="angstrom", sample_kind="atom_pair")}
    base = wrap(Pairs(), outputs)
    model, structure = SymmetrizedModel.wrap(base, max_angular_momentum_target=0), structures()["triclinic"]
    found, expected = (
        engine(each).evaluate([structure], (), outputs={"tests::pairs": "atom_pair"}).outputs["tests::pairs"]
        for each in (model, base)
    )
    np.testing.assert_allclose(found, expected, atol=1e-13)


def test_inputs_are_passed_on():
    model, structure = wrap(WithInputs(), {"energy": ATOM}), structures()["triclinic"]
    n_atoms = len(structure.types)
    structure.inputs.update(
        {
            "mass": np.arange(n_atoms) + 1.0,
            "charge": np.arange(n_atoms) / 7,
            "spin_multiplicity": np.array([3.0]),
            "tests::field": np.array([[0.1, -0.2, 0.3]]),
        }
    )
    found = engine(SymmetrizedModel.wrap(model)).evaluate([structure])
    # a field that does not say that it is a vector is not turned: its average is zero
    expected = structure.inputs["mass"].sum() + 3.0 * (structure.inputs["charge"] ** 2).sum()
    assert found.energy[0] == pytest.approx(expected, abs=1e-10)


class Moments(torch.nn.Module):
    """The moment of an atom along the normal of the plane of three: no rotation changes it, and no inversion."""

    def requested_inputs(self) -> Dict[str, ModelOutput]:
        return {"ase::initial_magmoms": ModelOutput(sample_kind="atom")}

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies: List[torch.Tensor] = []
        for system in systems:
            moments = system.get_data("ase::initial_magmoms").block_by_id(0).values.reshape(-1, 3)
            first, second = system.positions[1] - system.positions[0], system.positions[2] - system.positions[0]
            along = (moments[0] * torch.linalg.cross(first, second)).sum()
            energies.append(torch.stack([along, 0.0 * along, 0.0 * along]))
        return {"energy": energy_output(systems, torch.cat(energies), outputs["energy"], selected_atoms)}


@pytest.mark.parametrize("source", ["model", "file"])
def test_moments_of_atoms_are_turned_as_axial_vectors(source, tmp_path):
    model = wrap(Moments(), {"energy": ATOM})
    averaged = SymmetrizedModel.wrap(model)
    if source == "file":
        averaged.save(tmp_path / "averaged.pt", exported=False)
        averaged = tmp_path / "averaged.pt"
    positions = np.array([[0.1, 0.2, 0.3], [1.4, 0.0, 0.2], [0.3, 1.1, -0.5]])
    structure = Structure(np.full(3, 14), positions, np.zeros((3, 3)), np.zeros(3, dtype=bool))
    moments = np.array([[0.3, -0.7, 1.1], [0, 0, 0], [0, 0, 0]])
    structure.inputs["ase::initial_magmoms"] = moments
    expected = moments[0] @ np.cross(positions[1] - positions[0], positions[2] - positions[0])
    found = engine(averaged).evaluate([structure], outputs={VARIANCE + "energy": "system"})
    assert found.energy[0] == pytest.approx(expected, rel=1e-10)
    assert np.ravel(found.outputs[VARIANCE + "energy"]) == pytest.approx(0, abs=1e-20)


def test_average_says_what_it_is():
    model = SymmetrizedModel.wrap(wrap(TwoLists(), dtype="float32"), max_angular_momentum_grid=2)
    capabilities = model.capabilities()
    assert capabilities.outputs[VARIANCE + "energy"].unit == "(eV)^2"
    assert capabilities.dtype == "float32"
    assert model.metadata().extra["symmetrized"].startswith("average over 12 rotations with and without inversion")
    assert set(model.requested_neighbor_lists()) == set(wrap(TwoLists()).requested_neighbor_lists())


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"max_angular_momentum_grid": -1}, ValueError, "expected `degree` between 0 and 64, got -1"),
        ({"max_angular_momentum_target": -1}, ValueError, "expected `max_angular_momentum_target` of zero or more"),
        ({"batch_size": 0}, ValueError, "expected `batch_size` of one or more, got 0"),
        ({"batch_size": 1.5}, TypeError, "expected `batch_size` to be an integer, got float"),
    ],
)
def test_wrong_arguments_of_an_average_are_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        SymmetrizedModel.wrap(wrap(NoLists()), **arguments)


def test_wrappers_of_no_model_are_refused():
    for wrapper in (SymmetrizedModel, HeatFlux):
        with pytest.raises(TypeError, match="expected `model` to be an AtomisticModel, got TwoLists"):
            wrapper.wrap(TwoLists())
    with pytest.raises(ValueError, match="expected a model that is no average over rotations, got one with the output"):
        SymmetrizedModel.wrap(SymmetrizedModel.wrap(wrap(NoLists())))


def layers(full_list=True, **changes):
    """Give a model that passes messages over two steps."""
    options = {
        "outputs": {"energy": ATOM},
        "atomic_types": [8, 14],
        "interaction_range": 2 * CUTOFF,
        "length_unit": "angstrom",
        "supported_devices": ["cpu"],
        "dtype": "float64",
    } | changes
    return AtomisticModel(Layers(2, full_list).eval(), ModelMetadata("layers"), ModelCapabilities(**options))


def moving(pbc):
    """Give atoms that move, in a small triclinic cell that is open in some directions."""
    rng = np.random.default_rng(0)
    cell = np.array([[5.0, 0.2, 0.0], [1.0, 5.5, 0.1], [-0.5, 0.7, 6.0]])
    # some of them outside of it
    positions = (rng.uniform(size=(6, 3)) + np.array([[0, 0, 0], [1, 0, -1]] * 3)[:6] * pbc) @ cell
    structure = Structure(rng.choice([8, 14], 6), positions, cell * np.array(pbc)[:, None], np.array(pbc))
    structure.inputs.update({"velocity": 0.1 * rng.normal(size=(6, 3)), "mass": rng.uniform(5, 20, 6)})
    return structure


def heat_flux(model, structure, **more):
    found = engine(model).evaluate([structure], ("energy", "forces"), outputs={"heat_flux": "system"}, **more)
    return found.outputs["heat_flux"].reshape(3)


@pytest.fixture(scope="module")
def flux(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "flux.pt"
    HeatFlux.wrap(layers()).save(path, exported=False)
    return path


def by_differences(structure):
    """Give sum_i (U_i + K_i) v_i + sum_ij (r_i - r_j) dU_i/dr_j v_j: of all images in reach, by central differences."""
    made, n_atoms, step = engine(layers()), len(structure.types), 1e-4
    shifts = np.stack(np.meshgrid(*[np.arange(-4, 5) if open_ else [0] for open_ in structure.pbc], indexing="ij"), -1)
    shifts = shifts.reshape(-1, 3)
    shifts = shifts[np.argsort(np.abs(shifts).sum(1), kind="stable")]
    everywhere = (structure.positions + (shifts @ structure.cell)[:, None]).reshape(-1, 3)
    distances = np.linalg.norm(everywhere[:, None] - structure.positions, axis=-1).min(1)
    near = distances < 2 * CUTOFF + 0.1
    images = np.tile(np.arange(n_atoms), len(shifts))[near]
    places, speeds = everywhere[near], structure.inputs["velocity"][images]

    def energies(displacements):
        moved = Structure(structure.types[images], places + displacements, np.zeros((3, 3)), np.zeros(3, bool))
        return made.evaluate([moved], ("energy", "atomic_energies")).atomic_energies[:n_atoms]

    def along(displacements):
        return (energies(step * displacements) - energies(-step * displacements)) / (2 * step)

    first = places[:n_atoms].T @ along(speeds)
    second = np.array([along(places[:, [k]] * speeds).sum() for k in range(3)])
    velocity = structure.inputs["velocity"]
    kinetic = 0.5 * structure.inputs["mass"] * (velocity**2).sum(1) / ACCELERATION
    return first - second + (energies(np.zeros(3)) + kinetic) @ velocity


@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, True), (False, False, False)])
def test_heat_flux_is_that_of_differences_over_images(flux, pbc):
    structure = moving(pbc)
    expected = by_differences(structure)
    assert np.abs(expected).min() > 0.01
    np.testing.assert_allclose(heat_flux(flux, structure), expected, rtol=0, atol=2e-7)


def test_heat_flux_is_the_rate_of_positions_times_energies(flux):
    structure = moving((False, False, False))
    made, mass, velocity = engine(layers()), structure.inputs["mass"], structure.inputs["velocity"]
    forces = made.evaluate([structure], ("energy", "forces")).forces
    acceleration = ACCELERATION * forces / mass[:, None]

    def barycenter(time):
        positions = structure.positions + velocity * time + 0.5 * acceleration * time**2
        moved = Structure(structure.types, positions, structure.cell, structure.pbc)
        energies = made.evaluate([moved], ("energy", "atomic_energies")).atomic_energies
        kinetic = 0.5 * mass * ((velocity + acceleration * time) ** 2).sum(1) / ACCELERATION
        return (energies + kinetic) @ positions

    step = 1e-3
    expected = (barycenter(step) - barycenter(-step)) / (2 * step)
    np.testing.assert_allclose(heat_flux(flux, structure), expected, rtol=0, atol=1e-6)


def test_heat_flux_does_not_depend_on_the_list_or_the_origin(flux):
    structure = moving((True, True, True))
    expected = heat_flux(flux, structure)
    half = HeatFlux.wrap(layers(full_list=False))
    np.testing.assert_allclose(heat_flux(half, structure), expected, rtol=0, atol=1e-12)
    structure.positions[:] += np.array([100.0, -50.0, 20.0])
    np.testing.assert_allclose(heat_flux(flux, structure), expected, rtol=0, atol=1e-11)


def test_heat_flux_of_atoms_far_from_their_cell(flux):
    """Far is no matter, until images have no number any more: no wrong answer then."""
    structure = moving((True, True, True))
    expected = heat_flux(flux, structure)
    structure.positions[0] += 1000 * structure.cell[2]
    np.testing.assert_allclose(heat_flux(flux, structure), expected, rtol=0, atol=1e-9)
    structure.positions[0] += 100 * structure.cell[2]
    with pytest.raises(ValueError, match="expected atoms within 1023 cells of their neighbors, got 1"):
        heat_flux(flux, structure)


def test_heat_flux_of_a_supercell_is_that_of_its_cells(flux):
    structure = moving((True, True, True))
    double = np.diag([2, 1, 1]) @ structure.cell
    twice = Structure(
        np.tile(structure.types, 2),
        np.concatenate([structure.positions, structure.positions + structure.cell[0]]),
        double,
        structure.pbc,
    )
    twice.inputs.update({name: np.concatenate([values] * 2) for name, values in structure.inputs.items()})
    np.testing.assert_allclose(heat_flux(flux, twice), 2 * heat_flux(flux, structure), rtol=0, atol=1e-11)
    # each atom has its part
    parts = [
        heat_flux(flux, twice, selected_atoms=np.array([[0, i] for i in some]))
        for some in ([3], [0, 1, 2], range(4, 12))
    ]
    np.testing.assert_allclose(np.sum(parts, axis=0), heat_flux(flux, twice), rtol=0, atol=1e-11)


def test_other_outputs_are_those_of_the_model(flux):
    structure = moving((True, True, True))
    found = engine(flux).evaluate([structure], RESULTS)
    expected = engine(layers()).evaluate([structure], RESULTS)
    for name in RESULTS:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=0, atol=1e-12, err_msg=name)
    alone = engine(flux).evaluate([structure], (), outputs={"heat_flux": "system"}).outputs["heat_flux"]
    np.testing.assert_allclose(alone.reshape(3), heat_flux(flux, structure), rtol=0, atol=1e-14)


def test_heat_flux_of_wrapped_models_is_that_of_their_sum():
    structure, argon = moving((True, True, True)), lennard_jones(["Si", "O"], 2.4, 0.02, cutoff=5.0)
    combined = HeatFlux.wrap(combine([layers(), argon]))
    parts = [heat_flux(HeatFlux.wrap(part), structure) for part in (layers(), argon)]
    # kinetic energies are there once
    velocity = structure.inputs["velocity"]
    kinetic = 0.5 * structure.inputs["mass"] * (velocity**2).sum(1) / ACCELERATION
    np.testing.assert_allclose(heat_flux(combined, structure), sum(parts) - kinetic @ velocity, rtol=1e-11)


def test_heat_flux_is_in_any_unit(flux):
    structure = moving((True, True, True))
    units = {"velocity": "angstrom/ps", "mass": "u", "heat_flux": "kcal/mol*angstrom/ps"}
    structure.inputs["velocity"] = 1000 * structure.inputs["velocity"]
    found = heat_flux(flux, structure, units=units)
    structure.inputs["velocity"] = structure.inputs["velocity"] / 1000
    np.testing.assert_allclose(found, 1000 * 23.060547830619026 * heat_flux(flux, structure), rtol=1e-9)


def test_heat_flux_of_a_variant_is_that_of_its_energy():
    outputs = {"energy": ATOM, "energy/other": ModelOutput(unit="meV", sample_kind="atom", description="the same")}
    model = HeatFlux.wrap(layers(outputs=outputs))
    assert {"heat_flux", "heat_flux/other"} <= set(model.capabilities().outputs)
    assert model.capabilities().outputs["heat_flux/other"].unit == "(meV)*(angstrom/fs)"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"interaction_range": float("inf")},
            "expected a model with an interaction range, got one that sees all atoms",
        ),
        (
            {"outputs": {"energy": ModelOutput(unit="eV")}},
            "expected a model with energies per atom, got one with energy",
        ),
        ({"outputs": {}}, "expected a model with energies per atom, got one with none"),
    ],
)
def test_models_without_heat_flux_are_refused(changes, text):
    with pytest.raises(ValueError, match=text):
        HeatFlux.wrap(layers(**changes))


def test_heat_flux_is_not_added_twice():
    with pytest.raises(ValueError, match="expected a model without heat flux, got one with the output 'heat_flux'"):
        HeatFlux.wrap(HeatFlux.wrap(layers()))


def test_command_writes_a_file(field, tmp_path):
    path = tmp_path / "both.pt"
    text = succeed("wrap", field, "--symmetrise", "--degree", 1, "--heat-flux", "-o", path).stdout
    assert text == f"wrote {path}: FieldAndVolume with o3::variance::energy, heat_flux\n"
    model = load_atomistic_model(path)
    assert "exact up to degree 1" in model.metadata().extra["symmetrized"]
    assert "https://doi.org/10.1103/PhysRevB.108.L100302" in model.metadata().references["implementation"]
    path = tmp_path / "characters.pt"
    text = succeed("wrap", field, "--symmetrize", "--characters", 2, "-o", path).stdout
    assert text.endswith("with o3::variance::energy, o3::character_projection::energy\n")
    flux = tmp_path / "flux.pt"
    answer = json.loads(succeed("wrap", field, "--heat-flux", "-o", flux, "--json").stdout)
    assert answer["added"] == ["heat_flux"]
    error = fail("wrap", field, "-o", tmp_path / "no.pt", status=2)
    assert "expected --symmetrize or --heat-flux, got neither" in error
    error = fail("wrap", field, "--heat-flux", "--degree", 3, "-o", tmp_path / "no.pt", status=2)
    assert "expected --degree together with --symmetrize, got it alone" in error
    error = fail("wrap", field, "--symmetrize", "--degree", 99, "-o", tmp_path / "no.pt")
    assert "expected `degree` between 0 and 64, got 99" in error
    assert "got one with the output 'heat_flux'" in fail("wrap", flux, "--heat-flux", "-o", tmp_path / "no.pt")
    assert not (tmp_path / "no.pt").exists()
