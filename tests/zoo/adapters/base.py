"""The base of adapters that are broken on purpose: each in one thing that a real one had wrong, around a right one.

The first line of each docstring is the row of the table in the documentation; see `table`.
"""

import dataclasses

import numpy as np

from metatomic_core.engine import Structure
from metatomic_core.testing import Answer, Request, Subject
from metatomic_core.testing.subjects import EngineSubject

RIGHT = EngineSubject("script")
ALL: dict[str, type["Broken"]] = {}


class Broken(Subject):
    """Does what the right one does, but for one thing."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        title = cls.__doc__.splitlines()[0].rstrip(".")
        # the others are bases
        if not title.startswith("A subject "):
            cls.name = title
            ALL[cls.name] = cls

    def evaluate(self, request: Request) -> list[Answer]:
        return self.answers(request, self.right().evaluate(self.request(request)))

    def right(self) -> EngineSubject:
        return RIGHT

    def request(self, request: Request) -> Request:
        structures = [self.structure(structure, request) for structure in request.structures]
        return dataclasses.replace(request, structures=structures)

    def structure(self, structure: Structure, request: Request) -> Structure:
        return structure

    def answers(self, request: Request, answers: list[Answer]) -> list[Answer]:
        return [
            self.answer(structure, answer, request)
            for structure, answer in zip(request.structures, answers, strict=True)
        ]

    def answer(self, structure: Structure, answer: Answer, request: Request) -> Answer:
        return answer


def changed(answer: Answer, **change) -> Answer:
    """Apply functions to those fields of an answer that it has."""
    found = {name: getattr(answer, name) for name in change}
    return dataclasses.replace(
        answer, **{name: change[name](value) for name, value in found.items() if value is not None}
    )


def permuted(answer: Answer, order: np.ndarray) -> Answer:
    """Give all that is of atoms in another order."""
    outputs = {name: v[order] if len(v) == len(order) else v for name, v in answer.outputs.items()}
    take = dict.fromkeys(("forces", "atomic_energies", "atomic_virials"), lambda values: values[order])
    return dataclasses.replace(changed(answer, **take), outputs=outputs)
