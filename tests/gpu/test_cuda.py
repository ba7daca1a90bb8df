"""The engine on a GPU against the CPU.  Not part of the default run: continuous integration has no GPU.

Run with ``pytest tests/gpu`` on a machine that has one.
"""

import ase.build
import models
import numpy as np
import pytest
import torch

from metatomic_ase import MetatomicCalculator
from metatomic_core import load_atomistic_model
from metatomic_core.engine import Engine, Structure
from metatomic_core.neighbor_lists import NeighborLists
from metatomic_core.potentials import lennard_jones, stillinger_weber

STRUCTURES = models.structures()
RESULTS = ["energy", "atomic_energies", "forces", "virial"]


def both_devices(model, tmp_path, **options):
    """Give engines for the same file on both devices."""
    path = tmp_path / "model.pt"
    model.save(str(path))
    return [Engine(path, length_unit="angstrom", energy_unit="eV", device=d, **options) for d in ("cpu", "cuda")]


def gpu_model(module, **options):
    return models.wrap(module, supported_devices=["cuda", "cpu"], **options)


def test_gpu_is_chosen_by_default(tmp_path):
    path = tmp_path / "model.pt"
    gpu_model(models.TwoLists()).save(str(path))
    engine = Engine(path, length_unit="angstrom", energy_unit="eV")
    assert engine.device == "cuda"
    assert next(load_atomistic_model(path).buffers()).device.type == "cpu"


@pytest.mark.parametrize("kind", ["TwoLists", "SquaredGradient", "FieldAndVolume", "NoLists"])
@pytest.mark.parametrize("name", STRUCTURES)
def test_results_equal_those_of_the_cpu(kind, name, tmp_path):
    cpu, cuda = both_devices(gpu_model(getattr(models, kind)()), tmp_path, check_consistency=True)
    expected, got = (engine.evaluate([STRUCTURES[name]], RESULTS) for engine in (cpu, cuda))
    for result in RESULTS:
        np.testing.assert_allclose(getattr(got, result), getattr(expected, result), rtol=1e-10, atol=1e-11)


def test_batches_and_atomic_virials_equal_those_of_the_cpu(tmp_path):
    cpu, cuda = both_devices(gpu_model(models.TwoLists()), tmp_path)
    results = [*RESULTS, "atomic_virials"]
    expected, got = (engine.evaluate(list(STRUCTURES.values()), results) for engine in (cpu, cuda))
    for result in results:
        np.testing.assert_allclose(getattr(got, result), getattr(expected, result), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("skin", [0.0, 1.0])
@pytest.mark.parametrize("full_list", [False, True])
@pytest.mark.parametrize("name", STRUCTURES)
def test_neighbor_lists_equal_those_of_the_cpu(name, full_list, skin):
    structure = STRUCTURES[name]
    tensors = [torch.as_tensor(x) for x in (structure.positions, structure.cell, structure.pbc)]
    on_cpu = NeighborLists([(4.0, full_list, True)], 0.0).compute(*tensors)[0][0]
    lists = NeighborLists([(4.0, full_list, True)], skin)
    for _ in range(2):
        on_gpu = lists.compute(*[t.to("cuda") for t in tensors])[0][0]
        assert on_gpu.device.type == "cuda"
        assert canonical(on_gpu.cpu().numpy(), full_list) == canonical(on_cpu.numpy(), full_list)


def canonical(pairs, full_list):
    """Give pairs as a set; those of a half list in one of their two directions."""
    rows = [tuple(int(x) for x in row) for row in pairs]
    assert len(rows) == len(set(rows))
    if full_list:
        return set(rows)
    return {max((i, j, *s), (j, i, *(-x for x in s))) for i, j, *s in rows}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", [lennard_jones, stillinger_weber])
def test_reference_potentials_along_a_trajectory(make, dtype):
    lattice = ase.build.bulk("Ar" if make is lennard_jones else "Si", cubic=True)
    atoms = lattice.repeat(4)
    rng = np.random.default_rng(3)
    cpu, cuda = (MetatomicCalculator(make(dtype=dtype), device=device) for device in ("cpu", "cuda"))
    tolerance = 1e-9 if dtype == "float64" else 2e-4
    for _ in range(5):
        atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
        for name in ("energy", "forces", "stress"):
            expected = np.asarray(cpu.get_property(name, atoms))
            got = np.asarray(cuda.get_property(name, atoms))
            assert np.abs(got - expected).max() <= tolerance * (1e-3 + np.abs(expected).max())


def test_structures_on_the_wrong_device_are_refused(tmp_path):
    _, cuda = both_devices(gpu_model(models.TwoLists()), tmp_path)
    structure: Structure = STRUCTURES["triclinic"]
    tensors = {k: torch.as_tensor(getattr(structure, k)) for k in ("types", "positions", "cell", "pbc")}
    pairs = [torch.zeros((0, 5), dtype=torch.int32)] * 2
    units = {"engine": {"length": "angstrom", "energy": "eV"}}
    with pytest.raises(ValueError, match="expected systems on the device of the model, cuda:0, got cpu"):
        cuda.model.evaluate([tensors], [pairs], None, {"energy": "energy"}, {}, units, False)
