"""Pairs, images and ghost atoms."""

import dataclasses

import numpy as np
import torch
from zoo.adapters.base import RIGHT, Broken, changed

from metatomic_core.engine import Structure
from metatomic_core.testing.oracles import images
from metatomic_core.testing.subjects import EngineSubject


class TamperedPairs(Broken):
    """A subject whose engine has its pairs changed."""

    keeps = False

    def __init__(self):
        self._own = EngineSubject("script")

    def right(self):
        return self._own

    def evaluate(self, request):
        engine = self._own.engine(request.model, request.options)
        if not isinstance(engine._neighbors, Tampered):
            engine._neighbors = Tampered(engine._neighbors, self)
        return super().evaluate(request)

    def pairs(self, pairs: np.ndarray, full_list: bool) -> np.ndarray:
        return pairs


class Tampered:
    """Neighbor lists of an engine, changed by a broken adapter."""

    def __init__(self, lists, owner):
        self.lists, self.owner = lists, owner
        self.first = None

    def compute(self, structures, slots):
        pairs, _ = self.lists.compute(structures, slots)
        if self.owner.keeps:
            self.first = self.first or pairs
            return self.first, None
        changed = [
            [torch.as_tensor(self.owner.pairs(each.numpy(), k == 0)) for k, each in enumerate(lists)] for lists in pairs
        ]
        return changed, None

    def clear(self):
        self.first = None
        self.lists.clear()


class StaleList(TamperedPairs):
    """The neighbor list of the first step is kept, whatever moves."""

    def request(self, request):
        self.keeps = request.continued
        return request


class HalfListIsFull(TamperedPairs):
    """Half lists hold both directions: each pair is counted twice."""

    def pairs(self, pairs, full_list):
        if full_list:
            return pairs
        return np.concatenate([pairs, pairs[:, [1, 0, 2, 3, 4]] * [1, 1, -1, -1, -1]]).astype(pairs.dtype)


class FullListIsHalf(TamperedPairs):
    """Full lists hold one direction of each pair."""

    def pairs(self, pairs, full_list):
        return pairs[pairs[:, 0] <= pairs[:, 1]] if full_list else pairs


class MinimumImage(TamperedPairs):
    """One image of each pair, and none of an atom itself: cells may be small."""

    def pairs(self, pairs, full_list):
        _, first = np.unique(pairs[:, :2], axis=0, return_index=True)
        kept = pairs[np.sort(first)]
        return kept[kept[:, 0] != kept[:, 1]]


class ImagesMissing(TamperedPairs):
    """Pairs across one face of the cell are missing."""

    def pairs(self, pairs, full_list):
        return pairs[pairs[:, 2] == 0]


class ShiftsLost(TamperedPairs):
    """Pairs are right, and their cell shifts are zero."""

    def pairs(self, pairs, full_list):
        return pairs * np.array([1, 1, 0, 0, 0], dtype=pairs.dtype)


class WithGhosts(Broken):
    """A subject that evaluates atoms with copies around them, as LAMMPS does."""

    reach = 7.0
    folds = True

    def evaluate(self, request):
        plain = not (request.batch or request.outputs or request.options or request.selected_atoms is not None)
        if not plain or request.model.stem in ("field", "system-inputs"):
            return RIGHT.evaluate(request)
        return [self.one(structure, request) for structure in request.structures]

    def one(self, structure, request):
        n_atoms = len(structure.types)
        _, second, shifts = images(structure, self.reach)
        copies = np.unique(np.column_stack([second, shifts])[(shifts != 0).any(1)], axis=0)
        owners = np.concatenate([np.arange(n_atoms), copies[:, 0]]).astype(int)
        moved = np.concatenate([np.zeros((n_atoms, 3)), copies[:, 1:] @ structure.cell])
        inputs = {name: values[owners] for name, values in structure.inputs.items()}
        cluster = Structure(
            structure.types[owners],
            structure.positions[owners] + moved,
            np.zeros((3, 3)),
            np.zeros(3, dtype=bool),
            inputs,
        )
        own = np.stack([np.zeros(n_atoms, dtype=int), np.arange(n_atoms)], axis=1)
        asked = dataclasses.replace(request, structures=[cluster], selected_atoms=own)
        (answer,) = RIGHT.evaluate(asked)

        def folded(values):
            sums = np.zeros((n_atoms, *values.shape[1:]))
            np.add.at(sums, owners, values)
            return sums

        home = folded if self.folds else lambda values: values[:n_atoms]
        return changed(answer, forces=home, atomic_virials=folded, atomic_energies=lambda values: values[:n_atoms])


class GhostForcesLost(WithGhosts):
    """Forces on ghost atoms are not sent back to the atoms that they are copies of."""

    folds = False


class GhostsTooNarrow(WithGhosts):
    """Ghost atoms are within the cutoff of the list, not within the range of the model."""

    reach = 4.4
