"""CHGNet: ``metatomic import chgnet``, the versions in its package, or a file of its trainer."""

import contextlib
import importlib.util
import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from metatomic_core import ModelCapabilities, ModelMetadata, ModelOutput
from metatomic_importers.contents import Contents
from metatomic_importers.family import Family, Imported, Other, Request, Tolerances
from metatomic_importers.species import chosen_types

from ._chgnet_network import Network

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

# The package computes in float32 alone, with vectors between atoms from fractional coordinates, which are rounded.
# Mostly it is off by a tenth of these; in small cells, as of oxygen alone, stresses by 4e-5 eV/A^3.
_TOLERANCES = Tolerances(2e-5, 3e-4, 1e-4)
_MOMENTS = Other("magnetic_moment", "mu_B", 1e-4)

_PAPER = "doi:10.1038/s42256-023-00716-3"
_OF_VERSION = {"r2scan": "doi:10.1038/s41524-025-01796-y"}
_LICENCE_IN_WHEEL = "none of their own: they are in the package, see the licence of the code"


def recognises(contents: Contents) -> bool:
    """Tell whether a file is a checkpoint of CHGNet: by the names of its weights, and its arguments."""
    weights = any(name.startswith("atom_conv_layers.0.twoBody_atom.") for name in contents.names)
    return weights and "model_args" in contents.names


def shipped() -> Mapping[str, Path]:
    """Give the versions that are in the package."""
    found = importlib.util.find_spec("chgnet")
    folders = list(found.submodule_search_locations or ()) if found is not None else []
    files = sorted(file for folder in folders for file in Path(folder).glob("pretrained/*/*.pth.tar"))
    return {file.parent.name: file for file in reversed(files)}


def read(request: Request) -> Imported:
    """Read a checkpoint."""
    with _silent():
        own = _own_model(request)
    _check_kind(own)
    module = Network(own).to(getattr(torch, request.dtype)).eval()
    n_layers = len(own.atom_conv_layers)
    version = request.name if request.name in shipped() else ""
    references = {"architecture": [_PAPER]}
    if version in _OF_VERSION:
        references["model"] = [_OF_VERSION[version]]
    return Imported(
        module=module,
        metadata=ModelMetadata(
            name=f"CHGNet {version}".strip(), description=_description(module), references=references
        ),
        capabilities=ModelCapabilities(
            outputs={
                "energy": ModelOutput(unit="eV", sample_kind="atom"),
                "magnetic_moment": ModelOutput(
                    unit="mu_B", sample_kind="atom", description="absolute values, which is what it is trained on"
                ),
            },
            atomic_types=chosen_types(range(1, len(module.shift) + 1), request.species),
            interaction_range=module.cutoff * n_layers if module.is_local else math.inf,
            length_unit="angstrom",
            supported_devices=["cuda", "cpu"],
            dtype=request.dtype,
        ),
        calculator=lambda: _calculator(request),
        tolerances=_TOLERANCES,
        periodic_only=True,
        others={"magmoms": _MOMENTS},
        weights_licence=_LICENCE_IN_WHEEL if version else "not known: the checkpoint does not say",
    )


def _own_model(request: Request) -> Any:
    """Give the model of the package, from a checkpoint in which no code is run."""
    from chgnet.model import CHGNet

    try:
        state = torch.load(request.checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"expected a checkpoint of numbers and tensors alone, got '{request.name}', which torch does not load "
            "without running code in it; save {'model': CHGNet.from_file(...).as_dict()} with `torch.save`"
        ) from error
    found = state.get("model", state)
    weights, arguments = found["state_dict"], dict(found["model_args"])
    # not among the arguments in the files of older versions
    arguments["mlp_out_bias"] = any(name.endswith("mlp_out.layers.1.bias") for name in weights)
    try:
        return CHGNet.from_dict({"state_dict": weights, "model_args": arguments}).eval()
    except (RuntimeError, TypeError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"expected weights and arguments of one model, got others in '{request.name}': {reason}; check it with "
            "`CHGNet.from_file`"
        ) from error


def _calculator(request: Request) -> "Calculator":
    from chgnet.model import CHGNetCalculator

    with _silent():
        return CHGNetCalculator(_own_model(request), use_device="cpu", on_isolated_atoms="ignore")


def _check_kind(own: Any) -> None:
    """Refuse models of kinds that are not carried over: none of those in the package is."""
    from chgnet.model.composition_model import AtomRef
    from chgnet.model.functions import MLP

    steps = [*own.atom_conv_layers, *own.bond_conv_layers, *own.angle_layers]
    reference = own.composition_model
    # as one of the package is, whatever the model is
    is_intensive = reference is None or getattr(reference, "is_intensive", None) == own.is_intensive
    wanted = {
        "mlp_first=True, an energy that is a sum over atoms": own.mlp_first,
        "final_mlp='MLP'": isinstance(own.mlp, MLP),
        "n_conv of 2 or more": len(own.atom_conv_layers) > 1,
        "update_bond=True and update_angle=True": None not in steps,
        "composition_model of reference energies of atoms, or none": isinstance(reference, AtomRef | None),
        "is_intensive=True, or no composition_model": is_intensive,
        "bond_graph_cutoff up to atom_graph_cutoff": _angle_cutoff(own) <= own.graph_converter.atom_graph_cutoff,
    }
    for what, is_there in wanted.items():
        if not is_there:
            raise ValueError(f"expected a CHGNet with {what}, got another one, which can not be imported")


def _angle_cutoff(own: Any) -> float:
    return float(own.graph_converter.bond_graph_cutoff)


def _description(module: Network) -> str:
    if module.is_local:
        return ""
    return (
        "As in the package, bonds change where there is any angle in the structure, however far away: it has no range, "
        "and a structure is one with angles or without by itself, whatever is computed together with it."
    )


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Silence what the package prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


FAMILY = Family(
    name="chgnet",
    description="CHGNet, with magnetic moments",
    requirements=("chgnet>=0.4.2,<0.5",),
    read=read,
    recognises=recognises,
    shipped=shipped,
)
