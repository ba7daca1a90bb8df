"""Force calls of the reference implementation's calculator, in a process of its own, for ``ase_overhead.py``.

``python ase_calls.py SIGMA EPSILON CUTOFF FOLDER``, with ``metatomic_ase`` of the reference implementation first on
PYTHONPATH. The potential is written for that implementation, as its documentation shows, and saved by it. Standard
input has a line of JSON with numbers and the cell, and then positions, as float64; for each of these a line of JSON
goes out: seconds of the force call, and the energy.
"""

import json
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Dict, List, Optional

import numpy as np
import torch
from ase import Atoms
from metatensor.torch import Labels, TensorBlock, TensorMap
from metatomic.torch import (
    AtomisticModel,
    ModelCapabilities,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
)

ARGON = 18


class LennardJones(torch.nn.Module):
    """Half of the energy of each pair for each of its atoms, zero at the cutoff."""

    def __init__(self, sigma: float, epsilon: float, cutoff: float):
        super().__init__()
        self.sigma, self.epsilon, self.cutoff = sigma, epsilon, cutoff
        s6 = (sigma / cutoff) ** 6
        self.at_cutoff = 4.0 * epsilon * s6 * (s6 - 1.0)

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        results: Dict[str, TensorMap] = {}
        if "energy" not in outputs:
            return results
        per_system: List[torch.Tensor] = []
        for system in systems:
            block = system.get_neighbor_list(NeighborListOptions(self.cutoff, full_list=False, strict=True))
            s2 = self.sigma**2 / block.values.reshape(-1, 3).square().sum(1)
            s6 = s2 * s2 * s2
            per_system.append((4.0 * self.epsilon * s6 * (s6 - 1.0) - self.at_cutoff).sum())
        samples = Labels(["system"], torch.arange(len(systems)).reshape(-1, 1))
        values = torch.stack(per_system).reshape(-1, 1)
        block = TensorBlock(
            values, samples, torch.jit.annotate(List[Labels], []), Labels(["energy"], torch.tensor([[0]]))
        )
        results["energy"] = TensorMap(Labels(["_"], torch.tensor([[0]])), [block])
        return results

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(self.cutoff, full_list=False, strict=True)]


def saved(sigma: float, epsilon: float, cutoff: float, folder: Path) -> str:
    capabilities = ModelCapabilities(
        outputs={"energy": ModelOutput(unit="eV", sample_kind="system")},
        atomic_types=[ARGON],
        interaction_range=cutoff,
        length_unit="angstrom",
        supported_devices=["cpu"],
        dtype="float64",
    )
    path = str(folder / "reference.pt")
    AtomisticModel(LennardJones(sigma, epsilon, cutoff).eval(), ModelMetadata(), capabilities).save(path)
    return path


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    from metatomic_ase import MetatomicCalculator

    if version("metatomic-ase") == version("metatomic-core"):
        raise RuntimeError("expected the reference implementation's metatomic-ase first on PYTHONPATH, got ours")
    sigma, epsilon, cutoff = map(float, sys.argv[1:4])
    calculator = MetatomicCalculator(saved(sigma, epsilon, cutoff, Path(sys.argv[4])), device="cpu")
    lines = sys.stdin.buffer
    numbers, cell = json.loads(lines.readline())
    atoms = Atoms(numbers, positions=np.zeros((len(numbers), 3)), cell=cell, pbc=True)
    atoms.calc = calculator
    while True:
        received = lines.read(atoms.positions.nbytes)
        if len(received) < atoms.positions.nbytes:
            return
        atoms.positions = np.frombuffer(received).reshape(-1, 3)
        start = time.perf_counter()
        atoms.get_forces()
        seconds = time.perf_counter() - start
        print(json.dumps([seconds, atoms.get_potential_energy()]), flush=True)


if __name__ == "__main__":
    main()
