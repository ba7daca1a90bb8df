"""Inputs as GROMACS makes them, from structures in angstrom."""

import dataclasses

import numpy as np
import torch

from metatomic_core.testing.subjects.gromacs import KJ_PER_MOL
from metatomic_core.testing.subjects.gromacs import NM_PER_ANGSTROM as ANGSTROM


def rounded(structure):
    """Give a structure whose positions and cell are float32 numbers of nm, as those of GROMACS are."""
    positions = np.float32(structure.positions * ANGSTROM).astype(float) / ANGSTROM
    cell = np.float32(structure.cell * ANGSTROM).astype(float) / ANGSTROM
    return dataclasses.replace(structure, positions=positions, cell=cell)


def probe(n_atoms, pairs=False, number=1):
    """Give what grompp after release 2026 tries a model with: atoms of one element on a line, and all their pairs."""
    counts = torch.arange(1, n_atoms + 1, dtype=torch.float32)
    positions = 0.01 * counts.unsqueeze(1) * torch.tensor([1.0, 2.0, 3.0])
    numbers = torch.full((n_atoms,), number, dtype=torch.int32)
    box, pbc = torch.eye(3), torch.ones(3, dtype=torch.bool)
    if not pairs:
        return [positions, numbers, box, pbc]
    all_pairs = torch.triu_indices(n_atoms, n_atoms, 1).T.to(torch.int32).contiguous()
    return [positions, numbers, all_pairs, torch.zeros(len(all_pairs), 3), box, pbc]


def first_probe():
    """Give what grompp of release 2025 tries a model with."""
    return [torch.zeros(1, 3), torch.ones(1, dtype=torch.int32), torch.eye(3), torch.ones(3, dtype=torch.bool)]


def second_probe(pairs=False, number=1):
    """Give what grompp of release 2026 tries a model with: two atoms at the origin."""
    positions, numbers = torch.zeros(2, 3), torch.full((2,), number, dtype=torch.int32)
    of_pairs = [torch.tensor([[0, 1]], dtype=torch.int32), torch.zeros(1, 3)] if pairs else []
    return [positions, numbers, *of_pairs, torch.eye(3), torch.ones(3, dtype=torch.bool)]


def assert_same(result, energy, forces):
    """Compare with energies in eV and forces in eV/angstrom, to the rounding of float32."""
    got_energy, got_forces = result
    assert np.isclose(got_energy, energy * KJ_PER_MOL, rtol=1e-6, atol=1e-5)
    expected = forces * KJ_PER_MOL / ANGSTROM
    scale = max(np.abs(expected).max(initial=0.0), 1e-3)
    np.testing.assert_allclose(got_forces.numpy(), expected, rtol=0, atol=2e-7 * scale)
