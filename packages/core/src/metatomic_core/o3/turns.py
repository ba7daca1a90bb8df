"""Matrices that act on vectors and spherical components, on each row of a block by its own; scripted code.

What the axes of data stand for is told by their names: components ``xyz``, ``xyz_1``, ... are those of vectors;
``o3_mu``, ``o3_mu_1``, ... those of spherical tensors, whose keys have ``o3_lambda`` and ``o3_sigma`` with the same
end.
"""

from typing import List, Optional, Tuple

import torch
from metatensor.torch import LabelsEntry, TensorBlock, TensorMap

from metatomic_core.data.quantities import split_variant
from metatomic_core.foundation.checks import check_type

from .harmonics import wigner_matrices

# How far a matrix may be from orthogonal, for each type.
_TOLERANCES = {torch.float64: 1e-8, torch.float32: 1e-4}


def axis_kind(name: str) -> Tuple[str, str]:
    """Give what a component axis stands for, "xyz", "o3_mu" or nothing, and the end of its name."""
    for kind in ["xyz", "o3_mu"]:
        if name == kind:
            return kind, ""
        if name.startswith(kind + "_") and name[len(kind) + 1 :].isdigit():
            return kind, name[len(kind) :]
    return "", ""


def is_axial(name: str) -> bool:
    """Give whether vectors of a quantity are axial: inversion leaves them as they are, as those of all currents.

    Parameters
    ----------
    name
        Name of the quantity, with a variant or without.

    Returns
    -------
    bool
        True for magnetic moments, whose vectors are only in ``ase::initial_magmoms`` so far.
    """
    return split_variant(name)[0] == "ase::initial_magmoms"


def scaled(block: TensorBlock, factor: float) -> TensorBlock:
    """Multiply a block and its gradients."""
    result = TensorBlock(block.values * factor, block.samples, block.components, block.properties)
    for parameter in block.gradients_list():
        gradient = block.gradient(parameter)
        changed = TensorBlock(gradient.values * factor, gradient.samples, gradient.components, gradient.properties)
        result.add_gradient(parameter, changed)
    return result


def key_value(key: LabelsEntry, name: str, axis: str) -> int:
    """Give a value in the key of a block that has spherical components."""
    if name not in key.names:
        raise ValueError(f"expected '{name}' in the keys of a tensor with the component '{axis}', got none")
    return int(key[name])


def contracted(matrices: torch.Tensor, values: torch.Tensor, axis: int) -> torch.Tensor:
    """Multiply an axis of values (n, ...) with a matrix (n, d, d) for each row."""
    moved = values.movedim(axis, 1)
    product = torch.bmm(matrices, moved.reshape(moved.size(0), moved.size(1), -1))
    return product.reshape(moved.shape).movedim(1, axis)


def with_info(tensor: TensorMap, source: TensorMap) -> TensorMap:
    """Add the info of another tensor."""
    for name, value in source.info().items():
        tensor.set_info(name, value)
    return tensor


def known_axes(block: TensorBlock) -> List[str]:
    """Give the names of the components of a block; refuse those that are neither vectors nor spherical."""
    axes: List[str] = []
    for component in block.components:
        name = component.names[0]
        if axis_kind(name)[0] == "":
            raise ValueError(f"expected components named xyz or o3_mu, with a number or without, got '{name}'")
        axes.append(name)
    return axes


class Turns(torch.nn.Module):
    """What `O3Transformations` is made of."""

    # TorchScript needs the types of attributes that can not be inferred from their values
    matrices: torch.Tensor
    signs: torch.Tensor
    packed: torch.Tensor
    max_angular_momentum: int

    def __init__(self, matrices: torch.Tensor, max_angular_momentum: int):
        super().__init__()
        check_type("matrices", matrices, torch.Tensor, "a tensor")
        check_type("max_angular_momentum", max_angular_momentum, int, "an integer")
        if max_angular_momentum < 0:
            raise ValueError(f"expected `max_angular_momentum` of zero or more, got {max_angular_momentum}")
        if matrices.dim() != 3 or matrices.shape[1:] != (3, 3) or len(matrices) == 0:
            raise ValueError(f"expected `matrices` of the shape (n, 3, 3), got {tuple(matrices.shape)}")
        if matrices.dtype not in _TOLERANCES:
            raise ValueError(f"expected `matrices` of float32 or float64, got {matrices.dtype}")
        exact = matrices.detach().to(torch.float64)
        error = (exact @ exact.transpose(1, 2) - torch.eye(3, dtype=torch.float64, device=exact.device)).abs().max()
        if not float(error) <= _TOLERANCES[matrices.dtype]:
            raise ValueError(f"expected orthogonal `matrices`, got one whose rows are so by {float(error):.1g} only")
        signs = torch.where(torch.linalg.det(exact) < 0.0, -1.0, 1.0)
        self.max_angular_momentum = max_angular_momentum
        self.register_buffer("matrices", matrices.detach().clone())
        self.register_buffer("signs", signs.to(matrices.dtype))
        wigner = wigner_matrices(exact * signs.reshape(-1, 1, 1), max_angular_momentum)
        self.register_buffer("packed", torch.cat([each.flatten(1) for each in wigner], dim=1).to(matrices.dtype))

    def wigner_D_matrices(self, ell: int) -> torch.Tensor:  # noqa: N802  (the name in the literature)
        """Give the Wigner matrices of the rotations, without inversion; they act on components m = -l to l.

        Parameters
        ----------
        ell
            Degree.

        Returns
        -------
        torch.Tensor
            Shape (n, 2 ell + 1, 2 ell + 1).

        Raises
        ------
        ValueError
            If the degree is out of range.
        """
        if ell < 0 or ell > self.max_angular_momentum:
            raise ValueError(
                f"expected a degree between 0 and {self.max_angular_momentum}, got {ell}; raise `max_angular_momentum`"
            )
        start = ell * (4 * ell * ell - 1) // 3
        size = 2 * ell + 1
        return self.packed[:, start : start + size * size].reshape(-1, size, size)

    def cartesian(self, add_inversion: bool, inverse: bool) -> torch.Tensor:
        """Give the matrices that act on vectors, shape (n, 3, 3)."""
        matrices = self.matrices.transpose(1, 2) if inverse else self.matrices
        return -matrices if add_inversion else matrices

    def spherical(self, ell: int, sigma: int, add_inversion: bool, inverse: bool) -> torch.Tensor:
        """Give the matrices that act on spherical components, shape (n, 2 ell + 1, 2 ell + 1)."""
        if sigma != 1 and sigma != -1:
            raise ValueError(f"expected 1 or -1 for the parity of spherical tensors, got {sigma}")
        wigner = self.wigner_D_matrices(ell)
        if inverse:
            wigner = wigner.transpose(1, 2)
        signs = -self.signs if add_inversion else self.signs
        parity = float(sigma if ell % 2 == 0 else -sigma)
        factors = torch.where(signs < 0.0, torch.full_like(signs, parity), torch.ones_like(signs))
        return wigner * factors.reshape(-1, 1, 1)

    def applied(self, matrices: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Multiply the last axis of values with each matrix; a new first axis for several of them."""
        size = matrices.size(1)
        if values.dim() == 0 or values.size(-1) != size:
            raise ValueError(f"expected values with a last axis of {size}, got the shape {list(values.size())}")
        if values.dtype != matrices.dtype:
            raise ValueError("expected values of the floating point type of the transformations, got another one")
        product = torch.matmul(values.reshape(1, -1, size), matrices.transpose(1, 2))
        shape = list(values.size())
        if matrices.size(0) > 1:
            shape = [matrices.size(0)] + shape
        return product.reshape(shape)

    def turned(
        self,
        values: torch.Tensor,
        axes: List[str],
        key: LabelsEntry,
        index: torch.Tensor,
        add_inversion: bool,
        inverse: bool,
    ) -> torch.Tensor:
        """Transform values (n_rows, components..., n_properties), each row by the transformation of its index."""
        for i in range(len(axes)):
            kind, end = axis_kind(axes[i])
            if kind == "xyz":
                matrices = self.cartesian(add_inversion, inverse)
                values = contracted(matrices.index_select(0, index).to(values.dtype), values, i + 1)
            elif kind == "o3_mu":
                ell = key_value(key, "o3_lambda" + end, axes[i])
                sigma = key_value(key, "o3_sigma" + end, axes[i])
                matrices = self.spherical(ell, sigma, add_inversion, inverse)
                values = contracted(matrices.index_select(0, index).to(values.dtype), values, i + 1)
        return values

    def index_of(self, block: TensorBlock, system_ids: Optional[torch.Tensor]) -> torch.Tensor:
        """Give the number of the transformation for each row of a block."""
        samples = block.samples
        n = self.matrices.size(0)
        device = block.values.device
        if n == 1:
            return torch.zeros(len(samples), dtype=torch.int64, device=device)
        if "system" not in samples.names:
            raise ValueError("expected samples with 'system', which says how each row is transformed, got others")
        labels = samples.column("system").to(torch.int64)
        if system_ids is not None:
            if system_ids.dim() != 1 or system_ids.size(0) != n:
                raise ValueError(
                    f"expected `system_ids` for each of {n} transformations, got {list(system_ids.size())}"
                )
            found = labels.unsqueeze(1) == system_ids.to(torch.int64).unsqueeze(0)
            if not bool((found.sum(1) == 1).all()):
                raise ValueError("expected systems that are once in `system_ids` in the samples, got others")
            return found.to(torch.int64).argmax(1)
        if len(labels) > 0 and (int(labels.min()) < 0 or int(labels.max()) >= n):
            raise ValueError(f"expected systems between 0 and {n - 1} in the samples, got others; give `system_ids`")
        return labels

    def turned_block(
        self,
        key: LabelsEntry,
        block: TensorBlock,
        system_ids: Optional[torch.Tensor],
        add_inversion: bool,
        inverse: bool,
    ) -> TensorBlock:
        """Transform a block and its gradients, each row by the transformation of its system."""
        return self.turned_rows(key, block, self.index_of(block, system_ids), add_inversion, inverse)

    def turned_rows(
        self, key: LabelsEntry, block: TensorBlock, index: torch.Tensor, add_inversion: bool, inverse: bool
    ) -> TensorBlock:
        """Transform a block and its gradients, each row by the transformation of its index."""
        values = self.turned(block.values, known_axes(block), key, index, add_inversion, inverse)
        result = TensorBlock(values, block.samples, block.components, block.properties)
        for parameter in block.gradients_list():
            gradient = block.gradient(parameter)
            rows = index.index_select(0, gradient.samples.column("sample").to(torch.int64))
            changed = self.turned(gradient.values, known_axes(gradient), key, rows, add_inversion, inverse)
            result.add_gradient(
                parameter, TensorBlock(changed, gradient.samples, gradient.components, gradient.properties)
            )
        return result

    def turned_map(
        self, tensor: TensorMap, system_ids: Optional[torch.Tensor], add_inversion: bool, inverse: bool
    ) -> TensorMap:
        """Transform all blocks."""
        blocks: List[TensorBlock] = []
        for i in range(len(tensor.keys)):
            block = tensor.block_by_id(i)
            blocks.append(self.turned_block(tensor.keys.entry(i), block, system_ids, add_inversion, inverse))
        return with_info(TensorMap(tensor.keys, blocks), tensor)
