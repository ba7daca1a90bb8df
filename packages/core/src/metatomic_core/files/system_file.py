"""Systems in files and buffers: `save`, `load_system`, `save_buffer`, `load_system_buffer`.

A file ``*.mta`` is a zip archive of uncompressed entries: ``positions.npy``, ``cell.npy``, ``types.npy``, ``pbc.npy``;
``pairs/<i>/options.json`` and ``pairs/<i>/data.mts`` for each neighbor list; ``data/<name>.mts`` for each custom data;
and ``info.json`` with format and version.  This is the layout of metatomic-torch, whose files (without ``info.json``,
and always in float64) are read too.  Tensors are stored in their dtype, from the CPU, without gradients.
"""

import io
import json
import os
import re
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote

import metatensor.torch as mts
import numpy as np
import torch

from metatomic_core.data.neighbors import NeighborListOptions
from metatomic_core.data.system import System
from metatomic_core.foundation.atomic_write import checked_target, replaced_when_done
from metatomic_core.foundation.errors import MissingFileError, UnreadableFileError
from metatomic_core.foundation.quoting import in_one_line

from .archive import not_regular, opened

__all__ = ["load_system", "load_system_buffer", "save", "save_buffer"]

_FORMAT = "metatomic-core system"
_VERSION = 1
_ARRAYS = ("types", "positions", "cell", "pbc")
# What NumPy can store; there is no bfloat16.
_DTYPES = (torch.float16, torch.float32, torch.float64)
# The same bytes for the same system, whenever it is saved.
_DATE = (2000, 1, 1, 0, 0, 0)
_PAIRS = re.compile(r"pairs/(\d+)/options\.json")
_PAIRS_DATA = re.compile(r"pairs/(\d+)/data\.mts")
_DATA = re.compile(r"data/(.+)\.mts")
# What the readers of zip archives, arrays, JSON and metatensor's format raise on damaged data.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    # nested or huge texts, and shapes of arrays that no memory holds
    RecursionError,
    OverflowError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
)

File = str | os.PathLike[str] | BinaryIO


def save(file: File, system: System) -> None:
    """Write a system to a file.

    Parameters
    ----------
    file
        Path, by habit ``*.mta``, written whole or not at all; or a binary file that is open for writing.
    system
        What to write, with its neighbor lists and data.  Gradients are not stored.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If the path is a directory, or in none; if the dtype is not float16, float32 or float64.
    """
    content = _encoded(system)
    if isinstance(file, (str, os.PathLike)):
        with replaced_when_done(checked_target(file)) as temporary:
            temporary.write_bytes(content)
    elif hasattr(file, "write"):
        file.write(content)
    else:
        raise TypeError(f"expected `file` to be a path or a binary file, got {type(file).__name__}")


def save_buffer(system: System) -> torch.Tensor:
    """Write a system to a buffer, as `save` does to a file.

    Parameters
    ----------
    system
        The system.

    Returns
    -------
    torch.Tensor
        Shape (n_bytes,), uint8.
    """
    return torch.frombuffer(bytearray(_encoded(system)), dtype=torch.uint8)


def load_system(file: File) -> System:
    """Read a system from a file.

    Parameters
    ----------
    file
        Path, or a binary file that is open for reading.

    Returns
    -------
    System
        The system on the CPU, in the dtype that it was saved in.

    Raises
    ------
    TypeError
        If ``file`` is no path and no file.
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is something else, damaged, incomplete, or written by a newer version; the message says which.
    """
    if not isinstance(file, (str, os.PathLike)):
        if not hasattr(file, "read"):
            raise TypeError(f"expected `file` to be a path or a binary file, got {type(file).__name__}")
        return _decoded(file.read(), "the file")
    path = Path(file)
    if not path.exists():
        raise MissingFileError(f"expected a file with a system, got '{path}', which does not exist")
    if path.is_dir():
        raise UnreadableFileError(f"expected a file with a system, got the directory '{path}'")
    if not_regular(path):
        raise UnreadableFileError(f"expected a file with a system, got '{path}', which is no regular file")
    return _decoded(path.read_bytes(), f"'{path}'")


def load_system_buffer(buffer: torch.Tensor | bytes | bytearray | memoryview) -> System:
    """Read a system from a buffer that `save_buffer` wrote, or from the bytes of a file.

    Parameters
    ----------
    buffer
        The bytes; as a tensor, of the shape (n_bytes,), uint8.

    Returns
    -------
    System
        The system on the CPU, in the dtype that it was saved in.

    Raises
    ------
    TypeError, ValueError
        As `load_system`; also for a tensor of another shape or dtype than (n_bytes,), uint8.
    """
    if isinstance(buffer, torch.Tensor):
        if buffer.dtype != torch.uint8 or buffer.dim() != 1:
            raise UnreadableFileError(
                f"expected `buffer` to be of dtype uint8 and shape (n_bytes,), got {buffer.dtype} and "
                f"{tuple(buffer.shape)}"
            )
        return _decoded(buffer.cpu().numpy().tobytes(), "the buffer")
    if not isinstance(buffer, (bytes, bytearray, memoryview)):
        raise TypeError(f"expected `buffer` to be a tensor or bytes, got {type(buffer).__name__}")
    return _decoded(bytes(buffer), "the buffer")


def _encoded(system: System) -> bytes:
    if not isinstance(system, System):
        raise TypeError(f"expected `system` to be a System, got {type(system).__name__}")
    if system.dtype not in _DTYPES:
        raise ValueError(f"expected `system` in float16, float32 or float64, got {system.dtype}; use `system.to`")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in _entries(system):
            archive.writestr(zipfile.ZipInfo(name, _DATE), content)
    return buffer.getvalue()


def _entries(system: System) -> list[tuple[str, bytes]]:
    entries = [("info.json", json.dumps({"format": _FORMAT, "version": _VERSION}).encode())]
    for name in _ARRAYS:
        array = io.BytesIO()
        np.save(array, getattr(system, name).detach().cpu().numpy(), allow_pickle=False)
        entries.append((f"{name}.npy", array.getvalue()))
    for i, options in enumerate(system.known_neighbor_lists()):
        block = system.get_neighbor_list(options).to(device="cpu")
        entries.append((f"pairs/{i}/options.json", json.dumps(_options_to_dict(options), indent=1).encode()))
        entries.append((f"pairs/{i}/data.mts", block.save_buffer().numpy().tobytes()))
    for name in system.known_data():
        tensor = system.get_data(name).to(device="cpu")
        # "domain::name/variant" is no file name
        entries.append((f"data/{quote(name, safe='')}.mts", mts.save_buffer(tensor).numpy().tobytes()))
    return entries


def _options_to_dict(options: NeighborListOptions) -> dict[str, Any]:
    return {
        "class": "NeighborListOptions",
        # the bits of the number, as metatomic-torch writes it
        "cutoff": struct.unpack("<q", struct.pack("<d", options.cutoff))[0],
        "full_list": options.full_list,
        "strict": options.strict,
        "length_unit": options.length_unit,
        "requestors": options.requestors(),
    }


def _options_from_dict(content: dict[str, Any]) -> NeighborListOptions:
    cutoff = struct.unpack("<d", struct.pack("<q", content["cutoff"]))[0]
    options = NeighborListOptions(cutoff, content["full_list"], content["strict"])
    options.length_unit = content.get("length_unit", "")
    for requestor in content.get("requestors", []):
        options.add_requestor(requestor)
    return options


def _decoded(content: bytes, where: str) -> System:
    if len(content) == 0:
        raise UnreadableFileError(f"expected a system, got {where}, which is empty")
    try:
        with opened(io.BytesIO(content), where) as archive:
            names = archive.namelist()
            # a truncated archive ends in the middle of data that are archives themselves, and pass for the whole
            if min((entry.header_offset for entry in archive.infolist()), default=0) > 0:
                raise EOFError
            missing = [f"{name}.npy" for name in _ARRAYS if f"{name}.npy" not in names]
            entries = {} if missing else {name: archive.read(name) for name in names if _is_known(name)}
    except zipfile.BadZipFile as error:
        kind = "which is truncated or damaged" if content[:2] == b"PK" else "which is something else (no zip archive)"
        raise UnreadableFileError(f"expected a system, got {where}, {kind}") from error
    if missing:
        raise UnreadableFileError(
            f"expected a system, got {where}, another zip archive: it has no {', '.join(missing)}"
        )
    _check_version(entries, where)
    try:
        return _system_from(entries)
    except _DAMAGED as error:
        reason = _reason(error)
        raise UnreadableFileError(f"expected a system, got {where} with damaged or wrong data: {reason}") from error


def _reason(error: Exception) -> str:
    """Say what is wrong; what NumPy advises about pickles would run what is in the file."""
    text = in_one_line(error) or type(error).__name__
    return "an array of Python objects, which are not loaded" if "allow_pickle" in text else text


def _is_known(name: str) -> bool:
    if name in ("info.json", *(f"{array}.npy" for array in _ARRAYS)):
        return True
    return any(pattern.fullmatch(name) for pattern in (_PAIRS, _PAIRS_DATA, _DATA))


def _check_version(entries: dict[str, bytes], where: str) -> None:
    if "info.json" not in entries:
        return
    try:
        version = int(json.loads(entries["info.json"])["version"])
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UnreadableFileError(f"expected a system, got {where} with damaged or wrong data: info.json") from error
    if version > _VERSION:
        raise UnreadableFileError(
            f"expected a system file of version {_VERSION} or older, got {where} of version {version}; "
            "run `pip install --upgrade metatomic-core`"
        )


def _system_from(entries: dict[str, bytes]) -> System:
    arrays = {name: torch.from_numpy(np.load(io.BytesIO(entries[f"{name}.npy"]))) for name in _ARRAYS}
    ours = "info.json" in entries
    lists: dict[int, tuple[NeighborListOptions, mts.TensorBlock]] = {}
    data: dict[str, mts.TensorMap] = {}
    for entry, content in entries.items():
        if match := _PAIRS.fullmatch(entry):
            block = mts.load_block_buffer(_as_tensor(entries[f"pairs/{match[1]}/data.mts"]))
            lists[int(match[1])] = (_options_from_dict(json.loads(content)), block)
        elif match := _DATA.fullmatch(entry):
            data[unquote(match[1]) if ours else match[1]] = mts.load_buffer(_as_tensor(content))
    system = System(**arrays)
    # metatomic-torch widens positions and cell to float64, and nothing else
    blocks = [block for _, block in lists.values()] + [block for tensor in data.values() for block in tensor.blocks()]
    if not ours and blocks:
        system = system.to(dtype=blocks[0].values.dtype)
    for _, (options, block) in sorted(lists.items(), key=lambda item: item[0]):
        system.add_neighbor_list(options, block)
    for name, tensor in data.items():
        system.add_data(name, tensor)
    return system


def _check_texts(name: str, content: bytes) -> None:
    """Refuse texts with a null character: metatensor ends the process when one gets into its messages."""
    text = content
    if content.startswith(b"\x93NUMPY"):
        size, place = ("<H", 8) if content[6:7] == b"\x01" else ("<I", 8)
        (length,) = struct.unpack_from(size, content, place)
        text = content[: place + struct.calcsize(size) + length][place + struct.calcsize(size) :]
    if "\0" in name or b"\0" in text:
        raise ValueError(f"expected texts without null characters, got one in '{in_one_line(name)}'")


def _as_tensor(content: bytes) -> torch.Tensor:
    """Give the content of a file of metatensor, which is an archive too, as its reader wants it."""
    # the sizes of its entries are checked
    with opened(io.BytesIO(content), "a part of it") as archive:
        for entry in archive.infolist():
            _check_texts(entry.filename, archive.read(entry))
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)
