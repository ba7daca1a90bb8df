"""Grids of rotations, Wigner matrices and transformations, against spherical harmonics and rotations of SciPy."""

import subprocess
import sys
from typing import List

import numpy as np
import pytest
import torch
from metatensor.torch import Labels, TensorBlock, TensorMap
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y

from metatomic_core import NeighborListOptions, System
from metatomic_core.o3 import O3Transformations, random_transformations, rotation_grid

L_MAX = 5
SIZES = {0: 1, 1: 4, 2: 12, 3: 24, 4: 60, 5: 60, 6: 196, 9: 500}


def rotations(n, seed=0, improper=()):
    """Give random rotations of SciPy, some of them with inversion."""
    matrices = Rotation.random(n, random_state=seed).as_matrix()
    matrices[list(improper)] *= -1
    return torch.tensor(matrices)


def labels(name, n, first=0):
    return Labels([name], torch.arange(first, first + n).reshape(-1, 1))


def real_harmonics(degree, points):
    """Give real spherical harmonics of SciPy's complex ones, m = -l to l, without the phase (-1)^m."""
    theta, phi = np.arccos(points[:, 2]), np.arctan2(points[:, 1], points[:, 0])
    found = []
    for m in range(-degree, degree + 1):
        value = (-1.0) ** m * sph_harm_y(degree, abs(m), theta, phi)
        found.append(value.real if m == 0 else np.sqrt(2) * (value.real if m > 0 else value.imag))
    return np.stack(found, axis=1)


@pytest.mark.parametrize("degree", SIZES)
def test_grid_is_exact_up_to_its_degree(degree):
    matrices, weights = (tensor.numpy() for tensor in rotation_grid(degree))
    assert matrices.shape == (SIZES[degree], 3, 3)
    np.testing.assert_allclose(
        matrices @ matrices.transpose(0, 2, 1), np.tile(np.eye(3), (len(matrices), 1, 1)), atol=1e-14
    )
    np.testing.assert_allclose(np.linalg.det(matrices), 1.0, atol=1e-13)
    assert weights.min() > 0
    assert weights.sum() == pytest.approx(1.0, abs=1e-14)
    # the square of the average of all elements of Wigner matrices of a degree is that of its character
    traces = np.einsum("aij,bij->ab", matrices, matrices)
    angles = np.arccos(np.clip((traces - 1) / 2, -1, 1))
    for l in range(1, degree + 1):  # noqa: E741  (the name in all textbooks)
        characters = 1 + 2 * sum(np.cos(k * angles) for k in range(1, l + 1))
        assert abs(weights @ characters @ weights) < 1e-11, l


def test_grid_has_no_axis_of_the_coordinates():
    for degree in (1, 3, 5, 7):
        elements = rotation_grid(degree)[0].abs()
        assert float(elements.max()) < 0.9999


@pytest.mark.parametrize(("degree", "error"), [(-1, ValueError), (65, ValueError), (3.0, TypeError), (True, TypeError)])
def test_grid_of_no_degree_is_refused(degree, error):
    with pytest.raises(error, match="expected `degree`"):
        rotation_grid(degree)


def test_wigner_matrices_rotate_spherical_harmonics():
    matrices = rotations(6, improper=[1, 4])
    transformations = O3Transformations(matrices, L_MAX)
    points = np.random.default_rng(1).normal(size=(20, 3))
    points /= np.linalg.norm(points, axis=1)[:, None]
    for degree in range(L_MAX + 1):
        before = real_harmonics(degree, points)
        found = transformations.transform_spherical(torch.tensor(before), degree, 1).numpy()
        # harmonics of turned points, those of inversion included
        expected = np.stack([real_harmonics(degree, points @ matrix.T) for matrix in matrices.numpy()])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
        pseudo = transformations.transform_spherical(torch.tensor(before), degree, -1).numpy()
        signs = np.where(transformations.improper_mask.numpy(), -1.0, 1.0)[:, None, None]
        np.testing.assert_allclose(pseudo, signs * expected, rtol=0, atol=1e-12)
        back = transformations.inverse_wigner_D_matrices(degree) @ transformations.wigner_D_matrices(degree)
        np.testing.assert_allclose(back.numpy(), np.tile(np.eye(2 * degree + 1), (6, 1, 1)), atol=1e-12)


def test_vectors_are_multiplied():
    matrices, vectors = rotations(3, improper=[2]), torch.randn(4, 2, 3, dtype=torch.float64)
    transformations = O3Transformations(matrices, 0)
    found = transformations.transform_cartesian(vectors)
    np.testing.assert_allclose(found, np.einsum("nab,ijb->nija", matrices, vectors), atol=1e-14)
    one = O3Transformations(matrices[:1], 0)
    back = one.inverse_transform_cartesian(one.transform_cartesian(vectors, add_inversion=True), add_inversion=True)
    np.testing.assert_allclose(back, vectors, atol=1e-14)
    # a degree of one is a vector: y, z, x
    first = O3Transformations(matrices, 1)
    turned = first.transform_spherical(vectors.roll(-1, dims=2), 1, 1)
    np.testing.assert_allclose(turned, found.roll(-1, dims=3), atol=1e-14)


def test_maps_are_transformed_by_the_names_of_their_axes():
    matrices = rotations(3, improper=[1])
    transformations = O3Transformations(matrices, 2)
    rng = np.random.default_rng(2)
    samples = Labels(["system", "atom"], torch.tensor([[7, 0], [5, 0], [7, 1], [9, 0]]))
    rows, ids = [1, 0, 1, 2], torch.tensor([5, 7, 9])
    keys = Labels(["o3_lambda", "o3_sigma"], torch.tensor([[2, -1]]))
    values = rng.normal(size=(4, 3, 3, 5, 2))
    components = [labels("xyz_1", 3), labels("xyz_2", 3), labels("o3_mu", 5, -2)]
    block = TensorBlock(torch.tensor(values), samples, components, labels("p", 2))
    gradient = rng.normal(size=(2, 3, 3, 3, 5, 2))
    of = Labels(["sample", "atom"], torch.tensor([[3, 0], [0, 0]]))
    block.add_gradient(
        "positions", TensorBlock(torch.tensor(gradient), of, [labels("xyz", 3), *components], labels("p", 2))
    )
    tensor = TensorMap(keys, [block])
    tensor.set_info("unit", "eV")
    found = transformations.transform_tensormap(tensor, ids)
    assert found.get_info("unit") == "eV"
    r = matrices.numpy()[rows]
    wigner = transformations.wigner_D_matrices(2).numpy() * np.array([1.0, -1.0, 1.0])[:, None, None]
    expected = np.einsum("nab,ncd,nef,nbdfp->nacep", r, r, wigner[rows], values)
    np.testing.assert_allclose(found.block().values, expected, atol=1e-13)
    r, d = matrices.numpy()[[2, 1]], wigner[[2, 1]]
    expected = np.einsum("ngh,nab,ncd,nef,nhbdfp->ngacep", r, r, r, d, gradient)
    np.testing.assert_allclose(found.block().gradient("positions").values, expected, atol=1e-13)
    back = transformations.inverse_transform_tensormap(found, ids)
    np.testing.assert_allclose(back.block().values, values, atol=1e-13)
    again = transformations.inverse_transform_block(keys.entry(0), found.block(), ids)
    np.testing.assert_allclose(again.values, values, atol=1e-13)


def system():
    """Give a system with a list, a vector for each atom and a scalar."""
    rng = np.random.default_rng(3)
    cell, positions = torch.tensor(rng.normal(size=(3, 3))), torch.tensor(rng.normal(size=(2, 3)))
    made = System(torch.tensor([1, 8]), positions, cell, torch.tensor([True, True, True]))
    pairs = torch.tensor([[0, 1, 1, -2, 0]])
    vectors = positions[1:] - positions[:1] + torch.tensor([[1.0, -2.0, 0.0]], dtype=torch.float64) @ cell
    names = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]
    block = TensorBlock(vectors.unsqueeze(2), Labels(names, pairs), [labels("xyz", 3)], labels("distance", 1))
    made.add_neighbor_list(NeighborListOptions(9.0, full_list=False, strict=True), block)
    atoms = Labels(["system", "atom"], torch.tensor([[0, 0], [0, 1]]))
    velocity = TensorBlock(torch.tensor(rng.normal(size=(2, 3, 1))), atoms, [labels("xyz", 3)], labels("velocity", 1))
    made.add_data("velocity", TensorMap(labels("_", 1), [velocity]))
    mass = TensorBlock(torch.tensor([[1.0], [16.0]], dtype=torch.float64), atoms, [], labels("mass", 1))
    made.add_data("mass", TensorMap(labels("_", 1), [mass]))
    return made


class Scripted(torch.nn.Module):
    """Calls the methods in TorchScript."""

    def __init__(self, transformations: O3Transformations):
        super().__init__()
        self.transformations = transformations

    def forward(self, systems: List[System]) -> List[System]:
        return self.transformations.transform_systems(systems, add_inversion=True)


@pytest.mark.parametrize("scripted", [False, True])
def test_systems_are_transformed_with_their_lists_and_data(scripted):
    matrices, original = rotations(2), system()
    module = Scripted(O3Transformations(matrices, 0))
    turned = (torch.jit.script(module) if scripted else module)([original, original])
    options = NeighborListOptions(9.0, full_list=False, strict=True)
    for one, matrix in zip(turned, -matrices, strict=True):
        np.testing.assert_allclose(one.positions, original.positions @ matrix.T, atol=1e-14)
        np.testing.assert_allclose(one.cell, original.cell @ matrix.T, atol=1e-14)
        vectors = one.get_neighbor_list(options).values.squeeze(2)
        np.testing.assert_allclose(vectors[0], one.positions[1] - one.positions[0] + one.cell[0] - 2 * one.cell[1])
        velocity = original.get_data("velocity").block().values.squeeze(2)
        np.testing.assert_allclose(one.get_data("velocity").block().values.squeeze(2), velocity @ matrix.T, atol=1e-14)
        np.testing.assert_array_equal(one.get_data("mass").block().values.reshape(-1), [1.0, 16.0])
    back = module.transformations.inverse_transform_systems(turned, add_inversion=True)
    np.testing.assert_allclose(back[1].positions, original.positions, atol=1e-14)


def test_magnetic_moments_are_axial():
    """The moment r x v of a charge that moves turns as its position and its velocity say."""
    matrices = rotations(2, improper=[1])
    place, speed = torch.tensor([[0.3, -1.0, 2.0]]).double(), torch.tensor([[1.0, 0.7, -0.4]]).double()
    xyz = [labels("xyz", 3)]
    for add_inversion in (False, True):
        originals = []
        for _ in matrices:
            one = System(torch.tensor([1]), place, torch.zeros(3, 3).double(), torch.zeros(3, dtype=torch.bool))
            samples = Labels(["system", "atom"], torch.tensor([[0, 0]]))
            moment = torch.linalg.cross(place, speed).unsqueeze(2)
            block = TensorBlock(moment, samples, xyz, labels("moment", 1))
            one.add_data("ase::initial_magmoms", TensorMap(labels("_", 1), [block]))
            originals.append(one)
        transformations = O3Transformations(matrices, 0)
        turned = transformations.transform_systems(originals, add_inversion=add_inversion)
        for one, matrix in zip(turned, -matrices if add_inversion else matrices, strict=True):
            expected = torch.linalg.cross(place @ matrix.T, speed @ matrix.T)
            found = one.get_data("ase::initial_magmoms").block().values.squeeze(2)
            np.testing.assert_allclose(found, expected, atol=1e-14)
        back = transformations.inverse_transform_systems(turned, add_inversion=add_inversion)
        for one in back:
            found = one.get_data("ase::initial_magmoms").block().values.squeeze(2)
            np.testing.assert_allclose(found, torch.linalg.cross(place, speed), atol=1e-14)


def test_random_transformations_are_of_all_rotations():
    generator = torch.Generator().manual_seed(4)
    found = random_transformations(
        20000, 1, device=torch.device("cpu"), dtype=torch.float64, add_inversions=True, generator=generator
    )
    assert len(found) == 20000
    assert found.improper_mask.double().mean().item() == pytest.approx(0.5, abs=0.02)
    # averages of elements, and of their products, over the group
    matrices = found.matrices * torch.linalg.det(found.matrices).reshape(-1, 1, 1)
    assert float(matrices.mean(0).abs().max()) < 0.02
    squares = torch.einsum("nij,nkl->ijkl", matrices, matrices) / len(matrices)
    expected = torch.einsum("ik,jl->ijkl", torch.eye(3), torch.eye(3)) / 3
    assert float((squares - expected).abs().max()) < 0.02
    single = random_transformations(2, device="cpu", dtype=torch.float32)
    assert single.dtype == torch.float32
    assert single.device == torch.device("cpu")


def test_wrong_arguments_are_refused():
    eye = torch.eye(3, dtype=torch.float64).unsqueeze(0)
    for matrices, degree, text in (
        (2 * eye, 0, "expected orthogonal `matrices`"),
        (eye[0], 0, r"expected `matrices` of the shape \(n, 3, 3\), got \(3, 3\)"),
        (eye.half(), 0, "expected `matrices` of float32 or float64"),
        (eye, -1, "expected `max_angular_momentum` of zero or more, got -1"),
    ):
        with pytest.raises(ValueError, match=text):
            O3Transformations(matrices, degree)
    with pytest.raises(ValueError, match="expected `n` of one or more, got 0"):
        random_transformations(0, device="cpu", dtype=torch.float64)
    transformations = O3Transformations(eye.repeat(2, 1, 1), 1)
    with pytest.raises(ValueError, match="expected a degree between 0 and 1, got 2"):
        transformations.transform_spherical(torch.zeros(5, dtype=torch.float64), 2, 1)
    with pytest.raises(ValueError, match="expected 1 or -1 for the parity of spherical tensors, got 0"):
        transformations.transform_spherical(torch.zeros(3, dtype=torch.float64), 1, 0)
    with pytest.raises(ValueError, match="expected values with a last axis of 3"):
        transformations.transform_cartesian(torch.zeros(2, dtype=torch.float64))
    with pytest.raises(ValueError, match="expected a system for each of 2 transformations, got 1"):
        transformations.transform_systems([system()])
    with pytest.raises(ValueError, match="floating point type of the transformations"):
        transformations.transform_systems([system().to(torch.float32)] * 2)


def test_maps_of_unknown_axes_are_refused():
    transformations = O3Transformations(rotations(2), 1)

    def of(axis, samples="system", system=0):
        block = TensorBlock(torch.zeros(1, 3, 1), Labels([samples], torch.tensor([[system]])), [axis], labels("p", 1))
        return TensorMap(labels("_", 1), [block])

    for tensor, text in (
        (of(labels("abc", 3)), "expected components named xyz or o3_mu, with a number or without, got 'abc'"),
        (of(labels("o3_mu", 3)), "expected 'o3_lambda' in the keys of a tensor with the component 'o3_mu'"),
        (of(labels("xyz", 3), "atom"), "expected samples with 'system'"),
        (of(labels("xyz", 3), system=2), "expected systems between 0 and 1 in the samples"),
    ):
        with pytest.raises(ValueError, match=text):
            transformations.transform_tensormap(tensor)
    with pytest.raises(ValueError, match="expected `system_ids` for each of 2 transformations"):
        transformations.transform_tensormap(of(labels("xyz", 3)), torch.tensor([0]))
    with pytest.raises(ValueError, match="expected systems that are once in `system_ids`"):
        transformations.transform_tensormap(of(labels("xyz", 3)), torch.tensor([1, 2]))


def test_programs_find_the_module_by_its_other_name():
    code = (
        "from metatomic_core.foreign.stand_in import stand_in\n"
        "stand_in()\n"
        "from metatomic.torch.o3 import O3Transformations, SymmetrizedModel, random_transformations\n"
        "from metatomic.torch.heat_flux import HeatFlux\n"
        "import metatomic.torch as mta, metatomic_core.o3\n"
        "assert mta.o3.O3Transformations is metatomic_core.o3.O3Transformations is O3Transformations\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
