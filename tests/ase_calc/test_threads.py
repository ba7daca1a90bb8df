"""One calculator used by several Python threads at the same time, each with atoms of its own."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import ase.build
import numpy as np
import pytest

from metatomic_ase import MetatomicCalculator
from metatomic_core.potentials import lennard_jones

N_THREADS = 4


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("threads") / "lj.pt"
    lennard_jones().save(str(path))
    return path


def crystals():
    """Give crystals of different sizes, with displaced atoms."""
    for seed in range(N_THREADS):
        atoms = ase.build.bulk("Ar", cubic=True) * (2, 2, 1 + seed % 3)
        atoms.rattle(0.1, seed=seed)
        yield atoms


def forces_by_property(calculator, atoms):
    atoms = atoms.copy()
    atoms.calc = calculator
    return atoms.get_forces()


def forces_by_batch(calculator, atoms):
    return calculator.compute_energy([atoms], compute_forces_and_stresses=True)["forces"][0]


@pytest.mark.parametrize("forces", [forces_by_property, forces_by_batch])
def test_threads_get_their_own_forces(forces, path):
    all_atoms = list(crystals())
    expected = [forces_by_property(MetatomicCalculator(path), atoms) for atoms in all_atoms]
    calculator = MetatomicCalculator(path)

    def errors(number):
        found = [forces(calculator, all_atoms[number]) for _ in range(100)]
        assert {one.shape for one in found} == {expected[number].shape}
        return [np.abs(one - expected[number]).max() for one in found]

    with ThreadPoolExecutor(N_THREADS) as pool:
        assert max(map(max, pool.map(errors, range(N_THREADS)))) < 1e-10


def test_calculators_are_copied_and_pickled(path):
    calculator = MetatomicCalculator(path)
    atoms = next(crystals())
    expected = forces_by_property(calculator, atoms)
    for other in (copy.deepcopy(calculator), pickle.loads(pickle.dumps(calculator))):
        np.testing.assert_allclose(forces_by_property(other, atoms), expected, rtol=0, atol=1e-12)
