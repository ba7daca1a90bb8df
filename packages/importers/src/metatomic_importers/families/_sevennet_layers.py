"""From single layers of SevenNet's package and of e3nn to parts of the network that is in the file."""

from typing import Any, NamedTuple

import torch

from ._sevennet_network import Activation, Harmonics, Mix, Nonlinearity, Perceptron, monomials

_ACTIVATIONS = ("silu", "tanh", "abs", "ssp", "relu", "elu", "sigmoid")


class UnknownPartError(ValueError):
    """Raised for what is not carried over."""


class Matrices(NamedTuple):
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


def check_type(part: Any, *names: str) -> None:
    if type(part).__name__ not in names:
        raise UnknownPartError(f"expected {' or '.join(names)} in the model, got {type(part).__name__}")


def blocks_of(irreps: Any) -> list[tuple[int, int]]:
    """Give channels and degree of each block."""
    return [(int(mul), int(ir.l)) for mul, ir in irreps]


def matrices(layer: Any, modal: int | None) -> Matrices:
    """Read a linear layer; the input that says the modal is the same for all atoms, and becomes a bias."""
    check_type(layer, "IrrepsLinear", "SelfConnectionLinearIntro")
    linear = layer.linear
    check_type(linear, "Linear")
    inputs, outputs = blocks_of(linear.irreps_in), blocks_of(linear.irreps_out)
    # biases are among them, from input -1
    terms = [
        (path.i_in, path.i_out, path.path_weight * linear.weight_view_for_instruction(k).detach())
        for k, path in enumerate(linear.instructions)
        if path.i_in >= 0
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
    return Matrices(terms, biases, inputs, outputs)


def mixes(matrices: Matrices, what: str) -> list[Mix]:
    """Give one mixing for each output."""
    found = []
    for k in range(len(matrices.outputs)):
        terms = [term for term in matrices.terms if term[1] == k]
        if not terms:
            raise UnknownPartError(f"expected an input for each output of {what}, got none for number {k}")
        found.append(Mix([term[0] for term in terms], [term[2] for term in terms], matrices.biases.get(k)))
    return found


def activation(normalized: Any) -> tuple[str, float]:
    """Give name and factor of an activation of e3nn, which makes its second moment one."""
    from sevenn._const import ACTIVATION

    names = [name for name, function in ACTIVATION.items() if function is normalized.f]
    if not names or names[0] not in _ACTIVATIONS:
        raise UnknownPartError(f"expected an activation among {', '.join(_ACTIVATIONS)}, got {normalized.f}")
    one = torch.ones(1, dtype=torch.float64)
    # some are left as they are, where the factor is nearly one
    return names[0], float(normalized(one) / normalized.f(one))


def perceptron(net: Any, columns: torch.Tensor | None = None) -> Perceptron:
    """Read a perceptron; ``columns`` is the order of what comes out of it."""
    check_type(net, "FullyConnectedNet")
    weights, names = [], []
    factor = 1.0
    for layer in net.children():
        weight = layer.weight.detach() / (layer.h_in * layer.var_in) ** 0.5 * factor
        factor = layer.var_out**0.5
        if layer.act is not None:
            name, of_act = activation(layer.act)
            names.append(name)
            factor *= of_act
        weights.append(weight)
    if len(names) != len(weights) - 1 or len(set(names)) > 1:
        raise UnknownPartError(f"expected an activation between each two layers of a perceptron, got {names}")
    weights[-1] = weights[-1] * factor
    if columns is not None:
        weights[-1] = weights[-1][:, columns]
    return Perceptron(weights, Activation(names[0] if names else "silu", 1.0))


def harmonics(edges: Any) -> Harmonics:
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


def rescaling(layer: Any, n_species: int, modal: int | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Give shift and scale of the energies of all species."""
    check_type(layer, "Rescale", "SpeciesWiseRescale", "ModalWiseRescale")
    found = []
    for name in ("shift", "scale"):
        values = getattr(layer, name).detach()
        if getattr(layer, f"use_modal_wise_{name}", False):
            values = values[modal]
        found.append(values.reshape(-1).expand(n_species).clone())
    return found[0], found[1]


def nonlinearities(gate: Any) -> tuple[list[Nonlinearity], list[tuple[int, int]]]:
    """Read a gate; give channels and degrees of what comes out too."""
    blocks, slices = blocks_of(gate.irreps_in), gate.irreps_in.slices()
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
        found.append(Nonlinearity(place(scalars[start : start + mul]), Activation(*activation(act)), -1))
        results.append((int(mul), 0))
        start += mul
    acts = [
        act for (mul, _), act in zip(gate.act_gates.irreps_in, gate.act_gates.acts, strict=True) for _ in range(mul)
    ]
    start = start_gated = 0
    for mul, ir in gate.irreps_gated:
        names = {activation(act) for act in acts[start : start + mul]}
        block, first, n = place(gated[start_gated : start_gated + mul * ir.dim])
        if len(names) != 1 or (first, n) != (0, blocks[block][0]):
            raise UnknownPartError("expected a gate with one activation for each feature, got another one")
        found.append(Nonlinearity(place(gates[start : start + mul]), Activation(*names.pop()), block))
        results.append((int(mul), int(ir.l)))
        start, start_gated = start + mul, start_gated + mul * ir.dim
    return found, results
