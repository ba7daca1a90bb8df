"""From the layers of SevenNet's package to the network that is in the file.

What is not known is refused. Constants that depend on conventions of e3nn, such as those of the products of tensors,
are not taken from formulas but from what the layers give for inputs of zeros and ones.
"""

from typing import Any

import torch

from ._sevennet_layers import (
    Matrices,
    UnknownPartError,
    blocks_of,
    check_type,
    harmonics,
    matrices,
    mixes,
    nonlinearities,
    perceptron,
    rescaling,
)
from ._sevennet_network import Branch, Interaction, MixBySpecies, Readout, SevenNet

# Layers by number, and those before and after them; what else a model has is not known here.
_IN_LAYERS = (
    "self_connection_intro",
    "self_interaction_1",
    "convolution",
    "self_interaction_2",
    "self_connection_outro",
    "equivariant_gate",
)
_AROUND = (
    "edge_embedding",
    "onehot_idx_to_onehot",
    "one_hot_modality",
    "onehot_to_feature_x",
    "reduce_input_to_hidden",
    "reduce_hidden_to_energy",
    "readout_FCN",
    "rescale_atomic_energy",
    "reduce_total_enegy",
    "force_output",
)


def network(model: Any, modal: int | None) -> SevenNet:
    """Read a model.

    Parameters
    ----------
    model
        What ``build_model`` of a checkpoint gives.
    modal
        Number of the modal, None if the model has none.

    Returns
    -------
    SevenNet
        The network, in float64.

    Raises
    ------
    UnknownPartError
        If a part of it is not known.
    """
    # numbers of the checkpoint are kept, constants that are computed from them are not rounded to float32
    layers = dict(model.double().eval().named_children())
    n_layers = sum(name.endswith("_convolution") for name in layers)
    known = {*_AROUND, *(f"{t}_{name}" for t in range(n_layers) for name in _IN_LAYERS)}
    unknown = [f"'{name}' ({type(layer).__name__})" for name, layer in layers.items() if name not in known]
    if unknown:
        raise UnknownPartError(f"expected layers of SevenNet that this version knows, got {', '.join(unknown)}")
    with torch.no_grad():
        return _network(model, layers, n_layers, modal)


def _network(model: Any, layers: dict[str, Any], n_layers: int, modal: int | None) -> SevenNet:
    edges = layers["edge_embedding"]
    check_type(edges.basis_function, "BesselBasis")
    check_type(edges.cutoff_function, "PolynomialCutoff", "XPLORCutoff")
    embedding = matrices(layers["onehot_to_feature_x"], modal)
    if len(embedding.inputs) != 1 or len(embedding.outputs) != 1:
        raise UnknownPartError(f"expected species to be embedded as scalars, got {embedding.outputs}")
    ((_, _, table),) = embedding.terms
    species = sorted(model.type_map, key=model.type_map.get)
    if [model.type_map[number] for number in species] != list(range(len(table))):
        raise UnknownPartError(f"expected species to be numbered from 0 to {len(table) - 1}, got {model.type_map}")
    types = torch.full([max(species) + 1], -1, dtype=torch.int64)
    types[species] = torch.arange(len(species))
    shift, scale = rescaling(layers["rescale_atomic_energy"], len(species), modal)
    blocks = embedding.outputs
    interactions = []
    for t in range(n_layers):
        parts = {name: layers.get(f"{t}_{name}") for name in _IN_LAYERS}
        interaction, blocks = _interaction(parts, blocks, edges.spherical.irreps_out, modal)
        interactions.append(interaction)
    tensors = {
        "table": types,
        "frequencies": edges.basis_function.coeffs.detach().double(),
        "embedding": table + embedding.biases.get(0, 0.0),
        "scale": scale,
        "shift": shift,
    }
    readout = _readout(layers, blocks, modal)
    return SevenNet(float(model.cutoff), edges.cutoff_function, tensors, harmonics(edges), interactions, readout)


def _interaction(
    parts: dict[str, Any], blocks: list[tuple[int, int]], irreps_filter: Any, modal: int | None
) -> tuple[Interaction, list[tuple[int, int]]]:
    """Read a layer; give what comes out of it too."""
    convolution = parts["convolution"]
    check_type(convolution, "IrrepsConvolution")
    before = matrices(parts["self_interaction_1"], modal)
    product = convolution.convolution
    after = matrices(parts["self_interaction_2"], modal)
    gate = parts["equivariant_gate"].gate
    check_type(parts["equivariant_gate"], "EquivariantGate")
    check_type(parts["self_connection_outro"], "SelfConnectionOutro")
    same = before.inputs == before.outputs == blocks == blocks_of(product.irreps_in1)
    messages = product.irreps_out.simplify()
    if not (same and blocks_of(messages) == after.inputs and after.outputs == blocks_of(gate.irreps_in)):
        raise UnknownPartError(
            f"expected the layers of an interaction to go together, got {before} to {gate.irreps_in}"
        )
    branches, sources, gathers, columns, orders = _branches(product, irreps_filter, float(convolution.denominator))
    radial = perceptron(convolution.weight_nn, columns)

    # messages arrive in another order than the package has them in
    terms = [(i, o, weight[orders[i]]) for i, o, weight in after.terms]
    by_species: list[MixBySpecies] = []
    targets: list[int] = []
    biases = dict(after.biases)
    connection = parts["self_connection_intro"]
    if type(connection).__name__ == "SelfConnectionIntro":
        by_species, targets = _by_species(connection.fc_tensor_product)
    else:
        direct = matrices(connection, modal)
        terms += [(i + len(messages), o, weight) for i, o, weight in direct.terms]
        for k, bias in direct.biases.items():
            biases[k] = biases[k] + bias if k in biases else bias
    sent = mixes(before, "an interaction")
    outputs, found = nonlinearities(gate)
    layer = Interaction(
        [sent[source] for source in sources],
        radial,
        branches,
        gathers,
        mixes(Matrices(terms, biases, [], after.outputs), "an interaction"),
        by_species,
        targets,
        outputs,
    )
    return layer, found


def _branches(
    product: Any, irreps_filter: Any, denominator: float
) -> tuple[list[Branch], list[int], list[list[int]], torch.Tensor, list[torch.Tensor]]:
    """Read the product of features and harmonics.

    Returns
    -------
    list of Branch, list of int
        For each feature that something comes from, and which these are.
    list of list of int
        For each kind of message, where it comes from.
    torch.Tensor
        Order of the weights of paths: position in the package of each.
    list of torch.Tensor
        Order of the channels of each kind of message: position in the package of each.
    """
    paths = product.instructions
    if any(path.connection_mode != "uvu" or not path.has_weight for path in paths) or any(
        mul != 1 for mul, _ in irreps_filter
    ):
        raise UnknownPartError("expected products of channels with harmonics, got other ones")
    muls = [product.irreps_in1[path.i_in1].mul for path in paths]
    starts = torch.tensor([0, *muls]).cumsum(0)
    couplings = _couplings(product)
    kinds, offsets = _kinds_of(product)
    n_kinds = max(kinds) + 1
    branches: list[Branch] = []
    sources: list[int] = []
    columns: list[torch.Tensor] = []
    gathers: list[list[int]] = [[] for _ in range(n_kinds)]
    orders: list[list[torch.Tensor]] = [[] for _ in range(n_kinds)]
    for source, (mul, _) in enumerate(product.irreps_in1):
        rows: list[torch.Tensor] = []
        sizes: list[list[int]] = []
        for kind in range(n_kinds):
            own = [p for p, path in enumerate(paths) if path.i_in1 == source and kinds[path.i_out] == kind]
            if not own:
                continue
            # harmonics, components of the message, paths, components of the feature
            rows.append(torch.stack([couplings[p] for p in own], 2).flatten(1, 2) / denominator)
            gathers[kind] += [len(branches), len(sizes)]
            sizes.append([couplings[own[0]].shape[1], len(own)])
            for p in own:
                columns.append(torch.arange(mul) + starts[p])
                orders[kind].append(torch.arange(mul) + offsets[paths[p].i_out])
        # of some there is no path, as of pseudovectors to scalars
        if rows:
            branches.append(Branch(torch.cat(rows, 1), sizes, mul))
            sources.append(source)
    return branches, sources, gathers, torch.cat(columns), [torch.cat(order) for order in orders]


def _kinds_of(product: Any) -> tuple[list[int], list[int]]:
    """Give for each output of a product the block that it is part of once blocks of one kind are joined, and where."""
    kinds: list[int] = []
    offsets: list[int] = []
    last, width = None, 0
    for mul, ir in product.irreps_out:
        if ir != last:
            kinds.append(kinds[-1] + 1 if kinds else 0)
            width = 0
        else:
            kinds.append(kinds[-1])
        offsets.append(width)
        last, width = ir, width + mul
    return kinds, offsets


def _couplings(product: Any) -> list[torch.Tensor]:
    """Give for each path what a component of a feature and a harmonic give, with a weight of one.

    Shape (harmonics, components of the message, components of the feature).
    """
    features, harmonics, rows = [], [], []
    width = product.irreps_in2.dim
    for block, (part, (mul, ir)) in enumerate(zip(product.irreps_in1.slices(), product.irreps_in1, strict=True)):
        for component in range(ir.dim):
            one = torch.zeros(product.irreps_in1.dim, dtype=torch.float64)
            one[part].view(mul, ir.dim)[:, component] = 1.0
            features.append(one.expand(width, -1))
            harmonics.append(torch.eye(width, dtype=torch.float64))
            rows.append((block, component))
    weights = torch.ones(len(rows) * width, product.weight_numel, dtype=torch.float64)
    given = product(torch.cat(features), torch.cat(harmonics), weights).detach()
    parts = product.irreps_out.slices()
    found = []
    for path in product.instructions:
        values = given[:, parts[path.i_out]].reshape(len(rows), width, -1, product.irreps_out[path.i_out].ir.dim)
        own = [values[k, :, 0] for k, (block, _) in enumerate(rows) if block == path.i_in1]
        # other paths never end in the same block
        found.append(torch.stack(own, 2))
    if len({path.i_out for path in product.instructions}) != len(product.instructions):
        raise UnknownPartError("expected each path of a product to have an output of its own, got several in one")
    return found


def _by_species(product: Any) -> tuple[list[MixBySpecies], list[int]]:
    """Read the product of features with the species of atoms; give which output each part is for too."""
    check_type(product, "FullyConnectedTensorProduct")
    found = []
    n_species = product.irreps_in2.dim
    sources, targets = product.irreps_in1.slices(), product.irreps_out.slices()
    for path in product.instructions:
        (n, ir), (m, _) = product.irreps_in1[path.i_in1], product.irreps_out[path.i_out]
        x = torch.zeros(n, product.irreps_in1.dim, dtype=torch.float64)
        x[:, sources[path.i_in1]].view(n, n, ir.dim)[:, :, 0] = torch.eye(n, dtype=torch.float64)
        weights = []
        for species in torch.eye(n_species, dtype=torch.float64):
            y = product(x, species.expand(n, -1))[:, targets[path.i_out]]
            weights.append(y.reshape(n, m, ir.dim)[:, :, 0])
        found.append(MixBySpecies(path.i_in1, torch.stack(weights)))
    if len({(path.i_in1, path.i_out) for path in product.instructions}) != len(product.instructions):
        raise UnknownPartError("expected one path from a feature to a feature by species, got several")
    return found, [path.i_out for path in product.instructions]


def _readout(layers: dict[str, Any], blocks: list[tuple[int, int]], modal: int | None) -> Readout:
    if "readout_FCN" in layers:
        check_type(layers["readout_FCN"], "FCN_e3nn")
        if any(degree for _, degree in blocks):
            raise UnknownPartError(f"expected scalars at the end, got {blocks}")
        return Readout([], perceptron(layers["readout_FCN"].fcn))
    hidden = matrices(layers["reduce_input_to_hidden"], modal)
    energy = matrices(layers["reduce_hidden_to_energy"], modal)
    if hidden.inputs != blocks or hidden.outputs != energy.inputs or energy.outputs != [(1, 0)]:
        raise UnknownPartError(f"expected scalars at the end, got {blocks}")
    return Readout([*mixes(hidden, "the readout"), *mixes(energy, "the readout")], None)
