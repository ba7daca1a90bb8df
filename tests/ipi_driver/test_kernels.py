"""The client with a kernel: batches of beads whose atoms and cells change, against the scripted model one at a time."""

import numpy as np
import pytest
from ipi_cases import argon

from metatomic_core.potentials import lennard_jones
from metatomic_ipi.evaluation import Evaluator
from metatomic_ipi.units import ANGSTROM


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "argon.pt"
    lennard_jones().save(str(path), exported=True)
    return path


def test_batches_by_a_kernel_are_as_single_structures_by_the_model(model):
    atoms = argon()
    rng = np.random.default_rng(1)
    kernel, script = (Evaluator(model, atoms, device="cpu", kernel=word) for word in ("eager", "script"))
    beads = atoms.positions * ANGSTROM + rng.normal(scale=0.1, size=(5, len(atoms), 3))
    cells = np.array([atoms.cell.array.T * ANGSTROM] * 5)
    for step in range(4):
        # the same arrays at each step, as i-PI writes into its buffers
        beads += rng.normal(scale=0.05, size=beads.shape)
        if step == 1:
            beads[2] += 3.0
        if step == 2:
            cells *= 1.001
        if step == 3:
            cells[1, 0, 1] += 0.2
            beads = np.ascontiguousarray(beads[::-1])
        results = kernel(list(cells), list(beads))
        for cell, positions, got in zip(cells, beads, results, strict=True):
            (expected,) = script([cell], [positions])
            assert got.energy == pytest.approx(expected.energy, rel=1e-12)
            np.testing.assert_allclose(got.forces, expected.forces, rtol=0, atol=1e-12 * abs(expected.forces).max())
            np.testing.assert_allclose(got.virial, expected.virial, rtol=0, atol=1e-12 * abs(expected.virial).max())
    assert kernel.engine.seconds["eager"] > 0.0
    assert "script" not in kernel.engine.seconds


def test_a_bead_that_blows_up_is_named(model):
    atoms = argon()
    evaluator = Evaluator(model, atoms, device="cpu", kernel="eager")
    positions = np.array([atoms.positions * ANGSTROM] * 3)
    positions[1, 4, 0] = np.inf
    positions[1, 4, 1] = -np.inf
    with pytest.raises(ValueError, match="expected finite positions and cell from i-PI, got nan or inf"):
        evaluator([atoms.cell.array.T * ANGSTROM] * 3, list(positions))
