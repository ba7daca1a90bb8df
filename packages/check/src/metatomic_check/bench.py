"""What checks work with: the model, its engine, structures, and how far numbers of its precision may differ."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from metatomic_core.engine import Engine, Evaluation, Structure

# relative rounding of sums of many terms in each precision, as a multiple of the spacing of numbers
ROUNDING = {"float64": 1e-10, "float32": 3e-5}


@dataclasses.dataclass
class Bench:
    """A model on the bench.

    Attributes
    ----------
    file
        The model file.
    structures
        By name the structures that checks use: of the user, or made from the species of the model.
    options
        Options of the engine: "variants", "non_conservative", "device", ...
    full
        Whether checks take their time: more structures, finer steps, longer runs.
    folder
        A temporary folder for files.
    only_engines
        Names of subjects that the user asked for; None for all that are installed.
    seed
        Seed of all random numbers.
    absent
        Engines that were asked for and are not installed: their packages, by name.
    """

    file: Path
    structures: dict[str, Structure]
    options: dict[str, Any]
    full: bool
    folder: Path
    only_engines: Sequence[str] | None = None
    seed: int = 0
    absent: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @cached_property
    def engine(self) -> Engine:
        """The model in eV and angstrom, run as it is in the file."""
        return self.new_engine()

    def new_engine(self, **changes: Any) -> Engine:
        """Give another engine for the model, with other options."""
        return Engine(
            **{
                "model": self.file,
                "length_unit": "angstrom",
                "energy_unit": "eV",
                "kernel": "script",
                **self.options,
                **changes,
            }
        )

    @property
    def species(self) -> list[int]:
        """Atomic numbers that the model knows."""
        return list(self.engine.capabilities.atomic_types)

    @property
    def dtype(self) -> str:
        """Precision of the model, "float64" or "float32"."""
        return self.engine.capabilities.dtype

    @property
    def rounding(self) -> float:
        """How far two numbers may differ that are the same up to rounding, relative to their size."""
        return ROUNDING[self.dtype]

    @cached_property
    def memory(self) -> dict[Any, Any]:
        """What one check found out that others use too, by key."""
        return {}

    def random(self) -> np.random.Generator:
        """Give random numbers, the same at each call."""
        return np.random.default_rng(self.seed)

    def evaluate(self, structures: Structure | Sequence[Structure], *results: str, **more: Any) -> Evaluation:
        """Evaluate one structure or several in one call: energy and forces unless other results are named."""
        several = [structures] if isinstance(structures, Structure) else list(structures)
        return self.engine.evaluate(several, results or ("energy", "forces"), **more)

    def energy(self, structure: Structure) -> float:
        """Give the energy of a structure, in eV."""
        energy = self.evaluate(structure, "energy").energy
        return float(energy[0])  # type: ignore[index]

    def periodic(self) -> Iterator[tuple[str, Structure]]:
        """Go through the structures that have a volume."""
        return ((name, each) for name, each in self.structures.items() if each.pbc.all())
