"""`System`: the atoms that a model sees, with their neighbor lists and any further data.

The class is compiled by TorchScript and saved in every model file: its private attributes are part of the file format.
The checks of what it is given are in ``_system_checks`` and run in Python only.
"""

from typing import Any, Dict, List, Optional

import torch
from metatensor.torch import TensorBlock, TensorMap

from metatomic_core.foundation.torchscript import script_class

from .neighbors import NeighborListOptions, find_options
from .quantities import other_spelling
from .system_checks import (
    check_cell,
    check_data,
    check_neighbors,
    check_new_tensor,
    check_pbc,
    check_periodicity,
    check_positions,
    check_types,
    parse_to,
    scripted_to,
)


class System:
    """Atoms in a cell, as a model receives them.

    Parameters
    ----------
    types
        Shape (n_atoms,), integers: atomic numbers, or whatever the model calls its types.  Stored as int32.
    positions
        Shape (n_atoms, 3), floating point.
    cell
        Shape (3, 3), same dtype and device as ``positions``.  Rows are the cell vectors; zero along non-periodic
        directions.
    pbc
        Shape (3,), bool: in which directions the system is periodic.

    Raises
    ------
    ValueError
        If a shape, dtype or device is another one; if positions or cell are not finite; if a direction is periodic
        and has no cell vector, the periodic vectors are linearly dependent, or a non-periodic direction has a vector.

    Notes
    -----
    Positions and cell may require gradients.  Neighbor vectors are registered with `add_neighbor_list`.
    """

    def __init__(self, types: torch.Tensor, positions: torch.Tensor, cell: torch.Tensor, pbc: torch.Tensor):
        if not torch.jit.is_scripting():
            types = check_types(types)
            check_positions(positions, types)
            check_cell(cell, positions)
            check_pbc(pbc, positions)
            check_periodicity(cell, pbc)
        self._types = types
        self._positions = positions
        self._cell = cell
        self._pbc = pbc
        self._neighbor_options: List[NeighborListOptions] = []
        self._neighbor_lists: List[TensorBlock] = []
        self._data: Dict[str, TensorMap] = {}

    @property
    def types(self) -> torch.Tensor:
        """Atomic types, shape (n_atoms,), int32."""
        return self._types

    @types.setter
    def types(self, value: torch.Tensor) -> None:
        if not torch.jit.is_scripting():
            value = check_types(value)
            check_new_tensor("types", value, self._types)
        self._types = value

    @property
    def positions(self) -> torch.Tensor:
        """Positions, shape (n_atoms, 3)."""
        return self._positions

    @positions.setter
    def positions(self, value: torch.Tensor) -> None:
        if not torch.jit.is_scripting():
            check_positions(value, self._types)
            check_new_tensor("positions", value, self._positions)
        self._positions = value

    @property
    def cell(self) -> torch.Tensor:
        """Cell, shape (3, 3), vectors as rows."""
        return self._cell

    @cell.setter
    def cell(self, value: torch.Tensor) -> None:
        if not torch.jit.is_scripting():
            check_cell(value, self._positions)
            check_periodicity(value, self._pbc)
        self._cell = value

    @property
    def pbc(self) -> torch.Tensor:
        """Periodicity along the three cell vectors, shape (3,), bool."""
        return self._pbc

    @pbc.setter
    def pbc(self, value: torch.Tensor) -> None:
        if not torch.jit.is_scripting():
            check_pbc(value, self._positions)
            check_periodicity(self._cell, value)
        self._pbc = value

    @property
    def device(self) -> torch.device:
        """Device of all tensors of the system."""
        return self._positions.device

    @property
    def dtype(self) -> torch.dtype:
        """Floating point type of positions, cell and neighbor vectors."""
        return self._positions.dtype

    def __len__(self) -> int:
        return self._types.size(0)

    def add_neighbor_list(self, options: NeighborListOptions, neighbors: TensorBlock) -> None:
        """Register a neighbor list.

        Parameters
        ----------
        options
            The request which this list answers.
        neighbors
            Values of shape (n_pairs, 3, 1): the vectors ``positions[second] - positions[first] + shift @ cell``;
            samples first_atom, second_atom, cell_shift_a, cell_shift_b, cell_shift_c; component xyz = 0, 1, 2;
            property distance = 0.  For gradients it must be connected to positions and cell, see
            `register_autograd_neighbors`.

        Raises
        ------
        ValueError
            If the list is already there, or its metadata, dtype or device differ from what is said above.
        """
        if not torch.jit.is_scripting():
            check_neighbors(self.positions, self.cell, options, neighbors)
        if find_options(options, self._neighbor_options) is not None:
            raise ValueError("expected a new neighbor list for `options`, got one that this system already has")
        # new lists instead of `append`: the optimizing executor of TorchScript takes the empty lists made in `__init__`
        # for constants, shared by all systems
        self._neighbor_options = self._neighbor_options + [options]
        self._neighbor_lists = self._neighbor_lists + [neighbors]

    def get_neighbor_list(self, options: NeighborListOptions) -> TensorBlock:
        """Give the neighbor list that answers a request.

        Parameters
        ----------
        options
            The request; those who made it do not matter.

        Returns
        -------
        TensorBlock
            Vectors (n_pairs, 3, 1), in the length unit of the system.

        Raises
        ------
        ValueError
            If no such list was registered.
        """
        index = find_options(options, self._neighbor_options)
        if index is None:
            raise ValueError(
                f"expected a neighbor list that this system has, got cutoff={options.cutoff} "
                f"full_list={options.full_list} strict={options.strict}; is it part of the "
                "`requested_neighbor_lists` of the model?"
            )
        return self._neighbor_lists[index]

    def known_neighbor_lists(self) -> List[NeighborListOptions]:
        """List the neighbor lists of this system."""
        return self._neighbor_options

    def add_data(self, name: str, tensor: TensorMap, override: bool = False) -> None:
        """Attach data to the system: a standard quantity such as "mass", or ``domain::name``.

        Parameters
        ----------
        name
            Name of the data; either spelling of a standard quantity.
        tensor
            The data, same dtype and device as the system.  Its ``unit`` info, if set, is the unit of its values.
        override
            Replace data that is already there.

        Raises
        ------
        ValueError
            If the name is not valid or taken, or dtype or device are not those of the system.
        """
        if not torch.jit.is_scripting():
            check_data(self.positions, name, tensor)
        found = self._data_name(name)
        if found != "" and not override:
            raise ValueError(f"expected new data for `name`, got '{name}', which this system has; use `override`")
        data = self._data.copy()
        if found != "":
            # it may be there under the other spelling
            data.pop(found)
        data[name] = tensor
        self._data = data

    def get_data(self, name: str) -> TensorMap:
        """Give the data of this name, or of its other spelling.

        Parameters
        ----------
        name
            Name of the data.

        Returns
        -------
        TensorMap
            The data, as it was added.

        Raises
        ------
        ValueError
            If there is no such data.
        """
        found = self._data_name(name)
        if found == "":
            raise ValueError(f"expected the name of data in this system for `name`, got '{name}'")
        return self._data[found]

    def known_data(self) -> List[str]:
        """List the names of the data of this system."""
        return list(self._data.keys())

    def _data_name(self, name: str) -> str:
        if name in self._data:
            return name
        other = other_spelling(name)
        if other != "" and other in self._data:
            return other
        return ""

    def to(
        self,
        first: Any = None,
        second: Any = None,
        non_blocking: bool = False,
        dtype: Optional[torch.dtype] = None,
        device: Optional[torch.device] = None,
    ) -> "System":
        """Copy the system to another dtype or device.

        Parameters
        ----------
        first, second
            A dtype and a device, or one of them, in any order; the device may be a string.
        non_blocking
            As for ``torch.Tensor.to``.
        dtype, device
            The same, by keyword.

        Returns
        -------
        System
            The copy, with its neighbor lists and data.

        Raises
        ------
        TypeError, ValueError
            If an argument is neither a dtype nor a device, or given twice.
        """
        if torch.jit.is_scripting():
            dtype, device = scripted_to(first, second, dtype, device)
        else:
            dtype, device = parse_to(first, second, dtype, device)
        new_dtype = self._positions.dtype if dtype is None else dtype
        new_device = self._positions.device if device is None else device
        system = System(
            self._types.to(device=new_device, non_blocking=non_blocking),
            self._positions.to(dtype=new_dtype, device=new_device, non_blocking=non_blocking),
            self._cell.to(dtype=new_dtype, device=new_device, non_blocking=non_blocking),
            self._pbc.to(device=new_device, non_blocking=non_blocking),
        )
        options: List[NeighborListOptions] = []
        lists: List[TensorBlock] = []
        for i in range(len(self._neighbor_options)):
            options.append(self._neighbor_options[i])
            lists.append(self._neighbor_lists[i].to(dtype=new_dtype, device=new_device, non_blocking=non_blocking))
        data: Dict[str, TensorMap] = {}
        for name, tensor in self._data.items():
            data[name] = tensor.to(dtype=new_dtype, device=new_device, non_blocking=non_blocking)
        system._neighbor_options = options
        system._neighbor_lists = lists
        system._data = data
        return system

    @torch.jit.unused
    def __repr__(self) -> str:
        n_atoms = len(self)
        noun = "atom" if n_atoms == 1 else "atoms"
        if not bool(self._pbc.any()):
            return f"System with {n_atoms} {noun}, non periodic"
        rows = self._cell.detach().cpu().tolist()
        cell = ", ".join(f"[{', '.join(f'{x:g}' for x in row)}]" for row in rows)
        pbc = self._pbc.cpu().tolist()
        periodic = "periodic" if all(pbc) else f"pbc {pbc}"
        return f"System with {n_atoms} {noun}, {periodic} cell: [{cell}]"


script_class(System)
