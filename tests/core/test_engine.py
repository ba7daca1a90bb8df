"""The engine helper: options, neighbor lists kept between calls, guards, and results in the units of the engine."""

import dataclasses
import warnings
from typing import Dict, List, Optional

import numpy as np
import pytest
import torch
from metatensor.torch import Labels, TensorBlock, TensorMap
from models import Direct, NoLists, TwoLists, WithInputs, per_atom_map, structures, through_file, wrap

from metatomic_core import ModelEvaluationOptions, ModelOutput, System
from metatomic_core.engine import RESULTS, Engine, Structure

STRUCTURES = structures()
ENERGY = ModelOutput(unit="eV", sample_kind="atom")
DESCRIBED = ModelOutput(unit="eV", sample_kind="atom", description="another one")
FORCE = ModelOutput(unit="eV/angstrom", sample_kind="atom", description="direct")
INPUTS = {
    "mass": np.arange(4.0),
    "charges": np.ones(4),
    "spin_multiplicity": np.array(2.0),
    "tests::field": np.array([0.1, 0.2, 0.3]),
}


class Broken(torch.nn.Module):
    """Has a value that is not finite for the atoms of one type."""

    def __init__(self, value: float):
        super().__init__()
        self.value = value

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        types = torch.cat([system.types for system in systems])
        positions = torch.cat([system.positions for system in systems])
        scale = torch.ones_like(positions[:, 0])
        scale[types == 6] = self.value
        energies = (scale * positions.sum(1)).unsqueeze(1)
        return {"energy": per_atom_map(energies, systems, outputs["energy"].sample_kind, selected_atoms, "energy")}


@pytest.fixture
def model():
    return through_file(wrap(TwoLists()))


def engine_of(model, length_unit="angstrom", energy_unit="eV", **options):
    return Engine(model, length_unit=length_unit, energy_unit=energy_unit, **options)


def moved(structure, displacement):
    return dataclasses.replace(structure, positions=structure.positions + displacement)


def assert_same(one, two, tolerance=1e-11):
    for name in RESULTS:
        if getattr(one, name) is not None:
            np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=0, atol=tolerance)


def trajectory():
    """Give structures that follow each other badly."""
    start = STRUCTURES["triclinic"]
    yield start
    yield moved(start, 0.05 * np.random.default_rng(0).normal(size=(6, 3)))
    jump = np.zeros((6, 3))
    jump[3] = [4.0, -2.0, 3.0]
    yield moved(start, jump)
    jump[1] = start.cell[0] - start.cell[2]
    yield moved(start, jump)
    yield dataclasses.replace(start, cell=0.9 * start.cell)
    yield dataclasses.replace(start, types=start.types[:3], positions=start.positions[:3])
    yield STRUCTURES["small cell"]
    yield start


def test_kept_neighbor_lists_equal_new_ones(model):
    kept, new = engine_of(model, neighbor_skin=1.5), engine_of(model, neighbor_skin=0.0)
    for structure in trajectory():
        results = ["energy", "forces", "stress"]
        assert_same(kept.evaluate([structure], results), new.evaluate([structure], results))


def test_slots_follow_structures(model):
    """Each structure keeps its list when the order or the number in the batch changes."""
    engine, new = engine_of(model), engine_of(model, neighbor_skin=0.0)
    beads = [moved(STRUCTURES["triclinic"], 0.01 * index) for index in range(3)] + [STRUCTURES["slab"]]
    for slots in ([0, 1, 2, 3], [3, 0, 2], [1], [2, 1]):
        batch = [beads[slot] for slot in slots]
        assert_same(
            engine.evaluate(batch, ["energy", "forces"], slots=slots), new.evaluate(batch, ["energy", "forces"])
        )
    with pytest.raises(ValueError, match="expected one slot for each of 2 structures"):
        engine.evaluate(beads[:2], slots=[0, 0])
    engine.forget_neighbors()
    assert_same(engine.evaluate(beads), new.evaluate(beads))


def test_only_what_was_asked_for_is_given(model):
    result = engine_of(model).evaluate([STRUCTURES["triclinic"]], ["forces"])
    given = [name for name in RESULTS if getattr(result, name) is not None]
    assert given == ["forces"]
    assert result.forces.dtype == np.float64
    assert result.atoms(0) == slice(0, 6)


def test_uncertainty_above_threshold_warns():
    outputs = {"energy": ENERGY, "energy_uncertainty": ENERGY}
    model = through_file(wrap(TwoLists(), outputs))
    uncertainties = (
        engine_of(model)
        .evaluate([STRUCTURES["triclinic"]], [], outputs={"energy_uncertainty": "atom"})
        .outputs["energy_uncertainty"]
    )
    threshold = float(np.sort(uncertainties.ravel())[-2]) * 0.999
    atoms = np.flatnonzero(uncertainties.ravel() > threshold).tolist()
    assert len(atoms) == 2
    expected = f"below {threshold:g} eV, got up to .* for 2 atoms: {atoms[0]}, {atoms[1]}$"
    with pytest.warns(UserWarning, match=expected):
        engine_of(model, uncertainty_threshold=threshold).evaluate([STRUCTURES["triclinic"]])
    # the same threshold in the units of another engine
    nm = dataclasses.replace(
        STRUCTURES["triclinic"],
        positions=STRUCTURES["triclinic"].positions / 10,
        cell=STRUCTURES["triclinic"].cell / 10,
    )
    with pytest.warns(UserWarning, match="kJ/mol, got up to .* for 2 atoms"):
        engine_of(model, "nm", "kJ/mol", uncertainty_threshold=threshold * 96.485332).evaluate([nm])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        engine_of(model, uncertainty_threshold=1e3).evaluate([STRUCTURES["triclinic"]])
        engine_of(model, uncertainty_threshold=None).evaluate([STRUCTURES["triclinic"]])


def variant_engine(**options):
    outputs = {
        "energy": ENERGY,
        "energy/a": DESCRIBED,
        "non_conservative_force": FORCE,
        "non_conservative_force/a": FORCE,
        "energy_uncertainty": ENERGY,
    }
    return engine_of(wrap(Direct(), outputs), **options)


def test_variants_follow_the_energy():
    engine = variant_engine(variants={"energy": "a"}, non_conservative="forces")
    assert engine.output("energy") == "energy/a"
    assert engine.source("forces") == "non_conservative_force/a"
    assert not engine.offers("energy_uncertainty")
    own = variant_engine(variants={"energy": "a", "non_conservative_forces": None}, non_conservative="forces")
    assert own.source("forces") == "non_conservative_force"
    plain = variant_engine(non_conservative="forces")
    assert plain.source("energy") == "energy"
    assert plain.source("forces") == "non_conservative_force"
    assert plain.offers("energy_uncertainty")


def test_results_of_two_variants_are_not_mixed():
    outputs = {"energy": ENERGY, "energy/a": DESCRIBED, "non_conservative_force": FORCE}
    with pytest.raises(ValueError, match="expected a variant of 'non_conservative_force', got 'a'"):
        engine_of(wrap(Direct(), outputs), variants={"energy": "a"}, non_conservative="forces")


def test_threshold_wants_one_uncertainty():
    outputs = {"energy": ENERGY, "energy_uncertainty/a": DESCRIBED, "energy_uncertainty/b": DESCRIBED}
    model = wrap(Direct(), outputs)
    with pytest.raises(ValueError, match="expected a variant for 'energy_uncertainty', which has no default, got none"):
        engine_of(model, uncertainty_threshold=0.1)
    chosen = engine_of(model, uncertainty_threshold=0.1, variants={"energy_uncertainty": "b"})
    assert chosen.watched == "energy_uncertainty/b"
    assert engine_of(model).watched is None
    # the uncertainty of another variant than that of the energy is not watched
    assert variant_engine(variants={"energy": "a"}, uncertainty_threshold=0.1).watched is None


def test_unknown_variants_are_refused():
    with pytest.raises(ValueError, match=r"got 'b'; it has .*'a' \(another one\)"):
        variant_engine(variants={"energy": "b"})
    with pytest.raises(ValueError, match=r"expected `variants` of outputs that the model has, .*, got 'charge'"):
        variant_engine(variants={"charge": "a"})
    with pytest.raises(ValueError, match="did you mean 'energy'"):
        variant_engine(variants={"energi": "a"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"non_conservative": "force"}, "`non_conservative` to be one of .*, got 'force'; did you mean 'forces'"),
        ({"non_conservative": True}, "expected an output of the model, .*, got 'non_conservative_force'"),
        ({"neighbor_skin": -1.0}, "`neighbor_skin` to be zero or more, got -1.0"),
        ({"neighbor_skin": float("nan")}, "`neighbor_skin` to be zero or more, got nan"),
        ({"max_pairs": 0}, "expected `max_pairs` to be positive, got 0"),
        ({"length_unit": "angstrm"}, "angstrm"),
        ({"length_unit": "eV"}, "length"),
        ({"energy_unit": "nm"}, "energy"),
        ({"device": "cuda"}, "expected `device` to be one of 'cpu', got 'cuda'"),
        ({"device": "cpuu"}, "did you mean 'cpu'"),
    ],
)
def test_wrong_options_are_refused(options, message, model):
    with pytest.raises(ValueError, match=message) as caught:
        engine_of(model, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [3, None, torch.nn.Linear(1, 1)])
def test_what_is_no_model_is_refused(wrong):
    with pytest.raises(TypeError, match="expected `model` to be a path or an AtomisticModel, got"):
        engine_of(wrong)


def test_unsupported_device_is_refused():
    model = wrap(NoLists(), supported_devices=["cuda"])
    if torch.cuda.is_available():
        pytest.skip("this machine has the device")
    with pytest.raises(ValueError, match=r"expected a device that the model supports, \['cuda'\], on this machine"):
        engine_of(model)
    with pytest.raises(ValueError, match=r"expected `device` to be one of this machine, \[\], got 'cuda'"):
        engine_of(model, device="cuda")


def test_unknown_results_and_outputs_are_refused(model):
    with pytest.raises(ValueError, match="did you mean 'forces'"):
        engine_of(model).evaluate([STRUCTURES["slab"]], ["force"])
    with pytest.raises(ValueError, match="output that this model can compute, got 'tests::none'"):
        engine_of(model).evaluate([STRUCTURES["slab"]], outputs={"tests::none": "system"})
    with pytest.raises(ValueError, match="expected at least one system"):
        engine_of(model).evaluate([])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_results_that_are_not_finite_are_refused(value):
    """The message names the atom: the third of the second structure is the first carbon in the batch."""
    engine = engine_of(through_file(wrap(Broken(value))))
    batch = [STRUCTURES["one atom"], STRUCTURES["triclinic"]]
    with pytest.raises(ValueError, match=r"of 'forces' from the model, .* for atom 2 \(type 6\) of structure 1"):
        engine.evaluate(batch, ["energy", "forces"])
    with pytest.raises(ValueError, match=r"of 'energy' from the model, got nan or infinity for structure 1"):
        engine.evaluate(batch, ["energy"])


def test_results_that_are_not_finite_are_refused_with_selected_atoms():
    """Missing atoms count as zero, those that are NaN do not."""
    engine = engine_of(through_file(wrap(Broken(float("nan")))))
    batch = [STRUCTURES["triclinic"]]
    assert np.isfinite(
        engine.evaluate(batch, ["atomic_energies"], selected_atoms=np.array([[0, 0]])).atomic_energies
    ).all()
    with pytest.raises(ValueError, match="for atom 2"):
        engine.evaluate(batch, ["atomic_energies"], selected_atoms=np.array([[0, 2]]))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"positions": np.zeros((3, 3))}, ValueError, r"`positions` of structure 0 to have the shape \(6, 3\)"),
        ({"cell": np.zeros(3)}, ValueError, r"`cell` of structure 0 to have the shape \(3, 3\), got \(3,\)"),
        ({"pbc": np.array(True)}, ValueError, r"`pbc` of structure 0 to have the shape \(3,\), got \(\)"),
        ({"types": np.full(6, 14.5)}, TypeError, "`types` of structure 0 to be integers, got float64"),
        ({"positions": np.full((6, 3), np.nan)}, ValueError, "finite positions and cell, got nan .* in structure 0"),
        ({"types": np.full(6, 99)}, ValueError, "got type 99 for atom 0"),
        ({"cell": np.zeros((3, 3))}, ValueError, "expected a non-zero `cell` vector in each periodic direction"),
        ({"cell": np.ones((3, 3))}, ValueError, "expected independent `cell` vectors, got the singular cell"),
    ],
)
def test_wrong_structures_are_refused(changes, error, message, model):
    with pytest.raises(error, match=message) as caught:
        engine_of(model).evaluate([dataclasses.replace(STRUCTURES["triclinic"], **changes)])
    assert "\n" not in str(caught.value)


def test_each_cell_of_a_batch_is_checked_whenever_it_changes(model):
    good = STRUCTURES["triclinic"]
    bad = dataclasses.replace(good, cell=np.ones((3, 3)), pbc=np.ones(3, dtype=bool))
    engine = engine_of(model)
    # the good one before and after, in the same slot and in others
    for batch in ([good, good, bad], [good, bad, good], [bad, good, good], [good, good, good], [good, bad, bad]):
        if any(structure is bad for structure in batch):
            with pytest.raises(ValueError, match="expected independent `cell` vectors, got the singular cell"):
                engine.evaluate(batch)
        else:
            engine.evaluate(batch)


def test_arrays_of_any_kind_are_taken(model):
    """Read-only, in Fortran order, of other types; and none of them is changed."""
    s = STRUCTURES["triclinic"]
    other = Structure(
        s.types.astype(np.uint8), np.asfortranarray(s.positions), np.asfortranarray(s.cell), s.pbc.astype(int)
    )
    for array in (other.types, other.positions, other.cell, other.pbc):
        array.flags.writeable = False
    results = ["energy", "forces", "stress"]
    assert_same(engine_of(model).evaluate([other], results), engine_of(model).evaluate([s], results), 0.0)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_types_beyond_32_bits_are_refused(dtype, model):
    structure = STRUCTURES["molecule"]
    wrapped = dataclasses.replace(structure, types=structure.types.astype(dtype) + dtype(2**32))
    with pytest.raises(ValueError, match="expected `types` of structure 0 to fit in 32-bit integers, got values from"):
        engine_of(model).evaluate([wrapped])


def test_neighbor_lists_of_long_ago_are_dropped(model, monkeypatch):
    monkeypatch.setattr("metatomic_core.neighbor_lists._slots._KEPT_CALLS", 10)
    engine = engine_of(model)
    structure = STRUCTURES["triclinic"]
    expected = engine.evaluate([structure] * 20, ["forces"])
    for step in range(20):
        # beads that come one at a time keep theirs
        engine.evaluate([structure], slots=[100 + step % 8])
    kept = engine._neighbors
    assert sorted(kept._lists) == sorted(kept._checked_cells) == sorted(kept._last_used) == list(range(100, 108))
    assert_same(engine.evaluate([structure] * 20, ["forces"]), expected, 0.0)


def test_units_of_what_is_not_there_are_refused(model):
    for options in ({"units": {"enrgy": "eV"}}, {"units": {"length": "nm"}}, {"output_units": {"charge": "e"}}):
        with pytest.raises(ValueError, match=r"expected inputs and outputs of the model in `(units|output_units)`"):
            engine_of(model).evaluate([STRUCTURES["molecule"]], **options)


def test_results_and_outputs_have_units_of_their_own():
    outputs = {"energy": ENERGY, "non_conservative_force": FORCE}
    engine = engine_of(through_file(wrap(Direct(), outputs)), non_conservative="forces")
    wanted = {"energy": "atom", "non_conservative_forces": "atom"}
    output_units = {"energy": "meV", "non_conservative_forces": "eV/nm"}
    batch = [STRUCTURES["triclinic"], STRUCTURES["slab"]]
    plain = engine.evaluate(batch, ["energy", "forces"])
    got = engine.evaluate(batch, ["energy", "forces"], outputs=wanted, output_units=output_units)
    assert_same(got, plain, 1e-13)
    of_atoms = got.outputs["energy"].ravel() / 1000
    np.testing.assert_allclose([of_atoms[:6].sum(), of_atoms[6:].sum()], plain.energy, rtol=1e-13)
    np.testing.assert_allclose(got.tensors["energy"].block().values.ravel() / 1000, of_atoms, rtol=1e-13)
    # the output is what the model predicts, while the results add up to zero in each structure
    forces = got.outputs["non_conservative_forces"][..., 0] / 10
    for rows in (got.atoms(0), got.atoms(1)):
        np.testing.assert_allclose(forces[rows] - forces[rows].mean(axis=0), plain.forces[rows], atol=1e-13)
        assert np.abs(plain.forces[rows].sum(axis=0)).max() < 1e-12 < np.abs(forces[rows].mean(axis=0)).max()


def test_outputs_and_inputs_have_units_of_their_own():
    class Charged(WithInputs):
        def forward(
            self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
        ) -> Dict[str, TensorMap]:
            charges = torch.cat([system.get_data("charge").block_by_id(0).values for system in systems])
            return {"charge": per_atom_map(charges, systems, "atom", selected_atoms, "charge")}

    engine = engine_of(wrap(Charged(), {"charge": ModelOutput(unit="e", sample_kind="atom")}))
    structure = dataclasses.replace(STRUCTURES["molecule"], inputs=INPUTS)
    got = engine.evaluate(
        [structure], [], outputs={"charge": "atom"}, units={"charge": "e"}, output_units={"charge": "C"}
    )
    np.testing.assert_allclose(got.outputs["charge"], 1.602176634e-19 * INPUTS["charges"][:, None], rtol=1e-12)


def test_inputs_are_found_under_either_spelling():
    engine = engine_of(through_file(wrap(WithInputs())))
    structure = dataclasses.replace(STRUCTURES["molecule"], inputs=INPUTS)
    result = engine.evaluate([structure], ["energy"], units={"mass": "u"})
    expected = INPUTS["mass"].sum() + 4 * 2.0 + (structure.positions @ INPUTS["tests::field"]).sum()
    assert result.energy[0] == pytest.approx(expected, rel=1e-13)
    with pytest.raises(ValueError, match="expected the input 'masses', which the model requests, got"):
        engine.evaluate([STRUCTURES["molecule"]])


@pytest.mark.parametrize("name", ["position", "positions", "cell"])
def test_inputs_do_not_take_the_place_of_the_geometry(name):
    module = NoLists()
    module.requested_inputs = lambda: {name: ModelOutput(unit="angstrom", sample_kind="atom")}
    with pytest.raises(ValueError, match=f"'{name}'"):
        wrap(module)
    # what is given under such a name is not even looked at
    structure = dataclasses.replace(STRUCTURES["molecule"], inputs={name: np.zeros((4, 3))})
    engine = engine_of(wrap(TwoLists()))
    assert_same(engine.evaluate([structure]), engine.evaluate([STRUCTURES["molecule"]]), 0.0)


def test_run_gives_labels_in_the_units_of_the_engine(model):
    engine = engine_of(model, "nm", "kJ/mol", check_consistency=True)
    s = STRUCTURES["triclinic"]
    s = dataclasses.replace(s, positions=s.positions / 10, cell=s.cell / 10)
    selected = Labels(["system", "atom"], torch.tensor([[0, 4], [0, 1]]))
    tensor = engine.run([s], {"energy": ModelOutput(unit="kJ/mol", sample_kind="atom")}, selected)["energy"]
    expected = engine.evaluate([s], ["atomic_energies"]).atomic_energies
    for sample, value in zip(tensor.block().samples.values.tolist(), tensor.block().values[:, 0], strict=True):
        assert float(value) == pytest.approx(expected[sample[1]], rel=1e-12)
    assert len(tensor.block().samples) == 2


def test_systems_are_those_that_forward_wants(model):
    engine = engine_of(model, "bohr", "hartree")
    systems = engine.systems([STRUCTURES["triclinic"]])
    options = ModelEvaluationOptions("bohr", {"energy": ModelOutput(unit="hartree")})
    energy = float(model(systems, options, True)["energy"].block().values)
    assert energy == pytest.approx(engine.evaluate([STRUCTURES["triclinic"]]).energy[0], rel=1e-12)


def test_can_give_follows_capabilities():
    per_system = engine_of(wrap(TwoLists(), {"energy": ModelOutput(unit="eV")}))
    assert per_system.can_give("forces")
    assert not per_system.can_give("atomic_energies")
    assert not engine_of(wrap(Direct(), {"non_conservative_force": FORCE})).can_give("energy")


def test_float32_does_not_lose_precision_far_from_the_origin():
    """Engines give positions that are not wrapped: crystals drift away in long runs."""
    structure = STRUCTURES["triclinic"]
    engine = Engine(wrap(TwoLists(), dtype="float32"), length_unit="angstrom", energy_unit="eV")
    far = dataclasses.replace(structure, positions=structure.positions + 1e4)
    near, moved = engine.evaluate([structure], ["forces"]), engine.evaluate([far], ["forces"])
    np.testing.assert_allclose(moved.forces, near.forces, atol=2e-6 * np.abs(near.forces).max())


def test_ensemble_has_derivatives_of_each_member():
    """The members of the model are 0.9, 1 and 1.1 times its energy."""
    outputs = {
        "energy": ModelOutput(unit="eV", sample_kind="atom"),
        "energy_ensemble": ModelOutput(unit="eV", sample_kind="atom"),
    }
    engine = Engine(wrap(TwoLists(), outputs), length_unit="angstrom", energy_unit="eV")
    beads = [STRUCTURES["triclinic"], STRUCTURES["slab"]]
    mean = engine.evaluate(beads, ["energy", "forces", "virial"])
    results = ["member_energies", "member_forces", "member_virials"]
    members = engine.evaluate(beads, results)
    for member, factor in enumerate((0.9, 1.0, 1.1)):
        np.testing.assert_allclose(members.member_energies[member], factor * mean.energy, rtol=1e-12)
        np.testing.assert_allclose(members.member_forces[member], factor * mean.forces, atol=1e-13)
        np.testing.assert_allclose(members.member_virials[member], factor * mean.virial, atol=1e-12)
    # of one pass with the others, and in the units of the engine
    other = Engine(wrap(TwoLists(), outputs), length_unit="nm", energy_unit="meV")
    small = [dataclasses.replace(s, positions=s.positions / 10, cell=s.cell / 10) for s in beads]
    found = other.evaluate(small, ["forces", *results])
    np.testing.assert_allclose(found.forces, mean.forces * 1e4, atol=1e-9)
    np.testing.assert_allclose(found.member_forces, members.member_forces * 1e4, atol=1e-9)
    np.testing.assert_allclose(found.member_virials, members.member_virials * 1e3, atol=1e-9)


@pytest.mark.parametrize("length_unit", ["angstrom", "nm"])
def test_hessian_is_the_derivative_of_forces(length_unit):
    """Oracle: central differences of forces."""
    factor = 1.0 if length_unit == "angstrom" else 0.1
    engine = Engine(through_file(wrap(TwoLists())), length_unit=length_unit, energy_unit="eV")
    s = STRUCTURES["triclinic"]
    s = dataclasses.replace(s, positions=s.positions * factor, cell=s.cell * factor)
    found = engine.evaluate([s], ["energy", "forces", "hessian"])
    n, step = len(s.types), 1e-4 * factor
    expected = np.zeros((n, 3, n, 3))
    for atom in range(n):
        for k in range(3):
            forces = []
            for sign in (1.0, -1.0):
                positions = s.positions.copy()
                positions[atom, k] += sign * step
                forces.append(engine.evaluate([dataclasses.replace(s, positions=positions)], ["forces"]).forces)
            expected[:, :, atom, k] = -(forces[0] - forces[1]) / (2 * step)
    np.testing.assert_allclose(found.hessian, expected, atol=1e-6 * np.abs(expected).max())
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(found.forces, engine.evaluate([s], ["forces"]).forces, atol=1e-12)
    with pytest.raises(ValueError, match="expected one structure for 'hessian', got 2"):
        engine.evaluate([s, s], ["hessian"])
    with pytest.raises(ValueError, match=r"expected no `selected_atoms` for \['hessian'\], got some"):
        engine.evaluate([s], ["hessian"], selected_atoms=np.array([[0, 0]]))


def test_dipole_derivatives_are_charges():
    """A dipole sum(q r) has the charges of the atoms on the diagonals, in e."""

    class PointCharges(NoLists):
        def forward(
            self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
        ) -> Dict[str, TensorMap]:
            device = systems[0].positions.device
            rows: List[torch.Tensor] = []
            for system in systems:
                rows.append((system.types.unsqueeze(1) * system.positions).sum(0))
            samples = Labels(["system"], torch.arange(len(rows), device=device).reshape(-1, 1))
            xyz = Labels(["xyz"], torch.tensor([[0], [1], [2]], device=device))
            one = torch.tensor([[0]], device=device)
            block = TensorBlock(torch.stack(rows).unsqueeze(2), samples, [xyz], Labels(["dipole"], one))
            return {"dipole": TensorMap(Labels(["_"], one), [block])}

    model = through_file(wrap(PointCharges(), {"dipole": ModelOutput(unit="e*angstrom", sample_kind="system")}))
    batch = [STRUCTURES["molecule"], STRUCTURES["triclinic"]]
    for unit, factor in (("angstrom", 1.0), ("bohr", 1.8897261246257702)):
        engine = Engine(model, length_unit=unit, energy_unit="eV")
        scaled = [dataclasses.replace(s, positions=s.positions * factor, cell=s.cell * factor) for s in batch]
        found = engine.evaluate(scaled, ["dipole_derivatives"]).dipole_derivatives
        expected = np.concatenate([s.types for s in batch])[:, None, None] * np.eye(3)
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-12)


def test_stress_of_a_batch_with_a_molecule():
    """The molecule has none, and does not take it from the others."""
    engine = engine_of(through_file(wrap(TwoLists())))
    batch = [STRUCTURES["molecule"], STRUCTURES["triclinic"]]
    found = engine.evaluate(batch, ["stress", "virial", "atomic_stresses", "atomic_virials"])
    volume = abs(np.linalg.det(batch[1].cell))
    assert np.isnan(found.stress[0]).all()
    np.testing.assert_allclose(found.stress[1], -found.virial[1] / volume, rtol=1e-13)
    rows = found.atoms(1)
    assert np.isnan(found.atomic_stresses[found.atoms(0)]).all()
    np.testing.assert_allclose(found.atomic_stresses[rows], -found.atomic_virials[rows] / volume, rtol=1e-13)
    np.testing.assert_allclose(found.atomic_stresses[rows].sum(axis=0), found.stress[1], atol=1e-12)


def test_guard_of_finite_values_can_be_left_to_the_adapter():
    atoms = dataclasses.replace(STRUCTURES["molecule"], positions=np.zeros((4, 3)))
    engine = Engine(wrap(TwoLists()), length_unit="angstrom", energy_unit="eV", check_finite=False)
    assert np.isnan(engine.evaluate([atoms], ["forces"]).forces).any()
