"""SevenNet's network, written for speed: what is in the file, in plain torch, with the weights of a checkpoint.

It computes what the layers of the package compute, in another order. Features of atoms are lists of tensors of the
shape (n_atoms, components, channels), one for each kind of irreducible representation, channels last: all that happens
at pairs is then a few products of large matrices, where the package has a few operations for each path. TorchScript
compiles it, and it can be traced.
"""

import math
from typing import Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core import ModelOutput, NeighborListOptions, System
from metatomic_core.authors import energy_output, pairs, species_index


class Activation(torch.nn.Module):
    """One of the functions of the package, times a number."""

    name: torch.jit.Final[str]

    def __init__(self, name: str, factor: float):
        super().__init__()
        self.name = name
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.name == "silu":
            y = torch.nn.functional.silu(x)
        elif self.name == "tanh":
            y = torch.tanh(x)
        elif self.name == "abs":
            y = torch.abs(x)
        elif self.name == "ssp":
            y = torch.nn.functional.softplus(x) - math.log(2.0)
        elif self.name == "relu":
            y = torch.relu(x)
        elif self.name == "elu":
            y = torch.nn.functional.elu(x)
        else:
            y = torch.sigmoid(x)
        return y if self.factor == 1.0 else y * self.factor


class Perceptron(torch.nn.Module):
    """Layers without biases, an activation between each two."""

    def __init__(self, weights: List[torch.Tensor], activation: Activation):
        super().__init__()
        self.first = torch.nn.Buffer(weights[0])
        self.layers = torch.nn.ModuleList([_Layer(activation, weight) for weight in weights[1:]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x @ self.first
        for layer in self.layers:
            y = layer(y)
        return y


class _Layer(torch.nn.Module):
    def __init__(self, activation: Activation, weight: torch.Tensor):
        super().__init__()
        self.activation = activation
        self.weight = torch.nn.Buffer(weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(x) @ self.weight


class Harmonics(torch.nn.Module):
    """Spherical harmonics as polynomials: products of the components of the vectors times a matrix for each degree.

    Parameters
    ----------
    coefficients
        For each degree l the matrix from products of components, x^a y^b z^c in the order of `monomials`, to the
        harmonics, shape ((l + 1) (l + 2) / 2, 2 l + 1).
    normalize
        Whether they are functions of directions alone.
    """

    def __init__(self, coefficients: List[torch.Tensor], normalize: bool):
        super().__init__()
        self.normalize = normalize
        self.degree = len(coefficients) - 1
        self.coefficients = torch.nn.Buffer(torch.block_diag(*coefficients))

    def forward(self, vectors: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        directions = vectors / r.unsqueeze(1) if self.normalize else vectors
        return torch.cat(monomials(directions, self.degree), 1) @ self.coefficients


def monomials(vectors: torch.Tensor, degree: int) -> List[torch.Tensor]:
    """Give all products of components, for each degree up to the highest one."""
    z = vectors[:, 2:]
    found = [torch.ones_like(z)]
    for n in range(degree):
        last = found[n]
        # times x all, times y those without x, times z that with z alone
        found.append(torch.cat([last * vectors[:, :1], last[:, -(n + 1) :] * vectors[:, 1:2], last[:, -1:] * z], 1))
    return found


class Mix(torch.nn.Module):
    """Mixes the channels of some features: the sum of matrices applied to them, and a bias."""

    def __init__(self, sources: List[int], weights: List[torch.Tensor], bias: Optional[torch.Tensor]):
        super().__init__()
        self.sources = sources
        self.weight = torch.nn.Buffer(torch.cat(weights))
        self.has_bias = bias is not None
        self.bias = torch.nn.Buffer(torch.zeros(0) if bias is None else bias)

    def forward(self, features: List[torch.Tensor]) -> torch.Tensor:
        if len(self.sources) == 1:
            mixed = features[self.sources[0]] @ self.weight
        else:
            mixed = torch.cat([features[k] for k in self.sources], 2) @ self.weight
        if self.has_bias:
            mixed = mixed + self.bias
        return mixed


class MixBySpecies(torch.nn.Module):
    """Mixes the channels of one feature with a matrix for each species."""

    def __init__(self, source: int, weights: torch.Tensor):
        super().__init__()
        self.source = source
        self.weight = torch.nn.Buffer(weights.reshape(-1, weights.shape[2]))

    def forward(self, features: List[torch.Tensor], is_species: torch.Tensor) -> torch.Tensor:
        x = features[self.source]
        spread = x.unsqueeze(2) * is_species.unsqueeze(1).unsqueeze(3)
        return spread.flatten(2) @ self.weight


class Branch(torch.nn.Module):
    """Messages from one feature of the neighbors, summed at each atom.

    Parameters
    ----------
    coupling
        Shape (n_harmonics, rows, components of the feature): from harmonics to the matrix that the feature of a
        neighbor is multiplied with. Its rows are the components of all paths, those of one kind together.
    kinds
        For each kind of results: components and number of paths.
    n_channels
        Channels of the feature.
    """

    def __init__(self, coupling: torch.Tensor, kinds: List[List[int]], n_channels: int):
        super().__init__()
        self.coupling = torch.nn.Buffer(coupling.flatten(1))
        self.rows, self.components = coupling.shape[1], coupling.shape[2]
        self.n_channels = n_channels
        self.kinds = kinds
        self.sizes = [kind[0] * kind[1] for kind in kinds]
        self.weight_sizes = [kind[1] * n_channels for kind in kinds]

    def forward(
        self,
        x: torch.Tensor,
        harmonics: torch.Tensor,
        weights: torch.Tensor,
        first: torch.Tensor,
        second: torch.Tensor,
    ) -> List[torch.Tensor]:
        n_pairs = first.size(0)
        matrices = (harmonics @ self.coupling).reshape(n_pairs, self.rows, self.components)
        rows = torch.bmm(matrices, x.index_select(0, second)).split(self.sizes, 1)
        scales = weights.split(self.weight_sizes, 1)
        found: List[torch.Tensor] = []
        for k, kind in enumerate(self.kinds):
            n = kind[1] * self.n_channels
            messages = rows[k].reshape(n_pairs, kind[0], n) * scales[k].unsqueeze(1)
            sums = torch.zeros([x.size(0), kind[0], n], dtype=x.dtype, device=x.device)
            found.append(sums.index_add(0, first, messages))
        return found


class Nonlinearity(torch.nn.Module):
    """An activation of some scalars, or such an activation times another feature."""

    def __init__(self, scalars: List[int], activation: Activation, gated: int):
        super().__init__()
        # feature, first channel, number of channels
        self.scalars = scalars
        self.activation = activation
        self.gated = gated

    def forward(self, features: List[torch.Tensor]) -> torch.Tensor:
        y = self.activation(features[self.scalars[0]].narrow(2, self.scalars[1], self.scalars[2]))
        if self.gated >= 0:
            y = y * features[self.gated]
        return y


class Interaction(torch.nn.Module):
    """One layer: features of neighbors to messages, messages and features to features.

    Parameters
    ----------
    before
        For each branch, the mixing of the feature that is sent.
    radial
        From functions of distances to the weights of all paths, branch after branch.
    branches
        For each feature that is sent, the messages from it.
    gathers
        For each kind of message, where it comes from: branch and kind in it, in turn.
    after
        For each input of the nonlinearity, the mixing of messages and features; the messages come first.
    by_species
        The same of features, for species apart.
    targets
        For each of these, the number of the input.
    nonlinearities
        One for each feature that comes out.
    """

    def __init__(
        self,
        before: List[Mix],
        radial: Perceptron,
        branches: List[Branch],
        gathers: List[List[int]],
        after: List[Mix],
        by_species: List[MixBySpecies],
        targets: List[int],
        nonlinearities: List[Nonlinearity],
    ):
        super().__init__()
        self.before = torch.nn.ModuleList(before)
        self.radial = radial
        self.branches = torch.nn.ModuleList(branches)
        self.widths = [sum(branch.weight_sizes) for branch in branches]
        self.gathers = gathers
        self.after = torch.nn.ModuleList(after)
        self.by_species = torch.nn.ModuleList(by_species)
        self.targets = targets
        self.nonlinearities = torch.nn.ModuleList(nonlinearities)

    def forward(
        self,
        features: List[torch.Tensor],
        is_species: torch.Tensor,
        harmonics: torch.Tensor,
        radial: torch.Tensor,
        first: torch.Tensor,
        second: torch.Tensor,
    ) -> List[torch.Tensor]:
        sent: List[torch.Tensor] = []
        for mix in self.before:
            sent.append(mix(features))
        # of split parts the backward pass is one copy, of slices a sum of arrays that are mostly zeros
        weights = self.radial(radial).split(self.widths, 1)
        arrived: List[List[torch.Tensor]] = []
        for k, branch in enumerate(self.branches):
            arrived.append(branch(sent[k], harmonics, weights[k], first, second))
        inputs: List[torch.Tensor] = []
        for gather in self.gathers:
            parts: List[torch.Tensor] = []
            for k in range(0, len(gather), 2):
                parts.append(arrived[gather[k]][gather[k + 1]])
            inputs.append(torch.cat(parts, 2) if len(parts) > 1 else parts[0])
        inputs = inputs + features
        mixed: List[torch.Tensor] = []
        for mix in self.after:
            mixed.append(mix(inputs))
        for k, mix in enumerate(self.by_species):
            target = self.targets[k]
            mixed[target] = mixed[target] + mix(features, is_species)
        found: List[torch.Tensor] = []
        for nonlinearity in self.nonlinearities:
            found.append(nonlinearity(mixed))
        return found


class Readout(torch.nn.Module):
    """From features to energies: matrices, or a perceptron."""

    def __init__(self, mixes: List[Mix], perceptron: Optional[Perceptron]):
        super().__init__()
        self.mixes = torch.nn.ModuleList(mixes)
        self.perceptron = perceptron

    def forward(self, features: List[torch.Tensor]) -> torch.Tensor:
        x = features
        for mix in self.mixes:
            x = [mix(x)]
        y = x[0].squeeze(1)
        if self.perceptron is not None:
            y = self.perceptron(torch.cat(x, 2).squeeze(1))
        return y.squeeze(1)


class SevenNet(torch.nn.Module):
    """The model.

    Parameters
    ----------
    cutoff
        In angstrom.
    envelope
        The cutoff function of the package.
    parts
        Tensors by name: ``table`` from atomic types to species, ``frequencies`` of the radial functions, ``embedding``
        of species, and ``scale`` and ``shift`` of the energies of species.
    harmonics, interactions, readout
        The network.
    """

    def __init__(
        self,
        cutoff: float,
        envelope: torch.nn.Module,
        parts: Dict[str, torch.Tensor],
        harmonics: Harmonics,
        interactions: List[Interaction],
        readout: Readout,
    ):
        super().__init__()
        self.cutoff = cutoff
        self.envelope = envelope
        self.harmonics = harmonics
        self.interactions = torch.nn.ModuleList(interactions)
        self.readout = readout
        self.table = torch.nn.Buffer(parts["table"])
        self.frequencies = torch.nn.Buffer(parts["frequencies"])
        self.embedding = torch.nn.Buffer(parts["embedding"])
        self.scale = torch.nn.Buffer(parts["scale"])
        self.shift = torch.nn.Buffer(parts["shift"])
        self.species = torch.nn.Buffer(torch.arange(len(parts["embedding"])))

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        return [NeighborListOptions(self.cutoff, full_list=True, strict=True)]

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        results: Dict[str, TensorMap] = {}
        if "energy" not in outputs:
            return results
        first, second, vectors = pairs(systems, NeighborListOptions(self.cutoff, full_list=True, strict=True))
        species = species_index(systems, self.table)
        r = torch.linalg.vector_norm(vectors, dim=1)
        waves = torch.sin(r.unsqueeze(1) * self.frequencies) * (2.0 / self.cutoff)
        radial = waves * (self.envelope(r) / r).unsqueeze(1)
        harmonics = self.harmonics(vectors, r)
        is_species = (species.unsqueeze(1) == self.species).to(vectors.dtype)
        features = [self.embedding.index_select(0, species).unsqueeze(1)]
        for interaction in self.interactions:
            features = interaction(features, is_species, harmonics, radial, first, second)
        energies = self.readout(features) * self.scale.index_select(0, species) + self.shift.index_select(0, species)
        results["energy"] = energy_output(systems, energies, outputs["energy"], selected_atoms)
        return results
