"""Broken models: results that depend on chance, on calls before, and on the machine."""

from typing import List, Tuple

import torch
from zoo.healthy import Healthy

from metatomic_core import System
from metatomic_core.authors import all_positions, all_types, cell_shifts, pairs


class Dropout(Healthy):
    """Has a dropout that was left on."""

    def embedding(self, density: torch.Tensor, polar: torch.Tensor) -> torch.Tensor:
        dropped = torch.nn.functional.dropout(density, 0.1, training=True)
        return 1.0 - (1.0 + dropped).sqrt() + 0.3 * polar.square().sum(1)


class Noise(Healthy):
    """Adds random numbers of a meV, as sampled weights do."""

    def embedding(self, density: torch.Tensor, polar: torch.Tensor) -> torch.Tensor:
        return 1.0 - (1.0 + density).sqrt() + 0.3 * polar.square().sum(1) + 1e-3 * torch.randn_like(density)


class CountsCalls(Healthy):
    """Anneals a parameter from call to call."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1, dtype=torch.float64))

    def embedding(self, density: torch.Tensor, polar: torch.Tensor) -> torch.Tensor:
        self.calls.add_(1.0)
        return (1.0 - (1.0 + density).sqrt()) * (1.0 + 1e-3 * torch.tanh(0.01 * self.calls.to(density.dtype)))


class RunningMean(Healthy):
    """Normalises densities by a mean that each call moves on: a batch norm in training mode."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.ones(1, dtype=torch.float64))

    def embedding(self, density: torch.Tensor, polar: torch.Tensor) -> torch.Tensor:
        if density.size(0) > 0:
            self.mean.mul_(0.9).add_(0.1 * density.detach().mean().to(torch.float64))
        scaled = density / (0.5 + self.mean.to(density.dtype))
        return 1.0 - (1.0 + scaled).sqrt() + 0.3 * polar.square().sum(1)


class KeepsFirstList(Healthy):
    """Keeps the pairs of the last call as long as the species are the same: atoms that move lose their neighbors."""

    def __init__(self):
        super().__init__()
        self.types = torch.zeros(0, dtype=torch.int32)
        self.first = torch.zeros(0, dtype=torch.int64)
        self.second = torch.zeros(0, dtype=torch.int64)
        self.shifts = torch.zeros(0, 3, dtype=torch.int32)
        self.owner = torch.zeros(0, dtype=torch.int64)

    def edges(self, systems: List[System]) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        types = all_types(systems)
        if not torch.equal(types, self.types):
            self.types = types.clone()
            self.first, self.second, _ = pairs(systems, self.options())
            self.shifts = cell_shifts(systems, self.options())
            self.owner = torch.cat([torch.full([len(systems[i])], i) for i in range(len(systems))])
        positions = all_positions(systems)
        cells = torch.stack([system.cell for system in systems])
        of_pairs = cells.index_select(0, self.owner.index_select(0, self.first))
        offsets = (self.shifts.to(positions.dtype).unsqueeze(1) @ of_pairs).squeeze(1)
        vectors = positions.index_select(0, self.second) - positions.index_select(0, self.first) + offsets
        return self.first, self.second, vectors


class MemoryGrowth(Healthy):
    """Keeps the vectors of each call, for a plot that nobody draws any more."""

    kept: List[torch.Tensor]

    def __init__(self):
        super().__init__()
        self.kept = []

    def edges(self, systems: List[System]) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        first, second, vectors = pairs(systems, self.options())
        self.kept.append(vectors.detach().repeat(50, 1))
        return first, second, vectors


class Threads(Healthy):
    """Has a long sum in single precision, which is cut into as many parts as there are threads."""

    def embedding(self, density: torch.Tensor, polar: torch.Tensor) -> torch.Tensor:
        grid = torch.linspace(0.0, 300.0, 300001, dtype=torch.float32, device=density.device)
        norm = (torch.sin(grid) * grid).sum().to(density.dtype) / 5477.75
        return (1.0 - (1.0 + density).sqrt()) * norm + 0.3 * polar.square().sum(1)


class ScaledOnLoading(Healthy):
    """Scales its parameters as it is loaded, as one that is saved again does twice."""

    @torch.jit.export
    def __getstate__(self) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, float, bool]:
        return self.table, self.radii, self.charges, self.free, self.cutoff, self.training

    @torch.jit.export
    def __setstate__(self, state: Tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, float, bool]) -> None:
        self.table = state[0]
        self.radii = state[1]
        self.charges = state[2] * 1.01
        self.free = state[3]
        self.cutoff = state[4]
        self.full_list = True
        self.strict = True
        self.training = state[5]


class TwoForms(Healthy):
    """Has another form for compiled code, which knows no distances below 1.3 angstrom."""

    def pair(self, r: torch.Tensor, one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
        if not torch.jit.is_scripting():
            r = r.clamp(min=1.3)
        radii = self.radii.to(r.dtype)
        bond = torch.exp(-1.5 * (r - radii.index_select(0, one) - radii.index_select(0, two)))
        return 0.8 * (bond.square() - 2.0 * bond) * self.switch(r)
