"""Models and what to ask of them, evaluated as plain Python and as compiled code, in two processes."""

from typing import Any, NamedTuple

import numpy as np
import torch
from models import Direct, FieldAndVolume, NoLists, SquaredGradient, TwoLists, structures

from metatomic_core import AtomisticModel, ModelOutput
from metatomic_core.engine import Engine

ENERGIES = {
    "energy": ModelOutput(unit="eV", sample_kind="atom"),
    "energy/doubled": ModelOutput(unit="eV", sample_kind="atom", description="twice as much"),
    "energy_ensemble": ModelOutput(unit="eV", sample_kind="atom"),
    "energy_uncertainty": ModelOutput(unit="eV", sample_kind="atom"),
}
DIRECT = {
    "energy": ModelOutput(unit="eV", sample_kind="atom"),
    "non_conservative_force": ModelOutput(unit="eV/angstrom", sample_kind="atom"),
    "non_conservative_stress": ModelOutput(unit="eV/angstrom^3", sample_kind="system"),
}
DERIVED = ["energy", "atomic_energies", "forces", "virial"]


class Case(NamedTuple):
    """A module with the outputs that it is declared with, and what to ask of it."""

    module: type[torch.nn.Module]
    declared: dict[str, ModelOutput] | None
    results: list[str]
    outputs: dict[str, str]
    options: dict[str, Any]
    # of structures; None for all
    names: list[str] | None = None

    def evaluated(self, model: AtomisticModel) -> dict[str, np.ndarray]:
        """Give all results and outputs by name, in units that are not those of the model."""
        known = structures()
        chosen = [known[name] for name in self.names or known]
        engine = Engine(model, length_unit="bohr", energy_unit="kcal/mol", **self.options)
        evaluation = engine.evaluate(chosen, self.results, outputs=self.outputs)
        return {**{result: getattr(evaluation, result) for result in self.results}, **evaluation.outputs}


CASES = {
    "pairs": Case(TwoLists, ENERGIES, [*DERIVED, "atomic_virials"], {"energy_ensemble": "atom"}, {}),
    "members": Case(TwoLists, ENERGIES, ["energy", "member_forces", "member_virials"], {}, {}),
    "hessian": Case(TwoLists, ENERGIES, ["energy", "hessian"], {}, {}, ["triclinic"]),
    "variant": Case(TwoLists, ENERGIES, DERIVED, {}, {"variants": {"energy": "doubled"}}),
    "no lists": Case(NoLists, None, DERIVED, {}, {}),
    "positions and cell": Case(FieldAndVolume, None, DERIVED, {}, {"check_consistency": True}),
    "differentiates itself": Case(SquaredGradient, None, DERIVED, {}, {}),
    "direct": Case(Direct, DIRECT, ["energy", "forces"], {}, {"non_conservative": "forces"}),
}
