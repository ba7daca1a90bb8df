"""The network of CHGNet, for all structures of a call, as TorchScript compiles it and ``torch.export`` traces it.

Its dense layers are those of a model of the package; what is between them is written anew, from the paper
(doi:10.1038/s42256-023-00716-3). Bonds are undirected, one for each pair of a half list, and messages go both ways.
The first layer of a message is linear in the features of the atoms, bonds and angle that it is made of: it is applied
to these once, and what comes out is gathered for the messages.
"""

import math
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core import ModelOutput, NeighborListOptions, System
from metatomic_core.authors import (
    energy_output,
    pairs,
    per_atom_output,
    species_index,
    species_table,
    structure_index,
)


class Graph(NamedTuple):
    """Bonds and angles of all structures.

    Attributes
    ----------
    r
        Lengths of bonds, shape (n_bonds,).
    center, other
        Atoms of directed bonds, shape (2 * n_bonds,): each bond from its first atom, then each from its second.
    short
        Bonds that form angles, shape (n_short,).
    one, two
        The bonds of angles, as numbers of short ones, shape (n_angles,). Each angle is there twice.
    apex
        Atoms between them, shape (n_angles,).
    cosines
        Of the angles, shape (n_angles,).
    """

    r: torch.Tensor
    center: torch.Tensor
    other: torch.Tensor
    short: torch.Tensor
    one: torch.Tensor
    two: torch.Tensor
    apex: torch.Tensor
    cosines: torch.Tensor


class Features(NamedTuple):
    """Features of atoms, bonds and angles."""

    atoms: torch.Tensor
    bonds: torch.Tensor
    angles: torch.Tensor


class Weights(NamedTuple):
    """Weights of messages along bonds and angles, and which bonds the steps of bonds change, where not all."""

    bonds: torch.Tensor
    angles: torch.Tensor
    changed: torch.Tensor


def make_graph(
    first: torch.Tensor, second: torch.Tensor, vectors: torch.Tensor, angle_cutoff: float, n_atoms: int
) -> Graph:
    """Make the graph of bonds and angles.

    Parameters
    ----------
    first, second, vectors
        Atoms of bonds, each bond once, and the vectors between them.
    angle_cutoff
        Bonds that are shorter form angles.
    n_atoms
        Number of atoms.
    """
    r = torch.linalg.vector_norm(vectors, dim=1)
    short = torch.nonzero(r.detach() < angle_cutoff).squeeze(1)
    centers = torch.cat([first.index_select(0, short), second.index_select(0, short)])
    unit = vectors.index_select(0, short) / r.index_select(0, short).unsqueeze(1)
    direction = torch.cat([unit, -unit])
    number = torch.arange(short.size(0), device=short.device)
    number = torch.cat([number, number])
    one, two = pairs_of_bonds(centers, n_atoms)
    return Graph(
        r,
        torch.cat([first, second]),
        torch.cat([second, first]),
        short,
        number.index_select(0, one),
        number.index_select(0, two),
        centers.index_select(0, one),
        (direction.index_select(0, one) * direction.index_select(0, two)).sum(1),
    )


def pairs_of_bonds(centers: torch.Tensor, n_atoms: int) -> Tuple[torch.Tensor, torch.Tensor]:
    """List all ordered pairs of different directed bonds that have one center, from the centers of the bonds."""
    order = torch.argsort(centers)
    of_bond = centers.index_select(0, order)
    counts = torch.zeros(n_atoms, dtype=centers.dtype, device=centers.device)
    counts = counts.index_add(0, centers, torch.ones_like(centers))
    starts = torch.cumsum(counts, 0) - counts
    n_partners = counts.index_select(0, of_bond) - 1
    one = torch.repeat_interleave(n_partners)
    before = torch.cumsum(n_partners, 0) - n_partners
    place = torch.arange(one.size(0), device=one.device) - before.index_select(0, one)
    two = starts.index_select(0, of_bond.index_select(0, one)) + place
    # the partners of a bond are all but itself
    two = two + (two >= one).to(two.dtype)
    return order.index_select(0, one), order.index_select(0, two)


class Radial(torch.nn.Module):
    """Sines of the distance, with a polynomial that is zero at the cutoff.

    Parameters
    ----------
    own
        That of the package.
    cutoff
        Its cutoff.
    """

    frequencies: torch.Tensor

    def __init__(self, own: Any, cutoff: float):
        super().__init__()
        self.register_buffer("frequencies", own.frequencies.detach().clone())
        self.cutoff = cutoff
        # zero for no polynomial
        self.exponent = int(own.smooth_cutoff.p) if own.smooth_cutoff is not None else 0

    def forward(self, r: torch.Tensor) -> torch.Tensor:
        """Give the basis, shape (n, n_radial)."""
        x = (r / self.cutoff).unsqueeze(1)
        basis = torch.sin(self.frequencies * x) * (math.sqrt(2 / self.cutoff) / r.unsqueeze(1))
        if self.exponent == 0:
            return basis
        p = float(self.exponent)
        smooth = 1 - x**p * (0.5 * (p + 1) * (p + 2) - x * (p * (p + 2) - x * (0.5 * p * (p + 1))))
        return torch.where(x < 1, smooth, 0.0) * basis


class Angular(torch.nn.Module):
    """Sines and cosines of multiples of an angle.

    Parameters
    ----------
    own
        That of the package.
    """

    frequencies: torch.Tensor

    def __init__(self, own: Any):
        super().__init__()
        self.register_buffer("frequencies", own.frequencies.detach().clone())

    def forward(self, cosines: torch.Tensor) -> torch.Tensor:
        """Give the basis, shape (n, n_angular)."""
        # the derivative of an angle of bonds in one line is infinite; part of the model
        angles = torch.acos(cosines * (1 - 1e-6)).unsqueeze(1) * self.frequencies
        constant = torch.full_like(cosines, math.sqrt(0.5)).unsqueeze(1)
        return torch.cat([constant, torch.sin(angles), torch.cos(angles)], dim=1) / math.sqrt(math.pi)


class Step(torch.nn.Module):
    """How features of atoms, bonds or angles change by messages, which one perceptron makes and another one gates.

    Parameters
    ----------
    own
        The two perceptrons of the package.
    sizes
        Number of features of each part that a message is made of.
    out
        Layers after the sum of messages; None for none.
    norm
        Layer at the end; None for none.

    Attributes
    ----------
    is_local
        Whether features without messages stay as they are.
    """

    def __init__(self, own: Any, sizes: List[int], out: Optional[Any], norm: Optional[torch.nn.Module]):
        super().__init__()
        core, gate = without_dropout(own.mlp_core), without_dropout(own.mlp_gate)
        weights = torch.cat([core[0].weight, gate[0].weight]).detach().split(sizes, dim=1)
        bias = None if core[0].bias is None else torch.cat([core[0].bias, gate[0].bias]).detach()
        self.parts = torch.nn.ModuleList(
            _linear(weight.contiguous(), bias if k == 0 else None) for k, weight in enumerate(weights)
        )
        norms = [None, None] if own.norm is None else [own.bn1, own.bn2]
        self.core = torch.nn.Sequential(*core[1:], *_some(norms[0]), own.activation)
        self.gate = torch.nn.Sequential(*gate[1:], *_some(norms[1]), own.sigmoid)
        layers = [] if out is None else without_dropout(out)
        self.out = torch.nn.Sequential(*layers) if layers else torch.nn.Identity()
        self.norm = torch.nn.Identity() if norm is None else norm
        self.is_local = norm is None and all(getattr(each, "bias", None) is None for each in layers)

    def forward(self, features: torch.Tensor, messages: torch.Tensor) -> torch.Tensor:
        """Give the features after messages."""
        return self.norm(self.out(messages) + features)

    def gated(self, x: torch.Tensor) -> torch.Tensor:
        """Give messages from the sums of what `parts` give."""
        core, gate = x.chunk(2, dim=1)
        return self.core(core) * self.gate(gate)


class AtomStep(Step):
    """How atoms change by messages along bonds."""

    def along_bonds(self, graph: Graph, features: Features, weights: Weights) -> torch.Tensor:
        """Give the features of atoms after this step."""
        atoms, bonds = features.atoms, self.parts[1](features.bonds)
        x = self.parts[0](atoms).index_select(0, graph.center) + self.parts[2](atoms).index_select(0, graph.other)
        messages = self.gated(x + torch.cat([bonds, bonds])) * torch.cat([weights.bonds, weights.bonds])
        return self(atoms, torch.zeros_like(atoms).index_add(0, graph.center, messages))


class AngleStep(Step):
    """How bonds and angles change by what is at angles."""

    def at_angles(self, graph: Graph, atoms: torch.Tensor, short: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
        """Give the messages of angles, from the features of atoms, of short bonds, and of angles."""
        x = self.parts[0](short).index_select(0, graph.one) + self.parts[1](short).index_select(0, graph.two)
        return self.gated(x + self.parts[2](angles) + self.parts[3](atoms).index_select(0, graph.apex))


class Block(torch.nn.Module):
    """One round of messages: to atoms, to bonds, and to angles if anything reads these later.

    Parameters
    ----------
    atom_step, bond_step, angle_step
        Its parts.
    """

    def __init__(self, atom_step: AtomStep, bond_step: AngleStep, angle_step: Optional[AngleStep]):
        super().__init__()
        self.atom_step, self.bond_step, self.angle_step = atom_step, bond_step, angle_step
        self.is_local = bond_step.is_local

    def forward(self, graph: Graph, features: Features, weights: Weights) -> Features:
        """Give the features after this round."""
        atoms = self.atom_step.along_bonds(graph, features, weights)
        bonds, angles = features.bonds, features.angles
        short = bonds.index_select(0, graph.short)
        messages = self.bond_step.at_angles(graph, atoms, short, angles) * weights.angles
        sums = torch.zeros_like(short).index_add(0, graph.one, messages)
        if self.is_local:
            short = self.bond_step(short, sums)
            bonds = bonds.index_copy(0, graph.short, short)
        else:
            sums = torch.zeros_like(bonds).index_copy(0, graph.short, sums)
            bonds = torch.where(weights.changed, self.bond_step(bonds, sums), bonds)
            short = bonds.index_select(0, graph.short)
        if self.angle_step is not None:
            angles = self.angle_step(angles, self.angle_step.at_angles(graph, atoms, short, angles))
        return Features(atoms, bonds, angles)


class Network(torch.nn.Module):
    """CHGNet: energies and magnetic moments of atoms.

    Parameters
    ----------
    own
        A model of the package, in evaluation mode, of a kind that can be carried over.

    Attributes
    ----------
    cutoff
        Largest length of bonds.
    is_local
        Whether bonds without angles stay as they are in steps of bonds. If not, they change if there is any angle in
        the structure, and do not if there is none, as in the package.
    """

    table: torch.Tensor
    shift: torch.Tensor

    def __init__(self, own: Any):
        super().__init__()
        self.cutoff = float(own.graph_converter.atom_graph_cutoff)
        self.angle_cutoff = float(own.graph_converter.bond_graph_cutoff)
        self.radial = Radial(own.bond_basis_expansion.rbf_expansion_ag, self.cutoff)
        self.radial_of_angles = Radial(own.bond_basis_expansion.rbf_expansion_bg, self.angle_cutoff)
        self.angular = Angular(own.angle_basis_expansion.fourier_expansion)
        self.atom_embedding = own.atom_embedding.embedding
        self.bond_embedding = own.bond_embedding
        self.angle_embedding = own.angle_embedding
        self.weights = own.bond_weights_ag
        self.weights_of_angles = own.bond_weights_bg
        n_atom, n_bond, n_angle = own.atom_fea_dim, own.bond_fea_dim, own.angle_embedding.out_features
        bonds, angles = [n_atom, n_bond, n_atom], [n_bond, n_bond, n_angle, n_atom]
        atom_steps = [AtomStep(each.twoBody_atom, bonds, each.mlp_out, each.atom_norm) for each in own.atom_conv_layers]
        bond_steps = [
            AngleStep(each.twoBody_bond, angles, each.mlp_out, each.bond_norm) for each in own.bond_conv_layers
        ]
        # nothing reads what the last one gives
        angle_steps = [AngleStep(each.twoBody_bond, angles, None, each.angle_norm) for each in own.angle_layers[:-1]]
        rounds = zip(atom_steps[:-1], bond_steps, [*angle_steps, None], strict=True)
        self.blocks = torch.nn.ModuleList(Block(*steps) for steps in rounds)
        self.last = atom_steps[-1]
        self.is_local = all(step.is_local for step in bond_steps)
        self.moment = own.site_wise
        self.readout = torch.nn.Sequential(*_some(own.readout_norm), *without_dropout(own.mlp))
        n_types = self.atom_embedding.num_embeddings
        self.register_buffer("table", species_table(list(range(1, n_types + 1))))
        reference = own.composition_model
        shift = torch.zeros(n_types) if reference is None else reference.fc.weight.detach().reshape(-1).clone()
        self.register_buffer("shift", shift)

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """List the bonds."""
        return [NeighborListOptions(cutoff=self.cutoff, full_list=False, strict=True)]

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        """Compute what is asked for."""
        first, second, vectors = pairs(systems, NeighborListOptions(cutoff=self.cutoff, full_list=False, strict=True))
        species = species_index(systems, self.table)
        graph = make_graph(first, second, vectors, self.angle_cutoff, species.size(0))
        basis = self.radial(graph.r)
        weights = self.message_weights(graph, basis, systems)
        angles = self.angle_embedding(self.angular(graph.cosines))
        features = Features(self.atom_embedding(species), self.bond_embedding(basis), angles)
        for block in self.blocks:
            features = block(graph, features, weights)
        results: Dict[str, TensorMap] = {}
        for name, output in outputs.items():
            if name == "energy":
                energies = self.readout(self.last.along_bonds(graph, features, weights)).squeeze(1)
                energies = energies + self.shift.index_select(0, species)
                results[name] = energy_output(systems, energies, output, selected_atoms)
            else:
                moments = self.moment(features.atoms).squeeze(1).abs()
                results[name] = per_atom_output(name, systems, moments, output, selected_atoms)
        return results

    def message_weights(self, graph: Graph, basis: torch.Tensor, systems: List[System]) -> Weights:
        """Give the weights of messages, which are zero at the cutoffs."""
        short = self.weights_of_angles(self.radial_of_angles(graph.r.index_select(0, graph.short)))
        of_angles = short.index_select(0, graph.one) * short.index_select(0, graph.two)
        changed = torch.empty(0, dtype=torch.bool, device=basis.device)
        if not self.is_local:
            structure = structure_index(systems)
            of_angle = structure.index_select(0, graph.apex)
            n_angles = torch.zeros(len(systems), dtype=structure.dtype, device=basis.device)
            n_angles = n_angles.index_add(0, of_angle, torch.ones_like(of_angle))
            of_bond = structure.index_select(0, graph.center[: basis.size(0)])
            changed = (n_angles > 0).index_select(0, of_bond).unsqueeze(1)
        return Weights(self.weights(basis), of_angles, changed)


def without_dropout(perceptron: Any) -> List[Any]:
    """Give the layers of a perceptron of the package, but for what does nothing in evaluation mode."""
    return [layer for layer in perceptron.layers if not isinstance(layer, torch.nn.Dropout)]


def _some(layer: Optional[torch.nn.Module]) -> List[torch.nn.Module]:
    return [] if layer is None else [layer]


def _linear(weight: torch.Tensor, bias: Optional[torch.Tensor]) -> torch.nn.Linear:
    layer = torch.nn.Linear(weight.size(1), weight.size(0), bias=bias is not None)
    layer.weight.data = weight
    if bias is not None:
        layer.bias.data = bias
    return layer
