"""Many structures at once: what ASE does with each of them alone, to the last bits."""

import re
import warnings

import ase
import numpy as np
import pytest
from ase import units
from ase.build import bulk, molecule
from ase.constraints import FixAtoms, FixSymmetry, Hookean
from ase.filters import FrechetCellFilter
from ase.md.langevin import Langevin
from ase.md.nose_hoover_chain import IsotropicMTKNPT
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS, FIRE, LBFGS
from ase.vibrations import Vibrations

from metatomic_ase import MetatomicCalculator
from metatomic_ase.batched import _evaluating, irelax, relax, run_together
from metatomic_core.potentials import lennard_jones, stillinger_weber

OPTIMIZERS = {"fire": FIRE, "lbfgs": LBFGS, "bfgs": BFGS}
FMAX = 0.01


@pytest.fixture(scope="module")
def silicon():
    return MetatomicCalculator(stillinger_weber())


@pytest.fixture(scope="module")
def argon():
    return MetatomicCalculator(lennard_jones())


def crystals(strain=0.0):
    """Give crystals of silicon of several sizes and shapes, away from equilibrium."""
    rng = np.random.default_rng(7)
    found = [bulk("Si"), bulk("Si", cubic=True), bulk("Si") * (2, 1, 2), bulk("Si", cubic=True) * (1, 2, 1)]
    for atoms in found:
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain * rng.uniform(-1, 1, (3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
    found[1].positions[0] += 2 * found[1].cell[0]
    return found


def quietly(function, *arguments, **options):
    """Call a function without what scipy says of the rounding of logarithms in ASE's filter."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="logm", category=RuntimeWarning)
        return function(*arguments, **options)


def by_ase(atoms, calculator, optimizer, fmax=FMAX, **cell):
    """Relax one structure as ASE does it."""
    alone = atoms.copy()
    alone.calc = calculator
    target = FrechetCellFilter(alone, **cell) if cell else alone
    with OPTIMIZERS[optimizer](target, logfile=None) as dynamics:
        quietly(dynamics.run, fmax=fmax, steps=500)
        return alone, dynamics.nsteps


def assert_same(relaxed, alone, n_steps, tolerance=1e-9):
    assert relaxed.error is None
    assert relaxed.n_steps == n_steps
    np.testing.assert_allclose(relaxed.atoms.positions, alone.positions, rtol=0, atol=tolerance)
    np.testing.assert_allclose(relaxed.atoms.cell.array, alone.cell.array, rtol=0, atol=tolerance)
    assert relaxed.atoms.get_potential_energy() == pytest.approx(alone.get_potential_energy(), abs=tolerance)
    np.testing.assert_allclose(relaxed.atoms.get_forces(), alone.get_forces(), rtol=0, atol=100 * tolerance)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_positions_are_those_of_ase(silicon, optimizer):
    given = crystals()
    before = [atoms.positions.copy() for atoms in given]
    found = relax(given, silicon, optimizer=optimizer, fmax=FMAX)
    for one, atoms, positions in zip(found, given, before, strict=True):
        assert one.converged
        assert one.n_steps > 3
        assert one.largest_force < FMAX
        assert_same(one, *by_ase(atoms, silicon, optimizer), tolerance=1e-12)
        # the structures that were given stay
        assert np.array_equal(atoms.positions, positions)


@pytest.mark.parametrize(
    ("cell", "of_ase"),
    [
        ("full", {"scalar_pressure": 2 * units.GPa}),
        ("isotropic", {"hydrostatic_strain": True, "scalar_pressure": 2 * units.GPa}),
        ("shape", {"constant_volume": True, "scalar_pressure": 2 * units.GPa}),
    ],
)
@pytest.mark.parametrize("optimizer", ["fire", "lbfgs"])
def test_cells_are_those_of_ase(silicon, cell, of_ase, optimizer):
    given = crystals(strain=0.04)
    # FIRE takes a hundred steps more to the other limit
    fmax = 0.1 if optimizer == "fire" else FMAX
    found = relax(given, silicon, optimizer=optimizer, fmax=fmax, cell=cell, pressure=2.0)
    for one, atoms in zip(found, given, strict=True):
        assert one.converged
        assert_same(one, *by_ase(atoms, silicon, optimizer, fmax, **of_ase), tolerance=1e-7)
        assert np.abs(one.atoms.cell.array - atoms.cell.array).max() > 1e-3


def left_of(atoms, calculator, cell, pressure):
    """Give the largest stress that the cell may still relax, in GPa, as ASE computes it."""
    atoms = atoms.copy()
    atoms.calc = calculator
    left = atoms.get_stress(voigt=False) / units.GPa + pressure * np.eye(3)
    mean = np.trace(left) / 3
    return {"full": np.abs(left).max(), "isotropic": abs(mean), "shape": np.abs(left - mean * np.eye(3)).max()}[cell]


@pytest.mark.parametrize(("cell", "pressure"), [("full", 2.0), ("isotropic", 2.0), ("shape", 0.0)])
def test_cells_stop_only_when_the_stress_is_below_its_limit(silicon, cell, pressure):
    given = crystals(strain=0.04)
    options = {"fmax": 0.2, "cell": cell, "pressure": pressure}
    free, limited = relax(given, silicon, **options), relax(given, silicon, **options, smax=0.01)
    for one in free + limited:
        assert one.converged
        assert one.largest_force < 0.2
        assert one.largest_stress == pytest.approx(left_of(one.atoms, silicon, cell, pressure), abs=1e-9)
    assert max(one.largest_stress for one in limited) < 0.01
    assert max(one.largest_stress for one in free) > 0.01
    assert relax(given, silicon, fmax=0.2)[0].largest_stress is None
    # forces count as well
    assert all(one.largest_force < 0.01 for one in relax(given, silicon, cell=cell, fmax=0.01, smax=100.0))


def test_a_slab_keeps_its_vacuum(silicon):
    slab = bulk("Si", cubic=True) * (1, 1, 2)
    slab.center(vacuum=6.0, axis=2)
    slab.pbc = (True, True, False)
    slab.rattle(0.1, seed=3)
    (found,) = relax([slab], silicon, fmax=FMAX, cell="full")
    mask = np.outer(slab.pbc, slab.pbc).astype(float)
    assert_same(found, *by_ase(slab, silicon, "lbfgs", mask=mask), tolerance=1e-7)
    assert np.array_equal(found.atoms.cell[2], slab.cell[2])


def test_constraints_hold(silicon):
    fixed, symmetric, tied = bulk("Si", cubic=True), bulk("Si") * (2, 1, 1), bulk("Si", cubic=True)
    fixed.rattle(0.1, seed=1)
    fixed.set_constraint(FixAtoms([0, 3]))
    symmetric.set_cell(symmetric.cell.array * 1.03, scale_atoms=True)
    symmetric.set_constraint(FixSymmetry(symmetric))
    tied.rattle(0.1, seed=2)
    tied.set_constraint(Hookean(a1=0, a2=3, rt=2.0, k=3.0))
    given = [fixed, symmetric, tied]
    for one, atoms in zip(relax(given, silicon, fmax=FMAX), given, strict=True):
        assert_same(one, *by_ase(atoms, silicon, "lbfgs"))
    (one,) = relax([symmetric], silicon, fmax=FMAX, cell="full")
    assert_same(one, *by_ase(symmetric, silicon, "lbfgs", scalar_pressure=0.0), tolerance=1e-7)
    kept = relax([fixed], silicon, fmax=FMAX)[0].atoms
    assert np.array_equal(kept.positions[[0, 3]], fixed.positions[[0, 3]])


def test_places_are_taken_by_those_that_wait(silicon):
    given = crystals() * 3
    asked = []

    def one_at_a_time():
        for number, atoms in enumerate(given):
            asked.append(number)
            yield atoms

    found = {}
    for number, one in irelax(one_at_a_time(), silicon, fmax=FMAX, max_structures=3):
        # no more are taken than there are places
        assert len(asked) <= len(found) + 6
        found[number] = one
    assert sorted(found) == list(range(len(given)))
    for number, atoms in enumerate(given):
        assert_same(found[number], *by_ase(atoms, silicon, "lbfgs"), tolerance=1e-12)


def test_the_model_is_called_once_for_all(silicon, monkeypatch):
    sizes = []
    evaluate = silicon.engine.evaluate
    monkeypatch.setattr(
        silicon.engine,
        "evaluate",
        lambda structures, *a, **k: sizes.append(len(structures)) or evaluate(structures, *a, **k),
    )
    steps = [one.n_steps for one in relax(crystals(), silicon, fmax=FMAX)]
    assert len(sizes) == max(steps) + 1
    assert sizes[0] == len(steps)
    assert sum(sizes) == sum(steps) + len(steps)


@pytest.mark.parametrize("limit", [{"max_atoms": 8}, {"max_pairs": 300}])
def test_limits_divide_calls(silicon, monkeypatch, limit):
    sizes = []
    evaluate = silicon.engine.evaluate
    monkeypatch.setattr(
        silicon.engine,
        "evaluate",
        lambda structures, *a, **k: sizes.append(len(structures)) or evaluate(structures, *a, **k),
    )
    given = crystals()
    found = relax(given, silicon, fmax=FMAX, **limit)
    assert max(sizes) < len(given)
    for one, atoms in zip(found, given, strict=True):
        assert one.n_steps == by_ase(atoms, silicon, "lbfgs")[1]


def test_too_little_memory_divides_calls(silicon, monkeypatch):
    sizes = []
    evaluate = silicon.engine.evaluate

    def small(structures, *arguments, **options):
        if len(structures) > 2:
            raise MemoryError
        sizes.append(len(structures))
        return evaluate(structures, *arguments, **options)

    monkeypatch.setattr(silicon.engine, "evaluate", small)
    found = relax(crystals(), silicon, fmax=FMAX)
    assert all(one.converged for one in found)
    assert max(sizes) == 2


def test_a_call_learns_how_much_memory_pairs_take():
    size = _evaluating.BatchSize("cpu", None)
    first = size.pairs
    size.begin()
    size.end(first)
    assert size.pairs == 2 * first
    # a call that is much smaller says nothing about larger ones
    size.begin()
    size.end(10)
    assert size.pairs == 2 * first


def test_a_structure_that_fails_leaves_the_others(silicon):
    given = crystals()
    given.insert(1, ase.Atoms("Si2", positions=[[0, 0, 0], [0, 0, np.nan]]))
    given.insert(3, ase.Atoms("SiXe", positions=[[0, 0, 0], [0, 0, 2.2]]))
    found = relax(given, silicon, fmax=FMAX)
    assert [one.error is None for one in found] == [True, False, True, False, True, True]
    assert "not a number" in str(found[1].error) or "finite" in str(found[1].error)
    assert "54" in str(found[3].error)
    assert not found[1].converged
    assert all(found[k].converged for k in (0, 2, 4, 5))


def test_steps_end_a_relaxation(silicon):
    found = relax(crystals(), silicon, fmax=1e-9, steps=4)
    assert [(one.n_steps, one.converged) for one in found] == [(4, False)] * 4


def test_one_atom_needs_no_step(silicon):
    (found,) = relax([ase.Atoms("Si")], silicon)
    assert (found.converged, found.n_steps, found.largest_force) == (True, 0, 0.0)
    assert relax([], silicon) == []


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"optimizer": "fier"}, "expected `optimizer` to be .*, got 'fier'; did you mean 'fire'"),
        ({"cell": "ful"}, "expected `cell` to be .*, got 'ful'; did you mean 'full'"),
        ({"fmax": -1.0}, "expected `fmax` to be at least 0.0, got -1.0"),
        ({"fmax": float("nan")}, "expected `fmax` to be at least 0.0, got nan"),
        ({"smax": 0.1}, "expected `smax` only with a cell that relaxes, got 0.1 and the cell 'fixed'"),
        ({"smax": -0.1, "cell": "full"}, "expected `smax` to be at least 0.0, got -0.1"),
        ({"max_structures": 0}, "expected `max_structures` to be at least 1, got 0"),
        ({"calculator": "sw.pt"}, "expected `calculator` to be a MetatomicCalculator, got str"),
    ],
)
def test_wrong_arguments_are_refused(silicon, wrong, text):
    arguments = {"calculator": silicon, **wrong}
    with pytest.raises((TypeError, ValueError), match=text):
        relax([bulk("Si")], **arguments)


def test_wrong_structures_are_refused(silicon):
    with pytest.raises(TypeError, match=re.escape("expected `structures` to be ase.Atoms, got str at number 0")):
        relax(["Si"], silicon)
    with pytest.raises(ValueError, match="expected a periodic structure with a volume for the cell 'full'"):
        relax([molecule("H2O")], silicon, cell="full")
    with pytest.raises(TypeError, match=re.escape("expected `structures` to be ase.Atoms, got str at number 0")):
        run_together(["Si"], silicon, len)
    with pytest.raises(TypeError, match="expected `algorithm` to be a function of one structure, got int"):
        run_together([bulk("Si")], silicon, 3)


DYNAMICS = {
    "nve": lambda atoms: VelocityVerlet(atoms, units.fs),
    "langevin": lambda atoms: Langevin(
        atoms, units.fs, temperature_K=300, friction=0.01, fixcm=False, rng=np.random.default_rng(len(atoms))
    ),
    "npt": lambda atoms: IsotropicMTKNPT(
        atoms, units.fs, temperature_K=300, pressure_au=0.0, tdamp=100 * units.fs, pdamp=1000 * units.fs
    ),
}


@pytest.mark.parametrize("kind", DYNAMICS)
def test_dynamics_are_those_of_ase(silicon, kind):
    given = [atoms for atoms in crystals() if len(atoms) > 2]
    for atoms in given:
        width = np.sqrt(atoms.get_masses() * units.kB * 300)
        atoms.set_momenta(np.random.default_rng(len(atoms)).normal(size=(len(atoms), 3)) * width[:, None])
    alone = [atoms.copy() for atoms in given]
    for atoms in alone:
        atoms.calc = silicon
        DYNAMICS[kind](atoms).run(20)

    def run(atoms):
        DYNAMICS[kind](atoms).run(20)
        return atoms.get_potential_energy()

    energies = run_together(given, silicon, run, max_structures=2)
    for one, other, energy in zip(alone, given, energies, strict=True):
        # sums over pairs are in another order
        np.testing.assert_allclose(other.positions, one.positions, rtol=0, atol=1e-12)
        np.testing.assert_allclose(other.get_momenta(), one.get_momenta(), rtol=0, atol=1e-10)
        assert energy == pytest.approx(one.get_potential_energy(), abs=1e-11)
        assert other.calc is None


def test_any_algorithm_runs(argon, tmp_path):
    """Vibrations of clusters: what asks for forces as it likes."""
    given = [ase.Atoms("Ar2", positions=[[0, 0, 0], [0, 0, r]]) for r in (3.7, 3.8, 3.9)]

    def frequencies(atoms):
        vibrations = Vibrations(atoms, name=str(tmp_path / f"{atoms.positions[1, 2]}"))
        vibrations.run()
        return vibrations.get_energies()[-1].real

    together = run_together(given, argon, frequencies)
    for atoms, found in zip(given, together, strict=True):
        alone = atoms.copy()
        alone.calc = argon
        vibrations = Vibrations(alone, name=str(tmp_path / f"alone-{atoms.positions[1, 2]}"))
        vibrations.run()
        assert found == pytest.approx(vibrations.get_energies()[-1].real, rel=1e-9)


def test_what_an_algorithm_raises_is_raised(argon):
    given = [ase.Atoms("Ar2", positions=[[0, 0, 0], [0, 0, r]]) for r in (3.7, 3.8, 3.9)]

    def fails(atoms):
        atoms.get_forces()
        if atoms.positions[1, 2] == 3.8:
            raise RuntimeError("expected another distance")
        return atoms.get_potential_energy()

    with pytest.raises(RuntimeError, match="expected another distance"):
        run_together(given, argon, fails)
    assert all(atoms.calc is None for atoms in given[:2])
    unknown = ase.Atoms("Xe2", positions=[[0, 0, 0], [0, 0, 4]])

    def tolerant(atoms):
        try:
            return atoms.get_potential_energy()
        except ValueError as error:
            return str(error)

    energies = run_together([given[0], unknown, given[1]], argon, tolerant)
    assert "54" in energies[1]
    assert max(energies[0], energies[2]) < 0
