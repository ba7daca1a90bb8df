"""Forces, stresses and virials of all kinds of models, against finite differences of the energy."""

import dataclasses

import numpy as np
import pytest
from models import Direct, FieldAndVolume, NoLists, SquaredGradient, TwoLists, structures, wrap
from potential_cases import perfect_crystal

from metatomic_core import ModelOutput, load_atomistic_model
from metatomic_core.engine import Engine, Structure
from metatomic_core.potentials import embedded_atom, lennard_jones, stillinger_weber

MODULES = {module.__name__: module for module in (TwoLists, NoLists, SquaredGradient, FieldAndVolume)}
STRUCTURES = structures()
PERIODIC = [name for name, structure in STRUCTURES.items() if np.linalg.det(structure.cell) != 0]
# Central differences of fourth order, error h^4: offsets in steps and weights.
STENCIL = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))
STEP = 5e-4
# Relative, float64; the measured error is below 1e-9.
TOLERANCE = 1e-8
ANGSTROM_PER_BOHR = 0.529177210544  # CODATA 2022
EV_PER_HARTREE = 27.211386245981  # CODATA 2022
# eV in kJ/mol: e N_A / 1000, exact in the SI since 2019
KJ_PER_MOL = 1.602176634e-19 * 6.02214076e23 / 1000


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Give each model as loaded from a file."""
    folder = tmp_path_factory.mktemp("models")
    models = {}
    for name, module in MODULES.items():
        wrap(module()).save(str(folder / f"{name}.pt"))
        models[name] = load_atomistic_model(folder / f"{name}.pt")
    return models


def make_engine(model, length_unit="angstrom", energy_unit="eV", **options):
    options.setdefault("neighbor_skin", 0.0)
    return Engine(model, length_unit=length_unit, energy_unit=energy_unit, **options)


def scaled(structure, factor):
    return dataclasses.replace(structure, positions=structure.positions * factor, cell=structure.cell * factor)


def strained(structure, strain):
    deformation = np.eye(3) + strain
    return dataclasses.replace(
        structure, positions=structure.positions @ deformation, cell=structure.cell @ deformation
    )


def derivatives(engine, make, shape, step):
    """Differentiate the energy of ``make(displacement)`` with respect to a displacement of the given shape."""
    displaced, weights = [], []
    for index in np.ndindex(shape):
        for offset, weight in STENCIL:
            displacement = np.zeros(shape)
            displacement[index] = offset * step
            displaced.append(make(displacement))
            weights.append(weight / step)
    energies = engine.evaluate(displaced, ["energy"]).energy
    return (energies * weights).reshape(-1, len(STENCIL)).sum(1).reshape(shape)


def numerical_forces(engine, structure, step=STEP):
    def make(displacement):
        return dataclasses.replace(structure, positions=structure.positions + displacement)

    return -derivatives(engine, make, structure.positions.shape, step)


def numerical_virial(engine, structure):
    return -derivatives(engine, lambda strain: strained(structure, strain), (3, 3), STEP)


def assert_close(got, expected, tolerance=TOLERANCE):
    scale = max(np.abs(expected).max(), 0.1)
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("module", MODULES)
def test_forces_and_virial_agree_with_finite_differences(module, structure, loaded):
    engine = make_engine(loaded[module])
    result = engine.evaluate([STRUCTURES[structure]], ["forces", "virial"])
    assert_close(result.forces, numerical_forces(engine, STRUCTURES[structure]))
    assert_close(result.virial[0], numerical_virial(engine, STRUCTURES[structure]))


@pytest.mark.parametrize("module", MODULES)
def test_eager_model_equals_loaded_model(module, loaded):
    results = ["energy", "atomic_energies", "forces", "virial"]
    batch = list(STRUCTURES.values())
    eager = make_engine(wrap(MODULES[module]()), check_consistency=True).evaluate(batch, results)
    from_file = make_engine(loaded[module], check_consistency=True).evaluate(batch, results)
    for name in results:
        np.testing.assert_allclose(getattr(eager, name), getattr(from_file, name), rtol=0, atol=1e-12)


@pytest.mark.parametrize("module", MODULES)
def test_batch_equals_one_by_one(module, loaded):
    engine = make_engine(loaded[module])
    batch = [STRUCTURES[name] for name in PERIODIC]
    results = ["energy", "forces", "stress", "virial", "atomic_energies"]
    together = engine.evaluate(batch, results)
    for index, structure in enumerate(batch):
        alone = engine.evaluate([structure], results)
        for name in ("energy", "stress", "virial"):
            np.testing.assert_allclose(getattr(together, name)[index], getattr(alone, name)[0], rtol=0, atol=1e-12)
        for name in ("forces", "atomic_energies"):
            rows = getattr(together, name)[together.atoms(index)]
            np.testing.assert_allclose(rows, getattr(alone, name), rtol=0, atol=1e-12)


@pytest.mark.parametrize("structure", PERIODIC)
def test_stress_is_strain_derivative_over_volume(structure, loaded):
    engine = make_engine(loaded["FieldAndVolume"])
    result = engine.evaluate([STRUCTURES[structure]], ["stress", "virial"])
    volume = abs(np.linalg.det(STRUCTURES[structure].cell))
    np.testing.assert_allclose(result.stress, -result.virial / volume, rtol=1e-13, atol=1e-15)


def test_volume_term_gives_its_pressure():
    """The energy p V has the stress p on the diagonal: an analytic check of sign and normalisation."""
    structure = STRUCTURES["triclinic"]
    with_volume = make_engine(wrap(FieldAndVolume())).evaluate([structure], ["stress"]).stress[0]
    without = make_engine(wrap(TwoLists())).evaluate([structure], ["stress"]).stress[0]
    field = np.outer(structure.positions.sum(0), [0.3, -0.2, 0.1]) / abs(np.linalg.det(structure.cell))
    np.testing.assert_allclose(with_volume - without - field, 0.01 * np.eye(3), atol=1e-14)


@pytest.mark.parametrize("units", ["nm kJ/mol", "bohr hartree", "pm kJ mol^-1"])
def test_engine_units_agree(units, loaded):
    length_unit, energy_unit = units.split(" ", 1)
    length = {"nm": 0.1, "bohr": 1 / ANGSTROM_PER_BOHR, "pm": 100.0}[length_unit]
    energy = 1 / EV_PER_HARTREE if energy_unit == "hartree" else KJ_PER_MOL
    results = ["energy", "forces", "stress", "virial", "atomic_virials"]
    expected = make_engine(loaded["TwoLists"]).evaluate([STRUCTURES["triclinic"]], results)
    engine = make_engine(loaded["TwoLists"], length_unit, energy_unit)
    got = engine.evaluate([scaled(STRUCTURES["triclinic"], length)], results)
    factors = (energy, energy / length, energy / length**3, energy, energy)
    for name, factor in zip(results, factors, strict=True):
        assert_close(getattr(got, name), getattr(expected, name) * factor, 1e-8)


def test_model_in_odd_units_agrees(tmp_path):
    """The same physics written in bohr and kJ/mol gives the same results in angstrom and eV."""
    odd = wrap(
        TwoLists(scale=KJ_PER_MOL, length=1 / ANGSTROM_PER_BOHR),
        energy_unit="kJ/mol",
        length_unit="bohr",
        interaction_range=8.0,
    )
    odd.save(tmp_path / "odd.pt")
    results = ["energy", "atomic_energies", "forces", "stress", "virial", "atomic_virials"]
    expected = make_engine(wrap(TwoLists())).evaluate([STRUCTURES["triclinic"]], results)
    for model in (odd, load_atomistic_model(tmp_path / "odd.pt")):
        engine = make_engine(model)
        got = engine.evaluate([STRUCTURES["triclinic"]], results)
        for name in results:
            assert_close(getattr(got, name), getattr(expected, name), 1e-8)
        assert_close(got.forces, numerical_forces(engine, STRUCTURES["triclinic"]))


@pytest.mark.parametrize("module", MODULES)
def test_float32_is_close_to_float64(module, loaded):
    single = make_engine(wrap(MODULES[module](), dtype="float32"))
    batch = [STRUCTURES[name] for name in PERIODIC]
    results = ["energy", "forces", "stress"]
    expected = make_engine(loaded[module]).evaluate(batch, results)
    got = single.evaluate(batch, results)
    for name in results:
        assert getattr(got, name).dtype == np.float64
        assert_close(getattr(got, name), getattr(expected, name), 2e-5)


def pairwise_virials(structure, cutoff=2.5):
    """Sum the virial of the repulsion in `TwoLists` over all pairs of images, by loops."""
    virials = np.zeros((len(structure.types), 3, 3))
    shifts = range(-4, 5)
    for i in range(len(structure.types)):
        for j in range(len(structure.types)):
            for shift in np.ndindex(9, 9, 9):
                vector = structure.positions[j] - structure.positions[i]
                vector = vector + np.array([shifts[s] for s in shift]) * structure.pbc @ structure.cell
                r = np.linalg.norm(vector)
                if (
                    r < 1e-9
                    or r >= cutoff
                    or any(shifts[s] and not p for s, p in zip(shift, structure.pbc, strict=True))
                ):
                    continue
                slope = -3.0 * 5 / cutoff * (1 - r / cutoff) ** 4
                # half of the pair to each atom; each pair is met twice
                virials[i] += -0.25 * slope * np.outer(vector, vector) / r
                virials[j] += -0.25 * slope * np.outer(vector, vector) / r
    return virials


@pytest.mark.parametrize("structure", ["small cell", "slab", "molecule"])
def test_atomic_virials_equal_sum_over_pairs(structure, loaded):
    """The embedding part is removed by taking the difference to a model without repulsion."""
    repulsive = make_engine(loaded["TwoLists"]).evaluate([STRUCTURES[structure]], ["atomic_virials"])
    module = TwoLists()
    module.short = 0.01
    embedding = make_engine(wrap(module)).evaluate([STRUCTURES[structure]], ["atomic_virials"])
    got = repulsive.atomic_virials - embedding.atomic_virials
    expected = pairwise_virials(STRUCTURES[structure])
    assert np.abs(expected).max() > 0.05
    assert_close(got, expected, 1e-11)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("module", ["TwoLists", "SquaredGradient"])
def test_atomic_virials_add_up(module, structure, loaded):
    result = make_engine(loaded[module]).evaluate([STRUCTURES[structure]], ["atomic_virials", "virial"])
    assert result.atomic_virials.shape == (len(STRUCTURES[structure].types), 3, 3)
    assert_close(result.atomic_virials.sum(0), result.virial[0], 1e-11)


@pytest.mark.parametrize("module", ["NoLists", "FieldAndVolume"])
def test_atomic_virials_are_refused_without_pair_vectors(module, loaded):
    with pytest.raises(ValueError, match=r"only through neighbor vectors for 'atomic_virials'.*ask for 'virial'"):
        make_engine(loaded[module]).evaluate([STRUCTURES["triclinic"]], ["atomic_virials"])


CRYSTALS = {
    "lennard_jones": lambda: (lennard_jones(dtype="float32"), ("fcc", 18, 5.26)),
    "stillinger_weber": lambda: (stillinger_weber(dtype="float32"), ("diamond", 14, 5.43)),
    "embedded_atom": lambda: (embedded_atom(dtype="float32"), ("fcc", 29, 3.61)),
}


@pytest.mark.parametrize("strain", [0.97, 1.0, 1.03])
@pytest.mark.parametrize("potential", CRYSTALS)
def test_atomic_virials_of_perfect_crystals_in_float32(potential, strain):
    model, (lattice, number, constant) = CRYSTALS[potential]()
    crystal = perfect_crystal(lattice, number, strain * constant, (3, 3, 3))
    crystal = dataclasses.replace(crystal, positions=crystal.positions + 7.0 * strain)
    result = make_engine(model).evaluate([crystal], ["atomic_virials", "virial"])
    scale = np.abs(result.atomic_virials).sum()
    assert_close(result.atomic_virials.sum(0), result.virial[0], 1e-5 * scale)


@pytest.mark.parametrize("module", ["NoLists", "FieldAndVolume"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_atomic_virials_are_refused_for_eager_models_that_use_positions(module, dtype):
    crystal = perfect_crystal("diamond", 14, 5.43, (2, 2, 2))
    with pytest.raises(ValueError, match="only through neighbor vectors"):
        make_engine(wrap(MODULES[module](), dtype=dtype)).evaluate([crystal], ["atomic_virials"])


@pytest.mark.parametrize("structure", ["molecule", "isolated atom"])
def test_direct_virial_of_a_molecule_says_what_to_do(structure):
    outputs = {
        "energy": ModelOutput(unit="eV", sample_kind="atom"),
        "non_conservative_stress": ModelOutput(unit="eV/A^3"),
    }
    engine = make_engine(wrap(Direct(), outputs), non_conservative="stress")
    with pytest.raises(ValueError, match="for 'virial', got another in structure 0; take it from the energy"):
        engine.evaluate([STRUCTURES[structure]], ["virial"])


@pytest.mark.parametrize("structure", ["molecule", "isolated atom"])
def test_stress_is_refused_without_cell(structure, loaded):
    with pytest.raises(ValueError, match=r"periodic structure.*for 'stress'.*ask for 'virial'"):
        make_engine(loaded["TwoLists"]).evaluate([STRUCTURES[structure]], ["stress"])


def test_stress_is_refused_for_slab_without_third_vector(loaded):
    slab = dataclasses.replace(STRUCTURES["slab"], cell=STRUCTURES["slab"].cell * [[1], [1], [0]])
    engine = make_engine(loaded["TwoLists"])
    assert np.isfinite(engine.evaluate([slab], ["virial"]).virial).all()
    with pytest.raises(ValueError, match="three cell vectors"):
        engine.evaluate([slab], ["stress"])


def test_open_direction_changes_only_the_volume(loaded):
    """A cell vector along a non-periodic direction is hidden from models, also from those that use the cell."""
    engine = make_engine(loaded["FieldAndVolume"])
    slab = STRUCTURES["slab"]
    other = dataclasses.replace(slab, cell=np.vstack([slab.cell[:2], [0.5, 0.1, 40.0]]))
    results = ["energy", "forces", "virial"]
    one, two = engine.evaluate([slab], results), engine.evaluate([other], results)
    for name in results:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_structure_without_atoms_has_no_energy(loaded):
    empty = Structure(np.zeros(0, dtype=int), np.zeros((0, 3)), np.zeros((3, 3)), np.zeros(3, dtype=bool))
    engine = make_engine(loaded["TwoLists"])
    result = engine.evaluate([empty, STRUCTURES["molecule"]], ["energy", "forces", "virial", "atomic_virials"])
    assert result.energy[0] == 0.0
    assert result.energy[1] != 0.0
    assert result.forces.shape == (4, 3)
    alone = engine.evaluate([empty], ["energy", "forces"])
    assert alone.forces.shape == (0, 3)
