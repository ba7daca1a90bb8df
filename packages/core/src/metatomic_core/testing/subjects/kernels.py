"""`Engine` as a subject, once for each way to run a model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metatomic_core.engine import Engine, Evaluation
from metatomic_core.kernels.building import check_compiler
from metatomic_core.kernels.compiling import compile_model
from metatomic_core.testing.subject import Answer, Request, Subject

# units of the answers
_UNITS: dict[str, Any] = {"length_unit": "angstrom", "energy_unit": "eV"}


class EngineSubject(Subject):
    """Core's own engine, in Python.

    Parameters
    ----------
    kernel
        How it runs the model, one of `metatomic_core.kernels.KERNELS`.
    """

    def __init__(self, kernel: str):
        self.kernel = kernel
        self.name = f"kernel {kernel}"
        self.programs = kernel in ("eager", "compiled")
        # kept, as simulations do: what a call leaves behind must not show in the next one
        self._engines: dict[Any, Engine] = {}

    def absent(self) -> str:
        """Say what is missing: the compiled way needs a compiler.

        Returns
        -------
        str
            What is missing and how to get it; empty if nothing is.
        """
        if self.kernel != "compiled":
            return ""
        try:
            check_compiler()
        except RuntimeError as error:
            return str(error)
        return ""

    def evaluate(self, request: Request) -> list[Answer]:
        """As `Subject.evaluate`: structures of a batch in one call, others in one neighbor list."""
        engine = self.engine(request.model, request.options)
        if not request.continued:
            engine.forget_neighbors()
        structures = list(request.structures)
        # inputs are in the units of the model, and other outputs are wanted in them
        arguments: dict[str, Any] = {
            "outputs": request.outputs,
            "units": {name: wanted.unit for name, wanted in engine.model.requested_inputs().items()},
            "output_units": {name: engine.capabilities.outputs[name].unit for name in request.outputs},
            "selected_atoms": request.selected_atoms,
        }
        if request.batch or request.selected_atoms is not None:
            found = engine.evaluate(structures, request.results, **arguments)
            return [answer_of(found, index, request.outputs) for index in range(len(structures))]
        return [
            answer_of(engine.evaluate([structure], request.results, **arguments), 0, request.outputs)
            for structure in structures
        ]

    def engine(self, model: Path, options: Mapping[str, Any]) -> Engine:
        """Give the engine for a model file, always the same one for the same options.

        Parameters
        ----------
        model
            The model file.
        options
            Options of the engine, by name.

        Returns
        -------
        Engine
            The engine.
        """
        chosen = {"kernel": self.kernel, **options}
        key = (model, repr(sorted(chosen.items())))
        if key not in self._engines:
            if chosen["kernel"] == "compiled":
                # has all that the other flavors have, and is there for selected atoms, too
                compile_model(str(model), flavors=["everything"])
            self._engines[key] = Engine(model, **_UNITS, **chosen)
        return self._engines[key]


def answer_of(found: Evaluation, index: int, outputs: Mapping[str, str]) -> Answer:
    """Give what was found for one structure of a batch.

    Parameters
    ----------
    found
        What was found, in eV and angstrom.
    index
        Number of the structure.
    outputs
        Kinds of the samples of the other outputs, by name.

    Returns
    -------
    Answer
        The answer.
    """
    atoms = found.atoms(index)

    def rows(values: np.ndarray | None, kind: str) -> np.ndarray | None:
        if values is None:
            return None
        return values[atoms] if kind == "atom" else values[index : index + 1]

    energy = rows(found.energy, "system")
    virial = rows(found.virial, "system")
    return Answer(
        None if energy is None else float(energy[0]),
        rows(found.forces, "atom"),
        None if virial is None else virial[0],
        rows(found.atomic_energies, "atom"),
        rows(found.atomic_virials, "atom"),
        {name: rows(values, outputs[name]) for name, values in found.outputs.items() if name in outputs},  # type: ignore[misc]
    )


script, eager, compiled = (EngineSubject(kernel) for kernel in ("script", "eager", "compiled"))
