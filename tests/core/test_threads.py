"""One engine, or several of one model, used by several Python threads at the same time."""

import copy
import dataclasses
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from potential_cases import perfect_crystal

from metatomic_core.engine import Engine
from metatomic_core.potentials import lennard_jones


def crystals(number):
    """Give crystals of different sizes, with displaced atoms: a mixed-up neighbor list can not go unnoticed."""
    for seed in range(number):
        crystal = perfect_crystal("fcc", 18, 5.26, (2, 2, 1 + seed % 3))
        shifts = np.random.default_rng(seed).normal(scale=0.1, size=crystal.positions.shape)
        yield dataclasses.replace(crystal, positions=crystal.positions + shifts)


def engine(model):
    return Engine(model, length_unit="angstrom", energy_unit="eV")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("threads") / "lj.pt"
    lennard_jones().save(str(path))
    return path


@pytest.mark.parametrize("engines", [1, 2])
def test_threads_get_their_own_forces(engines, path):
    first = engine(path)
    shared = [first, engine(first.model)][:engines]
    structures = list(crystals(4))
    expected = [first.evaluate([one], ["forces"]).forces for one in structures]

    def errors(number):
        mine = shared[number % engines]
        return [
            np.abs(mine.evaluate([structures[number]], ["energy", "forces"]).forces - expected[number]).max()
            for _ in range(100)
        ]

    with ThreadPoolExecutor(4) as pool:
        assert max(map(max, pool.map(errors, range(4)))) < 1e-12


def test_engines_are_copied_and_pickled(path):
    original = engine(path)
    structure = next(crystals(1))
    expected = original.evaluate([structure], ["forces"]).forces
    for other in (copy.deepcopy(original), pickle.loads(pickle.dumps(original))):
        np.testing.assert_allclose(other.evaluate([structure], ["forces"]).forces, expected, rtol=0, atol=1e-12)
        assert other.lock is not original.lock


def test_lock_is_taken_twice_by_one_thread(path):
    one = engine(path)
    with one.lock:
        assert one.evaluate([next(crystals(1))]).energy.shape == (1,)


def test_models_of_others_are_not_moved(path, monkeypatch):
    first = engine(path)
    monkeypatch.setattr("metatomic_core.engine.engine.pick_device", lambda *_: "meta")
    second = engine(first.model)
    assert {tensor.device.type for tensor in second.model.buffers()} == {"meta"}
    assert {tensor.device.type for tensor in first.model.buffers()} == {"cpu"}
    assert first.evaluate([next(crystals(1))]).energy.shape == (1,)
    monkeypatch.undo()
    assert engine(first.model).model is first.model
