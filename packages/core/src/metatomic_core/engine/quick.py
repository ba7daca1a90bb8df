"""The short way around a kernel that takes plain tensors: no TorchScript, and nothing twice that has not changed.

For what engines ask at each step: energies, forces, virials and stresses of one structure or several, from one energy,
without inputs or selected atoms, on the CPU. Everything else takes the way through the model. What is kept between
calls is kept by value: arrays may change in place.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch

from metatomic_core.data.checks import DTYPES
from metatomic_core.kernels import Kernel
from metatomic_core.model.atomistic_model import AtomisticModel
from metatomic_core.neighbor_lists import Geometry, Joined, NeighborSlots
from metatomic_core.pipeline.consistency import check_types
from metatomic_core.pipeline.derivatives import products
from metatomic_core.pipeline.finish import volumes_of
from metatomic_core.pipeline.pairs import check_atoms
from metatomic_core.pipeline.results import Needs, needs_of, result_table
from metatomic_core.tracing.runner import Question, Runnable
from metatomic_core.units import conversion_factor, unit_table

from .calls import Call
from .structures import Structure, geometry_of, types_of

_TABLE = result_table()
_Made = TypeVar("_Made")


class _Kept(Generic[_Made]):
    """What was made last, and from which values."""

    def __init__(self) -> None:
        self._key: Any = None
        self._made: _Made | None = None

    def get(self, key: Any, make: Callable[[], _Made]) -> _Made:
        if self._made is None or key != self._key:
            # in this order: nothing wrong is kept where it fails
            self._made, self._key = make(), key
        return self._made


class _Atoms(NamedTuple):
    """What follows from types."""

    types: torch.Tensor
    structure: torch.Tensor
    structures: torch.Tensor
    n_atoms: list[int]


class _Cells(NamedTuple):
    """What follows from cells and periodicities: for the model those of the first structure, for volumes of all."""

    model: torch.Tensor
    pbc: torch.Tensor
    engine: torch.Tensor
    all_pbc: torch.Tensor


class QuickProgram(NamedTuple):
    """A program that gives results of some kinds, and what the short way has to know of it.

    Attributes
    ----------
    runnable
        The program.
    joins
        Whether it takes several structures joined to one.
    with_positions, with_shifts
        Whether it reads positions, and cell shifts of pairs.
    needs
        What the results take of the energy.
    length, energy
        Lengths of the model = length * lengths of the engine; energies of the engine = energy * energies of the model.
    """

    runnable: Runnable
    joins: bool
    with_positions: bool
    with_shifts: bool
    needs: Needs
    length: float
    energy: float


class Quick:
    """Evaluates structures with programs of a kernel; as an `Engine` does in other ways.

    Parameters
    ----------
    model
        The model.
    neighbors
        The lists that the engine keeps.
    units
        Length and energy of the engine.
    device
        Where the model is.
    """

    def __init__(self, model: AtomisticModel, neighbors: NeighborSlots, units: tuple[str, str], device: str):
        self._capabilities = model.capabilities()
        self._known_types = torch.tensor(self._capabilities.atomic_types, dtype=torch.int32)
        self._dtype = DTYPES[self._capabilities.dtype]
        self._n_lists = len(model.requested_neighbor_lists())
        self._serves = len(model.requested_inputs()) == 0 and torch.device(device).type == "cpu"
        self._neighbors = neighbors
        self._units = units
        self._atoms: _Kept[_Atoms] = _Kept()
        self._cells: _Kept[_Cells] = _Kept()
        self._volumes: _Kept[np.ndarray] = _Kept()
        self._programs: dict[tuple[tuple[str, str], ...], QuickProgram | None] = {}

    def program(self, kernel: Kernel, n_structures: int, call: Call) -> QuickProgram | None:
        """Give what answers a call, or None where that takes the long way.

        Parameters
        ----------
        kernel
            The kernel of the engine, always the same one, which lacks nothing of the call.
        n_structures
            Number of structures.
        call
            What is asked.
        """
        if not self._serves or call.outputs or call.jacobians or call.selected_atoms is not None:
            return None
        key = tuple(call.request.items())
        if key not in self._programs:
            self._programs[key] = self._found(kernel, call.request)
        found = self._programs[key]
        return found if found is not None and (n_structures == 1 or (found.joins and n_structures > 1)) else None

    def _found(self, kernel: Kernel, request: Mapping[str, str]) -> QuickProgram | None:
        """Look for a program that takes nothing but what is known here, and gives what is wanted."""
        needs = needs_of(dict(request), _TABLE)
        if set(request.values()) != {needs.energy} or needs.pairs:
            return None
        runnable, record = kernel.program(Question(needs, request, {}), selects=False)
        reads = {row.name: row.dtype for row in runnable.inputs}
        if not reads.items() <= self._offered().items():
            return None
        capabilities, table = self._capabilities, unit_table()
        return QuickProgram(
            runnable,
            record.joins,
            "positions" in reads,
            any(name.startswith("shifts") for name in reads),
            needs,
            conversion_factor(self._units[0], capabilities.length_unit, "length", table),
            conversion_factor(capabilities.outputs[needs.energy].unit, self._units[1], "energy", table),
        )

    def _offered(self) -> dict[str, str]:
        """Give the types of all that there is for programs."""
        dtype = str(self._dtype).removeprefix("torch.")
        offered = {"types": "int32", "structure": "int64", "structures": "float64", "pbc": "bool"}
        offered.update(positions=dtype, cell=dtype)
        for k in range(self._n_lists):
            offered.update(
                {f"first_{k}": "int64", f"second_{k}": "int64", f"shifts_{k}": "int32", f"vectors_{k}": dtype}
            )
        return offered

    def evaluate(
        self,
        program: QuickProgram,
        structures: Sequence[Structure],
        slots: Sequence[int] | None,
        request: Mapping[str, str],
    ) -> tuple[dict[str, np.ndarray], float]:
        """Evaluate structures.

        Parameters
        ----------
        program
            What `program` gives for the request.
        structures, slots
            As for `Engine.evaluate`.
        request
            Results, each with the output that it is made from.

        Returns
        -------
        dict of numpy.ndarray
            The results, float64, in the units of the engine.
        float
            Time at which the pairs were found, by ``time.perf_counter``.

        Raises
        ------
        TypeError, ValueError
            If a structure is not what the model can work with.
        """
        length = program.length
        geometries = [geometry_of(structure, i) for i, structure in enumerate(structures)]
        atoms = self._atoms.get([_key(structure.types) for structure in structures], lambda: self._atoms_of(structures))
        pairs = self._neighbors.joined(geometries, slots, program.with_shifts, length)
        for column in (*pairs.first, *pairs.second):
            check_atoms(column, len(atoms.types))
        found = time.perf_counter()
        key = [(cell.tobytes(), pbc.tobytes(), length) for _, cell, pbc in geometries]
        cells = self._cells.get(key, lambda: self._cells_of(geometries, length))
        given = {"types": atoms.types, "structure": atoms.structure, "structures": atoms.structures}
        given.update(self._pair_tensors(pairs), cell=cells.model, pbc=cells.pbc)
        if program.with_positions:
            # a copy: what is the caller's may not be writeable, which torch warns of
            points = torch.from_numpy(np.concatenate([positions for positions, _, _ in geometries]))
            given["positions"] = (points * length).to(self._dtype)
        runnable = program.runnable
        returned = runnable.run([given[row.name] for row in runnable.inputs])
        values = {row.name: tensor for row, tensor in zip(runnable.outputs, returned, strict=True)}
        if program.needs.cells and "virial" not in values:
            values["virial"] = _virial(values, pairs, given)
        results = {}
        for result in request:
            if _TABLE[result].over_volume:
                volumes = self._volumes.get((key, result), partial(_volumes, cells, result))
                results[result] = values["virial"].numpy() * -program.energy / volumes
            else:
                results[result] = _of_engine(result, values, atoms, program)
        return results, found

    def _atoms_of(self, structures: Sequence[Structure]) -> _Atoms:
        arrays = [types_of(structure, i) for i, structure in enumerate(structures)]
        n_atoms = [len(types) for types in arrays]
        types = torch.from_numpy(np.concatenate(arrays))
        check_types(types, n_atoms, self._known_types)
        structure = torch.from_numpy(np.repeat(np.arange(len(arrays)), n_atoms))
        return _Atoms(types, structure, torch.zeros(len(arrays), dtype=torch.float64), n_atoms)

    def _cells_of(self, geometries: Sequence[Geometry], length: float) -> _Cells:
        engine = torch.from_numpy(np.stack([cell for _, cell, _ in geometries]))
        pbc = torch.from_numpy(np.stack([pbc for _, _, pbc in geometries]))
        # a program that looks at them takes one structure
        model = (engine[0] * pbc[0].unsqueeze(1) * length).to(self._dtype)
        return _Cells(model, pbc[0], engine, pbc)

    def _pair_tensors(self, pairs: Joined) -> dict[str, torch.Tensor]:
        """Give what a kernel may read of the pairs."""
        tensors = {}
        for k in range(self._n_lists):
            tensors[f"first_{k}"], tensors[f"second_{k}"] = pairs.first[k], pairs.second[k]
            tensors[f"vectors_{k}"] = pairs.vectors[k].to(self._dtype)
            shifts = pairs.shifts[k]
            if shifts is not None:
                tensors[f"shifts_{k}"] = shifts
        return tensors


def _key(types: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    array = np.asarray(types)
    return array.dtype.str, array.shape, array.tobytes()


def _of_engine(result: str, values: Mapping[str, torch.Tensor], atoms: _Atoms, program: QuickProgram) -> np.ndarray:
    """Give a result that is not per volume in the units of the engine."""
    factor = program.energy
    if _TABLE[result].derivative == "positions":
        # dE/dr_engine = dE/dr_model * (dr_model/dr_engine)
        factor *= program.length
    if result in values:
        of_model = values[result].numpy()
    else:
        # energies of structures from those of their atoms
        of_atoms = values["atomic_energies"].numpy()
        if len(atoms.n_atoms) == 1:
            of_model = of_atoms.sum(keepdims=True)
        else:
            of_model = np.bincount(atoms.structure.numpy(), weights=of_atoms, minlength=len(atoms.n_atoms))
    return of_model if factor == 1.0 else of_model * factor


def _virial(values: Mapping[str, torch.Tensor], pairs: Joined, given: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Give -dE/dstrain, shape (n_structures, 3, 3), float64, all of which is owed to pair vectors."""
    strain = torch.zeros(len(given["structures"]), 3, 3, dtype=torch.float64)
    for k, n_pairs in enumerate(pairs.n_pairs):
        if f"dvectors_{k}" in values:
            gradients = values[f"dvectors_{k}"].to(torch.float64)
            strain = strain + products(given[f"vectors_{k}"], gradients, n_pairs)
    return -strain


def _volumes(cells: _Cells, result: str) -> np.ndarray:
    """Give volumes of structures, shape (n_structures, 1, 1), in the unit of the engine; NaN for those without."""
    found: np.ndarray = volumes_of(cells.engine, cells.all_pbc, result, all_of_them=False).numpy()
    return found
