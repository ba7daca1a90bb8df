"""What is kept between calls, and errors."""

import dataclasses

import numpy as np
from zoo.adapters.base import Broken, changed
from zoo.adapters.broken_requests import ChangedOptions

from metatomic_core.testing import Answer


class EnergyCached(Broken):
    """Results are cached, and the key lacks positions."""

    def answers(self, request, answers):
        known, found = {}, []
        for structure, answer in zip(request.structures, answers, strict=True):
            key = (structure.types.tobytes(), structure.cell.tobytes(), request.continued)
            found.append(known.setdefault(key, answer))
        return found


class FormerForces(Broken):
    """Forces are those of the step before."""

    def answers(self, request, answers):
        if not request.continued:
            return answers
        before = [answers[0], *answers[:-1]]
        return [dataclasses.replace(a, forces=b.forces) for a, b in zip(answers, before, strict=True)]


class ResultOfNeighbor(Broken):
    """In a row of structures, one with as many atoms as the last gets its result."""

    def answers(self, request, answers):
        if request.batch or request.continued:
            return answers
        found = answers[:1]
        for before, after, answer in zip(request.structures, request.structures[1:], answers[1:]):
            same = len(before.types) == len(after.types) and np.array_equal(before.types, after.types)
            found.append(found[-1] if same else answer)
        return found


class WarmStart(Broken):
    """Each structure in a row changes the energy of the next a little: a model with memory."""

    def answers(self, request, answers):
        if request.batch or request.continued or request.options:
            return answers
        return [changed(each, energy=lambda value, k=k: value + 1e-6 * (k > 3)) for k, each in enumerate(answers)]


class RuinedByErrors(Broken):
    """After positions that are not numbers, the next energy is nothing."""

    failed = False

    def evaluate(self, request):
        try:
            found = super().evaluate(request)
        except Exception:
            self.failed = any(np.isnan(structure.positions).any() for structure in request.structures)
            raise
        if self.failed and len(found) == 1:
            self.failed = False
            return [changed(found[0], energy=lambda value: 0.0 * value)]
        return found


class NowhereIsOrigin(Broken):
    """Positions that are not numbers are zero."""

    def structure(self, structure, request):
        return dataclasses.replace(structure, positions=np.nan_to_num(structure.positions))


class ZerosForErrors(Broken):
    """Errors are swallowed, and results are zero."""

    def evaluate(self, request):
        try:
            return super().evaluate(request)
        except Exception:  # noqa: BLE001  (that is what is broken)
            return [Answer(0.0, np.zeros((len(s.types), 3)), np.zeros((3, 3))) for s in request.structures]


class NotChecked(ChangedOptions):
    """Results that are not numbers are passed on."""

    def options(self, options, request):
        return {**options, "check_finite": False}


class BareErrors(Broken):
    """Errors say that something failed, and not what."""

    def evaluate(self, request):
        try:
            return super().evaluate(request)
        except Exception as error:
            raise RuntimeError("calculation failed") from error
