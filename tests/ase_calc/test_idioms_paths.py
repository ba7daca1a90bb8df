"""Paths, saddle points, vibrations, phonons and responses to strain, as with ASE's own calculator."""

import numpy as np
import pytest
from ase.build import add_adsorbate, bulk, fcc111, molecule
from ase.constraints import FixAtoms
from ase.eos import calculate_eos
from ase.mep import NEB, DimerControl, MinModeAtoms, MinModeTranslate
from ase.mep.dyneb import DyNEB
from ase.optimize import BFGS, FIRE
from ase.phonons import Phonons
from ase.units import GPa
from ase.vibrations import Infrared, Vibrations, VibrationsData
from ase_idioms import Counted, argon_model, assert_same_as_ase, cluster
from ase_models import water_model

from metatomic_ase import MetatomicCalculator


@pytest.fixture(scope="module")
def counted():
    return Counted(argon_model())


@pytest.fixture
def new(counted):
    return lambda: MetatomicCalculator(counted.model)


def hop():
    """Give both ends of a hop on a surface, which is not periodic along its normal."""
    ends = []
    for site in ("fcc", "hcp"):
        atoms = fcc111("Ar", (2, 2, 2), a=5.3, vacuum=6.0)
        atoms.set_constraint(FixAtoms(range(8)))
        add_adsorbate(atoms, "Ar", 3.0, site)
        ends.append(atoms)
    return ends


def band(make, shared, kind=NEB, n_between=2, **options):
    first, last = hop()
    images = [first, *(first.copy() for _ in range(n_between)), last]
    one = make()
    for image in images:
        image.calc = one if shared else make()
    path = kind(images, allow_shared_calculator=shared, method="improvedtangent", **options)
    path.interpolate(mic=True)
    return path, images


@pytest.mark.parametrize("kind", [NEB, DyNEB])
@pytest.mark.parametrize("shared", [True, False])
def test_bands_move_as_in_ase(new, shared, kind):
    def use(make):
        path, images = band(make, shared, kind)
        with FIRE(path, logfile=None) as run:
            run.run(fmax=0.01, steps=6)
        return np.vstack([image.positions for image in images])

    assert_same_as_ase(use, new)


def test_climbing_image_with_threads_is_that_of_ase(new):
    def use(make):
        path, images = band(make, False, n_between=3, climb=True, parallel=True)
        with BFGS(path, logfile=None) as run:
            run.run(fmax=0.01, steps=4)
        return np.vstack([image.positions for image in images])

    assert_same_as_ase(use, new)


def test_a_band_evaluates_each_image_once_for_each_step(counted, new):
    path, images = band(new, True)
    # the ends for their energies, and those between
    with counted.calls(len(images)):
        path.get_forces()
    # a shared calculator keeps results of the last image alone, the band those of all
    with counted.calls(0):
        path.get_potential_energy()


def test_dimers_move_as_in_ase(new):
    def use(make):
        atoms, _ = hop()
        atoms.calc = make()
        push = np.zeros((9, 3))
        push[8] = [0.1, 0.05, 0.0]
        options = {"initial_eigenmode_method": "displacement", "displacement_method": "vector"}
        with DimerControl(logfile=None, mask=[0] * 8 + [1], **options) as control:
            dimer = MinModeAtoms(atoms, control)
            dimer.displace(displacement_vector=push)
            with MinModeTranslate(dimer, logfile=None) as run:
                run.run(fmax=0.01, steps=4)
        return np.append(atoms.positions.ravel(), dimer.get_curvature())

    assert_same_as_ase(use, new, tolerance=1e-8)


def test_vibrations_are_those_of_ase_and_of_the_hessian(new, tmp_path):
    def use(make):
        atoms = cluster()
        atoms.calc = make()
        with BFGS(atoms, logfile=None) as run:
            run.run(fmax=1e-5, steps=30)
        vibrations = Vibrations(atoms, name=str(tmp_path / type(atoms.calc).__name__), delta=0.005, nfree=4)
        vibrations.run()
        return vibrations.get_frequencies()[-6:].real

    found = assert_same_as_ase(use, new, tolerance=1e-7)
    atoms = cluster()
    atoms.calc = new()
    with BFGS(atoms, logfile=None) as run:
        run.run(fmax=1e-5, steps=30)
    exact = VibrationsData(atoms, atoms.calc.get_hessian(atoms)).get_frequencies()[-6:].real
    np.testing.assert_allclose(found, exact, rtol=1e-5)
    assert found[0] > 5.0


def test_infrared_intensities_are_those_of_derivatives(tmp_path):
    """The dipole of the model is that of charges at atoms, so its derivatives are known."""
    atoms = molecule("H2O")
    atoms.calc = MetatomicCalculator(water_model())
    infrared = Infrared(atoms, name=str(tmp_path / "infrared"), delta=0.002, nfree=4)
    infrared.run()
    frequencies = infrared.get_frequencies()[-3:].real
    modes = VibrationsData(atoms, atoms.calc.get_hessian(atoms))
    np.testing.assert_allclose(frequencies, modes.get_frequencies()[-3:].real, rtol=1e-5)
    # intensities: squares of the derivative of the dipole along each mode, (debye/angstrom)^2/u
    born = atoms.calc.get_property("born_effective_charges", atoms)
    along = modes.get_modes(all_atoms=True)[-3:]
    expected = np.square(np.einsum("aij,maj->mi", born, along)).sum(axis=1)
    got = infrared.intensities[-3:]
    np.testing.assert_allclose(got / got.sum(), expected / expected.sum(), rtol=1e-4)


def test_phonons_are_those_of_ase(new, tmp_path):
    def use(make):
        calculator = make()
        name = str(tmp_path / type(calculator).__name__)
        phonons = Phonons(bulk("Ar", a=5.1), calculator, supercell=(2, 2, 2), delta=0.01, name=name)
        phonons.run()
        phonons.read(acoustic=True)
        return phonons.band_structure([[0.5, 0.5, 0.0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.0]])

    assert assert_same_as_ase(use, new).min() > 0


def test_equations_of_state_are_those_of_ase(new):
    def use(make):
        atoms = bulk("Ar", a=5.1)
        atoms.calc = make()
        return calculate_eos(atoms, npoints=5).fit()

    volume, energy, modulus = assert_same_as_ase(use, new, tolerance=1e-8)
    assert energy < 0 < volume
    assert 1 < modulus / GPa < 6


def test_stress_is_the_slope_of_strains(new):
    atoms = bulk("Ar", a=5.1, cubic=True)
    atoms.calc = new()
    energies, strains = [], (-1e-4, 1e-4)
    for strain in strains:
        strained = atoms.copy()
        strained.set_cell(atoms.cell.array @ (np.eye(3) + np.diag([strain, 0, 0])), scale_atoms=True)
        strained.calc = atoms.calc
        energies.append(strained.get_potential_energy())
    slope = (energies[1] - energies[0]) / 2e-4 / atoms.get_volume()
    assert atoms.get_stress()[0] == pytest.approx(slope, rel=1e-5)
    assert np.trace(atoms.get_stress(voigt=False)) == pytest.approx(3 * atoms.get_stress()[0], rel=1e-9)
