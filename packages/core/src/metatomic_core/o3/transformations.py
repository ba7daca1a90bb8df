"""`O3Transformations`: rotations and improper rotations of systems and tensors, which scripted modules can call too."""

from typing import ClassVar, List, Optional

import torch
from metatensor.torch import LabelsEntry, TensorBlock, TensorMap

from metatomic_core.data.system import System
from metatomic_core.foundation.checks import check_type

from .turns import Turns, axis_kind, is_axial, known_axes, scaled, with_info


class O3Transformations(Turns):
    """Rotations and improper rotations, which act on systems, tensors, vectors and spherical components.

    Methods can be called in scripted modules, too.  Each ``inverse_transform_...`` undoes the ``transform_...`` of the
    same arguments.

    Parameters
    ----------
    matrices
        Orthogonal, shape (n, 3, 3), float32 or float64; they act on columns:
        ``positions @ matrix.T``.
    max_angular_momentum
        Highest degree of the spherical tensors that they can act on.

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If the matrices are of another shape or type, or not orthogonal, or the degree is negative.
    """

    __jit_unused_properties__: ClassVar[List[str]] = ["dtype", "device", "improper_mask"]

    @property
    def improper_mask(self) -> torch.Tensor:
        """Which of the transformations are improper, shape (n,), bool."""
        return self.signs < 0.0

    @property
    def dtype(self) -> torch.dtype:
        """Floating point type of the matrices."""
        return self.matrices.dtype

    @property
    def device(self) -> torch.device:
        """Device of the matrices."""
        return self.matrices.device

    def __len__(self) -> int:
        return self.matrices.size(0)

    def inverse_wigner_D_matrices(self, ell: int) -> torch.Tensor:  # noqa: N802
        """Give the inverses of `wigner_D_matrices`.

        Parameters
        ----------
        ell
            Degree.

        Returns
        -------
        torch.Tensor
            Shape (n, 2 ell + 1, 2 ell + 1).
        """
        return self.wigner_D_matrices(ell).transpose(1, 2)

    def transform_cartesian(self, vectors: torch.Tensor, add_inversion: bool = False) -> torch.Tensor:
        """Transform vectors.

        Parameters
        ----------
        vectors
            Shape (..., 3).
        add_inversion
            Whether to invert, too.

        Returns
        -------
        torch.Tensor
            Shape (..., 3), or (n, ..., 3) of n transformations.
        """
        return self.applied(self.cartesian(add_inversion, inverse=False), vectors)

    def inverse_transform_cartesian(self, vectors: torch.Tensor, add_inversion: bool = False) -> torch.Tensor:
        """Transform vectors back, see `transform_cartesian`.

        Parameters
        ----------
        vectors
            Shape (..., 3).
        add_inversion
            Whether to invert, too.

        Returns
        -------
        torch.Tensor
            Shape (..., 3), or (n, ..., 3) of n transformations.
        """
        return self.applied(self.cartesian(add_inversion, inverse=True), vectors)

    def transform_spherical(
        self, values: torch.Tensor, ell: int, sigma: int, add_inversion: bool = False
    ) -> torch.Tensor:
        """Transform spherical components.

        Parameters
        ----------
        values
            Shape (..., 2 ell + 1).
        ell, sigma
            Degree and parity: inversion multiplies with sigma (-1)^ell.
        add_inversion
            Whether to invert, too.

        Returns
        -------
        torch.Tensor
            Shape (..., 2 ell + 1), or (n, ..., 2 ell + 1) of n transformations.
        """
        return self.applied(self.spherical(ell, sigma, add_inversion, inverse=False), values)

    def inverse_transform_spherical(
        self, values: torch.Tensor, ell: int, sigma: int, add_inversion: bool = False
    ) -> torch.Tensor:
        """Transform spherical components back, see `transform_spherical`.

        Parameters
        ----------
        values
            Shape (..., 2 ell + 1).
        ell, sigma
            Degree and parity.
        add_inversion
            Whether to invert, too.

        Returns
        -------
        torch.Tensor
            Shape (..., 2 ell + 1), or (n, ..., 2 ell + 1) of n transformations.
        """
        return self.applied(self.spherical(ell, sigma, add_inversion, inverse=True), values)

    def transform_block(
        self,
        key: LabelsEntry,
        block: TensorBlock,
        system_ids: Optional[torch.Tensor] = None,
        add_inversion: bool = False,
    ) -> TensorBlock:
        """Transform a block and its gradients, see `transform_tensormap`.

        Parameters
        ----------
        key
            Key of the block.
        block
            The block.
        system_ids, add_inversion
            As for `transform_tensormap`.

        Returns
        -------
        TensorBlock
            A block with the same labels.
        """
        return self.turned_block(key, block, system_ids, add_inversion, inverse=False)

    def inverse_transform_block(
        self,
        key: LabelsEntry,
        block: TensorBlock,
        system_ids: Optional[torch.Tensor] = None,
        add_inversion: bool = False,
    ) -> TensorBlock:
        """Transform a block back, see `transform_block`.

        Parameters
        ----------
        key
            Key of the block.
        block
            The block.
        system_ids, add_inversion
            As for `transform_tensormap`.

        Returns
        -------
        TensorBlock
            A block with the same labels.
        """
        return self.turned_block(key, block, system_ids, add_inversion, inverse=True)

    def transform_tensormap(
        self, tensor: TensorMap, system_ids: Optional[torch.Tensor] = None, add_inversion: bool = False
    ) -> TensorMap:
        """Transform data of several systems, each by its own transformation, and their gradients.

        Parameters
        ----------
        tensor
            Data whose samples have ``system``: the number of the transformation.  It is not needed where there is one.
        system_ids
            The system of each transformation, if it is not its number.
        add_inversion
            Whether to invert, too.

        Returns
        -------
        TensorMap
            Data with the same labels.

        Raises
        ------
        ValueError
            If systems have no transformation, a component has another name than those above, keys miss degree or
            parity, or the degree is beyond the highest.
        """
        return self.turned_map(tensor, system_ids, add_inversion, inverse=False)

    def inverse_transform_tensormap(
        self, tensor: TensorMap, system_ids: Optional[torch.Tensor] = None, add_inversion: bool = False
    ) -> TensorMap:
        """Transform data back, see `transform_tensormap`.

        Parameters
        ----------
        tensor
            The data.
        system_ids, add_inversion
            As for `transform_tensormap`.

        Returns
        -------
        TensorMap
            Data with the same labels.
        """
        return self.turned_map(tensor, system_ids, add_inversion, inverse=True)

    def transform_systems(self, systems: List[System], add_inversion: bool = False) -> List[System]:
        """Transform systems, each by its own transformation: positions, cell, pair vectors and data, see `is_axial`.

        Parameters
        ----------
        systems
            One for each transformation, in their order.
        add_inversion
            Whether to invert, too.

        Returns
        -------
        list of System
            Their copies.

        Raises
        ------
        ValueError
            If there are more or fewer systems, or their data can not be transformed, see `transform_tensormap`.
        """
        return self._turned_systems(systems, add_inversion, inverse=False)

    def inverse_transform_systems(self, systems: List[System], add_inversion: bool = False) -> List[System]:
        """Transform systems back, see `transform_systems`.

        Parameters
        ----------
        systems
            One for each transformation, in their order.
        add_inversion
            Whether to invert, too.

        Returns
        -------
        list of System
            Their copies.
        """
        return self._turned_systems(systems, add_inversion, inverse=True)

    def _turned_systems(self, systems: List[System], add_inversion: bool, inverse: bool) -> List[System]:
        """Transform each system by its own transformation."""
        if len(systems) != self.matrices.size(0):
            raise ValueError(
                f"expected a system for each of {self.matrices.size(0)} transformations, got {len(systems)}"
            )
        matrices = self.cartesian(add_inversion, inverse)
        results: List[System] = []
        for i in range(len(systems)):
            old, across = systems[i], matrices[i].t()
            if old.positions.dtype != across.dtype:
                raise ValueError("expected systems of the floating point type of the transformations, got another one")
            new = System(old.types, old.positions @ across, old.cell @ across, old.pbc)
            for options in old.known_neighbor_lists():
                block = old.get_neighbor_list(options)
                vectors = (block.values.squeeze(-1) @ across).unsqueeze(-1)
                new.add_neighbor_list(options, TensorBlock(vectors, block.samples, block.components, block.properties))
            for name in old.known_data():
                new.add_data(name, self._turned_data(name, old.get_data(name), i, add_inversion, inverse))
            results.append(new)
        return results

    def _turned_data(self, name: str, tensor: TensorMap, number: int, add_inversion: bool, inverse: bool) -> TensorMap:
        """Transform the data of one system by the transformation of a number."""
        blocks: List[TensorBlock] = []
        for k in range(len(tensor.keys)):
            block = tensor.block_by_id(k)
            index = torch.full([len(block.samples)], number, dtype=torch.int64, device=block.values.device)
            turned = self.turned_rows(tensor.keys.entry(k), block, index, add_inversion, inverse)
            if is_axial(name) and (bool(self.signs[number] < 0.0) != add_inversion):
                for axis in known_axes(block):
                    if axis_kind(axis)[0] == "xyz":
                        turned = scaled(turned, -1.0)
            blocks.append(turned)
        return with_info(TensorMap(tensor.keys, blocks), tensor)


def random_transformations(
    n: int,
    max_angular_momentum: int = 0,
    *,
    device: torch.device,
    dtype: torch.dtype,
    add_inversions: bool = False,
    generator: Optional[torch.Generator] = None,
) -> O3Transformations:
    """Draw transformations, with the same probability for all rotations.

    Parameters
    ----------
    n
        How many.
    max_angular_momentum
        As for `O3Transformations`.
    device, dtype
        Of the matrices: float32 or float64.
    add_inversions
        Whether one of two, on the average, is improper.
    generator
        Source of random numbers; None for that of torch.

    Returns
    -------
    O3Transformations
        The transformations.

    Raises
    ------
    TypeError
        If the number is no integer.
    ValueError
        If it is less than one.
    """
    check_type("n", n, int, "an integer")
    if n < 1:
        raise ValueError(f"expected `n` of one or more, got {n}")
    # the direction of four normal numbers, as a quaternion (Shoemake, 1992)
    where = torch.device("cpu") if generator is None else generator.device
    drawn = torch.randn(n, 4, dtype=torch.float64, device=where, generator=generator)
    w, x, y, z = torch.nn.functional.normalize(drawn, dim=1).unbind(1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrices = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    if add_inversions:
        improper = torch.rand(n, dtype=torch.float64, device=where, generator=generator) < 0.5
        matrices = torch.where(improper.reshape(-1, 1, 1), -matrices, matrices)
    return O3Transformations(matrices.to(dtype=dtype, device=device), max_angular_momentum)
