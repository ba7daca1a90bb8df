"""Positions, cells, periodicity, species, and the order of atoms."""

import dataclasses

import numpy as np
from zoo.adapters.base import Broken, permuted
from zoo.adapters.broken_pairs import TamperedPairs

from metatomic_core.testing.parameters import TYPES


class SinglePrecisionPositions(Broken):
    """Positions go through single precision."""

    def structure(self, structure, request):
        return dataclasses.replace(structure, positions=structure.positions.astype(np.float32).astype(float))


class RoundedForTheModel(Broken):
    """Positions are rounded to the precision of the model before their differences are taken."""

    def structure(self, structure, request):
        kind = np.float32 if request.model.stem == "single-precision" else np.float64
        return dataclasses.replace(structure, positions=structure.positions.astype(kind).astype(float))


class CellColumns(Broken):
    """Rows and columns of the cell are exchanged."""

    def structure(self, structure, request):
        return dataclasses.replace(structure, cell=structure.cell.T.copy())


class CellOfFirstStep(Broken):
    """The cell of the first step is kept."""

    def request(self, request):
        cell = request.structures[0].cell
        if not request.continued:
            return request
        return dataclasses.replace(
            request, structures=[dataclasses.replace(each, cell=cell) for each in request.structures]
        )


class OrthogonalCell(Broken):
    """Of the cell, the diagonal is taken."""

    def structure(self, structure, request):
        return dataclasses.replace(structure, cell=np.diag(np.diag(structure.cell)))


class AllPeriodic(Broken):
    """All directions are periodic, if there is a cell."""

    def structure(self, structure, request):
        return dataclasses.replace(structure, pbc=structure.cell.any(axis=1))


class NonePeriodic(Broken):
    """No direction is periodic."""

    def structure(self, structure, request):
        return dataclasses.replace(structure, pbc=np.zeros(3, dtype=bool))


class OneFlag(Broken):
    """One flag for all directions: periodic if the first is."""

    def structure(self, structure, request):
        return dataclasses.replace(structure, pbc=np.full(3, structure.pbc[0] and structure.cell.any(axis=1).all()))


class OutsideLost(TamperedPairs):
    """Neighbors are looked for in the next cells alone, so atoms further outside have none."""

    def pairs(self, pairs, full_list):
        return pairs[(np.abs(pairs[:, 2:]) <= 1).all(1)]


class WrapsInPlace(Broken):
    """Atoms are wrapped into the cell in the arrays of the caller."""

    def structure(self, structure, request):
        if structure.pbc.all():
            fractions = structure.positions @ np.linalg.inv(structure.cell)
            structure.positions -= np.floor(fractions) @ structure.cell
        return structure


class TypesSorted(Broken):
    """Types of the model are taken for sorted."""

    def structure(self, structure, request):
        known = [number in TYPES for number in structure.types]
        types = [TYPES[sorted(TYPES).index(n)] if k else n for n, k in zip(structure.types, known, strict=True)]
        return dataclasses.replace(structure, types=np.array(types))


class TypesInOrderOfAppearance(Broken):
    """Types are numbered as they appear in the structure."""

    def structure(self, structure, request):
        if not set(structure.types) <= set(TYPES):
            return structure
        seen = list(dict.fromkeys(structure.types.tolist()))
        return dataclasses.replace(structure, types=np.array([TYPES[seen.index(n)] for n in structure.types]))


class AnyType(Broken):
    """Species that the model does not know are taken for its first one."""

    def structure(self, structure, request):
        return dataclasses.replace(
            structure, types=np.where(np.isin(structure.types, TYPES), structure.types, TYPES[0])
        )


class SortedAtoms(Broken):
    """Results come in the order of atoms sorted in space."""

    def answer(self, structure, answer, request):
        return permuted(answer, np.argsort(structure.positions[:, 0]))


class SortedInBatches(Broken):
    """In batches, values of atoms come in the order of species."""

    def answer(self, structure, answer, request):
        return permuted(answer, np.argsort(structure.types, kind="stable")) if request.batch else answer
