"""NequIP and Allegro: packages (``.nequip.zip``) and checkpoints of training (``.ckpt``) of the nequip framework."""

import functools
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from metatomic_core import ModelCapabilities, ModelMetadata, ModelOutput
from metatomic_core.adapters import symbols
from metatomic_importers.family import DTYPES, ROUNDING, Family, Imported, Request
from metatomic_importers.species import numbers_of_types

from ._nequip_network import Network
from ._nequip_own import calculator_of, state_of_nequip

if TYPE_CHECKING:
    from metatomic_importers.contents import Contents

_PACKAGE, _COMPILED = ".nequip.zip", (".nequip.pt2", ".nequip.pth")
_PACKAGE_ENTRY = "model/package_metadata.txt"
# The one of a training of several models at once that is not one of several.
_SOLE = "sole_model"
# Parts of a network whose results depend on types and pairs of neighbors alone, and on them as `_range` says.
_LAYER = "ConvNetLayer"
_PARTS = {
    _LAYER,
    "AddRadialCutoffToData",
    "Allegro_Module",
    "ApplyFactor",
    "AtomwiseReduce",
    "BesselEdgeLengthEncoding",
    "EdgeLengthNormalizer",
    "EdgewiseReduce",
    "NodeTypeEmbed",
    "PerTypeScaleShift",
    "ProductTypeEmbedding",
    "ScalarMLP",
    "SequentialGraphNetwork",
    "SphericalHarmonicEdgeAttrs",
    "TwoBodySphericalHarmonicTensorEmbed",
    "TwoBodySplineScalarEmbed",
    "ZBL",
}
_INPUTS = {"pos", "edge_index", "edge_vectors", "edge_cell_shift", "cell", "batch", "num_atoms", "atom_types"}
# Half of e^2 / (4 pi epsilon_0) in eV A, as nequip's ZBL has it for units "metal".
_ZBL_IN_EV = 0.5 * 14.399645
_ARCHITECTURE = {
    "nequip": ["doi:10.1038/s41467-022-29939-5"],
    "allegro": ["doi:10.1038/s41467-023-36329-y"],
}
_IMPLEMENTATION = ["doi:10.48550/arXiv.2504.16068", "doi:10.48550/arXiv.2207.09453"]
_TITLES = {"nequip": "NequIP", "allegro": "Allegro"}


def _recognises(contents: "Contents", family: str) -> bool:
    if contents.path.name.endswith(_COMPILED):
        # to say what to do with it; nothing else tells of which family it is
        return True
    if _PACKAGE_ENTRY in contents.entries:
        return contents.has_module("nequip") and contents.has_module("allegro") == (family == "allegro")
    if "hyper_parameters" in contents.names and any(".model.func." in name for name in contents.names):
        return any(".model.func.allegro." in name for name in contents.names) == (family == "allegro")
    return False


def _read(request: Request, family: str) -> Imported:
    _check_kind(request)
    with state_of_nequip():
        model = _loaded(request)
    network, metadata = model.model.func, dict(model.metadata)
    _check_network(model, request)
    names = metadata["type_names"].split()
    numbers = numbers_of_types(names, request.species)
    _check_zbl(network, names, numbers)
    own_dtype = metadata["model_dtype"]
    dtype = _checked_dtype(request, own_dtype)
    cutoffs = _cutoffs(metadata, len(names))
    if dtype != own_dtype:
        _widen(network)
    module = Network(network, _table(numbers), cutoffs).eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)  # noqa: FBT003  (torch has no name for it)
    layers = _layers(network)
    species = {
        name: symbol
        for name, number in zip(names, numbers, strict=True)
        if number is not None
        for symbol in symbols([number])
    }
    return Imported(
        module=module,
        metadata=_metadata(request, family, layers, own_dtype, species),
        capabilities=ModelCapabilities(
            outputs={"energy": ModelOutput(unit="eV", sample_kind="atom")},
            atomic_types=[number for number in numbers if number is not None],
            interaction_range=max(1, layers) * module.cutoff,
            length_unit="angstrom",
            supported_devices=["cuda", "cpu"],
            dtype=dtype,
        ),
        calculator=functools.partial(calculator_of, request.checkpoint, species),
        # what the network itself computes in rounds, whatever the file does
        tolerances=ROUNDING[own_dtype],
    )


def _check_kind(request: Request) -> None:
    """Refuse files that nequip compiled, and those whose names nequip takes for another kind."""
    name = request.name
    if request.checkpoint.name.endswith(_COMPILED):
        runs = "; it runs in Python engines as it is, see `metatomic inspect`" if name.endswith(".pt2") else ""
        raise ValueError(
            f"expected a package or a checkpoint of nequip, got '{name}', which was compiled for one kind of machine"
            f"{runs}; import the {_PACKAGE} or .ckpt file that it was made from"
        )
    is_package = _package_entry(request.checkpoint) is not None
    if is_package != request.checkpoint.name.endswith(_PACKAGE):
        what = "a package" if is_package else "a checkpoint of training"
        expected = f"a name that ends with {_PACKAGE}" if is_package else f"a name that does not end with {_PACKAGE}"
        raise ValueError(f"expected {expected} for {what}, got '{name}'; rename the file")


def _loaded(request: Request) -> Any:
    """Load the model of a file as nequip does: without the modifiers that make it quicker on some hardware."""
    from nequip.model.saved_models import load_saved_model

    try:
        models = load_saved_model(str(request.checkpoint), model_key=None).eval()
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"expected a file that nequip loads, got '{request.name}': {reason}") from error
    if list(models) != [_SOLE]:
        raise ValueError(
            f"expected one model in a file, got {', '.join(models)} in '{request.name}'; train or package one of them"
        )
    return models[_SOLE]


def _check_network(model: Any, request: Request) -> None:
    """Refuse what this module does not know to be right."""
    outer = model.model
    if type(outer).__name__ != "ForceStressOutput" or not getattr(outer, "do_derivatives", True):
        raise ValueError(
            f"expected a model of energies and forces, got '{request.name}' with {type(outer).__name__}"
            f"{'' if type(outer).__name__ != 'ForceStressOutput' else ' without derivatives'}"
        )
    parts = [outer.func]
    for part in parts:
        if type(part).__name__ == "SequentialGraphNetwork":
            parts.extend(part.children())
    unknown = sorted({type(part).__name__ for part in parts} - _PARTS)
    if unknown:
        raise ValueError(
            f"expected a network of parts that are known here, got '{request.name}' with {', '.join(unknown)}; "
            "use it with nequip"
        )
    inputs = sorted(set(outer.func.irreps_in) - _INPUTS)
    if inputs:
        raise ValueError(
            f"expected a model of types and positions alone, got '{request.name}', which wants {', '.join(inputs)}; "
            "use it with nequip"
        )


def _check_zbl(network: torch.nn.Module, names: Sequence[str], numbers: Sequence[int | None]) -> None:
    """Check that the pair terms are about the elements that the types are said to be, and in eV."""
    for part in network.modules():
        if type(part).__name__ != "ZBL":
            continue
        known: Any = part
        if abs(float(known._qqr2exesquare) - _ZBL_IN_EV) > 1e-4:  # noqa: SLF001  (where it says its unit)
            raise ValueError("expected a model in eV and angstrom, got one whose ZBL is in other units")
        of_types = [round(float(number)) for number in known.atomic_numbers]
        for name, number, expected in zip(names, numbers, of_types, strict=True):
            if number not in (None, expected):
                raise ValueError(
                    f"expected {symbols([expected])[0]} for the type {name} as in the ZBL of the model, got "
                    f"{symbols([number])[0]}; correct `species`"
                )


def _checked_dtype(request: Request, own: str) -> str:
    if request.dtype == "float32" and own == "float64":
        raise ValueError(
            f"expected float64 as `dtype` for '{request.name}', whose network computes in float64, got float32; nequip "
            "does not compute it in float32 either"
        )
    return request.dtype or own


def _widen(network: torch.nn.Module) -> None:
    """Make a network of float32 one that computes in float64; some of its parts note what they compute in."""
    network.to(torch.float64)
    for part in network.modules():
        for name, value in vars(part).items():
            if value is torch.float32:
                setattr(part, name, torch.float64)


def _cutoffs(metadata: dict[str, str], n_types: int) -> torch.Tensor:
    """Give the cutoff of each type around each other."""
    several = metadata.get("per_edge_type_cutoff")
    if several is None:
        return torch.full((n_types, n_types), float(metadata["r_max"]), dtype=torch.float64)
    return torch.tensor([float(cutoff) for cutoff in several.split()], dtype=torch.float64).reshape(n_types, n_types)


def _table(numbers: Sequence[int | None]) -> torch.Tensor:
    table = torch.full((max(number or 0 for number in numbers) + 1,), -1, dtype=torch.int64)
    for index, number in enumerate(numbers):
        if number is not None:
            table[number] = index
    return table


def _layers(network: torch.nn.Module) -> int:
    """Count the layers through which messages pass; Allegro has none."""
    return sum(type(part).__name__ == _LAYER for part in network.modules())


def _metadata(request: Request, family: str, layers: int, own_dtype: str, species: dict[str, str]) -> ModelMetadata:
    types = " ".join(name if name == symbol else f"{name}={symbol}" for name, symbol in species.items())
    of_layers = f" of {layers} layers" if layers else ""
    return ModelMetadata(
        name=Path(request.name).name.removesuffix(_PACKAGE).removesuffix(".ckpt"),
        description=f"{_TITLES[family]} network{of_layers} for {types}, trained in {own_dtype}",
        references={"architecture": _ARCHITECTURE[family], "implementation": _IMPLEMENTATION},
        extra={"packaged with": _versions(request.checkpoint)},
    )


def _package_entry(path: Path) -> str | None:
    """Give the entry of a package that says what it is; None for other files."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        return next((name for name in archive.namelist() if name.endswith(f"/{_PACKAGE_ENTRY}")), None)


def _versions(path: Path) -> str:
    """Give the versions of the code in a package; empty for checkpoints, which have no code."""
    import yaml

    entry = _package_entry(path)
    if entry is None:
        return ""
    with zipfile.ZipFile(path) as archive:
        versions = yaml.safe_load(archive.read(entry)).get("versions", {})
    return ", ".join(f"{name} {version}" for name, version in versions.items())


NEQUIP = Family(
    name="nequip",
    description="NequIP: packages and checkpoints",
    requirements=("nequip>=0.17,<0.20", "e3nn>=0.6,<0.7"),
    read=functools.partial(_read, family="nequip"),
    recognises=functools.partial(_recognises, family="nequip"),
    dtypes=DTYPES,
    own_dtype=True,
)
ALLEGRO = Family(
    name="allegro",
    description="Allegro: packages and checkpoints",
    requirements=("nequip-allegro>=0.8.3,<0.9", "nequip>=0.18,<0.20", "e3nn>=0.6,<0.7"),
    read=functools.partial(_read, family="allegro"),
    recognises=functools.partial(_recognises, family="allegro"),
    dtypes=DTYPES,
    own_dtype=True,
)
