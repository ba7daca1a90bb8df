"""Calculators of ASE that take calculators: mixed, embedded, scaled, differentiated, and served over a socket."""

import os
import threading

import ase
import numpy as np
import pytest
from ase.build import bulk, fcc111
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import FiniteDifferenceCalculator
from ase.calculators.harmonic import HarmonicCalculator, HarmonicForceField, SpringCalculator
from ase.calculators.mixing import AverageCalculator, LinearCombinationCalculator, MixedCalculator, SumCalculator
from ase.calculators.qmmm import ForceQMMM, RescaledCalculator, SimpleQMMM
from ase.calculators.socketio import SocketClient, SocketIOCalculator
from ase.optimize import BFGS
from ase_idioms import Counted, argon_model, assert_same_as_ase, cluster, crystal
from ase_models import water_model

from metatomic_ase import MetatomicCalculator


@pytest.fixture(scope="module")
def counted():
    return Counted(argon_model())


@pytest.fixture
def new(counted):
    return lambda: MetatomicCalculator(counted.model)


def everything(atoms):
    stress = atoms.get_stress() if atoms.pbc.any() else []
    return np.hstack([atoms.get_potential_energy(), atoms.get_forces().ravel(), stress])


MIXTURES = {
    "SumCalculator": (lambda new: SumCalculator([new(), new()]), 2.0),
    "LinearCombinationCalculator": (lambda new: LinearCombinationCalculator([new(), new()], [0.3, 2.0]), 2.3),
    "MixedCalculator": (lambda new: MixedCalculator(new(), new(), 0.3, 0.4), 0.7),
    "AverageCalculator": (lambda new: AverageCalculator([new(), new()]), 1.0),
}


@pytest.mark.parametrize("name", MIXTURES)
def test_mixtures_are_sums(new, name):
    mix, factor = MIXTURES[name]
    atoms, alone = crystal(), crystal()
    atoms.calc, alone.calc = mix(new), new()
    np.testing.assert_allclose(everything(atoms), factor * everything(alone), rtol=1e-12, atol=1e-15)
    atoms.rattle(0.05, seed=4)
    alone.rattle(0.05, seed=4)
    np.testing.assert_allclose(everything(atoms), factor * everything(alone), rtol=1e-12, atol=1e-15)


def test_a_mixture_evaluates_once_for_all_properties(counted, new):
    atoms = crystal()
    atoms.calc = SumCalculator([new(), new()])
    with counted.calls(2):
        everything(atoms)
        everything(atoms)


def test_mixtures_with_calculators_of_ase_are_those_of_ase(new):
    def use(make):
        atoms = crystal()
        atoms.calc = MixedCalculator(make(), SpringCalculator(atoms.positions + 0.1, 1.0), 0.5, 0.5)
        return np.hstack([atoms.get_potential_energy(), atoms.get_forces().ravel()])

    assert_same_as_ase(use, new)


def test_a_mixture_offers_what_all_members_have(new):
    mixture = SumCalculator([new(), MetatomicCalculator(water_model())])
    assert {"energy", "forces", "stress", "free_energy"} <= set(mixture.implemented_properties)
    assert "dipole" not in mixture.implemented_properties


def test_embedded_atoms_are_those_of_ase(new):
    def use(make):
        atoms = cluster()
        atoms.calc = SimpleQMMM([0, 1], make(), make(), make())
        return everything(atoms)

    assert_same_as_ase(use, new)


def test_buffered_forces_are_those_of_ase(new):
    def use(make):
        atoms = crystal(2) * (1, 2, 2)
        atoms.calc = ForceQMMM(atoms, np.arange(len(atoms)) < 4, make(), make(), buffer_width=3.0)
        return atoms.get_forces()

    assert_same_as_ase(use, new)


def test_rescaled_lattices_are_those_of_ase(new):
    def use(make):
        atoms = crystal()
        atoms.calc = RescaledCalculator(make(), 5.26, 10.0, 5.3, 12.0)
        return everything(atoms)

    assert_same_as_ase(use, new)


def test_finite_differences_agree(new):
    atoms = crystal()
    atoms.calc = FiniteDifferenceCalculator(new(), eps_disp=1e-4, eps_strain=1e-5)
    alone = crystal()
    alone.calc = new()
    np.testing.assert_allclose(everything(atoms), everything(alone), rtol=0, atol=1e-8)


def test_springs_are_harmonic_calculators_of_ase():
    """Near its minimum, the model of springs is its own Hessian."""
    atoms = ase.build.molecule("H2O")
    calculator = MetatomicCalculator(water_model())
    reference = atoms.copy()
    reference.calc = calculator
    with BFGS(reference, logfile=None) as run:
        run.run(fmax=1e-8, steps=50)
    hessian = calculator.get_hessian(reference).reshape(9, 9)
    field = HarmonicForceField(reference.copy(), ref_energy=reference.get_potential_energy(), hessian_x=hessian)
    moved = reference.copy()
    moved.rattle(1e-5, seed=1)
    expected = HarmonicCalculator(field).get_property("forces", moved)
    found = calculator.get_property("forces", moved)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)
    assert np.abs(found).max() > 1e-4


def test_it_is_served_over_a_socket(new):
    served, atoms = crystal(), crystal()
    served.calc = new()
    # of this process, in the place where ASE puts sockets
    address = f"metatomic-tests-{os.getpid()}"
    with SocketIOCalculator(unixsocket=address, log=None) as server:
        client = threading.Thread(target=lambda: SocketClient(unixsocket=address).run(served, use_stress=True))
        client.start()
        atoms.calc = server
        found = everything(atoms)
    client.join(10)
    alone = crystal()
    alone.calc = new()
    np.testing.assert_allclose(found, everything(alone), rtol=0, atol=1e-12)


@pytest.mark.parametrize("pbc", [(True, True, False), (True, False, False), (False, False, True)])
def test_surfaces_and_wires_are_those_of_ase(new, pbc):
    def use(make):
        atoms = fcc111("Ar", (1, 1, 3), a=5.3, vacuum=8.0)
        atoms.set_cell(atoms.cell.array + np.diag([0.0, 0.0, 0.1]))
        atoms.pbc = pbc
        atoms.rattle(0.1, seed=1)
        atoms.calc = make()
        return np.hstack([atoms.get_potential_energy(), atoms.get_forces().ravel()])

    assert_same_as_ase(use, new)


@pytest.mark.parametrize("repeat", [1, (2, 1, 1), (1, 2, 3)])
def test_supercells_have_as_many_times_the_energy(new, repeat):
    cell = crystal()
    cell.calc = new()
    atoms = crystal().repeat(repeat)
    atoms.calc = new()
    n = len(atoms) // len(cell)
    assert atoms.get_potential_energy() == pytest.approx(n * cell.get_potential_energy(), rel=1e-12)
    np.testing.assert_allclose(atoms.get_forces(), np.tile(cell.get_forces(), (n, 1)), rtol=0, atol=1e-13)
    np.testing.assert_allclose(atoms.get_stress(), cell.get_stress(), rtol=0, atol=1e-14)


def test_one_atom_is_that_of_ase(new):
    def use(make):
        atoms = bulk("Ar", a=5.3)
        atoms.calc = make()
        return everything(atoms)

    assert_same_as_ase(use, new)
    alone = ase.Atoms("Ar")
    alone.calc = new()
    assert alone.get_potential_energy() == 0.0
    np.testing.assert_array_equal(alone.get_forces(), np.zeros((1, 3)))
    with pytest.raises(PropertyNotImplementedError, match="expected a periodic structure"):
        alone.get_stress()
