"""A correct model of two species and its broken twins, on a bench without a file: small enough to be asked at once."""

import tempfile
from pathlib import Path
from typing import Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_check.bench import Bench
from metatomic_check.default_structures import default_structures
from metatomic_check.table import all_checks
from metatomic_core import AtomisticModel, ModelCapabilities, ModelMetadata, ModelOutput, NeighborListOptions, System
from metatomic_core.authors import all_positions, all_types, energy_output, pairs, sum_at_atoms
from metatomic_core.engine import Engine

CUTOFF = 5.0
_FOLDER = tempfile.TemporaryDirectory(prefix="metatomic-tests-")


class Twin(torch.nn.Module):
    """Morse potentials with a smooth end, right but for the flaw that it is named after."""

    def __init__(self, flaw: str = ""):
        super().__init__()
        self.flaw = flaw

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        first, second, vectors = pairs(systems, NeighborListOptions(5.0, True, True))
        types = all_types(systems).to(vectors.dtype)
        r = vectors.square().sum(1).sqrt()
        end = (1.0 - (r / 5.0).square()).pow(3)
        # 2.2 angstrom for two silicon atoms, 1.6 for two oxygen atoms
        if self.flaw == "alike":
            types = torch.ones_like(types)
        best = 0.8 + 0.05 * (types[first] + types[second])
        decay = torch.exp(-1.5 * (r - best))
        pair = 0.5 * (decay * decay - 2.0 * decay) * end
        if self.flaw == "hole":
            pair = torch.where(r < 0.76 * best, 20.0 * (r / best - 0.76), pair)
        elif self.flaw == "jump":
            pair = pair - 0.1
        elif self.flaw == "small jump":
            pair = pair - 0.002
        elif self.flaw == "kink":
            pair = pair + 0.3 * (1.0 - r / 5.0)
        elif self.flaw == "no own images":
            pair = torch.where(first == second, torch.zeros_like(pair), pair)
        elif self.flaw == "direction":
            pair = pair * (1.0 + vectors[:, 2].square())
        elif self.flaw == "close":
            pair = torch.where(r < 1.4, pair / torch.zeros_like(r), pair)
        energies = sum_at_atoms(systems, pair, first)
        if self.flaw == "layers":
            energies = energies + sum_at_atoms(systems, 0.1 * end * energies[second], first)
        elif self.flaw == "handed":
            sums = [
                sum_at_atoms(systems, (end.pow(k) * types[second]).unsqueeze(1) * vectors, first) for k in (1, 2, 3)
            ]
            energies = energies + (sums[0] * torch.linalg.cross(sums[1], sums[2])).sum(1)
        energies = self.with_flaw(energies, systems, types)
        return {"energy": energy_output(systems, energies, outputs["energy"], selected_atoms)}

    def with_flaw(self, energies: torch.Tensor, systems: List[System], types: torch.Tensor) -> torch.Tensor:
        """Give energies of atoms with those flaws that are not of pairs."""
        if self.flaw == "sign":
            energies = 2.0 * energies.detach() - energies
        elif self.flaw == "factor":
            energies = 0.5 * energies + 0.5 * energies.detach()
        elif self.flaw == "order":
            energies = energies * (1.0 + 0.01 * torch.arange(len(energies), dtype=energies.dtype))
        elif self.flaw == "place":
            energies = energies + 0.01 * all_positions(systems)[:, 0]
        elif self.flaw == "box":
            energies = energies + 0.01 * systems[0].cell.abs().sum()
        elif self.flaw == "mean":
            sizes = torch.cat([torch.full_like(system.positions[:, 0], len(system)) for system in systems])
            energies = energies + 0.1 * sizes
        elif self.flaw == "noise":
            energies = energies + 1e-3 * torch.rand(len(energies), dtype=energies.dtype)
        elif self.flaw == "oxygen":
            energies = torch.where(types == 8, energies / torch.zeros_like(energies), energies)
        return energies

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(5.0, True, True)]


def twin(flaw: str = "", *, dtype: str = "float64", reach: float = CUTOFF, kind: str = "atom") -> AtomisticModel:
    """Give a twin as a model."""
    capabilities = ModelCapabilities(
        outputs={"energy": ModelOutput(unit="eV", sample_kind=kind)},
        atomic_types=[8, 14],
        interaction_range=reach,
        length_unit="angstrom",
        supported_devices=["cpu"],
        dtype=dtype,
    )
    return AtomisticModel(Twin(flaw).eval(), ModelMetadata(flaw), capabilities)


def bench_of(model: AtomisticModel, structures=None, *, file: Path = Path("none.pt"), full: bool = False) -> Bench:
    """Put a model on a bench, as it is and not from a file."""
    bench = Bench(file, {}, {}, full, Path(_FOLDER.name))
    engine = Engine(model, length_unit="angstrom", energy_unit="eV")
    # what the bench would make from the file
    vars(bench)["engine"] = engine
    if structures is None:
        structures = default_structures(engine.capabilities.atomic_types, engine)
    bench.structures = structures
    return bench


def ask(bench: Bench, name: str) -> Dict[str, object]:
    """Ask a bench one check: findings by their parts."""
    findings = list(all_checks()[name].run(bench))
    assert all(finding.check == name for finding in findings)
    return {finding.part: finding for finding in findings}


def grades(bench: Bench, name: str) -> Dict[str, str]:
    """Ask a bench one check: grades by parts."""
    return {part: finding.grade.value for part, finding in ask(bench, name).items()}


def saved(model: AtomisticModel, name: str) -> Path:
    """Save a model."""
    path = Path(_FOLDER.name) / f"{name}.pt"
    model.save(str(path))
    return path
