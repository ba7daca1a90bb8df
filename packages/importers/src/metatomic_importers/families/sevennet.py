"""SevenNet: checkpoints of ``sevenn``, those that come with it among them.

The network in the file is not the package's: it is written for speed, with the weights of the checkpoint (see
``_sevennet_network``), and three times as fast.
"""

import contextlib
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from metatomic_core import ModelCapabilities, ModelMetadata, ModelOutput
from metatomic_core.adapters import check_choice
from metatomic_importers.contents import Contents, contents_of
from metatomic_importers.family import ROUNDING, Family, Imported, Request
from metatomic_importers.quiet import quiet_package
from metatomic_importers.species import chosen_types

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

_SHIPPED = {
    "7net-0": "SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
    "7net-0_22May2024": "SevenNet_0__22May2024/checkpoint_sevennet_0.pth",
    "7net-l3i5": "SevenNet_l3i5/checkpoint_l3i5.pth",
    "7net-mf-0": "SevenNet_MF_0/checkpoint_sevennet_mf_0.pth",
}
_PAPER = "doi:10.1021/acs.jctc.4c00190"
_MULTI_FIDELITY = "doi:10.1021/jacs.4c14455"
_ARCHITECTURE = ["doi:10.1038/s41467-022-29939-5", "doi:10.48550/arXiv.2207.09453"]
_NO_LICENCE = "not known: the checkpoint does not say"
_WITH_PACKAGE = "MIT, as the package sevenn that they come with; they have no licence of their own"
# What `sevenn_get_model` writes, for LAMMPS.
_DEPLOYED = "extra/chemical_symbols_to_index"
# What says that a pickle is a checkpoint of this package: together, nobody else has these.
_KEYS = {"config", "model_state_dict", "cutoff_function", "weight_nn_hidden_neurons"}


def shipped() -> Mapping[str, Path]:
    """Give the checkpoints that come with the package; nothing is downloaded."""
    found = importlib.util.find_spec("sevenn")
    if found is None or found.origin is None:
        return {}
    folder = Path(found.origin).parent / "pretrained_potentials"
    paths = {name: folder / path for name, path in _SHIPPED.items()}
    return {name: path for name, path in paths.items() if path.is_file()}


def recognises(contents: Contents) -> bool:
    """Tell whether a file is a checkpoint, or a model that was deployed for LAMMPS, which is refused later."""
    return contents.names >= _KEYS or (contents.is_torchscript() and _DEPLOYED in contents.entries)


def read(request: Request) -> Imported:
    """Read a checkpoint."""
    from ._sevennet_reading import network

    checkpoint = _checkpoint(request)
    config = checkpoint.config
    modals = config.get("_modal_map") or {} if config.get("use_modality", False) else {}
    modal = _checked_modal(request, list(modals))
    # of a universal model's 119 species the first one is none
    types = chosen_types([int(number) for number in config["_type_map"] if number > 0], request.species)
    with _silenced("builds"):
        model = checkpoint.build_model()
    module = network(model, modals.get(modal)).to(getattr(torch, request.dtype)).eval()
    is_shipped = request.checkpoint in shipped().values()
    about_multi_fidelity = [_MULTI_FIDELITY] if modals else []
    return Imported(
        module=module,
        metadata=ModelMetadata(
            name=f"SevenNet {request.name}" if is_shipped else "SevenNet",
            description=_description(config, modal),
            references={
                "implementation": [_PAPER],
                "architecture": [*_ARCHITECTURE, *about_multi_fidelity],
                "model": (about_multi_fidelity or [_PAPER]) if is_shipped else [],
            },
        ),
        capabilities=ModelCapabilities(
            outputs={"energy": ModelOutput(unit="eV", sample_kind="atom")},
            atomic_types=types,
            interaction_range=module.cutoff * len(module.interactions),
            length_unit="angstrom",
            supported_devices=["cuda", "cpu"],
            dtype=request.dtype,
        ),
        calculator=lambda: _calculator(request, modal),
        # the package computes in float32 alone
        tolerances=ROUNDING["float32"],
        weights_licence=_WITH_PACKAGE if is_shipped else _NO_LICENCE,
    )


def _checkpoint(request: Request) -> Any:
    """Load a checkpoint with the package, which reads those of its older versions too."""
    import sevenn
    from packaging.version import Version

    if contents_of(request.checkpoint).is_torchscript():
        raise ValueError(
            f"expected a checkpoint of SevenNet, got '{request.name}', which was deployed for LAMMPS; import the "
            "checkpoint that it was made from"
        )
    with _silenced("reads"):
        from sevenn.checkpoint import SevenNetCheckpoint

        checkpoint = SevenNetCheckpoint(request.checkpoint)
        config = checkpoint.config
    missing = [what for what, found in (("config", config), ("weights", checkpoint.model_state_dict)) if not found]
    if missing:
        raise ValueError(
            f"expected a checkpoint with its config and weights, got '{request.name}' without {' and '.join(missing)}"
        )
    if Version(config["version"]) > Version(sevenn.__version__):
        raise ValueError(
            f"expected a checkpoint of sevenn up to {sevenn.__version__}, which is installed, got one of "
            f"{config['version']}; run `pip install --upgrade sevenn`"
        )
    return checkpoint


@contextlib.contextmanager
def _silenced(does: str) -> Iterator[None]:
    """Silence what the package warns and prints; what it raises becomes a sentence."""
    try:
        with quiet_package():
            yield
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"expected a checkpoint that sevenn {does}, got an error: {type(error).__name__}: {reason}"
        ) from error


def _checked_modal(request: Request, known: list[str]) -> str | None:
    """Give the modal to import; None for a model without."""
    if not known:
        if request.part is not None:
            raise ValueError(f"expected no `modal` for '{request.name}', which has none, got '{request.part}'")
        return None
    if request.part is None:
        raise ValueError(
            f"expected a `modal` for '{request.name}', one of {', '.join(known)}, got none; name one with `--modal`"
        )
    check_choice("modal", request.part, known)
    return request.part


def _description(config: Mapping[str, Any], modal: str | None) -> str:
    text = (
        f"an equivariant network of {config['num_convolution_layer']} layers with {config['channel']} channels, "
        f"degrees up to {config['lmax']} and a cutoff of {config['cutoff']:g} A, trained with sevenn "
        f"{config['version']}"
    )
    return text if modal is None else f"{text}; its modal {modal}"


def _calculator(request: Request, modal: str | None) -> "Calculator":
    with _silenced("computes with"):
        from sevenn.calculator import SevenNetCalculator

        return SevenNetCalculator(request.checkpoint, device="cpu", modal=modal)


FAMILY = Family(
    name="sevennet",
    description="SevenNet, equivariant message passing; universal models come with the package",
    requirements=("sevenn>=0.13,<0.14", "e3nn>=0.5"),
    read=read,
    recognises=recognises,
    shipped=shipped,
    part="modal",
)
