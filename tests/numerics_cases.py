"""A correct model and its broken twins, small enough to be saved and checked in a second."""

import tempfile
from pathlib import Path
from typing import Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorMap
from models import structures, wrap

from metatomic_check.bench import Bench
from metatomic_core import ModelOutput, NeighborListOptions, System
from metatomic_core.authors import all_types, energy_output, pairs, sum_at_atoms

CUTOFF = 3.0
_FOLDER = tempfile.TemporaryDirectory(prefix="metatomic-tests-")
_BENCHES: Dict[str, Bench] = {}


class Flawed(torch.nn.Module):
    """A repulsion of pairs, right but for the flaw that it is named after."""

    def __init__(self, flaw: str = ""):
        super().__init__()
        self.flaw = flaw
        self.strict = flaw != "beyond the cutoff"
        self.register_buffer("calls", torch.zeros(1, dtype=torch.float64))
        self.kept: List[torch.Tensor] = [torch.zeros(1)]

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        options = NeighborListOptions(3.0, False, self.strict)
        first, second, vectors = pairs(systems, options)
        if self.flaw == "float32":
            vectors = vectors.to(torch.float32).to(vectors.dtype)
        r = vectors.square().sum(1).sqrt()
        pair = 0.5 * (1.0 - r / 3.0).pow(4)
        if self.flaw == "jump":
            pair = 0.5 * (1.0 - r / 3.3).pow(2)
        elif self.flaw == "kink":
            pair = 0.005 * (1.0 - r / 3.0)
        elif self.flaw == "turned":
            pair = pair * (1.0 + vectors[:, 0] * vectors[:, 1])
        elif self.flaw == "detached":
            pair = pair + 0.5 * pair.detach()
        elif self.flaw == "order" and pair.size(0) > 1:
            pair = pair * (1.0 + 0.01 * (first > second).to(r.dtype))
        energies = sum_at_atoms(systems, pair, first).index_add(0, second, pair)
        energies = energies + 0.1 * all_types(systems).to(r.dtype)
        if self.flaw == "batch":
            energies = energies + 0.01 * energies.mean()
        elif self.flaw == "state":
            self.calls += 1
            energies = energies * (1.0 + 0.001 * self.calls)
        elif self.flaw == "random":
            energies = energies + 0.001 * torch.rand(energies.size(0), dtype=energies.dtype)
        elif self.flaw == "offset":
            energies = energies + 1.0e6
        elif self.flaw == "memory":
            self.kept.append(torch.ones(500000))
        if self.flaw == "selected" and selected_atoms is not None:
            energies = 1.1 * energies
        return {"energy": energy_output(systems, energies, outputs["energy"], selected_atoms)}

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(3.0, False, self.strict)]


def saved(model, name: str) -> Path:
    """Save a model once in a session."""
    path = Path(_FOLDER.name) / f"{name}.pt".replace(" ", "-")
    if not path.exists():
        model.save(str(path))
    return path


def bench_of(model, name: str, **more) -> Bench:
    """Put a model on a bench with the structures that other tests use."""
    folder = Path(tempfile.mkdtemp(dir=_FOLDER.name))
    options = {"structures": structures(), "options": {}, "full": False, **more}
    return Bench(saved(model, name), folder=folder, **options)


def flawed(flaw: str = "", dtype: str = "float64") -> Bench:
    """Put the model with a flaw on a bench; equal ones once in a session."""
    key = f"{flaw or 'right'} {dtype}"
    if key not in _BENCHES:
        _BENCHES[key] = bench_of(wrap(Flawed(flaw), dtype=dtype), key)
    return _BENCHES[key]


def grades(function, bench: Bench) -> Dict[str, str]:
    """Run a check; give the grade of each part."""
    return {finding.part: finding.grade.value for finding in function(bench)}


__all__ = ["CUTOFF", "Flawed", "bench_of", "flawed", "grades", "saved"]
