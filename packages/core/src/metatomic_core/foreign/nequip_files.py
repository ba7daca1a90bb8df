"""Files that users of nequip compile (``nequip-compile --mode aotinductor``): what they say of themselves.

Facts about the format (nequip 0.19.1, torch 2.13): a zip archive made by AOTInductor, with machine code for one kind of
machine in ``data/aotinductor/model/*.so`` and texts beside it in ``*_metadata.json``: names of types, cutoff, names and
order of inputs and outputs, device and instruction set.  Neither the version of torch nor the number of layers is among
them.  Nothing here executes anything in a file; `nequip_package` does.
"""

import json
import math
import platform
import re
import sys
import zipfile
from importlib import metadata as importlib_metadata
from pathlib import Path
from typing import NamedTuple

import torch

from metatomic_core.data.capabilities import ModelCapabilities
from metatomic_core.data.metadata import ModelMetadata
from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.outputs import ModelOutput
from metatomic_core.files.archive import Archive, opened
from metatomic_core.files.header import ModelHeader
from metatomic_core.foundation.elements import SYMBOLS
from metatomic_core.foundation.errors import UnavailableError, UnreadableFileError
from metatomic_core.foundation.quoting import in_one_line
from metatomic_core.kernels.machine import cpu_flags, lacks_for

_METADATA = re.compile(r"(?:^|/)data/aotinductor/model/[^/]*_metadata\.json$")
# whatever the version; files from before 0.17 lack names of inputs and outputs
_ALWAYS = ("type_names", "r_max", "model_dtype")
_SINGLE = {"pos", "edge_index", "atom_types", "cell", "edge_cell_shift"}
_BATCHES = _SINGLE | {"batch", "num_atoms"}
_OUTPUTS = ("atomic_energy", "forces")
# Levels of x86-64 for the words of AOTInductor; other words are flags in capital letters.
_MARCHES = {"AVX2": "x86-64-v3", "AVX512": "x86-64-v4"}
_NO_VECTORS = "INVALID_VEC_ISA"
_AGAIN = "compile it again with `nequip-compile ... --mode aotinductor --target ase`"
_MAX_METADATA = 1_000_000


class NequipFile(NamedTuple):
    """What such a file says of itself.

    Attributes
    ----------
    path
        The file.
    types
        Atomic number of each type, in the order of the file.
    cutoff
        Largest cutoff, in angstrom.
    cutoffs
        Cutoff of each type around each type, in angstrom; None where all are the same.
    inputs, outputs
        Names, in the order of the file.
    network_dtype
        What it computes in; inputs and outputs are float64.
    libraries
        Python modules that must be imported first.
    device, platform, machine, instructions, compute_capability
        What the machine code is for, in the words of AOTInductor.
    """

    path: Path
    types: list[int]
    cutoff: float
    cutoffs: list[list[float]] | None
    inputs: list[str]
    outputs: list[str]
    network_dtype: str
    libraries: list[str]
    device: str
    platform: str
    machine: str
    instructions: str
    compute_capability: str

    @property
    def takes_batches(self) -> bool:
        """Whether it keeps structures of a batch apart."""
        return "batch" in self.inputs


def recognises(path: Path, archive: Archive | None) -> bool:
    """Tell whether a file was compiled by nequip, whatever it is called."""
    if archive is None or not any(_METADATA.search(name) for name in archive.names):
        return False
    try:
        return all(name in _texts(path) for name in _ALWAYS)
    except (ValueError, zipfile.BadZipFile):
        return False


def _texts(path: Path) -> dict[str, str]:
    """Read the texts beside the machine code.

    Raises
    ------
    ValueError, zipfile.BadZipFile
        If they can not be read.
    """
    found: dict[str, str] = {}
    with open(path, "rb") as file, opened(file, f"'{path}'") as archive:
        for info in archive.infolist():
            if _METADATA.search(info.filename) and info.file_size <= _MAX_METADATA:
                content = json.loads(archive.read(info).decode("utf-8"))
                if not isinstance(content, dict):
                    raise ValueError("expected an object")
                found.update({str(key): str(value) for key, value in content.items()})
    return found


def read(path: Path) -> NequipFile:
    """Read what a file says of itself, without executing anything in it.

    Raises
    ------
    ValueError
        If it lacks what is needed to run it, or has inputs that are not known here.
    """
    try:
        texts = _texts(path)
    except (ValueError, zipfile.BadZipFile) as error:
        raise UnreadableFileError(
            f"expected a package that nequip compiled, got '{path}': {in_one_line(error)}"
        ) from error
    missing = [name for name in (*_ALWAYS, "nequip_aoti_inputs", "nequip_aoti_outputs") if name not in texts]
    if missing:
        raise UnreadableFileError(
            f"expected a package of nequip 0.17 or newer, got '{path}' without {', '.join(missing)}; {_AGAIN}"
        )
    names, inputs = texts["type_names"].split(), texts["nequip_aoti_inputs"].split()
    outputs = texts["nequip_aoti_outputs"].split()
    if set(inputs) not in (_SINGLE, _BATCHES) or len(set(inputs)) < len(inputs):
        raise ValueError(
            f"expected a package with the inputs {' '.join(sorted(_SINGLE))}, got '{path}' with "
            f"{in_one_line(' '.join(inputs))}; "
            f"{_AGAIN}"
        )
    lacking = [name for name in _OUTPUTS if name not in outputs]
    if lacking or not {"stress", "virial"} & set(outputs):
        raise ValueError(
            f"expected a package that gives atomic_energy, forces and stress or virial, got '{path}', which gives "
            f"{in_one_line(' '.join(outputs))}; {_AGAIN}"
        )
    cutoff = _cutoff(texts["r_max"], path)
    return NequipFile(
        path=path,
        types=_types(names, path),
        cutoff=cutoff,
        cutoffs=_cutoffs(texts.get("per_edge_type_cutoff", ""), len(names), cutoff, path),
        inputs=inputs,
        outputs=outputs,
        network_dtype=texts["model_dtype"],
        libraries=texts.get("nequip_custom_ops_libs", "").split(),
        device=texts.get("AOTI_DEVICE_KEY", ""),
        platform=texts.get("AOTI_PLATFORM", ""),
        machine=texts.get("AOTI_MACHINE", ""),
        instructions=texts.get("AOTI_CPU_ISA", ""),
        compute_capability=texts.get("AOTI_COMPUTE_CAPABILITY", ""),
    )


def _cutoff(text: str, path: Path) -> float:
    try:
        cutoff = float(text)
    except ValueError:
        cutoff = math.nan
    if not (math.isfinite(cutoff) and cutoff > 0):
        raise UnreadableFileError(f"expected a cutoff `r_max` above zero in '{path}', got '{in_one_line(text)}'")
    return cutoff


def _cutoffs(text: str, n_types: int, largest: float, path: Path) -> list[list[float]] | None:
    if not text:
        return None
    try:
        values = [float(word) for word in text.split()]
    except ValueError:
        values = []
    if len(values) != n_types**2 or not all(0 <= value <= largest for value in values):
        raise UnreadableFileError(
            f"expected {n_types**2} cutoffs between 0 and {largest} in `per_edge_type_cutoff` of '{path}', got "
            f"'{in_one_line(text)}'"
        )
    return [values[i : i + n_types] for i in range(0, len(values), n_types)]


def _types(names: list[str], path: Path) -> list[int]:
    others = [name for name in names if name not in SYMBOLS]
    if others or len(set(names)) < len(names) or not names:
        raise ValueError(
            f"expected types of atoms that are called as their elements, each once, got '{path}' with "
            f"{in_one_line(' '.join(names)) or 'none'}; train or package the model with chemical symbols as "
            "`type_names`"
        )
    return [SYMBOLS.index(name) + 1 for name in names]


def check_machine(file: NequipFile) -> None:
    """Check that the machine code in a file is for this machine, before any of it is loaded.

    Raises
    ------
    ValueError
        If it is for another system, processor or device, or needs a module that is not installed; an
        `UnavailableError`, which is a RuntimeError too.
    """
    for name, value in (("platform", sys.platform), ("machine", platform.machine())):
        wanted = getattr(file, name)
        if wanted and wanted != value:
            raise UnavailableError(
                f"expected machine code for the {name} '{value}', got '{file.path}', which is for "
                f"'{in_one_line(wanted)}'; compile it on a machine of this kind"
            )
    missing = _lacks(file.instructions)
    if missing:
        raise UnavailableError(
            f"expected machine code for this processor, got '{file.path}', which is for "
            f"{in_one_line(file.instructions)} and needs {in_one_line(missing)}; compile it on this machine, or on "
            "one as old"
        )
    if file.device == "cuda":
        _check_gpu(file)
    elif file.device != "cpu":
        raise UnavailableError(
            f"expected a package for cpu or cuda, got '{file.path}', which is for '{in_one_line(file.device)}'; "
            f"{_AGAIN}"
        )


def _check_gpu(file: NequipFile) -> None:
    if not torch.cuda.is_available():
        raise UnavailableError(
            f"expected a device of this machine, which has no CUDA, got '{file.path}', which is for cuda; compile it "
            "again with --device cpu"
        )
    major, minor = torch.cuda.get_device_capability()
    if file.compute_capability not in ("", f"{major}{minor}"):
        raise UnavailableError(
            f"expected a package for compute capability {major}{minor}, that of this GPU, got '{file.path}', which is "
            f"for {in_one_line(file.compute_capability)}; compile it on this machine"
        )


def _lacks(instructions: str) -> str:
    """Say what this processor lacks of the instructions of a file; empty if nothing."""
    words = [word for word in instructions.split() if word != _NO_VECTORS]
    levels = [lacks_for(_MARCHES[word]) for word in words if word in _MARCHES]
    flags = [word.lower() for word in words if word not in _MARCHES]
    return ", ".join(filter(None, [*levels, *(flag for flag in flags if cpu_flags() and flag not in cpu_flags())]))


def header(file: NequipFile) -> ModelHeader:
    """Give what a file says of itself in the terms of this package."""
    return ModelHeader(
        metadata=_metadata(file),
        capabilities=_capabilities(file),
        neighbor_lists=[neighbor_list(file)],
        inputs={},
        extensions=[],
        core_version=importlib_metadata.version("metatomic-core"),
        torch_version="",
        differentiates=False,
        n_properties={"energy": 1},
    )


def neighbor_list(file: NequipFile) -> NeighborListOptions:
    """Give the neighbor list that it needs."""
    options = NeighborListOptions(file.cutoff, full_list=True, strict=True, requestor="nequip")
    options.length_unit = "angstrom"
    return options


def _capabilities(file: NequipFile) -> ModelCapabilities:
    return ModelCapabilities(
        outputs={"energy": ModelOutput(unit="eV", sample_kind="atom")},
        atomic_types=sorted(file.types),
        # layers times cutoff, and the number of layers is not in the file
        interaction_range=math.inf,
        length_unit="angstrom",
        supported_devices=[file.device],
        # of inputs and outputs
        dtype="float64",
    )


def _metadata(file: NequipFile) -> ModelMetadata:
    code = f"{file.device} ({file.instructions})" if file.device == "cpu" else file.device
    return ModelMetadata(
        name=file.path.name.removesuffix(".pt2").removesuffix(".nequip"),
        description="a model of nequip, compiled by its user",
        references={"architecture": ["https://github.com/mir-group/nequip"]},
        extra={
            "computes in": file.network_dtype,
            "machine code": code,
            "takes": " ".join(file.inputs),
            "gives": " ".join(file.outputs),
        },
    )
