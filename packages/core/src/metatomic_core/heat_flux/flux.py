"""`WithHeatFlux`: outputs of a model, and the heat flux of its energies.

J = sum_i (U_i + K_i) v_i + sum_i sum_j (r_i - r_j) (dU_i/dr_j . v_j): i are the atoms of the cell, j all atoms and
images that U_i depends on; it is the time derivative of sum_i r_i (U_i + K_i), an energy times a velocity, not divided
by the volume.  With images as atoms of their own (Langer, Frank and Knoop, Phys. Rev. B 108, L100302, 2023) the sums
need four backward passes, whatever the model does between its atoms.

Scripted code, saved in model files.
"""

from typing import Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorBlock, TensorMap

from metatomic_core.authors import per_system_output
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.data.quantities import split_variant
from metatomic_core.data.system import System
from metatomic_core.pipeline.labels import energies_from
from metatomic_core.pipeline.systems import geometry_of, lists_of

from .unfolding import Cluster, pairs_of_cluster, unfolded


class WithHeatFlux(torch.nn.Module):
    """A model with outputs ``heat_flux``, one for each variant of its energy.

    Parameters
    ----------
    core
        The core of the model, a `ModelCore`, compiled or not.
    lists
        Its neighbor lists.
    inputs
        Its inputs.
    reach
        Its interaction range.
    energies
        The energy of each variant, under the name that the core knows.
    kinetic
        Factor from mass times velocity squared, as they are requested, to energy, for each of them.
    moving
        Requests for masses and velocities that the model does not make itself.
    """

    # TorchScript needs the types of attributes that can not be inferred from their values
    _requested_lists: List[NeighborListOptions]
    _requested_data: Dict[str, ModelOutput]
    _inputs: List[str]
    _energies: Dict[str, str]
    _kinetic: Dict[str, float]

    # the core has requests of its own
    speaks_for_submodules = True

    def __init__(
        self,
        core: torch.nn.Module,
        lists: List[NeighborListOptions],
        inputs: Dict[str, ModelOutput],
        reach: float,
        energies: Dict[str, str],
        kinetic: Dict[str, float],
        moving: Dict[str, ModelOutput],
    ):
        super().__init__()
        self.core = core
        self.reach = reach
        self._requested_lists = lists
        self._inputs = list(inputs)
        self._energies = energies
        self._kinetic = kinetic
        self._requested_data = {**inputs, **moving}

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        """Give what the model gives, and heat fluxes, see `ModelInterface`."""
        results: Dict[str, TensorMap] = {}
        asked: Dict[str, str] = {}
        fluxes: List[str] = []
        for name, output in outputs.items():
            if split_variant(name)[0] == "heat_flux":
                fluxes.append(name)
            else:
                asked[name] = output.sample_kind
        if len(asked) > 0 and len(systems) > 0:
            results = self.of_model(systems, asked, selected_atoms)
        if len(fluxes) > 0 and len(systems) > 0:
            found = self.fluxes_of(systems, fluxes, selected_atoms)
            for name, values in found.items():
                results[name] = per_system_output(name, systems, values)
        return results

    def of_model(
        self, systems: List[System], asked: Dict[str, str], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        """Give outputs of the model."""
        structures: List[Dict[str, torch.Tensor]] = []
        neighbors: List[List[TensorBlock]] = []
        inputs: List[Dict[str, TensorMap]] = []
        for system in systems:
            structures.append(geometry_of(system, 1.0))
            neighbors.append(lists_of(system, 1.0, self._requested_lists))
            data: Dict[str, TensorMap] = {}
            for name in self._inputs:
                data[name] = system.get_data(name)
            inputs.append(data)
        gradients: Dict[str, List[str]] = {}
        returned: Dict[str, TensorMap] = self.core(structures, neighbors, inputs, selected_atoms, asked, gradients)
        return returned

    def fluxes_of(
        self, systems: List[System], names: List[str], selected_atoms: Optional[Labels]
    ) -> Dict[str, torch.Tensor]:
        """Give heat fluxes by name, shape (n_systems, 3); one system after the other, as each is many atoms."""
        found: Dict[str, List[torch.Tensor]] = {}
        for name in names:
            nothing: List[torch.Tensor] = []
            found[name] = nothing
        for i in range(len(systems)):
            counts = torch.ones(len(systems[i]), dtype=systems[i].dtype, device=systems[i].device)
            if selected_atoms is not None:
                chosen = selected_atoms.values.to(torch.int64)
                counts = torch.zeros_like(counts)
                counts[chosen[chosen[:, 0] == i, 1]] = 1.0
            for name, flux in self.of_system(systems[i], names, counts).items():
                found[name].append(flux)
        results: Dict[str, torch.Tensor] = {}
        for name in names:
            results[name] = torch.stack(found[name])
        return results

    def of_system(self, system: System, names: List[str], counts: torch.Tensor) -> Dict[str, torch.Tensor]:
        """Give heat fluxes of the atoms of a system that count, by name, shape (3,)."""
        n_atoms = len(system)
        blocks: List[TensorBlock] = []
        for options in self._requested_lists:
            blocks.append(system.get_neighbor_list(options))
        cluster = self.cluster_of(blocks, n_atoms, system.device)
        shifts = cluster.shifts.to(system.dtype) @ system.cell.detach()
        positions = system.positions.detach().index_select(0, cluster.atoms) + shifts
        velocity = system.get_data("velocity").block_by_id(0).values.detach().reshape(n_atoms, 3)
        mass = system.get_data("mass").block_by_id(0).values.detach().reshape(n_atoms)
        moving = velocity.index_select(0, cluster.atoms)
        asked: Dict[str, str] = {}
        for name in names:
            asked[self._energies[name]] = "atom"
        gradients: Dict[str, List[str]] = {}
        results: Dict[str, torch.Tensor] = {}
        positions = positions.clone().requires_grad_()
        structure = {
            "types": system.types.index_select(0, cluster.atoms),
            "positions": positions,
            "cell": torch.zeros_like(system.cell).detach(),
            "pbc": torch.zeros_like(system.pbc),
        }
        neighbors = [_block_of_cluster(cluster, block, positions) for block in blocks]
        inputs = self.inputs_of_cluster(system, cluster)
        returned: Dict[str, TensorMap] = self.core([structure], [neighbors], [inputs], None, asked, gradients)
        for name in names:
            energy = self._energies[name]
            per_atom = energies_from(returned[energy], "atom", energy, [len(cluster.atoms)], False)[1]  # noqa: FBT003
            if per_atom is None:
                raise RuntimeError("expected energies of atoms, got those of systems")
            potential = per_atom[:n_atoms] * counts
            results[name] = _flux_of_potential(potential, positions, moving)
            kinetic = 0.5 * self._kinetic[name] * mass * velocity.square().sum(1) * counts
            carried = (potential.detach() + kinetic).unsqueeze(1) * velocity
            results[name] = results[name] + carried.sum(0)
        return results

    def cluster_of(self, blocks: List[TensorBlock], n_atoms: int, device: torch.device) -> Cluster:
        """Give the atoms that the energies of the cell depend on, by the pairs of all lists."""
        if len(blocks) == 0:
            none = torch.zeros(0, 5, dtype=torch.int64, device=device)
            return unfolded(none, torch.zeros(0, device=device), n_atoms, self.reach)
        pairs: List[torch.Tensor] = []
        distances: List[torch.Tensor] = []
        for block in blocks:
            pairs.append(block.samples.values.to(torch.int64))
            distances.append(block.values.detach().reshape(-1, 3).square().sum(1).sqrt())
        return unfolded(torch.cat(pairs), torch.cat(distances), n_atoms, self.reach)

    def inputs_of_cluster(self, system: System, cluster: Cluster) -> Dict[str, TensorMap]:
        """Give the inputs of the model for a cluster: images have those of their atoms."""
        inputs: Dict[str, TensorMap] = {}
        images = torch.arange(len(cluster.atoms), device=cluster.atoms.device)
        samples = Labels(["system", "atom"], torch.stack([torch.zeros_like(images), images], dim=1))
        for name in self._inputs:
            tensor = system.get_data(name)
            if self._requested_data[name].sample_kind == "atom":
                block = tensor.block_by_id(0)
                values = block.values.index_select(0, cluster.atoms)
                tensor = TensorMap(tensor.keys, [TensorBlock(values, samples, block.components, block.properties)])
            inputs[name] = tensor
        return inputs

    @torch.jit.export
    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """List the neighbor lists of the model."""
        return self._requested_lists

    @torch.jit.export
    def requested_inputs(self) -> Dict[str, ModelOutput]:
        """List the inputs of the model, masses and velocities."""
        return self._requested_data


def _block_of_cluster(cluster: Cluster, block: TensorBlock, positions: torch.Tensor) -> TensorBlock:
    """Give a neighbor list of a cluster, connected to its positions."""
    pairs = pairs_of_cluster(cluster, block.samples.values.to(torch.int64))
    vectors = positions.index_select(0, pairs[:, 1]) - positions.index_select(0, pairs[:, 0])
    shifts = torch.zeros(len(pairs), 3, dtype=pairs.dtype, device=pairs.device)
    samples = Labels(block.samples.names, torch.cat([pairs, shifts], dim=1), assume_unique=True)
    return TensorBlock(vectors.unsqueeze(2), samples, block.components, block.properties)


def _flux_of_potential(potential: torch.Tensor, positions: torch.Tensor, velocity: torch.Tensor) -> torch.Tensor:
    """Give sum_i sum_j (r_i - r_j) (dU_i/dr_j . v_j), by a backward pass for each component of r_i and one for r_j."""
    if not potential.requires_grad:
        return torch.zeros(3, dtype=positions.dtype, device=positions.device)
    places = positions.detach()
    # not from a far origin: the two sums cancel
    places = places - places[:1]
    weights = torch.cat([places[: len(potential)], torch.ones_like(places[: len(potential), :1])], dim=1)
    powers: List[torch.Tensor] = []
    for k in range(4):
        found = torch.autograd.grad(
            [(weights[:, k] * potential).sum()], [positions], retain_graph=True, allow_unused=True
        )[0]
        gradient = torch.zeros_like(positions) if found is None else found
        powers.append((gradient * velocity).sum(1).detach())
    flux = torch.stack([powers[0].sum(), powers[1].sum(), powers[2].sum()])
    return flux - (powers[3].unsqueeze(1) * places).sum(0)
