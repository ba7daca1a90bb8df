"""The energies of atoms of a MACE model, from the parts of the model itself: in Python, and compiled by e3nn."""

import contextlib
import copy
import sys
from collections.abc import Callable, Iterator
from typing import Any, Dict, List, Optional

import torch
from metatensor.torch import Labels, TensorMap

from metatomic_core import ModelOutput, NeighborListOptions, System
from metatomic_core.authors import energy_output, pairs, species_index, species_table
from metatomic_importers.quiet import quiet_package

# How far energies of two forms of a model may be from each other, of the largest.
_SAME = 1e-4


class MaceEnergies(torch.nn.Module):
    """A MACE model, one head of it, as a model of ours.

    What the model's own ``forward`` does on top is left to the pipeline: forces, stresses, sums over structures.

    Parameters
    ----------
    network
        The model, whose parts are used and not copied.
    head
        Number of the head.
    cutoff
        Its cutoff, as it was before a change of the dtype.
    """

    table: torch.Tensor
    numbers: torch.Tensor
    one_hot: torch.Tensor
    references: torch.Tensor
    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, network: Any, head: int, cutoff: float):
        super().__init__()
        self.cutoff = cutoff
        self.head = head
        references = torch.atleast_2d(network.atomic_energies_fn.atomic_energies)[head].clone()
        scale, shift = references.new_ones(()), references.new_zeros(())
        if hasattr(network, "scale_shift"):
            scale = torch.atleast_1d(network.scale_shift.scale)[head].clone()
            shift = torch.atleast_1d(network.scale_shift.shift)[head].clone()
        self.register_buffer("table", species_table(network.atomic_numbers.tolist()))
        self.register_buffer("numbers", network.atomic_numbers)
        self.register_buffer("one_hot", torch.eye(len(references), dtype=references.dtype))
        self.register_buffer("references", references)
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)
        self.node_embedding = network.node_embedding
        self.spherical_harmonics = network.spherical_harmonics
        self.radial_embedding = network.radial_embedding
        self.pair_repulsion = getattr(network, "pair_repulsion_fn", None)
        self.interactions = network.interactions
        self.products = network.products
        self.readouts = network.readouts

    @torch.jit.export
    def requested_neighbor_lists(self) -> List[NeighborListOptions]:
        """List what `forward` asks for: all directed pairs within the cutoff."""
        return [NeighborListOptions(self.cutoff, full_list=True, strict=True)]

    def forward(
        self, systems: List[System], outputs: Dict[str, ModelOutput], selected_atoms: Optional[Labels]
    ) -> Dict[str, TensorMap]:
        """Compute energies of atoms; see `ModelInterface`."""
        if "energy" not in outputs:
            return {}
        senders, receivers, vectors = pairs(systems, NeighborListOptions(self.cutoff, full_list=True, strict=True))
        energies = self.of_atoms(species_index(systems, self.table), torch.stack([senders, receivers]), vectors)
        return {"energy": energy_output(systems, energies, outputs["energy"], selected_atoms)}

    def of_atoms(self, species: torch.Tensor, edges: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        """Compute the energies of atoms of a graph, shape (n_atoms,).

        Parameters
        ----------
        species
            Numbers of species, shape (n_atoms,).
        edges
            Senders and receivers, shape (2, n_edges).
        vectors
            From the first to the second, shape (n_edges, 3).
        """
        lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        attributes = self.one_hot.index_select(0, species)
        harmonics = self.spherical_harmonics(vectors)
        radial, envelope = self.radial_embedding(lengths, attributes, edges, self.numbers)
        features = self.node_embedding(attributes)
        layers: List[torch.Tensor] = []
        for interaction, product in zip(self.interactions, self.products):
            messages, residual = interaction(
                node_attrs=attributes,
                node_feats=features,
                edge_attrs=harmonics,
                edge_feats=radial,
                edge_index=edges,
                cutoff=envelope,
            )
            features = product(node_feats=messages, sc=residual, node_attrs=attributes)
            layers.append(features)
        heads = torch.full_like(species, self.head)
        energies = torch.zeros_like(attributes[:, 0])
        if self.pair_repulsion is not None:
            energies = energies + self.pair_repulsion(lengths, attributes, edges, self.numbers)
        for i, readout in enumerate(self.readouts):
            # a single readout is that of the last layer
            layer = layers[-1] if len(self.readouts) == 1 else layers[i]
            energies = energies + readout(layer, heads)[:, self.head]
        return self.references.index_select(0, species) + (self.scale * energies + self.shift)


class MaceInPython(MaceEnergies):
    """The same of a network without compiled parts, which can be traced; the network that has them gives the script.

    Parameters
    ----------
    network
        The model without compiled parts.
    original
        The model as it was read, with the same weights.
    head, cutoff
        As for `MaceEnergies`.
    """

    def __init__(self, network: Any, original: Any, head: int, cutoff: float):
        super().__init__(network, head, cutoff)
        # in a list: not a second set of parameters of this module
        self._original = [original]

    @torch.jit.unused
    def torchscript_module(self) -> torch.jit.ScriptModule:
        """Give the compiled form; its weights are the ones of this module."""
        return scripted(self._original[0], self.head, self.cutoff)


def module_of(network: Any, head: int, cutoff: float) -> torch.nn.Module:
    """Give the module of a model as it was read: in Python if that can be, or else compiled.

    Parameters
    ----------
    network, head, cutoff
        As for `MaceEnergies`.
    """
    plain = _in_python(network)
    if plain is not None:
        module = MaceInPython(plain, network, head, cutoff).eval()
        if _agree(module, MaceEnergies(network, head, cutoff).eval()):
            return module
    return scripted(network, head, cutoff)


def scripted(network: Any, head: int, cutoff: float) -> torch.jit.ScriptModule:
    """Compile a model, as it was read, with the compiler of e3nn.

    Parameters
    ----------
    network, head, cutoff
        As for `MaceEnergies`; the network stays as it is.
    """
    from e3nn.util import jit

    jit.compile_mode("script")(MaceEnergies)
    module = MaceEnergies(network, head, cutoff).eval()
    # parts are replaced in place: in a copy that has the weights of the network
    weights = [*module.parameters(), *module.buffers()]
    module = copy.deepcopy(module, {id(tensor): tensor for tensor in weights})
    _take_gates_of_e3nn(module)
    return jit.script(module)


def _take_gates_of_e3nn(module: MaceEnergies) -> None:
    """Replace gates that TorchScript does not compile by those of e3nn, which compute the same."""
    from e3nn.nn import Gate

    for parent in list(module.modules()):
        parts: Dict[str, Any] = dict(parent.named_children())
        for name, part in parts.items():
            if type(part).__name__ != "GatedEquivariantBlock":
                continue
            gate = Gate(
                part.irreps_scalars,
                [part._act_scalar] * len(part.irreps_scalars),  # noqa: SLF001  (it has no other name for it)
                part.irreps_gates,
                [part._act_gate] * len(part.irreps_gates),  # noqa: SLF001
                part.irreps_gated,
            )
            setattr(parent, name, gate.to(module.references.dtype).eval())


def _in_python(network: Any) -> Any:
    """Build a model anew without compiled parts, with the weights of the one that was read; None if that can not be."""
    with _as_built(network.r_max.dtype), contextlib.suppress(AttributeError, KeyError, RuntimeError, TypeError):
        rebuilt = type(network)(**_arguments(network))
        for new, old in zip(rebuilt.products, network.products, strict=True):
            # nothing compiled in it, and its tables depend on whether cuequivariance was installed
            new.symmetric_contractions = old.symmetric_contractions
        for new, old in zip(rebuilt.interactions, network.interactions, strict=True):
            new.avg_num_neighbors = old.avg_num_neighbors
        missing, others = rebuilt.load_state_dict(network.state_dict(), strict=False, assign=True)
        # gates have no weights, and other names in other versions
        if not missing and all(".equivariant_nonlin." in name for name in others):
            rebuilt.spherical_harmonics = _harmonics(rebuilt.spherical_harmonics)
            return rebuilt.eval()
    return None


@torch.no_grad()
def _agree(one: MaceEnergies, other: MaceEnergies) -> bool:
    """Tell whether two forms of a model give the same energies: the package may describe a model wrongly."""
    n_species = len(one.references)
    n_atoms = max(8, n_species)
    species = torch.arange(n_atoms) % n_species
    senders = torch.arange(n_atoms).repeat_interleave(8)
    edges = torch.stack([senders, (senders + torch.arange(8).repeat(n_atoms) + 1) % n_atoms])
    generator = torch.Generator().manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(edges.shape[1], 3, generator=generator))
    lengths = one.cutoff * (0.4 + 0.55 * torch.rand(edges.shape[1], 1, generator=generator))
    vectors = (lengths * vectors).to(one.references.dtype)
    energies, expected = one.of_atoms(species, edges, vectors), other.of_atoms(species, edges, vectors)
    return bool((energies - expected).abs().max() <= _SAME * expected.abs().max())


def _arguments(network: Any) -> Dict[str, Any]:
    """Give the arguments that make a model like this one, as far as the package can tell."""
    from mace.modules import ScaleShiftMACE
    from mace.modules.blocks import ScaleShiftBlock
    from mace.tools.scripts_utils import extract_config_mace_model

    described = copy.copy(network)
    if not isinstance(network, ScaleShiftMACE):
        # the package describes these only; they are the others with a scale
        described.__class__ = ScaleShiftMACE
        described._modules = {**network._modules, "scale_shift": ScaleShiftBlock(1.0, 0.0)}  # noqa: SLF001  (a copy of the table, not of the parts)
    arguments = extract_config_mace_model(described)
    if not isinstance(network, ScaleShiftMACE):
        del arguments["atomic_inter_scale"], arguments["atomic_inter_shift"]
    arguments["atomic_numbers"] = network.atomic_numbers.tolist()
    arguments["correlation"] = [
        product.symmetric_contractions.contractions[0].correlation for product in network.products
    ]
    return arguments


@contextlib.contextmanager
def _as_built(dtype: torch.dtype) -> Iterator[None]:
    """Have parts of e3nn made in Python and in a dtype, for as long as a model is built."""
    from e3nn import get_optimization_defaults, set_optimization_defaults

    settings, default = get_optimization_defaults(), torch.get_default_dtype()
    with quiet_package():
        try:
            torch.set_default_dtype(dtype)
            set_optimization_defaults(jit_script_fx=False)
            yield
        finally:
            set_optimization_defaults(**settings)
            torch.set_default_dtype(default)


class _Harmonics(torch.nn.Module):
    """Spherical harmonics of directions, as e3nn normalizes its components."""

    norms: torch.Tensor

    def __init__(self, polynomials: Callable[..., torch.Tensor], l_max: int, dtype: torch.dtype):
        super().__init__()
        self.polynomials, self.l_max = polynomials, l_max
        sizes = [2 * degree + 1 for degree in range(l_max + 1)]
        norms = [size**0.5 for size in sizes for _ in range(size)]
        self.register_buffer("norms", torch.tensor(norms, dtype=dtype))

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        x, y, z = torch.nn.functional.normalize(vectors, dim=-1).unbind(-1)
        return self.polynomials(self.l_max, x, y, z) * self.norms


def _harmonics(module: Any) -> Any:
    """Give spherical harmonics in Python: e3nn's are one compiled function, which fixes sizes in a trace."""
    compiled = vars(sys.modules[type(module).__module__])["_spherical_harmonics"]
    # torch keeps what a function was compiled from
    polynomials = getattr(compiled, "_torchdynamo_inline", None)
    degrees = list(module.irreps_out.ls)
    is_known = degrees == list(range(len(degrees))) and module.normalize and module.normalization == "component"
    if polynomials is None or not is_known:
        return module
    return _Harmonics(polynomials, max(degrees), torch.get_default_dtype())
