"""NequIP's networks behind the interface of models: from pairs to energies of atoms."""

import copy
import warnings
from typing import Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core import ModelOutput, NeighborListOptions, System
from metatomic_core.authors import energy_output, pairs, species_index


class Network(torch.nn.Module):
    """A network of the nequip framework, without the derivatives that it makes itself.

    Geometry is float64 in nequip, whatever the network computes in, and so are energies of atoms.

    Parameters
    ----------
    network
        What is under ``ForceStressOutput``.
    table
        Type by atomic number, -1 for those without.
    cutoffs
        Cutoff of each type around each other, in angstrom, shape (n_types, n_types).
    """

    table: torch.Tensor
    cutoffs: torch.Tensor

    def __init__(self, network: torch.nn.Module, table: torch.Tensor, cutoffs: torch.Tensor):
        super().__init__()
        self.network = network
        self.cutoff = float(cutoffs.max())
        # as nequip's own neighbor list, which has only these pairs: quicker, the results are the same
        self.several_cutoffs = bool((cutoffs != self.cutoff).any())
        self.register_buffer("table", table)
        self.register_buffer("cutoffs", cutoffs)

    @torch.jit.export
    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """List the neighbor lists that the network needs."""
        return [NeighborListOptions(self.cutoff, full_list=True, strict=True)]

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        """Give energies, see `ModelInterface`."""
        first, second, vectors = pairs(systems, NeighborListOptions(self.cutoff, full_list=True, strict=True))
        dtype = vectors.dtype
        types = species_index(systems, self.table)
        vectors = vectors.to(torch.float64)
        if self.several_cutoffs:
            cutoffs = self.cutoffs[types.index_select(0, first), types.index_select(0, second)]
            kept = torch.nonzero(torch.sum(vectors * vectors, dim=1) < cutoffs * cutoffs).squeeze(1)
            first, second = first.index_select(0, kept), second.index_select(0, kept)
            vectors = vectors.index_select(0, kept)
        data: Dict[str, torch.Tensor] = {
            # not looked at, but for the number of atoms
            "pos": torch.zeros([types.size(0), 3], dtype=torch.float64, device=vectors.device),
            "edge_index": torch.stack([first, second]),
            "edge_vectors": vectors,
            "atom_types": types,
        }
        energies = self.network(data)["atomic_energy"].squeeze(-1).to(dtype)
        return {"energy": energy_output(systems, energies, outputs["energy"], selected_atoms)}

    @torch.jit.unused
    def torchscript_module(self) -> torch.jit.ScriptModule:
        """Give the module as e3nn compiles it, with the same weights."""
        from e3nn.util.jit import script

        # the compiler puts compiled parts into the module that it is given
        weights = {id(tensor): tensor for tensor in (*self.parameters(), *self.buffers())}
        with warnings.catch_warnings():
            # of e3nn 0.5 in packages, on parts without irreps
            warnings.filterwarnings("ignore", "Module .* had irreps_in of type tuple")
            compiled: torch.jit.ScriptModule = script(copy.deepcopy(self, weights))
        return compiled
