"""Running the ``metatomic`` command in tests, and a model and structures to run it on."""

import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Optional

import ase
import ase.build
import models
import torch
from click.testing import CliRunner, Result
from metatensor.torch import Labels, TensorMap

from metatomic_core import AtomisticModel, ModelCapabilities, ModelMetadata, ModelOutput, NeighborListOptions, System
from metatomic_core.cli import metatomic


def invoke(*arguments: object) -> Result:
    """Run a command in this process; the result has ``exit_code``, ``stdout`` and ``stderr``."""
    result = CliRunner().invoke(metatomic, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def succeed(*arguments: object) -> Result:
    """Run a command that must end well."""
    result = invoke(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def fail(*arguments: object, status: int = 1) -> str:
    """Run a command that must end with an error of one line; give the line."""
    result = invoke(*arguments)
    assert result.exit_code == status, (result.exit_code, result.stdout, result.stderr)
    lines = result.stderr.splitlines()
    (error,) = [line for line in lines if line.startswith("metatomic: error: ")]
    assert lines[-1] == error, result.stderr
    return error


def process(*arguments: object, cwd: Optional[Path] = None) -> "subprocess.Popen[str]":
    """Start a command in a process of its own."""
    command = [sys.executable, "-m", "metatomic_core.cli", *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


CUTOFF = 6.0


class SmoothPair(torch.nn.Module):
    """Lennard-Jones argon (sigma 3.4 angstrom, epsilon 0.01 eV), brought to zero smoothly at the cutoff."""

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        energies: List[torch.Tensor] = []
        for system in systems:
            neighbors = system.get_neighbor_list(NeighborListOptions(6.0, True, True))
            squared = neighbors.values.squeeze(-1).square().sum(1)
            sixth = (3.4**2 / squared).pow(3)
            halves = 0.02 * (sixth.square() - sixth) * (1.0 - squared / 36.0).pow(3)
            energy = torch.zeros(len(system), dtype=halves.dtype, device=halves.device)
            energies.append(energy.index_add(0, neighbors.samples.values[:, 0].to(torch.int64), halves))
        kind = outputs["energy"].sample_kind
        return {"energy": models.per_atom_map(torch.cat(energies).unsqueeze(1), systems, kind, selected_atoms, "energy")}

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(6.0, True, True)]


def argon_model() -> AtomisticModel:
    metadata = ModelMetadata("smooth argon", "for tests", ["A. Uthor"], {"model": ["Physica 1, 1 (1934)"]})
    capabilities = ModelCapabilities(
        outputs={"energy": ModelOutput(unit="eV", sample_kind="atom")},
        atomic_types=[18],
        interaction_range=CUTOFF,
        length_unit="angstrom",
        supported_devices=["cpu"],
        dtype="float64",
    )
    return AtomisticModel(SmoothPair().eval(), metadata, capabilities)


def argon(n_cells: int = 2, amplitude: float = 0.05, seed: int = 1) -> ase.Atoms:
    """Give rattled solid argon, 4 atoms for each cubic cell."""
    atoms = ase.build.bulk("Ar", a=5.3, cubic=True).repeat(n_cells)
    atoms.rattle(amplitude, seed=seed)
    return atoms
