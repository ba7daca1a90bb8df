"""What stands behind the seam: an `Answer` to results in the units of the engine.

Scripted, saved in every model file for C++, and never traced.
"""

from typing import Dict, List

import torch

from .batch import Answer, Batch
from .results import Result


def volumes_of(engine_cells: torch.Tensor, pbc: torch.Tensor, result: str, all_of_them: bool) -> torch.Tensor:
    """Give |det cell| of all structures, in the unit of the engine, shape (n_structures, 1, 1), float64.

    Parameters
    ----------
    engine_cells, pbc
        See `Batch`.
    result
        What is made of the volumes, for messages: "stress", "atomic_stresses", or the "virial" of a direct stress.
    all_of_them
        Whether each structure must have one, or one of them is enough, and those of the others are NaN.

    Raises
    ------
    ValueError
        If a structure has no periodic direction, or cell vectors without volume: it has no stress.
    """
    found = torch.linalg.det(engine_cells.to(torch.float64)).abs() * pbc.any(dim=1)
    without = found == 0
    if bool(without.all()) or (all_of_them and bool(without.any())):
        advice = "take it from the energy, without `non_conservative`"
        if result == "stress":
            advice = "ask for 'virial'"
        elif result == "atomic_stresses":
            advice = "ask for 'atomic_virials'"
        raise ValueError(
            f"expected a periodic structure with three cell vectors for '{result}', got another in structure "
            f"{int(torch.nonzero(without)[0].item())}; {advice}"
        )
    return torch.where(without, float("nan"), found).reshape(-1, 1, 1)


def volumes(batch: Batch, result: str, all_of_them: bool) -> torch.Tensor:
    """As `volumes_of`, of the structures of a batch."""
    return volumes_of(batch.engine_cells, batch.pbc, result, all_of_them)


def _of_atoms(values: torch.Tensor, n_atoms: List[int]) -> torch.Tensor:
    """Repeat values of structures for each of their atoms."""
    if len(n_atoms) == 1:
        return values.expand([n_atoms[0]] + list(values.size()[1:]))
    return torch.repeat_interleave(values, torch.tensor(n_atoms, device=values.device), dim=0)


def _of_energy(
    result: str, row: Result, batch: Batch, answer: Answer, energy_factor: float, length_factor: float
) -> torch.Tensor:
    """Give a result that is made from the energy, in the units of the engine."""
    if row.over_volume:
        # of the same derivative, with the other sign
        virial = answer.of_energy["virial" if row.per == "system" else "atomic_virials"]
        volume = volumes(batch, result, all_of_them=False)
        if row.per == "atom":
            volume = _of_atoms(volume, batch.n_atoms)
        return virial * -energy_factor / volume
    factor = energy_factor
    if row.derivative == "positions":
        # dE/dr_engine = dE/dr_model * (dr_model/dr_engine)
        factor = energy_factor * length_factor
    values = answer.of_energy[result]
    return values if factor == 1.0 else values * factor


def finish(
    batch: Batch,
    answer: Answer,
    request: Dict[str, str],
    table: Dict[str, Result],
    factors: Dict[str, float],
    length_factor: float,
) -> Dict[str, torch.Tensor]:
    """Give all results in the units of the engine, float64.

    Parameters
    ----------
    batch, answer
        What was asked of the model, and what it said.
    request
        Results, each with the output that it is made from.
    table
        The table of results.
    factors
        For each of these outputs the factor from its unit to that of the engine: energy, energy/length or
        energy/length^3.
    length_factor
        Lengths of the model = length_factor * lengths of the engine.

    Raises
    ------
    ValueError
        If a stress is wanted, and no structure has a volume; those without one among others get one that is NaN.
    """
    results: Dict[str, torch.Tensor] = {}
    for result, source in request.items():
        row = table[result]
        if source not in answer.direct:
            results[result] = _of_energy(result, row, batch, answer, factors[source], length_factor)
            continue
        direct = answer.direct[source].squeeze(-1).to(torch.float64) * factors[source]
        if row.dimension == "energy":
            # a virial from a stress
            direct = -direct * volumes(batch, result, all_of_them=True)
        elif row.over_volume:
            # what a model says of a structure without a volume means nothing
            direct = torch.where(volumes(batch, result, all_of_them=False).isnan(), float("nan"), direct)
        results[result] = direct
    return results
