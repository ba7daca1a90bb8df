"""How many structures go into one call of the model: as many as memory allows, by the number of their pairs."""

import os
import resource
from collections.abc import Sequence

import ase
import numpy as np
import torch

# Pairs of the first call; doubled from call to call as long as there is memory.
_FIRST_PAIRS = 50_000
# On a CPU, more in one call takes no less time for each.
_MOST_PAIRS_CPU = 2_000_000
# Part of the memory that is free now that a call may take.
_PART = 0.5
# Bytes for each pair at least, whatever was measured.
_LEAST_BYTES = 200.0
_KB = 1024


def pair_estimate(atoms: ase.Atoms, cutoffs: Sequence[float]) -> float:
    """Estimate the number of pairs of a structure, in both directions, from its density.

    Parameters
    ----------
    atoms
        The structure.
    cutoffs
        Cutoffs of the model, in angstrom.

    Returns
    -------
    float
        Number of pairs; at least one for each atom.
    """
    n_atoms = len(atoms)
    if n_atoms == 0 or not cutoffs:
        return float(max(n_atoms, 1))
    most = max(cutoffs)
    # the box that the atoms fill: the cell, but along free directions what they take
    spread = np.ptp(atoms.positions, axis=0) + 2.0
    volume = atoms.cell.volume if atoms.pbc.all() else float(np.prod(spread))
    found = n_atoms * (4 / 3 * np.pi * most**3) * n_atoms / max(volume, 1.0)
    limited = found if atoms.pbc.any() else min(found, n_atoms * (n_atoms - 1))
    return float(max(limited * len(cutoffs), n_atoms))


class BatchSize:
    """The number of pairs that one call may have, from the memory that calls take.

    Parameters
    ----------
    device
        Device that the model runs on.
    max_pairs
        Largest number of pairs; None to find it.
    """

    def __init__(self, device: str, max_pairs: float | None):
        self._cuda = device.startswith("cuda")
        self._device = device
        self._given = max_pairs
        self._bytes_per_pair = _LEAST_BYTES
        self._before = 0.0
        self.pairs = float(max_pairs if max_pairs is not None else _FIRST_PAIRS)

    def begin(self) -> None:
        """Note the memory before a call."""
        if self._cuda:
            torch.cuda.reset_peak_memory_stats(self._device)
        self._before = self._peak()

    def end(self, n_pairs: float) -> None:
        """Learn from a call that went well."""
        if self._given is not None:
            return
        used = self._peak() - self._before
        self._bytes_per_pair = max(self._bytes_per_pair, used / max(n_pairs, 1.0))
        allowed = _PART * self._free() / self._bytes_per_pair
        if not self._cuda:
            allowed = min(allowed, _MOST_PAIRS_CPU)
        if n_pairs > self.pairs / 2:
            self.pairs = max(min(2 * self.pairs, allowed), 1.0)

    def too_large(self, n_pairs: float) -> None:
        """Learn from a call for which there was not enough memory."""
        self.pairs = max(n_pairs / 2, 1.0)
        self._given = self.pairs
        if self._cuda:
            torch.cuda.empty_cache()

    def _peak(self) -> float:
        if self._cuda:
            return float(torch.cuda.max_memory_allocated(self._device))
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * _KB

    def _free(self) -> float:
        if self._cuda:
            return float(torch.cuda.mem_get_info(self._device)[0])
        return float(os.sysconf("SC_AVPHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory was not enough.

    Parameters
    ----------
    error
        What a call of the model has raised.

    Returns
    -------
    bool
        Whether fewer structures at a time may help.
    """
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or "allocate memory" in str(error)
