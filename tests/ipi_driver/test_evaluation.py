"""`Evaluator` in the units and layouts of i-PI: results, extras, committees, inputs, direct predictions."""

import json

import ase
import numpy as np
import pytest
from ipi.utils.units import unit_to_internal
from ipi_cases import N_OSCILLATORS, argon, oscillators
from ipi_models import ChargedOscillators, Oscillators, exported, site_positions

from metatomic_core.potentials import lennard_jones
from metatomic_ipi import Evaluator
from metatomic_ipi.template import Template, check_order
from metatomic_ipi.units import ANGSTROM, ELECTRONVOLT

TIGHT = {"rtol": 1e-12, "atol": 1e-14}


def evaluator(models, atoms=None, **options):
    return Evaluator(models / "oscillators.pt", oscillators() if atoms is None else atoms, **options)


def sent(atoms):
    """Give cell and positions as i-PI sends them."""
    return atoms.cell.array.T * ANGSTROM, atoms.positions * ANGSTROM


def evaluate(evaluator, *structures):
    cells, positions = zip(*[sent(atoms) for atoms in structures], strict=True)
    return evaluator(cells, positions)


def displacements(atoms):
    return atoms.positions - site_positions(len(atoms))


def beads(n):
    found = [oscillators() for _ in range(n)]
    for index, atoms in enumerate(found):
        atoms.positions += np.random.default_rng(index).normal(0, 0.05, atoms.positions.shape)
    return found


def test_units_are_those_of_ipi():
    assert unit_to_internal("length", "angstrom", 1.0) == ANGSTROM
    assert unit_to_internal("energy", "electronvolt", 1.0) == ELECTRONVOLT
    assert unit_to_internal("electric-dipole", "eang", 1.0) == ANGSTROM


def test_energy_forces_and_virial(models):
    atoms = oscillators()
    (result,) = evaluate(evaluator(models), atoms)
    moved = displacements(atoms)
    np.testing.assert_allclose(result.energy, 0.5 * (moved**2).sum() * ELECTRONVOLT, **TIGHT)
    np.testing.assert_allclose(result.forces, -moved * ELECTRONVOLT / ANGSTROM, **TIGHT)
    virial = -atoms.positions.T @ moved * ELECTRONVOLT
    np.testing.assert_allclose(result.virial, 0.5 * (virial + virial.T), rtol=1e-11)
    np.testing.assert_array_equal(result.virial, result.virial.T)
    assert result.extras == ""


def test_batch_is_as_single_and_padding_costs_nothing(models):
    structures = beads(3)
    both = evaluator(models, extras=["dipole"])
    results = evaluate(both, *structures, structures[-1], structures[-1])
    assert both.n_evaluated == 3
    assert len(results) == 5
    for result, atoms in zip(results, [*structures, structures[-1], structures[-1]], strict=True):
        (alone,) = evaluate(evaluator(models, extras=["dipole"]), atoms)
        np.testing.assert_allclose(result.forces, alone.forces, **TIGHT)
        assert result.energy == pytest.approx(alone.energy, rel=1e-13)
        assert result.extras == alone.extras


def test_model_in_single_precision_far_from_the_origin(models, tmp_path):
    lennard_jones(dtype="float32").save(str(tmp_path / "single.pt"))
    atoms = argon()
    (expected,) = evaluate(Evaluator(models / "argon.pt", atoms), atoms)
    atoms.positions += 1e4
    (result,) = evaluate(Evaluator(tmp_path / "single.pt", atoms), atoms)
    assert result.energy == pytest.approx(expected.energy, rel=1e-5)
    for name in ("forces", "virial"):
        values, right = getattr(result, name), getattr(expected, name)
        assert values.dtype == np.float64
        # the virial has the positions in it, and the forces add up to zero only in single precision
        tolerance = 1e-5 if name == "forces" else 0.05
        np.testing.assert_allclose(values, right, rtol=0, atol=tolerance * np.abs(right).max())


def test_results_do_not_change_when_ipi_reuses_its_buffers(models):
    structures = beads(2)
    both = evaluator(models)
    cell, positions = sent(structures[0])
    first = both([cell], [positions])[0]
    kept = first.forces.copy()
    positions[:] = sent(structures[1])[1]
    both([cell], [positions])
    np.testing.assert_array_equal(first.forces, kept)


def test_extras_have_the_same_keys_for_every_bead(models):
    wanted = ["dipole", "charges", "uncertainty", "tests::spread"]
    structures = beads(3)
    for result, atoms in zip(evaluate(evaluator(models, extras=wanted), *structures), structures, strict=True):
        moved = displacements(atoms)
        extras = json.loads(result.extras)
        charges = 0.5 + 0.1 * moved[:, :1]
        assert list(extras) == wanted
        np.testing.assert_allclose(extras["dipole"], (charges * moved).sum(0) * ANGSTROM, **TIGHT)
        np.testing.assert_allclose(extras["charges"], charges[:, 0], **TIGHT)
        uncertainties = 0.05 * (moved**2).sum(1) * ELECTRONVOLT
        np.testing.assert_allclose(extras["uncertainty"], uncertainties, **TIGHT)
        # a quantity of the model's own stays in its unit
        np.testing.assert_allclose(extras["tests::spread"], (moved**2).mean(0), **TIGHT)


def test_extras_do_not_change_when_a_guard_watches_them(models):
    (result,) = evaluate(evaluator(models, extras=["uncertainty"]), oscillators())
    (watched,) = evaluate(evaluator(models, extras=["uncertainty"], max_uncertainty=10.0), oscillators())
    assert watched.extras == result.extras


def test_committee_is_nested_as_ffcommittee_wants(models):
    structures = beads(2)
    results = evaluate(evaluator(models, committee="full"), *structures)
    for result in results:
        extras = json.loads(result.extras)
        factors = np.array([0.9, 1.0, 1.1])
        np.testing.assert_allclose(extras["committee_pot"], factors * result.energy, **TIGHT)
        forces, virials = np.array(extras["committee_force"]), np.array(extras["committee_virial"])
        assert forces.shape == (3, 3 * N_OSCILLATORS)
        assert virials.shape == (3, 9)
        np.testing.assert_allclose(forces, factors[:, None] * result.forces.reshape(-1), **TIGHT)
        np.testing.assert_allclose(virials, factors[:, None] * result.virial.reshape(-1), **TIGHT)


def test_committee_of_energies_only(models):
    (result,) = evaluate(evaluator(models, committee="energy"), oscillators())
    assert list(json.loads(result.extras)) == ["committee_pot"]


@pytest.mark.parametrize("non_conservative", ["off", "on", "forces", "stress"])
def test_non_conservative(non_conservative, models):
    atoms = oscillators()
    atoms.pbc = True
    (direct,) = evaluate(evaluator(models, atoms, non_conservative=non_conservative), atoms)
    (plain,) = evaluate(evaluator(models, atoms), atoms)
    forces, virial = plain.forces, plain.virial
    if non_conservative in ("on", "forces"):
        forces = 2 * (forces - forces.mean(axis=0))
    if non_conservative in ("on", "stress"):
        virial = -0.01 * np.eye(3) * atoms.cell.volume * ELECTRONVOLT
    np.testing.assert_allclose(direct.forces, forces, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(direct.virial, virial, rtol=1e-10, atol=1e-14)
    assert direct.energy == pytest.approx(plain.energy, rel=1e-13)


def test_variants(models):
    atoms = oscillators()
    atoms.pbc = True
    (plain,) = evaluate(evaluator(models, atoms), atoms)
    (half,) = evaluate(evaluator(models, atoms, variants={"energy": "half"}), atoms)
    assert half.energy == pytest.approx(0.5 * plain.energy)
    variants = {"non_conservative_force": "soft"}
    (soft,) = evaluate(evaluator(models, atoms, variants=variants, non_conservative="on"), atoms)
    assert np.isfinite(soft.virial).all()
    np.testing.assert_allclose(soft.forces, plain.forces - plain.forces.mean(axis=0), rtol=1e-11, atol=1e-15)


def test_no_virial_is_nan(models):
    (result,) = evaluate(evaluator(models, virial=False), oscillators())
    assert np.isnan(result.virial).all()
    assert np.isfinite(result.forces).all()


def test_inputs_from_the_template_and_options(tmp_path):
    energy = {"energy": evaluator_output()}
    path = exported(ChargedOscillators(4), tmp_path / "charged.pt", energy)
    atoms = oscillators(4)
    atoms.set_masses([1.0, 2.0, 3.0, 4.0])
    atoms.info.update(charge=2.0, spin=3)
    moved = displacements(atoms)
    expected = 0.5 * ((moved**2).sum(1) * atoms.get_masses()).sum() * ELECTRONVOLT
    (result,) = evaluate(Evaluator(path, atoms), atoms)
    assert result.energy == pytest.approx(2.0 * 3.0 * expected, rel=1e-12)
    (result,) = evaluate(Evaluator(path, atoms, charge=-1.0, spin_multiplicity=2.0), atoms)
    assert result.energy == pytest.approx(-1.0 * 2.0 * expected, rel=1e-12)


def evaluator_output():
    from metatomic_core import ModelOutput

    return ModelOutput(unit="eV", sample_kind="atom")


def test_periodicity_from_template_or_option(models):
    for pbc, expected in (("template", (1, 1, 0)), ("none", (0, 0, 0)), ("xz", (1, 0, 1))):
        atoms = oscillators()
        atoms.pbc = (True, True, False)
        assert tuple(evaluator(models, atoms, pbc=pbc).template.pbc) == expected
    assert "periodic directions: xy (from the template)" in evaluator(models, atoms).described()


def test_ipi_xyz_as_template_is_periodic(models, tmp_path):
    path = tmp_path / "init.xyz"
    rows = "\n".join(f"H {x} {y} {z}" for x, y, z in oscillators().positions)
    path.write_text(f"8\n# CELL(abcABC): 20.0 20.0 20.0 90 90 90 cell{{angstrom}} positions{{angstrom}}\n{rows}\n")
    found = Evaluator(models / "oscillators.pt", path).template
    assert found.pbc.all()
    assert (found.types == 1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"extras": ["quadrupole"]}, "expected an output of the model, one of .*got 'quadrupole'"),
        ({"extras": ["raw"]}, "expected another name than 'raw' in `extras`"),
        ({"committee": "all"}, "expected `committee` to be one of 'none', 'energy', 'full', got 'all'"),
        ({"committee": "full", "non_conservative": "on"}, "expected conservative forces for a full `committee`"),
        ({"pbc": "xw"}, "expected `pbc` to be 'template', 'none' or some of 'xyz', got 'xw'"),
        ({"on_nan": "ignore"}, "expected `on_nan` to be one of 'stop', 'warn', 'log', got 'ignore'"),
        ({"max_force": -1.0}, "expected `max_force` to be positive, got -1"),
        ({"variants": {"energy": "third"}}, "expected a variant of 'energy', got 'third'"),
        ({"non_conservative": "both"}, "got 'both'"),
        ({"template": ase.Atoms("He8")}, "expected atomic types that the model knows, .* got 2 for atom 0"),
        ({"template": ase.Atoms("H8", cell=np.eye(3)[[1, 2, 0]], pbc=True)}, "expected a cell with a along x and b in"),
        ({"template": ase.Atoms("H8", cell=np.eye(3)[[1, 0, 2]], pbc=True)}, "expected a right-handed cell"),
        ({"template": "no such file"}, "expected a file with a structure, got 'no such file', which does not exist"),
    ],
)  # fmt: skip
def test_refusals(options, message, models):
    options = {"template": oscillators(), **options}
    with pytest.raises(ValueError, match=message):
        Evaluator(models / "oscillators.pt", **options)


def test_model_without_what_is_asked(models):
    for options, name in (
        ({"extras": ["dipole"]}, "dipole"),
        ({"committee": "energy"}, "energy_ensemble"),
        ({"max_uncertainty": 0.1}, "energy_uncertainty"),
        ({"non_conservative": "forces"}, "non_conservative_force"),
    ):
        with pytest.raises(ValueError, match=f"got '{name}'"):
            Evaluator(models / "argon.pt", argon(), **options)


def test_template_and_server_disagree(models):
    with pytest.raises(ValueError, match="expected 8 atoms as in the template, got 5 from i-PI; give the structure"):
        evaluate(evaluator(models), oscillators(5))


def failing(tmp_path, failure="nan"):
    return exported(Oscillators(N_OSCILLATORS, 0, failure), tmp_path / "failing.pt")


def test_guard_warns_less_and_less_often(tmp_path):
    said = []
    nan = Evaluator(failing(tmp_path), oscillators(), on_nan="warn", say=said.append)
    for _ in range(25):
        evaluate(nan, oscillators())
    text = "expected finite forces from the model, got nan or infinity on atom 0"
    assert said == [text, f"{text} (10 times so far)"]
    assert nan.guards.summary() == "guards: on_nan 25"


@pytest.mark.parametrize(
    ("failure", "options", "name"),
    [
        ("nan members", {"committee": "energy"}, "committee_pot"),
        ("nan members", {"committee": "full"}, "committee_pot"),
        ("nan dipole", {"extras": ["charges", "dipole"]}, "dipole"),
    ],
)
def test_guard_sees_what_ipi_takes_from_extras(failure, options, name, tmp_path):
    with pytest.raises(ValueError, match=f"expected finite '{name}' from the model, got nan or infinity; `on_nan` is"):
        evaluate(Evaluator(failing(tmp_path, failure), oscillators(), **options), oscillators())
    evaluate(Evaluator(failing(tmp_path, failure), oscillators()), oscillators())


def test_guard_logs_structures(models, tmp_path):
    path = tmp_path / "guards.xyz"
    guarded = evaluator(models, max_force=1e-3, on_max_force="log", max_uncertainty=1e-6, on_uncertainty="log",
                        guard_file=path)  # fmt: skip
    atoms = oscillators()
    (result,) = evaluate(guarded, atoms)
    frames = ase.io.read(path, index=":")
    assert [frame.info["guard"] for frame in frames] == ["on_max_force", "on_uncertainty"]
    np.testing.assert_allclose(frames[0].positions, atoms.positions, atol=1e-7)
    np.testing.assert_allclose(frames[0].get_forces(), result.forces * ANGSTROM / ELECTRONVOLT, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_force": 0.1}, "expected forces up to 0.1 eV/angstrom, got .* on atom .*; `on_max_force` is 'stop'"),
        ({"max_uncertainty": 1e-9, "on_uncertainty": "stop"}, "expected uncertainties up to 1e-09 eV, got .* for atom"),
    ],
)
def test_guard_stops(options, message, models):
    with pytest.raises(ValueError, match=message):
        evaluate(evaluator(models, **options), oscillators())


def test_guards_let_good_results_pass(models):
    atoms = oscillators()
    largest = np.linalg.norm(displacements(atoms), axis=1).max()
    guarded = evaluator(models, max_force=1.0001 * largest, max_uncertainty=10.0, on_uncertainty="stop")
    evaluate(guarded, atoms)
    assert guarded.guards.summary() is None


def test_beads_keep_their_neighbor_lists_in_any_order(models):
    argon_beads = [argon() for _ in range(4)]
    for index, atoms in enumerate(argon_beads):
        atoms.positions += np.random.default_rng(index).normal(0, 2.0, atoms.positions.shape)
    driver = Evaluator(models / "argon.pt", argon())
    evaluate(driver, *argon_beads)
    order = [2, 0, 3, 1]
    for atoms in argon_beads:
        atoms.positions += 0.01
    _, positions = zip(*[sent(argon_beads[i]) for i in order], strict=True)
    assert driver._slots.assign(positions) == order
    single = [driver._slots.assign([sent(argon_beads[i])[1]])[0] for i in (3, 3, 1, 0)]
    assert single == [3, 3, 1, 0]


def test_atoms_in_another_order_than_in_the_template_are_refused():
    types = np.array([18, 36, 18, 36])
    positions = np.array([[0.0, 0, 0], [3, 0, 0], [0, 3, 0], [0, 0, 3]])
    template = Template(types, np.ones(3, bool), "", {}, {}, positions)
    cell = 6.0 * np.eye(3)
    with pytest.raises(ValueError, match="expected the atoms of i-PI in the order of the template, got atom 0 at the"):
        check_order(template, cell, positions[[1, 0, 3, 2]])
    # thermal motion, cell vectors, and another order of the same species are no other order
    moved = positions + np.random.default_rng(0).normal(0, 0.3, (4, 3))
    for fine in (moved, moved + 6.0 * np.arange(4)[:, None], positions[[2, 1, 0, 3]], positions + [2.0, 0.5, 1.0]):
        check_order(template, cell, fine)


def test_nan_of_ipi_is_called_so(models):
    atoms = oscillators()
    atoms.positions[2] = np.nan
    with pytest.raises(ValueError, match="expected finite positions and cell from i-PI, got nan or inf"):
        evaluate(evaluator(models), atoms)
