"""Averages, variances and projections on characters, beside those of the reference implementation."""

import warnings
from typing import Dict, List, Optional

import metatomic.torch as reference
import numpy as np
import pytest
import torch
from metatensor.torch import Labels, TensorBlock, TensorMap
from metatomic.torch.o3 import SymmetrizedModel as SymmetrizedReference

import metatomic_core as ours
from metatomic_core.o3 import SymmetrizedModel

NAMES = ["energy", "o3::variance::energy", "o3::character_projection::energy"]


def energy(positions: List[torch.Tensor]) -> Dict[str, TensorMap]:
    """Give energies of three atoms that have parts of degree 0, 1 and 2, of both parities."""
    energies: List[torch.Tensor] = []
    for each in positions:
        r, s = each[1] - each[0], each[2] - each[0]
        energies.append(3.0 + r[2] + 2.0 * s[0] * r[2] + torch.linalg.cross(r, s)[1])
    values = torch.stack(energies).reshape(-1, 1)
    samples = Labels(["system"], torch.arange(len(positions)).reshape(-1, 1))
    block = TensorBlock(values, samples, [], Labels(["energy"], torch.tensor([[0]])))
    return {"energy": TensorMap(Labels(["_"], torch.tensor([[0]])), [block])}


class OfReference(torch.nn.Module):
    def forward(
        self,
        systems: List[reference.System],
        outputs: Dict[str, reference.ModelOutput],
        selected_atoms: Optional[Labels],
    ) -> Dict[str, TensorMap]:
        return energy([system.positions for system in systems])


class Ours(torch.nn.Module):
    def forward(
        self, systems: List[ours.System], outputs: Dict[str, ours.ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        return energy([system.positions for system in systems])


def model_of(package, module):
    capabilities = package.ModelCapabilities(
        outputs={"energy": package.ModelOutput(unit="eV", sample_kind="system")},
        atomic_types=[14],
        interaction_range=5.0,
        length_unit="angstrom",
        supported_devices=["cpu"],
        dtype="float64",
    )
    return package.AtomisticModel(module.eval(), package.ModelMetadata(), capabilities)


def found(package, module, wrapper):
    positions = torch.tensor([[0.1, 0.2, 0.3], [0.4, -0.2, 1.5], [1.0, 0.7, 0.1]], dtype=torch.float64)
    system = package.System(
        types=torch.tensor([14, 14, 14]),
        positions=positions,
        cell=torch.zeros(3, 3, dtype=torch.float64),
        pbc=torch.zeros(3, dtype=torch.bool),
    )
    with warnings.catch_warnings():
        # about modules that are wrapped, of the reference
        warnings.simplefilter("ignore")
        model = wrapper.wrap(model_of(package, module), max_angular_momentum_character=3, max_angular_momentum_target=0)
        outputs = {name: package.ModelOutput(sample_kind="system") for name in NAMES}
        return model.module([system], outputs, None)


@pytest.mark.parametrize("name", NAMES)
def test_symmetrized_model_is_that_of_the_reference(name):
    expected = found(reference, OfReference(), SymmetrizedReference)[name]
    tensor = found(ours, Ours(), SymmetrizedModel)[name]
    values = [block.values.flatten().tolist() for block in tensor.blocks()]
    assert np.abs(values).max() > 0.1
    np.testing.assert_allclose(values, [block.values.flatten().tolist() for block in expected.blocks()], atol=1e-12)
    if "projection" in name:
        for column in ("chi_lambda", "chi_sigma"):
            assert tensor.keys.column(column).tolist() == expected.keys.column(column).tolist()
