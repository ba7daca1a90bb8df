"""From the layers of SevenNet's package to the network that is in the file.

What is not known is refused. Constants that depend on conventions of e3nn, such as those of the products of tensors,
are not taken from formulas but from what the layers give for inputs of zeros and ones.
"""

from typing import Any, NamedTuple

import torch

from ._sevennet_network import (
    Activation,
    Branch,
    Harmonics,
    Interaction,
    Mix,
    MixBySpecies,
    Nonlinearity,
    Perceptron,
    Readout,
    SevenNet,
    monomials,
)

_ACTIVATIONS = ("silu", "tanh", "abs", "ssp", "relu", "elu", "sigmoid")
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


class UnknownPartError(ValueError):
    """Raised for what is not carried over."""


class _Matrices(NamedTuple):
    """A linear layer: from input blocks to output blocks, and biases of output blocks.

    Attributes
    ----------
    terms
        Input block, output block, matrix (input channels, output channels).
    biases
        For output blocks of scalars.
    inputs, outputs
        Channels and degree of each block.
    """

    terms: list[tuple[int, int, torch.Tensor]]
    biases: dict[int, torch.Tensor]
    inputs: list[tuple[int, int]]
    outputs: list[tuple[int, int]]


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
    layers = dict(model.double().eval()._modules)
    n_layers = sum(name.endswith("_convolution") for name in layers)
    known = {*_AROUND, *(f"{t}_{name}" for t in range(n_layers) for name in _IN_LAYERS)}
    unknown = [f"'{name}' ({type(layer).__name__})" for name, layer in layers.items() if name not in known]
    if unknown:
        raise UnknownPartError(f"expected layers of SevenNet that this version knows, got {', '.join(unknown)}")
    with torch.no_grad():
        return _network(model, layers, n_layers, modal)


def _network(model: Any, layers: dict[str, Any], n_layers: int, modal: int | None) -> SevenNet:
    edges = layers["edge_embedding"]
    _check_type(edges.basis_function, "BesselBasis")
    _check_type(edges.cutoff_function, "PolynomialCutoff", "XPLORCutoff")
    embedding = _matrices(layers["onehot_to_feature_x"], modal)
    if len(embedding.inputs) != 1 or len(embedding.outputs) != 1:
        raise UnknownPartError(f"expected species to be embedded as scalars, got {embedding.outputs}")
    ((_, _, table),) = embedding.terms
    species = sorted(model.type_map, key=model.type_map.get)
    if [model.type_map[number] for number in species] != list(range(len(table))):
        raise UnknownPartError(f"expected species to be numbered from 0 to {len(table) - 1}, got {model.type_map}")
    types = torch.full([max(species) + 1], -1, dtype=torch.int64)
    types[species] = torch.arange(len(species))
    shift, scale = _rescaling(layers["rescale_atomic_energy"], len(species), modal)
    blocks = embedding.outputs
    interactions = []
    for t in range(n_layers):
        parts = {name: layers.get(f"{t}_{name}") for name in _IN_LAYERS}
        interaction, blocks = _interaction(parts, blocks, edges.spherical.irreps_out, modal)
        interactions.append(interaction)
    parts = {
        "table": types,
        "frequencies": edges.basis_function.coeffs.detach().double(),
        "embedding": table + embedding.biases.get(0, 0.0),
        "scale": scale,
        "shift": shift,
    }
    readout = _readout(layers, blocks, modal)
    return SevenNet(float(model.cutoff), edges.cutoff_function, parts, _harmonics(edges), interactions, readout)


def _check_type(part: Any, *names: str) -> None:
    if type(part).__name__ not in names:
        raise UnknownPartError(f"expected {' or '.join(names)} in the model, got {type(part).__name__}")


def _blocks(irreps: Any) -> list[tuple[int, int]]:
    """Give channels and degree of each block."""
    return [(int(mul), int(ir.l)) for mul, ir in irreps]


def _matrices(layer: Any, modal: int | None) -> _Matrices:
    """Read a linear layer; the input that says the modal is the same for all atoms, and becomes a bias."""
    _check_type(layer, "IrrepsLinear", "SelfConnectionLinearIntro")
    linear = layer.linear
    _check_type(linear, "Linear")
    inputs, outputs = _blocks(linear.irreps_in), _blocks(linear.irreps_out)
    terms = [
        (each.i_in, each.i_out, each.path_weight * weight.detach())
        for _, each, weight in linear.weight_views(yield_instruction=True)
    ]
    constant = linear(torch.zeros(1, linear.irreps_in.dim, dtype=torch.float64))[0]
    if getattr(layer, "num_modalities", 0) > 1:
        if modal is None or inputs[-1] != (layer.num_modalities, 0):
            raise UnknownPartError(f"expected the modal to be the last input of a layer, got {linear.irreps_in}")
        one = torch.zeros(1, linear.irreps_in.dim, dtype=torch.float64)
        one[0, linear.irreps_in.dim - layer.num_modalities + modal] = 1.0
        constant = linear(one)[0]
        last = len(inputs) - 1
        terms, inputs = [term for term in terms if term[0] != last], inputs[:-1]
    biases = {}
    for k, part in enumerate(linear.irreps_out.slices()):
        if torch.any(constant[part] != 0):
            biases[k] = constant[part].detach()
    return _Matrices(terms, biases, inputs, outputs)


def _mixes(matrices: _Matrices, what: str) -> list[Mix]:
    """Give one mixing for each output."""
    found = []
    for k in range(len(matrices.outputs)):
        terms = [term for term in matrices.terms if term[1] == k]
        if not terms:
            raise UnknownPartError(f"expected an input for each output of {what}, got none for number {k}")
        found.append(Mix([term[0] for term in terms], [term[2] for term in terms], matrices.biases.get(k)))
    return found


def _interaction(
    parts: dict[str, Any], blocks: list[tuple[int, int]], irreps_filter: Any, modal: int | None
) -> tuple[Interaction, list[tuple[int, int]]]:
    """Read a layer; give what comes out of it too."""
    convolution = parts["convolution"]
    _check_type(convolution, "IrrepsConvolution")
    before = _matrices(parts["self_interaction_1"], modal)
    product = convolution.convolution
    after = _matrices(parts["self_interaction_2"], modal)
    gate = parts["equivariant_gate"].gate
    _check_type(parts["equivariant_gate"], "EquivariantGate")
    _check_type(parts["self_connection_outro"], "SelfConnectionOutro")
    same = before.inputs == before.outputs == blocks == _blocks(product.irreps_in1)
    messages = product.irreps_out.simplify()
    if not (same and _blocks(messages) == after.inputs and after.outputs == _blocks(gate.irreps_in)):
        raise UnknownPartError(
            f"expected the layers of an interaction to go together, got {before} to {gate.irreps_in}"
        )
    branches, gathers, columns, orders = _branches(product, irreps_filter, float(convolution.denominator))
    radial = _perceptron(convolution.weight_nn, columns)

    # messages arrive in another order than the package has them in
    terms = [(i, o, weight[orders[i]]) for i, o, weight in after.terms]
    by_species: list[MixBySpecies] = []
    biases = dict(after.biases)
    connection = parts["self_connection_intro"]
    if type(connection).__name__ == "SelfConnectionIntro":
        by_species = _by_species(connection.fc_tensor_product)
    else:
        direct = _matrices(connection, modal)
        terms += [(i + len(messages), o, weight) for i, o, weight in direct.terms]
        biases = {k: biases.get(k, 0.0) + direct.biases.get(k, 0.0) for k in {*biases, *direct.biases}}
    mixes = _mixes(_Matrices(terms, biases, [], after.outputs), "an interaction")
    nonlinearities, found = _nonlinearities(gate)
    mixes_before = _mixes(before, "an interaction")
    return Interaction(mixes_before, radial, branches, gathers, mixes, by_species, nonlinearities), found


def _branches(
    product: Any, irreps_filter: Any, denominator: float
) -> tuple[list[Branch], list[list[int]], torch.Tensor, list[torch.Tensor]]:
    """Read the product of features and harmonics.

    Returns
    -------
    list of Branch
        For each feature.
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
    branches, columns = [], []
    gathers: list[list[int]] = [[] for _ in range(n_kinds)]
    orders: list[list[torch.Tensor]] = [[] for _ in range(n_kinds)]
    for source, (mul, ir) in enumerate(product.irreps_in1):
        rows, sizes = [], []
        for kind in range(n_kinds):
            own = [p for p, path in enumerate(paths) if path.i_in1 == source and kinds[path.i_out] == kind]
            if not own:
                continue
            # harmonics, components of the message, paths, components of the feature
            rows.append(torch.stack([couplings[p] for p in own], 2).flatten(1, 2) / denominator)
            gathers[kind] += [source, len(sizes)]
            sizes.append([couplings[own[0]].shape[1], len(own)])
            for p in own:
                columns.append(torch.arange(mul) + starts[p])
                orders[kind].append(torch.arange(mul) + offsets[paths[p].i_out])
        if not rows:
            raise UnknownPartError(f"expected messages from all features, got none from {mul}x{ir}")
        branches.append(Branch(source, torch.cat(rows, 1), sizes, mul))
    return branches, gathers, torch.cat(columns), [torch.cat(order) for order in orders]


def _kinds_of(product: Any) -> tuple[list[int], list[int]]:
    """Give for each output of a product the block that it is part of once blocks of one kind are joined, and where."""
    kinds, offsets = [], []
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


def _by_species(product: Any) -> list[MixBySpecies]:
    """Read the product of features with the species of atoms."""
    _check_type(product, "FullyConnectedTensorProduct")
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
        found.append(MixBySpecies(path.i_in1, path.i_out, torch.stack(weights)))
    if len({(path.i_in1, path.i_out) for path in product.instructions}) != len(product.instructions):
        raise UnknownPartError("expected one path from a feature to a feature by species, got several")
    return found


def _activation(normalized: Any) -> tuple[str, float]:
    """Give name and factor of an activation of e3nn, which makes its second moment one."""
    from sevenn._const import ACTIVATION

    names = [name for name, function in ACTIVATION.items() if function is normalized.f]
    if not names or names[0] not in _ACTIVATIONS:
        raise UnknownPartError(f"expected an activation among {', '.join(_ACTIVATIONS)}, got {normalized.f}")
    one = torch.ones(1, dtype=torch.float64)
    # some are left as they are, where the factor is nearly one
    return names[0], float(normalized(one) / normalized.f(one))


def _perceptron(net: Any, columns: torch.Tensor | None = None) -> Perceptron:
    """Read a perceptron; ``columns`` is the order of what comes out of it."""
    _check_type(net, "FullyConnectedNet")
    weights, names = [], []
    factor = 1.0
    for layer in net.children():
        weight = layer.weight.detach() / (layer.h_in * layer.var_in) ** 0.5 * factor
        factor = layer.var_out**0.5
        if layer.act is not None:
            name, of_act = _activation(layer.act)
            names.append(name)
            factor *= of_act
        weights.append(weight)
    if len(names) != len(weights) - 1 or len(set(names)) > 1:
        raise UnknownPartError(f"expected an activation between each two layers of a perceptron, got {names}")
    weights[-1] = weights[-1] * factor
    if columns is not None:
        weights[-1] = weights[-1][:, columns]
    return Perceptron(weights, Activation(names[0] if names else "silu", 1.0))


def _harmonics(edges: Any) -> Harmonics:
    """Find the polynomials that the harmonics of the package are, by their values for random vectors."""
    sph = edges.spherical.sph
    degrees = [(mul, ir.l) for mul, ir in edges.spherical.irreps_out]
    if degrees != [(1, n) for n in range(len(degrees))]:
        raise UnknownPartError(f"expected one of each degree of harmonics, got {edges.spherical.irreps_out}")
    vectors = torch.randn(500, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    vectors = torch.nn.functional.normalize(vectors, dim=1)
    expected = sph(vectors)
    found = []
    for products, part in zip(monomials(vectors, len(degrees) - 1), edges.spherical.irreps_out.slices(), strict=True):
        coefficients = torch.linalg.lstsq(products, expected[:, part]).solution
        if not torch.allclose(products @ coefficients, expected[:, part], rtol=0, atol=1e-10):
            raise UnknownPartError("expected harmonics that are polynomials of their degree, got other ones")
        # they are roots of whole numbers, or zero
        found.append(torch.where(coefficients.abs() < 1e-10, 0.0, coefficients))
    return Harmonics(found, bool(sph.normalize))


def _rescaling(layer: Any, n_species: int, modal: int | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Give shift and scale of the energies of all species."""
    _check_type(layer, "Rescale", "SpeciesWiseRescale", "ModalWiseRescale")
    found = []
    for name in ("shift", "scale"):
        values = getattr(layer, name).detach()
        if getattr(layer, f"use_modal_wise_{name}", False):
            values = values[modal]
        found.append(values.reshape(-1).expand(n_species).clone())
    return found[0], found[1]


def _nonlinearities(gate: Any) -> tuple[list[Nonlinearity], list[tuple[int, int]]]:
    """Read a gate; give channels and degrees of what comes out too."""
    blocks, slices = _blocks(gate.irreps_in), gate.irreps_in.slices()
    # where in its input each of the three parts is
    places = gate.sc(torch.arange(gate.irreps_in.dim, dtype=torch.float64).unsqueeze(0))
    scalars, gates, gated = (part[0].to(torch.int64) for part in places)

    def place(values: torch.Tensor) -> list[int]:
        start, n = int(values[0]), len(values)
        (block,) = (k for k, part in enumerate(slices) if part.start <= start < part.stop)
        width = 2 * blocks[block][1] + 1
        is_part = torch.equal(values, torch.arange(start, start + n)) and start + n <= slices[block].stop
        if not is_part or (start - slices[block].start) % width or n % width:
            raise UnknownPartError("expected a gate that takes channels one after the other, got another one")
        return [block, (start - slices[block].start) // width, n // width]

    found: list[Nonlinearity] = []
    results = []
    start = 0
    for (mul, _), act in zip(gate.act_scalars.irreps_in, gate.act_scalars.acts, strict=True):
        found.append(Nonlinearity(place(scalars[start : start + mul]), Activation(*_activation(act)), -1))
        results.append((int(mul), 0))
        start += mul
    acts = [
        act for (mul, _), act in zip(gate.act_gates.irreps_in, gate.act_gates.acts, strict=True) for _ in range(mul)
    ]
    start = start_gated = 0
    for mul, ir in gate.irreps_gated:
        names = {_activation(act) for act in acts[start : start + mul]}
        block, first, n = place(gated[start_gated : start_gated + mul * ir.dim])
        if len(names) != 1 or (first, n) != (0, blocks[block][0]):
            raise UnknownPartError("expected a gate with one activation for each feature, got another one")
        found.append(Nonlinearity(place(gates[start : start + mul]), Activation(*names.pop()), block))
        results.append((int(mul), int(ir.l)))
        start, start_gated = start + mul, start_gated + mul * ir.dim
    return found, results


def _readout(layers: dict[str, Any], blocks: list[tuple[int, int]], modal: int | None) -> Readout:
    if "readout_FCN" in layers:
        _check_type(layers["readout_FCN"], "FCN_e3nn")
        if any(degree for _, degree in blocks):
            raise UnknownPartError(f"expected scalars at the end, got {blocks}")
        return Readout([], _perceptron(layers["readout_FCN"].fcn))
    hidden = _matrices(layers["reduce_input_to_hidden"], modal)
    energy = _matrices(layers["reduce_hidden_to_energy"], modal)
    if hidden.inputs != blocks or hidden.outputs != energy.inputs or energy.outputs != [(1, 0)]:
        raise UnknownPartError(f"expected scalars at the end, got {blocks}")
    return Readout([*_mixes(hidden, "the readout"), *_mixes(energy, "the readout")], None)
