"""MACE: files that ``torch.save(model)`` wrote, as the training of mace-torch leaves them.

Such a file is a pickle: to read it executes what is in it, so import files only from where they are trusted.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from metatomic_core import ModelCapabilities, ModelMetadata, ModelOutput
from metatomic_core.adapters import check_choice
from metatomic_importers.contents import Contents, contents_of
from metatomic_importers.family import ROUNDING, Family, Imported, Request, Tolerances
from metatomic_importers.quiet import quiet_package
from metatomic_importers.species import chosen_types
from metatomic_importers.structures import trial_structures

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

# What a model of each other kind needs or gives that is no energy of atoms from their types and positions.
_OTHER_KINDS = {
    "AtomicDipolesMACE": "dipoles and no energies",
    "AtomicDielectricMACE": "dipoles and polarizabilities, and no energies",
    "EnergyDipolesMACE": "dipoles beside energies",
    "MACELES": "electrostatics of whole structures",
    "PolarMACE": "electrostatics of whole structures, with their charges and spins",
    "LAMMPS_MACE": "what LAMMPS needs around a model",
    "LAMMPS_MLIAP_MACE": "what LAMMPS needs around a model",
}
# The parts that are carried over; anything else in a model does something that the file would not do.
_PARTS = {
    "atomic_energies_fn",
    "interactions",
    "node_embedding",
    "pair_repulsion_fn",
    "products",
    "radial_embedding",
    "readouts",
    "scale_shift",
    "spherical_harmonics",
}
_EMBEDDINGS = {"joint_embedding", "embedding_readout"}
_ACCELERATED = ("cuequivariance", "cuequivariance_torch", "openequivariance")
_COMPARED = ("energy", "forces", "stress")
# Two ways to compute the same are off by that many times what one of them is, at most.
_MARGIN = 3.0
# Names in a state dict of any MACE model.
_OF_STATE = {"atomic_energies_fn.atomic_energies", "model.atomic_energies_fn.atomic_energies"}
_ORIGINAL = "give the file NAME.model that the training wrote"
_LICENCE = (
    "not known: the checkpoint does not say; some published MACE models are for academic use only, see where it is from"
)
_REFERENCES = {
    "architecture": ["doi:10.48550/arXiv.2206.07697", "doi:10.1038/s42256-024-00956-x"],
    "implementation": ["https://github.com/ACEsuit/mace", "doi:10.48550/arXiv.2207.09453"],
}


def recognises(contents: Contents) -> bool:
    """Tell whether a file is of this family: a model, one compiled, or a state of training."""
    compiled = any(entry.startswith("code/__torch__/mace/") for entry in contents.entries)
    return compiled or contents.has_module("mace") or not _OF_STATE.isdisjoint(contents.names)


def read(request: Request) -> Imported:
    """Read a checkpoint.

    Parameters
    ----------
    request
        What to import.

    Returns
    -------
    Imported
        The model of one head.

    Raises
    ------
    ValueError
        If it is not a model of energies, whole and as it was trained, or has not what is asked for.
    """
    from ._mace_network import module_of

    _check_contents(contents_of(request.checkpoint))
    network = _loaded(request.checkpoint)
    _check_network(network)
    heads = _heads(network)
    head = _chosen_head(heads, request.part)
    types = chosen_types(network.atomic_numbers.tolist(), request.species)
    # before it is rounded with the weights
    cutoff, n_layers = float(network.r_max), int(network.num_interactions)
    network = network.to(getattr(torch, request.dtype))
    return Imported(
        module=module_of(network, heads.index(head), cutoff),
        metadata=ModelMetadata(
            name=f"MACE {Path(request.name).stem}",
            description=_description(network, heads, cutoff),
            references=_REFERENCES,
            extra={"head": head},
        ),
        capabilities=ModelCapabilities(
            outputs={"energy": ModelOutput(unit="eV", sample_kind="atom")},
            atomic_types=types,
            interaction_range=n_layers * cutoff,
            length_unit="angstrom",
            supported_devices=["cuda", "cpu"],
            dtype=request.dtype,
        ),
        calculator=lambda: _calculator(request.checkpoint, head),
        tolerances=_tolerances(request, head, types),
        weights_licence=_LICENCE,
    )


def _check_contents(contents: Contents) -> None:
    """Refuse what is not a whole model in Python, before anything in it is executed."""
    path = contents.path
    if contents.is_torchscript():
        raise ValueError(f"expected a MACE model that torch.save wrote, got '{path}', which is compiled; {_ORIGINAL}")
    if not contents.has_module("mace"):
        raise ValueError(
            f"expected a MACE model that torch.save wrote, got '{path}', which has weights alone, as a state of "
            f"training; {_ORIGINAL}, or run `mace_run_train` again with --restart_latest, which writes it"
        )
    accelerated = [package for package in _ACCELERATED if contents.has_module(package)]
    if accelerated:
        raise ValueError(
            f"expected a MACE model of e3nn, got '{path}', which was converted to {accelerated[0]}; give the model "
            "that it was made from, or convert it back: `mace_cueq_to_e3nn` or `python -m mace.cli.convert_oeq_e3nn`"
        )


@contextlib.contextmanager
def _as_it_was() -> Iterator[None]:
    """Work with mace-torch without what it prints and warns of, and what it sets for all files that torch loads."""
    name = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    try:
        with quiet_package():
            import mace.modules  # noqa: F401  (first: e3nn alone can not read its own tables)

            yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def _loaded(path: Path) -> Any:
    """Unpickle a model."""
    with _as_it_was():
        try:
            return torch.load(path, map_location="cpu", weights_only=False)
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(
                f"expected a MACE model that this version of mace-torch reads, got an error from '{path}': {reason}; "
                "install the version that it was trained with"
            ) from error


def _check_network(network: Any) -> None:
    """Refuse models that do more, or other things, than energies of atoms from types and positions."""
    kind = type(network).__name__
    own = "run it with the calculators of mace-torch"
    if kind in _OTHER_KINDS:
        raise ValueError(f"expected a MACE or ScaleShiftMACE, got {kind}, which has {_OTHER_KINDS[kind]}; {own}")
    if type(network).__module__ != "mace.modules.models" or kind not in ("MACE", "ScaleShiftMACE"):
        raise ValueError(f"expected a MACE or ScaleShiftMACE, got {kind}; {_ORIGINAL}")
    parts = {name for name, _ in network.named_children()}
    if parts & _EMBEDDINGS:
        inputs = ", ".join(getattr(network, "embedding_specs", {})) or "an embedding"
        raise ValueError(
            f"expected a model of types and positions alone, got one with the inputs {inputs}, as models of OMol have "
            f"with charges and spins; {own}"
        )
    unknown = sorted(parts - _PARTS)
    if unknown:
        raise ValueError(f"expected parts of a MACE model that are known, got `{unknown[0]}`; {own}")
    adapted = [name for name, part in network.named_modules() if type(part).__name__.startswith("LoRA")]
    if adapted:
        raise ValueError(
            f"expected a model as it is after training, got `{adapted[0]}` of fine-tuning; merge it first with "
            "`mace.modules.lora.merge_lora_weights`"
        )


def _heads(network: Any) -> list[str]:
    """Name the heads, as the package's calculator does for models that do not."""
    return list(getattr(network, "heads", None) or ["Default"])


def _chosen_head(heads: list[str], asked: str | None) -> str:
    """Choose as the package's calculator does, but for heads that are not there: it takes the last one."""
    if asked is not None:
        check_choice("head", asked, heads)
        return asked
    default = heads if len(heads) == 1 else [head for head in heads if head.lower() == "default"]
    if not default:
        raise ValueError(
            f"expected `head` for a model with several and no default, got none; choose one of {', '.join(heads)}"
        )
    return default[0]


def _description(network: Any, heads: list[str], cutoff: float) -> str:
    """Say in a line what the model is made of."""
    words = [f"{type(network).__name__} with {len(network.interactions)} layers, cutoff {cutoff:g} angstrom"]
    transform = getattr(network.radial_embedding, "distance_transform", None)
    words += [] if transform is None else [type(transform).__name__]
    words += ["ZBL pair repulsion"] if hasattr(network, "pair_repulsion_fn") else []
    words += [f"heads {' '.join(heads)}"] if len(heads) > 1 else []
    return ", ".join(words)


def _tolerances(request: Request, head: str, types: list[int]) -> Tolerances:
    """Give what rounding allows for: as much as the package's own calculator is off by in the same precision.

    With correlations of four bodies, or energies of all electrons, that may be 1e-4 eV per atom in float32.
    """
    usual = ROUNDING[request.dtype]
    if request.dtype == "float64":
        return usual
    exact, rounded = (_calculator(request.checkpoint, head, dtype) for dtype in ("float64", "float32"))
    energy = forces = stress = 0.0
    for atoms in trial_structures(types).values():
        exact.calculate(atoms)
        rounded.calculate(atoms)
        off = {name: np.abs(exact.results[name] - rounded.results[name]).max() for name in _COMPARED}
        energy, forces = max(energy, off["energy"] / len(atoms)), max(forces, off["forces"])
        stress = max(stress, off["stress"] if atoms.pbc.all() else 0.0)
    return Tolerances(
        max(usual.energy, _MARGIN * energy), max(usual.forces, _MARGIN * forces), max(usual.stress, _MARGIN * stress)
    )


def _calculator(path: Path, head: str, dtype: str = "float64") -> "Calculator":
    """Make the package's own calculator."""
    network = _loaded(path).to(getattr(torch, dtype))
    with _as_it_was():
        from mace.calculators import MACECalculator

        return MACECalculator(models=[network], device="cpu", default_dtype=dtype, head=head)


FAMILY = Family(
    name="mace",
    description="MACE models of energies, with one head or several",
    # the calculators of older ones change torch's default dtype for the whole process
    requirements=("mace-torch>=0.3.16,<0.4", "e3nn>=0.4.4,<0.5"),
    read=read,
    recognises=recognises,
    part="head",
)
