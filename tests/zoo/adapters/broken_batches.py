"""Batches and selected atoms."""

import dataclasses

import numpy as np
from zoo.adapters.base import RIGHT, Broken, changed


class BatchReversed(Broken):
    """Structures of a batch are answered in reverse order."""

    def answers(self, request, answers):
        return answers[::-1] if request.batch else answers


class PeriodicityOfFirst(Broken):
    """All structures of a batch have the periodicity of the first."""

    def request(self, request):
        if not request.batch:
            return request
        flags = request.structures[0].pbc
        same = [dataclasses.replace(each, pbc=flags & each.cell.any(axis=1)) for each in request.structures]
        return dataclasses.replace(request, structures=same)


class VirialOfBatch(Broken):
    """The virial of a batch is shared by its structures."""

    def answers(self, request, answers):
        if not request.batch or any(answer.virial is None for answer in answers):
            return answers
        total = sum(answer.virial for answer in answers) / len(answers)
        return [dataclasses.replace(answer, virial=total) for answer in answers]


class InputsOfFirst(Broken):
    """All structures of a batch have the inputs of the first."""

    def request(self, request):
        if not request.batch:
            return request
        same = [dataclasses.replace(each, inputs=request.structures[0].inputs) for each in request.structures]
        return dataclasses.replace(request, structures=same)


class SelectionIgnored(Broken):
    """The selection of atoms is ignored."""

    def request(self, request):
        return dataclasses.replace(request, selected_atoms=None)


class SelectionFromOne(Broken):
    """Selected atoms are counted from one."""

    def request(self, request):
        if request.selected_atoms is None:
            return request
        return dataclasses.replace(request, selected_atoms=np.maximum(request.selected_atoms - [0, 1], 0))


class SelectionWeighted(Broken):
    """The energy of selected atoms is their share of that of all."""

    def answers(self, request, answers):
        if request.selected_atoms is None:
            return answers
        everything = RIGHT.evaluate(dataclasses.replace(request, selected_atoms=None))
        counts = np.bincount(request.selected_atoms[:, 0], minlength=len(answers))
        parts = [count / len(each.types) for count, each in zip(counts, request.structures, strict=True)]
        return [
            dataclasses.replace(answer, energy=part * whole.energy)
            for answer, whole, part in zip(answers, everything, parts, strict=True)
        ]


class ForcesOfSelected(Broken):
    """Forces of atoms that are not selected are zero."""

    def answers(self, request, answers):
        if request.selected_atoms is None:
            return answers
        found = []
        for k, answer in enumerate(answers):
            atoms = request.selected_atoms[request.selected_atoms[:, 0] == k, 1]
            kept = np.isin(np.arange(len(request.structures[k].types)), atoms)[:, None]
            found.append(changed(answer, forces=lambda values, kept=kept: values * kept))
        return found
