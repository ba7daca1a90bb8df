"""A model of TorchANI as a function of pair vectors, for TorchScript and for traces.

Its terms, potentials and networks are those of the checkpoint, called by name. What is between them is here: pairs and
triples come from the lists of the engine, the members of an ensemble are computed together, and there is no branch on
values, which a trace could not have.
"""

import functools
from collections.abc import Sequence
from typing import Any, Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core import ModelOutput, NeighborListOptions, System
from metatomic_core.authors import (
    energy_output,
    pairs,
    per_system_output,
    selected_index,
    species_index,
    species_table,
    structure_index,
)


class Layer(torch.nn.Module):
    """A linear layer of all members.

    Parameters
    ----------
    layers
        That of each member, of the same sizes.
    shares_input
        Whether members get the same input, (n_atoms, n): one product of matrices is enough then.
    """

    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, layers: Sequence[torch.nn.Linear], shares_input: bool):
        super().__init__()
        self.shares_input = shares_input
        self.n_members = len(layers)
        weight = torch.stack([layer.weight.detach().t() for layer in layers])
        bias = torch.stack([_bias_of(layer) for layer in layers]).unsqueeze(1)
        if shares_input:
            weight, bias = weight.transpose(0, 1).flatten(1), bias.flatten()
        self.register_buffer("weight", weight.contiguous())
        self.register_buffer("bias", bias.contiguous())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give values of each member, (n_members, n_atoms, n)."""
        if self.shares_input:
            # not a view, of whose layout a trace has another opinion
            return torch.stack(torch.addmm(self.bias, x, self.weight).chunk(self.n_members, dim=1))
        if torch.jit.is_scripting():
            return torch.baddbmm(self.bias, x, self.weight)
        else:
            # one by one: torch 2.13 compiles no batches of products whose sizes depend on values
            columns = zip(self.bias.unbind(0), x.unbind(0), self.weight.unbind(0), strict=True)
            return torch.stack([torch.addmm(bias, rows, weight) for bias, rows, weight in columns])


def _bias_of(layer: torch.nn.Linear) -> torch.Tensor:
    return layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias.detach()


class Networks(torch.nn.Module):
    """A network of each member, with layers of the same sizes.

    Parameters
    ----------
    networks
        ``AtomicNetwork`` of each member.
    shares_input
        Whether they get the same input.
    is_inner
        Whether other networks follow.
    """

    def __init__(self, networks: Sequence[Any], *, shares_input: bool, is_inner: bool = False):
        super().__init__()
        columns = list(zip(*[[*network.layers, network.final_layer] for network in networks], strict=True))
        layers = [Layer(column, shares_input and k == 0) for k, column in enumerate(columns)]
        self.is_inner = is_inner
        self.first = layers[0]
        self.layers = torch.nn.ModuleList(layers[1:])
        self.activation = networks[0].activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give values of each member, (n_members, n_atoms, n)."""
        x = self.first(x)
        for layer in self.layers:
            x = layer(self.activation(x))
        return self.activation(x) if self.is_inner else x


class OfElements(torch.nn.Module):
    """A network for each element and member, after one that all elements share, if there is one."""

    def __init__(self, networks: List[Networks], n_members: int, shared: Optional[Networks] = None):
        super().__init__()
        self.n_members = n_members
        self.shared = torch.nn.ModuleList([] if shared is None else [shared])
        self.networks = torch.nn.ModuleList(networks)

    def forward(self, features: torch.Tensor, species: torch.Tensor) -> torch.Tensor:
        """Give energies of atoms, (n_atoms, n_members)."""
        shared: List[torch.Tensor] = []
        for network in self.shared:
            shared.append(network(features))
        energies = features.new_zeros([features.size(0), self.n_members])
        for k, network in enumerate(self.networks):
            rows = torch.nonzero(species == k).squeeze(1)
            # no branch on values in a trace
            if not torch.jit.is_scripting() or rows.size(0) > 0:
                if len(shared) > 0:
                    x = shared[0].index_select(1, rows)
                else:
                    x = features.index_select(0, rows)
                energies = energies.index_add(0, rows, network(x).squeeze(2).t())
        return energies


class OfAll(torch.nn.Module):
    """One network of each member for all elements, with an output for each; it may get an embedding of the element."""

    embeddings: torch.Tensor

    def __init__(self, networks: Networks, embeddings: torch.Tensor):
        super().__init__()
        self.networks = networks
        # (n_members, n_species, n); without columns for networks that get none
        self.register_buffer("embeddings", embeddings)

    def forward(self, features: torch.Tensor, species: torch.Tensor) -> torch.Tensor:
        """Give energies of atoms, (n_atoms, n_members)."""
        x = features
        if self.embeddings.size(2) > 0:
            embedded = self.embeddings.index_select(1, species)
            x = torch.cat([x.unsqueeze(0).expand(embedded.size(0), -1, -1), embedded], dim=2)
        found = self.networks(x)
        chosen = species.reshape(1, -1, 1).expand(found.size(0), -1, 1)
        return found.gather(2, chosen).squeeze(2).t()


class Features(torch.nn.Module):
    """The features of atoms, those of pairs and those of triples."""

    kinds: torch.Tensor

    def __init__(self, radial: Any, angular: Any, kinds_of_pairs: torch.Tensor):
        super().__init__()
        self.radial, self.angular = radial, angular
        self.n_species = kinds_of_pairs.size(0)
        self.n_kinds = int(kinds_of_pairs.max()) + 1
        self.register_buffer("kinds", kinds_of_pairs.flatten().contiguous())
        self.pairs = NeighborListOptions(float(radial.cutoff), full_list=False, strict=True)
        self.legs = NeighborListOptions(float(angular.cutoff), full_list=True, strict=True)

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """List pairs, each once, and the legs of triples."""
        return [self.pairs, self.legs]

    def forward(self, systems: List[System], species: torch.Tensor, rows: Optional[torch.Tensor]) -> torch.Tensor:
        """Give features of all atoms, (n_atoms, n); those of triples only of the atoms ``rows``, if there are any."""
        return torch.cat([self._of_pairs(systems, species), self._of_triples(systems, species, rows)], dim=1)

    def _of_pairs(self, systems: List[System], species: torch.Tensor) -> torch.Tensor:
        first, second, vectors = pairs(systems, self.pairs)
        terms = self.radial(torch.linalg.vector_norm(vectors, dim=1))
        found = terms.new_zeros([species.size(0) * self.n_species, terms.size(1)])
        found = found.index_add(0, first * self.n_species + species.index_select(0, second), terms)
        found = found.index_add(0, second * self.n_species + species.index_select(0, first), terms)
        return found.reshape(species.size(0), self.n_species * terms.size(1))

    def _of_triples(self, systems: List[System], species: torch.Tensor, rows: Optional[torch.Tensor]) -> torch.Tensor:
        n_atoms = species.size(0)
        center, side, vectors = pairs(systems, self.legs)
        # legs of one center after the other: each makes a triple with those of its center that are before it
        order = torch.argsort(center)
        center = center.index_select(0, order)
        n_legs = torch.zeros_like(species).index_add(0, center, torch.ones_like(center))
        start = (n_legs.cumsum(0) - n_legs).index_select(0, center)
        n_before = torch.arange(center.size(0), device=center.device) - start
        if rows is not None:
            wanted = torch.zeros_like(species).index_fill(0, rows, 1)
            n_before = n_before * wanted.index_select(0, center)
        later = torch.repeat_interleave(n_before)
        n_done = (n_before.cumsum(0) - n_before).index_select(0, later)
        earlier = start.index_select(0, later) + torch.arange(later.size(0), device=later.device) - n_done
        legs = order.index_select(0, torch.cat([earlier, later]))
        distances = torch.linalg.vector_norm(vectors, dim=1)
        terms = self.angular(
            distances.index_select(0, legs).reshape(2, -1), vectors.index_select(0, legs).reshape(2, -1, 3)
        )
        one, two = species.index_select(0, side.index_select(0, legs)).reshape(2, -1).unbind(0)
        kind = self.kinds.index_select(0, one * self.n_species + two)
        found = terms.new_zeros([n_atoms * self.n_kinds, terms.size(1)])
        found = found.index_add(0, center.index_select(0, later) * self.n_kinds + kind, terms)
        return found.reshape(n_atoms, self.n_kinds * terms.size(1))


@functools.cache
def pair_term_class() -> type[torch.nn.Module]:
    """Give the class of pair terms, whose code names a class of TorchANI."""
    from torchani.neighbors import Neighbors

    class PairTerm(torch.nn.Module):
        """A pair potential; two atoms share the energy of their pair."""

        def __init__(self, potential: Any):
            super().__init__()
            self.potential = potential
            self.cutoff = float(potential.cutoff)
            self.pairs = NeighborListOptions(self.cutoff, full_list=False, strict=True)

        def requested_neighbor_lists(self) -> List[NeighborListOptions]:
            return [self.pairs]

        def forward(self, systems: List[System], species: torch.Tensor) -> torch.Tensor:
            """Give energies of atoms, in hartree."""
            first, second, vectors = pairs(systems, self.pairs)
            distances = torch.linalg.vector_norm(vectors, dim=1)
            neighbors = Neighbors(torch.stack([first, second]), distances, -vectors)
            energies = self.potential.pair_energies(species.unsqueeze(0), neighbors)
            halves = 0.5 * energies * self.potential.cutoff_fn(distances, self.cutoff)
            zeros = halves.new_zeros([species.size(0)])
            return zeros.index_add(0, first, halves).index_add(0, second, halves)

    return PairTerm


class Ani(torch.nn.Module):
    """Energies of atoms, those of the members of an ensemble, and how far these are from each other.

    Parameters
    ----------
    numbers
        Atomic numbers, in the order of the model.
    features, networks
        What gives features, and from features energies of members in hartree.
    pair_terms
        What gives more energies.
    self_energies
        Of elements, in eV.
    hartree
        One hartree, in eV, as the package has it.
    """

    table: torch.Tensor
    self_energies: torch.Tensor

    def __init__(
        self,
        numbers: List[int],
        features: Features,
        networks: torch.nn.Module,
        pair_terms: List[torch.nn.Module],
        self_energies: torch.Tensor,
        hartree: float,
    ):
        super().__init__()
        self.features, self.networks = features, networks
        self.pair_terms = torch.nn.ModuleList(pair_terms)
        self.hartree = hartree
        self.register_buffer("table", species_table(numbers))
        self.register_buffer("self_energies", self_energies)

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        """Compute what is asked for; see `ModelInterface`."""
        species = species_index(systems, self.table)
        rows: Optional[torch.Tensor] = None
        if selected_atoms is not None:
            rows = selected_index(systems, selected_atoms)
        features = self.features(systems, species, rows)
        in_hartree = torch.zeros_like(features[:, 0])
        for term in self.pair_terms:
            in_hartree = in_hartree + term(systems, species)
        if rows is not None:
            species, in_hartree = species.index_select(0, rows), in_hartree.index_select(0, rows)
            features = features.index_select(0, rows)
        of_members = self.hartree * self.networks(features, species)
        others = self.hartree * in_hartree + self.self_energies.index_select(0, species)
        results: Dict[str, TensorMap] = {}
        for name, output in outputs.items():
            if name == "energy_uncertainty" and output.sample_kind == "system":
                # members differ by the sums over atoms
                index = structure_index(systems)
                if rows is not None:
                    index = index.index_select(0, rows)
                sums = of_members.new_zeros([len(systems), of_members.size(1)]).index_add(0, index, of_members)
                results[name] = per_system_output(name, systems, sums.std(1))
                continue
            values = of_members.mean(1) + others
            if name == "energy_ensemble":
                values = of_members + others.unsqueeze(1)
            elif name == "energy_uncertainty":
                values = of_members.std(1)
            results[name] = energy_output(systems, values, output, selected_atoms, of_selected=True)
        return results
