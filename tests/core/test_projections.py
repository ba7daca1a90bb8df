"""Projections of outputs on characters of rotations and inversion: of functions of known parts, and their sum."""

from typing import Dict, List, Optional

import numpy as np
import pytest
import torch
from metatensor.torch import Labels, TensorMap
from models import NoLists, wrap

from metatomic_core import ModelEvaluationOptions, ModelOutput, System, load_atomistic_model
from metatomic_core.authors import energy_output, per_atom_output
from metatomic_core.o3 import SymmetrizedModel

PROJECTION, VARIANCE = "o3::character_projection::", "o3::variance::"
OUTPUTS = {
    "energy": ModelOutput(unit="eV", sample_kind="atom"),
    "non_conservative_force": ModelOutput(unit="eV/angstrom", sample_kind="atom"),
}


class Parts(torch.nn.Module):
    """With r and s from the first atom to the others: 3 + r_z + 2 P2(r)_zz + 0.5 (r x s)_z, and r at the first atom."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies: List[torch.Tensor] = []
        forces: List[torch.Tensor] = []
        for system in systems:
            if len(system) != 3:
                # those that a model is tried with
                energies.append(system.positions.sum(1))
                forces.append(system.positions)
                continue
            r, s = system.positions[1] - system.positions[0], system.positions[2] - system.positions[0]
            legendre = 1.5 * r[2] ** 2 - 0.5 * r.square().sum()
            energy = 3.0 + r[2] + 2.0 * legendre + 0.5 * (r[0] * s[1] - r[1] * s[0])
            energies.append(torch.stack([energy, 0.0 * energy, 0.0 * energy]))
            # of the model itself, of the axes alone, and of both
            forces.append(torch.stack([r, 0.0 * r + torch.eye(3, dtype=r.dtype)[0], s[0] * r]))
        results: Dict[str, TensorMap] = {}
        for name, output in outputs.items():
            if name == "energy":
                results[name] = energy_output(systems, torch.cat(energies), output, selected_atoms)
            else:
                results[name] = per_atom_output(name, systems, torch.cat(forces), output, selected_atoms)
        return results


R, S = np.array([0.3, -0.4, 1.2]), np.array([0.9, 0.5, -0.2])


def system():
    positions = torch.from_numpy(np.stack([np.zeros(3), R, S])) + 0.7
    return System(
        torch.tensor([14, 14, 14]), positions, torch.zeros(3, 3, dtype=torch.float64), torch.zeros(3, dtype=torch.bool)
    )


@pytest.fixture(scope="module", params=["model", "file"])
def averaged(request, tmp_path_factory):
    model = SymmetrizedModel.wrap(wrap(Parts(), OUTPUTS), max_angular_momentum_character=3)
    if request.param == "model":
        return model
    path = tmp_path_factory.mktemp("models") / "averaged.pt"
    model.save(path, exported=False)
    return load_atomistic_model(path)


def evaluated(model, *names):
    kinds = {name: ModelOutput(sample_kind="system" if name.endswith("energy") else "atom") for name in names}
    options = ModelEvaluationOptions("angstrom", kinds)
    return model([system()], options, check_consistency=True)


def by_character(tensor):
    """Give the values of each representation."""
    assert tensor.keys.names == ["_", "chi_lambda", "chi_sigma"]
    return {(int(key["chi_lambda"]), int(key["chi_sigma"])): block.values.numpy() for key, block in tensor.items()}


def test_parts_of_a_scalar_are_those_of_its_formula(averaged):
    found = by_character(evaluated(averaged, PROJECTION + "energy")[PROJECTION + "energy"])
    expected = dict.fromkeys([(degree, sigma) for degree in range(4) for sigma in (1, -1)], 0.0)
    # mean squares over all directions: z^2 is a third, P2^2 a fifth; r x s does not change its sign by inversion
    expected[0, 1] = 9.0
    expected[1, 1] = R @ R / 3
    expected[2, 1] = 4 * (R @ R) ** 2 / 5
    expected[1, -1] = 0.25 * np.square(np.cross(R, S)).sum() / 3
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], [[value]], rtol=0, atol=1e-12, err_msg=str(key))


def test_sum_of_all_parts_is_the_mean_square(averaged):
    outputs = evaluated(averaged, "energy", VARIANCE + "energy", PROJECTION + "energy")
    mean, variance = (outputs[name].block().values.item() for name in ("energy", VARIANCE + "energy"))
    total = sum(values.item() for values in by_character(outputs[PROJECTION + "energy"]).values())
    assert total == pytest.approx(mean**2 + variance, rel=1e-12)


def test_components_are_projected_each_by_itself(averaged):
    name = PROJECTION + "non_conservative_force"
    tensor = evaluated(averaged, name)[name]
    assert tensor.block(0).components[0].names == ["xyz"]
    found = by_character(tensor)
    # a vector that turns with the system is of degree 1; one that stays, of degree 0
    np.testing.assert_allclose(found[1, 1][0, :, 0], np.full(3, R @ R / 3), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found[0, 1][1, :, 0], [1, 0, 0], rtol=0, atol=1e-12)
    # a product of two has the parts of degree 0, 1 and 2 of a matrix; s_x r_y is half of each of the last two
    scalar, square = (R @ S / 3) ** 2, (R @ R) * (S @ S)
    cross = np.square(np.cross(R, S)).sum()
    np.testing.assert_allclose(found[0, 1][2, :, 0], [scalar, 0, 0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found[1, -1][2, :, 0], [0, cross / 12, cross / 12], rtol=0, atol=1e-12)
    # of a symmetric matrix without trace, an element on the diagonal has 2/15 of the sum of squares, others 1/10
    symmetric = 0.5 * (square + (R @ S) ** 2) - (R @ S) ** 2 / 3
    np.testing.assert_allclose(found[2, 1][2, :, 0], symmetric * np.array([2 / 15, 0.1, 0.1]), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (
            {"max_angular_momentum_character": -1},
            ValueError,
            "`max_angular_momentum_character` of zero or more, got -1",
        ),
        ({"max_angular_momentum_character": 1.0}, TypeError, "to be an integer, got float"),
        (
            {"max_angular_momentum_character": 2, "max_angular_momentum_grid": 3},
            ValueError,
            "expected `max_angular_momentum_grid` of at least twice `max_angular_momentum_character`, 4, got 3",
        ),
        (
            {"max_angular_momentum_character": 0, "include_inversion": False},
            ValueError,
            "told apart by parity, got False",
        ),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        SymmetrizedModel.wrap(wrap(NoLists()), **arguments)


def test_without_the_argument_there_are_none():
    assert not [name for name in SymmetrizedModel.wrap(wrap(NoLists())).capabilities().outputs if PROJECTION in name]
